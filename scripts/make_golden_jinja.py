#!/usr/bin/env python3
"""Writes tests/golden/jinja: what jinja2, as transformers sets it up, makes of statements and of chat templates.

Needs transformers and jinja2.
  statements.json   the lines of jinja_statements.txt, each with its text, or null where jinja2 fails
"""
import json
import os

import jinja_oracle

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "jinja")


def text_or_none(template, context):
    try:
        return jinja_oracle.render(template, context)
    except RecursionError:
        return None


def write(name, head, rows):
    """A JSON file with a row a line."""
    with open(os.path.join(OUT, name), "w", encoding="utf-8") as f:
        f.write(head + ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows) + "\n]}\n")


def main():
    os.makedirs(OUT, exist_ok=True)
    rows = [[template, text_or_none(template, jinja_oracle.CONTEXT)] for template in jinja_oracle.statements()]
    write("statements.json", '{"context":' + json.dumps(jinja_oracle.CONTEXT, separators=(",", ":")) + ',\n"statements":[\n', rows)


if __name__ == "__main__":
    main()
