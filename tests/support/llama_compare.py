#!/usr/bin/env python3
"""Compares a file of `mpilora probe` with what llama.cpp predicts.

    llama_compare.py PROBE.h5 EXPECTED.json MOST

EXPECTED.json: as tests/golden/llama_cpp/*/expected.json. The ids must be the same, and no log-probability of a next
token may differ by more than MOST. Standard library and h5dump alone.
"""
import json
import math
import struct
import subprocess
import sys
import tempfile

probe, expected, most = sys.argv[1], json.load(open(sys.argv[2])), float(sys.argv[3])


def values(path, code):
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["h5dump", "-d", path, "-b", "LE", "-o", out.name, probe], check=True, stdout=subprocess.DEVNULL)
        data = out.read()
    return struct.unpack(f"<{len(data) // 4}{code}", data)


worst = 0.0
for number, text in enumerate(expected):
    ids, logits = values(f"/examples/{number}/tokens", "i"), values(f"/examples/{number}/logits", "f")
    if list(ids) != text["ids"]:
        sys.exit(f"example {number}: other ids: {ids}")
    width = len(logits) // len(ids)
    for place, likeliest in enumerate(text["likeliest"]):
        row = logits[place * width:(place + 1) * width]
        total = max(row) + math.log(sum(math.exp(x - max(row)) for x in row))
        worst = max([worst] + [abs(row[i] - total - p) for i, p in likeliest])
print(f"{probe}: log-probabilities differ by at most {worst:.1e}")
sys.exit(not worst <= most)
