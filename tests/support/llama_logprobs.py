#!/usr/bin/env python3
"""What llama.cpp predicts: log-probabilities of the next token after each prefix of some token ids.

    llama_logprobs.py MODEL.gguf [--adapter ADAPTER.gguf] [--top N] < IN.json > OUT.json

IN.json: a list of objects with "ids". OUT.json: the same, with "likeliest": for each prefix of the ids the N likeliest next
tokens, [id, log-probability].
Needs the package xllamacpp; the status is 77 without it. Keys and values are kept in f32.
"""
import argparse
import json
import sys

try:
    import xllamacpp
except ImportError:
    print("the package xllamacpp is not there", file=sys.stderr)
    sys.exit(77)


def open_server(model, adapter, positions):
    params = xllamacpp.CommonParams()
    params.model.path = model
    if adapter:
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(adapter, 1.0)]
    params.n_ctx = params.n_batch = params.n_ubatch = positions
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.fit_params = params.warmup = params.cache_prompt = False
    return xllamacpp.Server(params)


def predict(server, ids, top):
    """The likeliest tokens after `ids`: [[id, log-probability], ...]."""
    # The answer is "a", since there are no probabilities beside one that ends within a character; they are those of the model.
    answer = server.handle_completions({"prompt": ids, "max_tokens": 1, "n_probs": top, "temperature": 0,
                                        "logit_bias": [["a", 1e6]], "cache_prompt": False})
    (choice,) = answer["choices"]
    return [[row["id"], row["logprob"]] for row in choice["logprobs"]["content"][0]["top_logprobs"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--adapter")
    parser.add_argument("--top", type=int, default=20, metavar="N")
    options = parser.parse_args()
    texts = json.load(sys.stdin)
    server = open_server(options.model, options.adapter, max(len(t["ids"]) for t in texts) + 64)
    for t in texts:
        t["likeliest"] = [predict(server, t["ids"][:n + 1], options.top) for n in range(len(t["ids"]))]
    json.dump(texts, sys.stdout)


if __name__ == "__main__":
    main()
