#!/usr/bin/env python3
"""Prints what an adapter's GGUF file says, in an order of its own: the keys that matter, and each tensor's shape and hash.

    gguf_content.py FILE.gguf

Standard library only; tensors of f32.
"""
import hashlib
import math
import struct
import sys

data, at = open(sys.argv[1], "rb").read(), 0
FORMATS, STRING, ARRAY = "BbHhIif?  Qqd", 8, 9  # of numbers, by the number of their type


def number(code):
    global at
    (value,) = struct.unpack_from("<" + code, data, at)
    at += struct.calcsize("<" + code)
    return value


def text():
    global at
    length = number("Q")
    at += length
    return data[at - length:at].decode()


def value(kind):
    if kind == ARRAY:
        kind = number("I")
        return [value(kind) for _ in range(number("Q"))]
    return text() if kind == STRING else number(FORMATS[kind])


assert data[:4] == b"GGUF"
at = 8
tensor_count, key_count = number("Q"), number("Q")
keys = {text(): value(number("I")) for _ in range(key_count)}
for key in sorted(keys):
    if key in ("general.type", "general.architecture") or key.startswith("adapter."):
        print(key, keys[key])
tensors = [(text(), [number("Q") for _ in range(number("I"))], number("I"), number("Q")) for _ in range(tensor_count)]
at += -at % keys.get("general.alignment", 32)
for name, shape, kind, offset in sorted(tensors):
    assert kind == 0, f"{name}: not f32"
    print(name, shape, hashlib.sha256(data[at + offset:at + offset + 4 * math.prod(shape)]).hexdigest())
