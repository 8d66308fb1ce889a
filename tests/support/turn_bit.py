#!/usr/bin/env python3
"""turn_bit.py PID FILE...: turns one bit over in each place of a process's memory that holds the first lora_A of one of
these adapters."""
import json, struct, sys


def first_values(path):
    data = open(path, "rb").read()
    length, = struct.unpack("<Q", data[:8])
    tensors = json.loads(data[8:8 + length])
    begin, end = next(t["data_offsets"] for name, t in sorted(tensors.items()) if "lora_A" in name)
    return data[8 + length + begin:8 + length + end]


pid, *paths = sys.argv[1:]
wanted = [first_values(path) for path in paths]
found = 0
with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
    for line in open(f"/proc/{pid}/maps"):
        span, access, *rest = line.split()
        if not access.startswith("rw") or rest[-1] in ("[vvar]", "[vsyscall]"):
            continue
        first, last = (int(x, 16) for x in span.split("-"))
        try:
            memory.seek(first)
            here = memory.read(last - first)
        except OSError:
            continue
        for values in wanted:
            at = here.find(values)
            while at >= 0:
                memory.seek(first + at + 4)
                memory.write(bytes([here[at + 4] ^ 1]))
                found += 1
                at = here.find(values, at + 1)
print("turned over in", found, "places")
sys.exit(found == 0)
