#!/usr/bin/env python3
"""The peer of bench_tokenizer.sh: the `tokenizers` library on the lines of a file, on one thread and on --threads.

Prints one JSON object with the median rates.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True, help="a Hugging Face folder, or a .gguf file")
parser.add_argument("--file", required=True)
parser.add_argument("--steps", type=int, default=3)
parser.add_argument("--threads", type=int, default=os.cpu_count())
arguments = parser.parse_args()


def load():
    path = os.path.abspath(arguments.model)
    if path.endswith(".gguf"):
        os.environ["HF_HUB_OFFLINE"] = "1"
        from transformers import AutoTokenizer
        return AutoTokenizer.from_pretrained(os.path.dirname(path), gguf_file=os.path.basename(path)).backend_tokenizer
    from tokenizers import Tokenizer
    return Tokenizer.from_file(os.path.join(path, "tokenizer.json"))


def measure():
    """In a process whose environment sets the threads: the library looks there once."""
    tokenizer = load()
    data = open(arguments.file, "rb").read()
    lines = data.decode().split("\n")
    rates = []
    for _ in range(arguments.steps):
        begun = time.perf_counter()
        encoded = tokenizer.encode_batch_fast(lines)
        rates.append(len(data) / 1e6 / (time.perf_counter() - begun))
    print(json.dumps({"rate": statistics.median(rates), "tokens": sum(len(e.ids) for e in encoded)}))


def run(threads):
    settings = {"RAYON_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false"}
    made = subprocess.run([sys.executable, *sys.argv], env=os.environ | settings | {"MEASURE": "1"}, check=True,
                          capture_output=True, text=True)
    return json.loads(made.stdout.splitlines()[-1])


def main():
    if os.environ.get("MEASURE"):
        return measure()
    alone, together = run(1), run(arguments.threads)
    print(json.dumps({"thread_megabytes_per_second": alone["rate"], "megabytes_per_second": together["rate"],
                      "tokens": alone["tokens"]}))


main()
