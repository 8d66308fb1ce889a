#!/usr/bin/env python3
"""Makes tests/golden/llama_cpp: what llama.cpp makes of models and adapters, and what it predicts with them.

    make_golden_llama.py --llama FOLDER

For each of MODELS, a model of make_golden.py, a folder with

    model.gguf      converted by llama.cpp's convert_hf_to_gguf.py (compare_gguf.py says how)
    adapter.gguf    an adapter that PEFT saved, converted by convert_lora_to_gguf.py
    adapter/        the same as PEFT saved it
    expected.json   of each text: its ids, and after each prefix the likeliest tokens with their log-probabilities

and data.jsonl, the texts. Run in an environment with what compare_gguf.py needs; the files in the repository come from
llama.cpp b11549 (xllamacpp 2026.10.11549).
"""
import argparse
import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

import compare_gguf

MODELS = {"llama": "gqa", "qwen2": "qwen2", "gemma3": "gemma3"}
TOP = 5
SEED = 3


def save_adapter(folder, base, lora):
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), LoraConfig(task_type="CAUSAL_LM", **lora))
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            if ".lora_" in name:
                p.copy_(torch.randn(p.shape, generator=generator) * (1 if ".lora_A." in name else 0.1) / p.shape[1] ** 0.5)
    model.save_pretrained(folder, save_embedding_layers=False)
    for name in ("README.md", "tokenizer.json"):
        (folder / name).unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": "tiny"}, indent=2, sort_keys=True) + "\n")


def make(folder, name, llama, conversion, makers, mpilora):
    import h5py
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        tokenizer, tokens = compare_gguf.make_tokenizer(scratch / "tokenizer")
        fixture = dataclasses.replace(compare_gguf.fixture_of(name, makers), seed=SEED)
        compare_gguf.make_folder(scratch / "model", fixture, makers, scratch / "tokenizer", tokens)
        compare_gguf.convert(conversion, scratch / "model", folder / "model.gguf", tokenizer, tokens)
        save_adapter(folder / "adapter", scratch / "model", fixture.lora)
        subprocess.run([sys.executable, llama / "convert_lora_to_gguf.py", "--base", scratch / "model",
                        "--outfile", folder / "adapter.gguf", folder / "adapter"], check=True)
        compare_gguf.probe(mpilora, folder / "model.gguf", folder.parent / "data.jsonl", scratch / "probe.h5")
        with h5py.File(scratch / "probe.h5") as file:
            texts = [{"ids": file[f"examples/{i}/tokens"][:].tolist()} for i in range(2)]
    done = subprocess.run([sys.executable, compare_gguf.ROOT / "tests/support/llama_logprobs.py", folder / "model.gguf",
                           "--adapter", folder / "adapter.gguf", "--top", str(TOP)], input=json.dumps(texts),
                          capture_output=True, text=True, check=True)
    texts = json.loads(done.stdout)
    for text in texts:
        text["likeliest"] = [[[i, round(p, 6)] for i, p in row] for row in text["likeliest"]]
    (folder / "expected.json").write_text("[" + ",\n".join(json.dumps(t) for t in texts) + "]\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama", type=pathlib.Path, required=True, metavar="FOLDER", help="llama.cpp's sources")
    parser.add_argument("--mpilora", default=compare_gguf.ROOT / "build/mpilora", metavar="PROGRAM", help="tokenizes the texts")
    options = parser.parse_args()
    llama, root = options.llama.resolve(), compare_gguf.ROOT / "tests/golden/llama_cpp"
    conversion, makers = compare_gguf.load_converter(llama), compare_gguf.load_makers()
    root.mkdir(exist_ok=True)
    compare_gguf.write_data(root / "data.jsonl")
    for folder, name in MODELS.items():
        make(root / folder, name, llama, conversion, makers, options.mpilora)


if __name__ == "__main__":
    main()
