"""Reads TensorBoard's event files without TensorBoard, and checks every checksum: one JSON line for each value.

    read_events.py FOLDER
"""
import glob
import json
import struct
import sys


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def message(data):
    """The fields of a protocol buffer: {number: [values]}."""
    fields, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 2:
            length, at = varint(data, at)
            value, at = data[at : at + length], at + length
        else:
            size, form = {1: (8, "<d"), 5: (4, "<f")}[wire]
            value, at = struct.unpack(form, data[at : at + size])[0], at + size
        fields.setdefault(key >> 3, []).append(value)
    assert at == len(data)
    return fields


def events(path):
    data, at = open(path, "rb").read(), 0
    while at < len(data):
        (length,) = struct.unpack("<Q", data[at : at + 8])
        assert struct.unpack("<I", data[at + 8 : at + 12])[0] == masked(data[at : at + 8]), "checksum of a length"
        body = data[at + 12 : at + 12 + length]
        assert struct.unpack("<I", data[at + 12 + length : at + 16 + length])[0] == masked(body), "checksum of an event"
        at += 16 + length
        yield message(body)
    assert at == len(data), f"{path} ends within a record"


for path in sorted(glob.glob(sys.argv[1] + "/events.out.tfevents.*")):
    for event in events(path):
        row = {"step": event[2][0]}
        if 3 in event:
            print(json.dumps(row | {"version": event[3][0].decode()}))
        if 7 in event:
            print(json.dumps(row | {"session": message(event[7][0])[1][0]}))
        for summary in event.get(5, []):
            for value in map(message, message(summary).get(1, [])):
                found = row | {"tag": value[1][0].decode()}
                if 2 in value:
                    found["scalar"] = value[2][0]
                if 5 in value:
                    histogram = message(value[5][0])
                    counts = [c for (c,) in struct.iter_unpack("<d", histogram[7][0])]
                    limits = [c for (c,) in struct.iter_unpack("<d", histogram[6][0])]
                    assert limits == sorted(limits) and len(limits) == len(counts) and sum(counts) == histogram[3][0]
                    found |= {"min": histogram[1][0], "max": histogram[2][0], "count": histogram[3][0]}
                if 8 in value:
                    found["texts"] = [t.decode() for t in message(value[8][0])[8]]
                print(json.dumps(found))
