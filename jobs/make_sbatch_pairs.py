#!/usr/bin/env python3
"""Makes preference pairs: requests with a right and a wrong set of #SBATCH lines.

    make_sbatch_pairs.py FOLDER       writes FOLDER/sft.jsonl, FOLDER/pairs.jsonl and FOLDER/heldout-pairs.jsonl

The requests are the quickstart's (make_sbatch_data.py): the first half of its training examples, as they are, in
sft.jsonl; of the second half, and of the held-out ones, some as pairs. A wrong answer has one mistake: another value, a
line too few, or a line that was not asked for. The files are the same bytes everywhere.
"""

import json
import os
import sys

from make_sbatch_data import SETTINGS, Choice, directive, make, write

SEED = 21
SFT, PAIRS = 520, 256  # of the training examples
HELD_OUT_PAIRS = 60


def option_of(line):
    return line.removeprefix("#SBATCH --").split("=")[0]


def another_value(directives, pick):
    """None if that setting has no other value."""
    at = pick.below(len(directives))
    option = option_of(directives[at])
    others = [line for line in (directive(option, value) for value in SETTINGS[option][0]) if line != directives[at]]
    return directives[:at] + (pick.one_of(others),) + directives[at + 1:] if others else None


def too_few(directives, pick):
    at = pick.below(len(directives))
    return directives[:at] + directives[at + 1:]


def too_many(directives, pick):
    used = {option_of(line) for line in directives}
    option = pick.one_of([o for o in SETTINGS if o not in used])
    at = pick.below(len(directives) + 1)
    return directives[:at] + (directive(option, pick.one_of(SETTINGS[option][0])),) + directives[at:]


MISTAKES = [another_value, another_value, too_few, too_many]


def spoil(directives, pick):
    wrong = None
    while wrong is None:
        wrong = pick.one_of(MISTAKES)(directives, pick)
    return wrong


def write_pairs(path, examples, pick):
    with open(path, "w", encoding="ascii", newline="\n") as file:
        for prompt, directives in examples:
            chosen, rejected = ("\n" + "".join(line + "\n" for line in lines) for lines in (directives, spoil(directives, pick)))
            file.write(json.dumps({"prompt": prompt, "chosen": chosen, "rejected": rejected}) + "\n")


def main():
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    train, held_out = make()
    pick = Choice(SEED)
    os.makedirs(sys.argv[1], exist_ok=True)
    write(os.path.join(sys.argv[1], "sft.jsonl"), train[:SFT])
    write_pairs(os.path.join(sys.argv[1], "pairs.jsonl"), train[SFT:SFT + PAIRS], pick)
    write_pairs(os.path.join(sys.argv[1], "heldout-pairs.jsonl"), held_out[:HELD_OUT_PAIRS], pick)


if __name__ == "__main__":
    main()
