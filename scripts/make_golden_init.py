#!/usr/bin/env python3
"""Makes tests/golden/tiny_gqa/init.safetensors: the starts that PEFT takes out of the base, for the unit tests.

    <scheme>.<path>     B A of a module [out, in] after get_peft_model(init_lora_weights=<scheme>), rank 4, alpha 8

for the schemes pissa and olora. A and B themselves are free up to signs; their product is not.

Run in an environment with torch, transformers, peft and safetensors; the file in the repository comes from torch 2.13.0,
transformers 5.23.0, peft 0.21.2, safetensors 0.8.0.
"""
import pathlib

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

folder = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "tiny_gqa"
products = {}
for scheme in ("pissa", "olora"):
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=scheme))
    for name, module in model.named_modules():
        if hasattr(module, "lora_A"):
            a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
            products[f"{scheme}.{name.removeprefix('base_model.model.')}"] = (b @ a).detach().contiguous()
save_file(products, folder / "init.safetensors")
print(len(products), "products")
