#!/usr/bin/env python3
"""Measures the memory of a merged export: a base in the shape of Llama 2 7B, whose weights are a hole in its file, and an
adapter of all its linear layers, of rank 8.

    scripts/measure_merge.py [LAYERS]

LAYERS is 32 if it is not given; 32 take some minutes and 13.5 GB of disk, in TMPDIR. MPILORA: the program; default:
build/mpilora. Exit status: 0 less than 2 GiB, 1 more or an error.
"""

import json
import os
import resource
import struct
import subprocess
import sys
import tempfile

LAYERS = int(sys.argv[1]) if len(sys.argv) > 1 else 32
WIDTH, FFN, VOCABULARY, RANK = 4096, 11008, 32000, 8
LINEARS = {"self_attn.q_proj": (WIDTH, WIDTH), "self_attn.k_proj": (WIDTH, WIDTH), "self_attn.v_proj": (WIDTH, WIDTH),
           "self_attn.o_proj": (WIDTH, WIDTH), "mlp.gate_proj": (FFN, WIDTH), "mlp.up_proj": (FFN, WIDTH),
           "mlp.down_proj": (WIDTH, FFN)}
CONFIG = dict(model_type="llama", hidden_size=WIDTH, intermediate_size=FFN, num_hidden_layers=LAYERS,
              num_attention_heads=32, num_key_value_heads=32, vocab_size=VOCABULARY, rms_norm_eps=1e-5,
              max_position_embeddings=4096, tie_word_embeddings=False, torch_dtype="bfloat16", hidden_act="silu")
ADAPTER = dict(peft_type="LORA", r=RANK, lora_alpha=16, target_modules="all-linear")


def write(folder, config, name, tensors, dtype, size, value):
    os.mkdir(folder)
    at, header = 0, {}
    for tensor, shape in tensors:
        end = at + size * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[tensor] = {"dtype": dtype, "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(f"{folder}/{name}.safetensors", "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        if value:
            out.write(struct.pack("<f", value) * (at // size))
        out.truncate(8 + len(text) + at)
    with open(f"{folder}/{config[0]}", "w") as out:
        json.dump(config[1], out)


base, adapter = [("model.embed_tokens.weight", [VOCABULARY, WIDTH])], []
for layer in range(LAYERS):
    block = f"model.layers.{layer}."
    for linear, (outputs, inputs) in LINEARS.items():
        base.append((f"{block}{linear}.weight", [outputs, inputs]))
        adapter += [(f"base_model.model.{block}{linear}.lora_A.weight", [RANK, inputs]),
                    (f"base_model.model.{block}{linear}.lora_B.weight", [outputs, RANK])]
    base += [(f"{block}{norm}_layernorm.weight", [WIDTH]) for norm in ("input", "post_attention")]
base += [("model.norm.weight", [WIDTH]), ("lm_head.weight", [VOCABULARY, WIDTH])]

program = os.environ.get("MPILORA", os.path.join(os.path.dirname(__file__), "../build/mpilora"))
with tempfile.TemporaryDirectory(prefix="mpilora-merge.") as work:
    write(f"{work}/base", ("config.json", CONFIG), "model", base, "BF16", 2, 0)
    write(f"{work}/adapter", ("adapter_config.json", ADAPTER), "adapter_model", adapter, "F32", 4, 0.01)
    subprocess.run([program, "export", "--model", f"{work}/base", "--checkpoint", f"{work}/adapter", "--format", "merged",
                    "--output", f"{work}/merged", "--no-check"], check=True)
    size = os.path.getsize(f"{work}/merged/model.safetensors")
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{LAYERS} layers, {size / 1e9:.1f} GB: {usage.ru_maxrss / 1024:.0f} MiB of memory, "
      f"{usage.ru_utime + usage.ru_stime:.0f} s of processor time")
sys.exit(usage.ru_maxrss >= 2 * 1024 * 1024)
