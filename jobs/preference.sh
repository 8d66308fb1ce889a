#!/usr/bin/env bash
# Supervised fine-tuning, then DPO from its adapter, and what each changes on held-out requests:
#
#     jobs/preference.sh 2 PATH runs/preference
#
# The first argument is the number of ranks, the second one the model (that of the quickstart is made for it), the third
# one a folder for data and runs; further arguments are options of both runs. The same command continues a run that was
# stopped.
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/jobs/env.sh" # before set -u, because the modules of some sites fail with it
set -euo pipefail

[ $# -ge 3 ] || { echo "usage: jobs/preference.sh RANKS MODEL FOLDER [OPTIONS...]" >&2; exit 2; }
ranks=$1 model=$2 run=$3
shift 3
data=$run/data

train() { "$top/jobs/local.sh" "$ranks" --model "$model" "$@"; }
evaluate() { "$MPILORA" eval --model "$model" --json "$@"; }

python3 "$top/jobs/make_sbatch_pairs.py" "$data"
train --config "$top/jobs/quickstart.yaml" --data "$data/sft.jsonl" --output "$run/sft" "$@"
train --config "$top/jobs/preference.yaml" --adapter "$run/sft/adapter" --data "$data/pairs.jsonl" --output "$run/dpo" "$@"

# The base; then both adapters, whose rewards are against the base.
both=(--adapter "$run/sft/adapter" --adapter "$run/dpo/adapter")
evaluate --data "$top/jobs/quickstart/heldout.jsonl" >"$run/base.json"
evaluate "${both[@]}" --data "$top/jobs/quickstart/heldout.jsonl" >"$run/answers.json"
evaluate "${both[@]}" --objective dpo --data "$data/heldout-pairs.jsonl" >"$run/rewards.json"
python3 - "$run" <<'PYTHON'
import json, sys
def read(name):
    with open(f"{sys.argv[1]}/{name}.json", encoding="utf-8") as file:
        return json.load(file)
base, answers, rewards = read("base"), read("answers"), read("rewards")
print(f"{'':16} {'base':>8} {'SFT':>8} {'DPO':>8}")
print(f"{'exact match':16} {base['exact_match']:8.3f}" + "".join(f" {a['exact_match']:8.3f}" for a in answers))
for what in "accuracy", "margin":
    print(f"{'reward ' + what:16} {'-':>8}" + "".join(f" {r['reward_' + what]:8.3f}" for r in rewards))
PYTHON
