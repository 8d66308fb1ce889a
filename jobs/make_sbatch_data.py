#!/usr/bin/env python3
"""Makes the quickstart's data: plain-English requests and the #SBATCH lines that answer them.

    make_sbatch_data.py FOLDER        writes FOLDER/train.jsonl and FOLDER/heldout.jsonl

A request names two to four settings, in any order and in many wordings; its answer lists them in the order of
the request, so there is exactly one right answer to each. No request and no set of settings stands in both
files: the held-out score cannot come from memory.

Nothing but the standard library, and of `random` only Random(int).random(), whose sequence Python keeps
stable between versions: the files are the same bytes everywhere.
"""

import json
import os
import random
import sys

SEED = 20
TRAIN = 1040
HELD_OUT = 120
LEAST_USES = 8  # of every value of every setting in the training file

WORDS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 8: "eight", 10: "ten", 12: "twelve"}


class Choice:
    """The few random decisions that are needed, all from Random.random()."""

    def __init__(self, seed):
        self.rng = random.Random(seed)

    def below(self, n):
        return int(self.rng.random() * n)

    def one_of(self, items):
        return items[self.below(len(items))]


def number(n, pick):
    """n in digits or, where it has a common word, in letters half of the time."""
    return WORDS[n] if n in WORDS and pick.below(2) else str(n)


def counted(n, unit, pick):
    return f"{number(n, pick)} {unit}{'' if n == 1 else 's'}"


# Each setting: its values, and two functions of (value, pick). The first gives a phrase that follows
# "Run ...", the second one that follows "I need ...".


def name_run(v, pick):
    return pick.one_of(["under the name {}", "named {}", "called {}"]).format(v)


def name_need(v, pick):
    return pick.one_of(["the job name {}", "the name {}", "job name {}"]).format(v)


def account_run(v, pick):
    return pick.one_of(["on the {} account", "charged to {}", "billed to {}"]).format(v)


def account_need(v, pick):
    return pick.one_of(["the {} account", "account {}", "the account {}"]).format(v)


def partition_run(v, pick):
    phrases = ["in the {} partition", "on the {} partition", "in partition {}", "in the {} queue"]
    return pick.one_of(phrases).format(v)


def partition_need(v, pick):
    return pick.one_of(["the {} partition", "partition {}", "the {} queue"]).format(v)


def nodes_run(v, pick):
    return pick.one_of(["on {}", "across {}", "using {}"]).format(counted(v, "node", pick))


def nodes_need(v, pick):
    return counted(v, "node", pick)


def tasks_need(v, pick):
    unit = pick.one_of(["task", "rank", "MPI rank", "process"])
    many = "es" if unit == "process" else "s"
    each = pick.one_of(["per node", "on each node"])
    return f"{number(v, pick)} {unit}{'' if v == 1 else many} {each}"


def cores_need(v, pick):
    cores = counted(v, pick.one_of(["core", "CPU", "thread"]), pick)
    return f"{cores} {pick.one_of(['per task', 'for each task'])}"


def gpus_need(v, pick):
    return f"{counted(v, 'GPU', pick)} {pick.one_of(['per node', 'on each node'])}"


def memory_need(v, pick):
    unit = pick.one_of(["GB", "gigabytes", "GB of memory", "GB of RAM"])
    return f"{v} {unit}{pick.one_of(['', ' per node'])}"


def with_(need):
    return lambda v, pick: "with " + need(v, pick)


def span(v, pick):
    count, unit = v
    if (count, unit) == (30, "minute") and pick.below(2):
        return "half an hour"
    if (count, unit) == (1, "hour") and pick.below(3) == 0:
        return "an hour"
    return counted(count, unit, pick)


def time_run(v, pick):
    phrases = ["for {}", "for at most {}", "for up to {}", "with a limit of {}"]
    return pick.one_of(phrases).format(span(v, pick))


def time_need(v, pick):
    return pick.one_of(["{}", "at most {}", "a time limit of {}"]).format(span(v, pick))


def time_value(v):
    count, unit = v
    return {"minute": f"00:{count:02}:00", "hour": f"{count:02}:00:00", "day": f"{count}-00:00:00"}[unit]


def array_run(v, pick):
    return "as " + array_need(v, pick)


def array_need(v, pick):
    first, last, at_once = v
    text = pick.one_of(["array tasks {} to {}", "an array from {} to {}", "a job array of {} to {}"])
    return text.format(first, last) + (f" with {at_once} at a time" if at_once else "")


def array_value(v):
    first, last, at_once = v
    return f"{first}-{last}" + (f"%{at_once}" if at_once else "")


def exclusive_run(_, pick):
    return pick.one_of(["exclusively", "with exclusive access", "without sharing"])


def exclusive_need(_, pick):
    return pick.one_of(["exclusive access", "exclusive use", "no sharing"])


MAIL = {
    "BEGIN": ["when it starts", "when it begins"],
    "END": ["when it ends", "when it is done"],
    "FAIL": ["if it fails", "only if it fails"],
}


def mail(v, pick):
    """A sentence of its own."""
    return f"{pick.one_of(['Mail me', 'Email me', 'Send me a mail'])} {pick.one_of(MAIL[v])}."


