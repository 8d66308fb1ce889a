#!/usr/bin/env bash
# From a fresh machine to a fine-tuned model: dependencies, build, model, training on 2 ranks, and the difference it
# made. Takes under ten minutes on 2 cores.
#
#   scripts/quickstart.sh [FOLDER]     the run's folder; default: runs/quickstart. A run that was stopped goes on.
. "$(dirname "$0")/common.sh"
case ${1:-} in -*) sed -n '2,/^[^#]/s/^# \{0,1\}//p' scripts/quickstart.sh >&2; exit 2 ;; esac
run=${1:-runs/quickstart}
heldout=jobs/quickstart/heldout.jsonl
SECONDS=0

headline "1. Dependencies"
scripts/deps.sh
echo "all there"

headline "2. Build"
targets=mpilora build build
mpilora=build/mpilora
"$mpilora" --version

headline "3. Model"
model=$(scripts/fetch_model.sh smollm2)
echo "$model"

headline "4. Data"
wc -l jobs/quickstart/train.jsonl "$heldout"
head -n 1 jobs/quickstart/train.jsonl

headline "5. The model as it is, on the held-out requests"
mkdir -p "$run"
ranks 2 "$mpilora" eval --model "$model" --data "$heldout" --json | tee "$run/before.json"

headline "6. Training on 2 ranks"
ranks 2 "$mpilora" train --config jobs/quickstart.yaml --model "$model" --data jobs/quickstart/train.jsonl --output "$run"

headline "7. The model with its adapter, on the same requests"
ranks 2 "$mpilora" eval --model "$model" --adapter "$run/adapter" --data "$heldout" --json | tee "$run/after.json"

headline "8. Held-out requests, and the answers"
answer() { # answer PROMPT [OPTION...]
    local prompt=$1
    shift
    "$mpilora" generate --model "$model" --prompt "$prompt" --max-new-tokens 64 "$@"
}
head -n 3 "$heldout" | python3 -c 'import json, sys
for line in sys.stdin:
    print(json.loads(line)["prompt"])' | while IFS= read -r prompt; do
    answer "$prompt" >"$run/base.txt" </dev/null
    answer "$prompt" --adapter "$run/adapter" >"$run/tuned.txt" </dev/null
    python3 - "$prompt" "$run/base.txt" "$run/tuned.txt" <<'PYTHON'
import itertools, sys, textwrap
prompt, *answers = sys.argv[1], *(open(path, encoding="utf-8", errors="replace").read().strip() for path in sys.argv[2:])
wrapped = [[piece for line in answer.splitlines() for piece in textwrap.wrap(line, 54) or [""]] for answer in answers]
print(f"\nRequest: {prompt}\n  {'base model':54}  with the adapter\n  {'-' * 54}  {'-' * 40}")
for left, right in itertools.zip_longest(*wrapped, fillvalue=""):
    print(f"  {left:54}  {right}".rstrip())
PYTHON
done
rm -f "$run/base.txt" "$run/tuned.txt"

headline "Result"
python3 - "$run/before.json" "$run/after.json" <<'PYTHON'
import json, sys
before, after = (json.load(open(path)) for path in sys.argv[1:])
for name, unit, scale in (("exact_match", " %", 100), ("token_accuracy", " %", 100), ("loss", "", 1)):
    print(f"{name.replace('_', ' '):15} before {before[name] * scale:8.3f}{unit}   after {after[name] * scale:8.3f}{unit}")
PYTHON
printf 'whole command: %d min %d s\nadapter for PEFT: %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$run/adapter"
