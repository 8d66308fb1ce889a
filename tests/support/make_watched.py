"""Folders of runs at several moments, for the tests of `watch`.

    make_watched.py FOLDER      makes FOLDER/runs/NAME for each moment and FOLDER/pairs/NAME, prints "ready",
                                and holds the locks of those at work until its standard input ends
"""

import fcntl
import json
import math
import os
import sys
import time

STEPS, EVERY, HOUR = 400, 50, 3600
MACHINE = {"processors": [{"name": "AMD EPYC 7543 32-Core Processor", "hosts": 2, "ranks": 4}], "ranks": 4, "threads": 16,
           "dtype": "f32"}


def line(step):
    wiggle = 0.12 * math.sin(2.1 * step) * math.sin(0.37 * step)
    row = {"step": step, "epoch": round(step * 8 / 1600, 6), "loss": round(1.1 + 2.2 * math.exp(-step / 60) + wiggle, 6),
           "learning_rate": 2e-4 * (1 - step / STEPS), "grad_norm": 0.8, "tokens": 4096, "seconds": 2.0, "data_seconds": 0.01,
           "comm_seconds": 0.125, "wait_seconds": 0.25, "slowest_rank": 3 if step % 4 else 0, "slowest_host": "node2"}
    if step == 1:
        row["machine"] = MACHINE
    if step % EVERY == 0:
        row["eval_loss"] = round(1.3 + 2.0 * math.exp(-step / 70), 6)
    return row


def reward(step):
    row = {"reward_chosen": 0.002 * step, "reward_rejected": -0.003 * step, "reward_margin": 0.005 * step,
           "reward_accuracy": min(0.5 + step / 300, 1)}
    if step % EVERY == 0:
        row |= {f"eval_{name}": round(0.75 * value, 6) for name, value in row.items()}
    return row


def make(folder, name, steps, *, pairs=False, age=0, owner="", checkpoints=(), tail="", skipped=(), finished=False, failure=None):
    """`age` in seconds, of everything in it; `owner`: what the lock says."""
    run = f"{folder}/{name}"
    os.makedirs(f"{run}/checkpoints")
    files = {"config.yaml": f"model: m\nepochs: 2\nbatch-size: 8\neval-every: {EVERY}\n", ".lock": owner}
    files |= {f"checkpoints/step-{step:08}.h5": "" for step in checkpoints}
    if steps:
        rows = [line(step) | (reward(step) if pairs else {}) | ({"skipped": "spike"} if step in skipped else {})
                for step in range(1, steps + 1)]
        files["metrics.jsonl"] = "".join(json.dumps(row) + "\n" for row in rows) + tail
    if finished:
        os.mkdir(f"{run}/adapter")
        files |= {f"adapter/{name}": "" for name in ("adapter_model.safetensors", "adapter_config.json", "README.md")}
    if failure:
        files["failed.txt"] = failure
    for name, text in files.items():
        with open(f"{run}/{name}", "w", encoding="utf-8") as f:
            f.write(text)
        os.utime(f"{run}/{name}", (time.time() - age,) * 2)
    return run


def main():
    folder = sys.argv[1] + "/runs"
    owner, half = "process 4242 on node1\n", json.dumps(line(151))[:40]
    held = [make(folder, "1-starting", 0, owner=owner),
            make(folder, "2-running", 150, owner=owner, checkpoints=(50, 100), tail=half, skipped=(88,)),
            make(folder, "3-silent", 150, owner=owner, checkpoints=(100,), age=2.5 * HOUR)]
    make(folder, "4-dead", 120, owner="process 77 on node9\n", checkpoints=(100,), age=30 * HOUR)
    make(folder, "5-stopped", 130, checkpoints=(130,), age=3 * 24 * HOUR)
    make(folder, "6-finished", STEPS, checkpoints=(350, STEPS), finished=True, age=5.5 * HOUR)
    make(folder, "7-failed", 20, failure="step 21: the loss is not finite\n", age=HOUR)
    make(folder, "8-名前 of two columns", 0)
    make(sys.argv[1] + "/pairs", "dpo", 130, pairs=True, checkpoints=(130,), age=3 * 24 * HOUR)
    make(sys.argv[1] + "/pairs", "orpo", 20, pairs=True, age=HOUR)
    make(sys.argv[1] + "/pairs", "sft", STEPS, checkpoints=(STEPS,), finished=True, age=5.5 * HOUR)
    locks = [open(f"{run}/.lock", "r+", encoding="utf-8") for run in held]
    for lock in locks:
        fcntl.lockf(lock, fcntl.LOCK_EX)
    print("ready", flush=True)
    sys.stdin.read()


main()
