#!/usr/bin/env python3
"""Writes tests/golden/quant.bin: random blocks of every GGUF type that mpilora reads, and their values.

The values come from the `gguf` package (pip install gguf). Layout, little-endian, for each type in turn:
u32 type number, u32 blocks, u32 bytes per block, u32 elements per block, the blocks, then the values as f32.
"""
import pathlib
import struct

import gguf
import numpy as np

TYPES = "F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q4_K Q5_K Q6_K".split()
SCALES_AT = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
             "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}  # byte offsets of the half-precision scales
PER_BLOCK_TYPE_BYTES = 1024


def main():
    random = np.random.default_rng(20240229)
    out = bytearray()
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        count = -(-PER_BLOCK_TYPE_BYTES // size)
        if name in SCALES_AT:
            blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
            for at in SCALES_AT[name]:
                scale = (random.standard_normal(count) * 0.01).astype(np.float16)
                scale[:2] = [0, 5.9604645e-08]  # zero and the smallest subnormal
                blocks[:, at:at + 2] = scale.view(np.uint8).reshape(count, 2)
        elif name == "F16":
            values = random.standard_normal(count).astype(np.float16)
            values[:6] = [0, -0.0, 65504, 5.9604645e-08, np.inf, -np.inf]
            blocks = values.view(np.uint8).reshape(count, size)
        else:
            values = random.standard_normal(count).astype(np.float32).view(np.uint32) >> 16
            blocks = values.astype(np.uint16).view(np.uint8).reshape(count, size)
        values = gguf.dequantize(blocks.reshape(-1), kind).astype("<f4")
        assert values.size == count * elements
        out += struct.pack("<4I", int(kind), count, size, elements) + blocks.tobytes() + values.tobytes()
    path = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "quant.bin"
    path.write_bytes(out)
    print(f"{path}: {len(out)} bytes")


main()