NAMES = ["fluid", "protein", "weather", "train", "test", "sort", "render", "scan"]
ACCOUNTS = ["climate", "physics", "biology", "finance"]
PARTITIONS = ["gpu", "cpu", "debug", "long", "short", "large"]
TIMES = ([(n, "minute") for n in (5, 10, 15, 20, 30)] + [(n, "hour") for n in (1, 2, 3, 4, 6, 8, 10, 12)]
         + [(n, "day") for n in (1, 2, 3)])
RANGES = [(0, 9), (1, 10), (1, 20), (0, 99)]
ARRAYS = [(first, last, at_once) for first, last in RANGES for at_once in (None, 2, 4)]

# option: (values, phrase after "Run", phrase after "I need", text of the value, how often it is asked for)
SETTINGS = {
    "job-name": (NAMES, name_run, name_need, str, 3),
    "account": (ACCOUNTS, account_run, account_need, str, 2),
    "partition": (PARTITIONS, partition_run, partition_need, str, 4),
    "nodes": ([1, 2, 3, 4, 5, 6, 8, 10, 12, 16], nodes_run, nodes_need, str, 5),
    "ntasks-per-node": ([1, 2, 4, 8, 16, 32], with_(tasks_need), tasks_need, str, 3),
    "cpus-per-task": ([2, 4, 8, 16], with_(cores_need), cores_need, str, 2),
    "gres": ([1, 2, 4, 8], with_(gpus_need), gpus_need, "gpu:{}".format, 2),
    "mem": ([4, 8, 16, 32, 64, 128], with_(memory_need), memory_need, "{}G".format, 3),
    "time": (TIMES, time_run, time_need, time_value, 5),
    "array": (ARRAYS, array_run, array_need, array_value, 2),
    "exclusive": ([None], exclusive_run, exclusive_need, None, 1),
    "mail-type": (list(MAIL), None, None, str, 2),
}
URN = [option for option, setting in SETTINGS.items() for _ in range(setting[4])]

RUN = ["Run", "Run it", "Run my job", "Please run this", "Submit this", "Start it"]
NEED = ["I need", "Give me", "My job needs", "Request", "Please ask for"]


def sentence(lead, phrases, pick):
    if len(phrases) > 1 and pick.below(2):
        phrases = phrases[:-2] + [f"{phrases[-2]} and {phrases[-1]}"]
    return f"{lead} {', '.join(phrases)}."


def directive(option, value):
    show = SETTINGS[option][3]
    return f"#SBATCH --{option}" + (f"={show(value)}" if show else "")


def example(pick):
    size = pick.one_of([2, 2, 3, 3, 3, 4])
    chosen = []
    while len(chosen) < size:
        option = pick.one_of(URN)
        if option not in chosen:
            chosen.append(option)
    if "mail-type" in chosen:  # always asked for last
        chosen.remove("mail-type")
        chosen.append("mail-type")
    values = {option: pick.one_of(SETTINGS[option][0]) for option in chosen}

    lead, form = pick.one_of([(RUN, 1), (NEED, 2)])
    phrases = [SETTINGS[o][form](values[o], pick) for o in chosen if o != "mail-type"]
    text = sentence(pick.one_of(lead), phrases, pick)
    if "mail-type" in values:
        text += " " + mail(values["mail-type"], pick)
    return text, tuple(directive(option, value) for option, value in values.items())


def make():
    """Two lists of (request, directives) with nothing in common."""
    pick = Choice(SEED)
    held_out, train, requests = [], [], set()
    while len(held_out) < HELD_OUT:
        request, directives = example(pick)
        if request not in requests:
            requests.add(request)
            held_out.append((request, directives))
    reserved = {frozenset(directives) for _, directives in held_out}
    while len(train) < TRAIN:
        request, directives = example(pick)
        if request not in requests and frozenset(directives) not in reserved:
            requests.add(request)
            train.append((request, directives))
    return train, held_out


def check(train, held_out):
    requests = {request for request, _ in train + held_out}
    assert len(requests) == TRAIN + HELD_OUT, "a request stands there twice"
    settings = [{frozenset(directives) for _, directives in part} for part in (train, held_out)]
    assert not settings[0] & settings[1], "a set of settings stands in both files"
    uses = [line for _, directives in train for line in directives]
    for option, (values, *_) in SETTINGS.items():
        for value in values:
            line = directive(option, value)
            assert uses.count(line) >= LEAST_USES, f"{line} is used {uses.count(line)} times"


def write(path, examples):
    with open(path, "w", encoding="ascii", newline="\n") as file:
        for prompt, directives in examples:
            # The line end after the request belongs to the answer, so that a request can be typed without it.
            completion = "\n" + "".join(line + "\n" for line in directives)
            file.write(json.dumps({"prompt": prompt, "completion": completion}) + "\n")


def main():
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    train, held_out = make()
    check(train, held_out)
    os.makedirs(sys.argv[1], exist_ok=True)
    write(os.path.join(sys.argv[1], "train.jsonl"), train)
    write(os.path.join(sys.argv[1], "heldout.jsonl"), held_out)


if __name__ == "__main__":
    main()
