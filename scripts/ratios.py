#!/usr/bin/env python3
"""Ratios of two sides that were measured in turn: the median over the turns, the least and the greatest.

    ratios.py LEFT RIGHT "NAME: EXPRESSION of a and b"...

LEFT and RIGHT hold a JSON object a line, one for each turn; a and b are those of the same turn.
"""

import json
import statistics
import sys

left, right = ([json.loads(line) for line in open(path)] for path in sys.argv[1:3])
for wanted in sys.argv[3:]:
    name, expression = wanted.split(": ", 1)
    ratios = [eval(expression, {"a": a, "b": b}) for a, b in zip(left, right, strict=True)]
    print(f"{name}: median {statistics.median(ratios):.3g}, from {min(ratios):.3g} to {max(ratios):.3g}")
