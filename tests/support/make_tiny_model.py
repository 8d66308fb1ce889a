#!/usr/bin/env python3
"""Makes a tiny random Llama model that is whole: config, safetensors, a byte-level tokenizer with a chat template.

    make_tiny_model.py FOLDER [SEED] [--width N] [--layers N] [--bf16]

Standard library only. The weights are noise: it stands in for a model where the way is tested, not the answers.
A wider one, for where the size of the base counts, is made fast: its matrices repeat themselves.
"""

import argparse
import json
import os
import random
import struct

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("seed", nargs="?", type=int, default=1)
parser.add_argument("--width", type=int, default=32)
parser.add_argument("--layers", type=int, default=2)
parser.add_argument("--bf16", action="store_true", help="weights of two bytes instead of four")
arguments = parser.parse_args()
folder = arguments.folder
random.seed(arguments.seed)
WIDTH, LAYERS, HEADS, KV_HEADS = arguments.width, arguments.layers, 4, 2
FFN, HEAD = WIDTH * 3 // 2, WIDTH // HEADS
BYTES = 2 if arguments.bf16 else 4
MOST_DRAWN = 100003  # a prime: rows of a repeated matrix differ

# Each byte has a printable character in a byte-level vocabulary: its own, or one from U+0100 on.
printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
hidden = [b for b in range(256) if b not in printable]
letters = [chr(b) for b in printable] + [chr(256 + i) for i in range(len(hidden))]
special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
merges = ["t h", "th e", "i n", "a n", "o n", "Ġ the", "Ġ a"]
vocabulary = special + letters + [m.replace(" ", "") for m in merges]
SIZE = len(vocabulary)


def tensor(rows, columns=None):
    count = rows * (columns or 1)
    drawn = min(count, MOST_DRAWN)
    values = [1.0] * count if columns is None else [random.gauss(0, columns**-0.5) for _ in range(drawn)]
    block = struct.pack(f"<{len(values)}f", *values)
    if BYTES == 2:
        block = b"".join(block[i + 2 : i + 4] for i in range(0, len(block), 4))
    block *= count // len(values) + 1
    return [rows] if columns is None else [rows, columns], block[: BYTES * count]


tensors = {"model.embed_tokens.weight": tensor(SIZE, WIDTH), "model.norm.weight": tensor(WIDTH)}
for layer in range(LAYERS):
    at = f"model.layers.{layer}."
    for name, rows, columns in [
        ("self_attn.q_proj", WIDTH, WIDTH),
        ("self_attn.k_proj", KV_HEADS * HEAD, WIDTH),
        ("self_attn.v_proj", KV_HEADS * HEAD, WIDTH),
        ("self_attn.o_proj", WIDTH, WIDTH),
        ("mlp.gate_proj", FFN, WIDTH),
        ("mlp.up_proj", FFN, WIDTH),
        ("mlp.down_proj", WIDTH, FFN),
    ]:
        tensors[f"{at}{name}.weight"] = tensor(rows, columns)
    for name in ("input_layernorm", "post_attention_layernorm"):
        tensors[f"{at}{name}.weight"] = tensor(WIDTH)

config = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH, "intermediate_size": FFN,
    "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "vocab_size": SIZE,
    "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True,
    "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16" if arguments.bf16 else "float32",
}
tokenizer = {
    "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
    "added_tokens": [
        {"id": i, "content": s, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": True} for i, s in enumerate(special)],
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
              "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
              "vocab": {t: i for i, t in enumerate(vocabulary)}, "merges": merges},
}
template = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}"
    "{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

os.makedirs(folder, exist_ok=True)
header, offset = {}, 0
for name, (shape, data) in tensors.items():
    header[name] = {"dtype": "BF16" if arguments.bf16 else "F32", "shape": shape, "data_offsets": [offset, offset + len(data)]}
    offset += len(data)
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(os.path.join(folder, "model.safetensors"), "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text)
    for _, data in tensors.values():
        f.write(data)
for name, value in (
    ("config.json", config),
    ("tokenizer.json", tokenizer),
    ("tokenizer_config.json", {"bos_token": special[1], "eos_token": special[2], "chat_template": template}),
):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False)
