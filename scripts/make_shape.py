#!/usr/bin/env python3
"""make_shape.py SHAPE FOLDER: a Hugging Face folder of random bf16 weights in the shape of a published model.

For timing, since speed depends on shapes and not on weights: scripts/bench_vs_peft.sh --model FOLDER. The tokenizer has
the 256 bytes alone. Needs torch, transformers, tokenizers.
"""
import argparse
import json
import pathlib

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

LLAMA3 = dict(vocab_size=128256, head_dim=64, rms_norm_eps=1e-5, rope_theta=500000.0)
SHAPES = {
    "llama3.2-1b": ("LlamaConfig", dict(LLAMA3, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16,
                                        num_attention_heads=32, num_key_value_heads=8, tie_word_embeddings=True)),
    "qwen3-0.6b": ("Qwen3Config", dict(vocab_size=151936, hidden_size=1024, intermediate_size=3072,
                                       num_hidden_layers=28, num_attention_heads=16, num_key_value_heads=8,
                                       head_dim=128, tie_word_embeddings=True)),
    "gemma3-270m": ("Gemma3TextConfig", dict(vocab_size=262144, hidden_size=640, intermediate_size=2048,
                                             num_hidden_layers=18, num_attention_heads=4, num_key_value_heads=1,
                                             head_dim=256, query_pre_attn_scalar=256, sliding_window=512)),
}


def bytes_tokenizer():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("folder", type=pathlib.Path)
    options = parser.parse_args()
    kind, values = SHAPES[options.shape]
    config = getattr(transformers, kind)(bos_token_id=0, eos_token_id=1, pad_token_id=None, **values)
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(options.folder)
    bytes_tokenizer().save(str(options.folder / "tokenizer.json"))
    (options.folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))


if __name__ == "__main__":
    main()
