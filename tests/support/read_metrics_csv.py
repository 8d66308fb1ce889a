#!/usr/bin/env python3
"""Compares the metrics.csv of a report with the metrics.jsonl that it was made from: read_metrics_csv.py FOLDER."""

import csv
import glob
import json
import os
import sys

folder = sys.argv[1]
is_study = os.path.exists(f"{folder}/study.yaml")
wanted = []
for path in glob.glob(f"{folder}/cells/*/metrics.jsonl") if is_study else [f"{folder}/metrics.jsonl"]:
    for line in open(path):
        row = {"cell": path.split("/")[-2]} if is_study else {}
        line = json.loads(line)
        line.pop("machine", None)  # of a start, not of a step
        for key, value in line.items():
            row.update({f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value})
        wanted.append(row)
with open(f"{folder}/metrics.csv", newline="") as f:
    reader = csv.DictReader(f, strict=True)
    rows = list(reader)
assert len(rows) == len(wanted) > 0, (len(rows), len(wanted))
columns = reader.fieldnames
assert len(columns) == len(set(columns)) and columns[is_study] == "step" and is_study == ("cell" in columns), columns
assert {"loss", "reward_margin", "phases.attention", "skipped", "eval_loss", "eval_reward_margin", "trace.norm_a"} <= set(columns)
if is_study:
    wanted.sort(key=lambda r: [row["cell"] for row in rows].index(r["cell"]))
for got, row in zip(rows, wanted):
    assert None not in got and None not in got.values(), got
    assert row.keys() <= got.keys(), row.keys() - got.keys()
    for column, text in got.items():
        value = row.get(column)
        same = text == "" if value is None else text == value if isinstance(value, str) else float(text) == value
        assert same, (column, text, value)
print(len(rows), "rows of", len(columns), "columns")
