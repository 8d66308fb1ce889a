#!/usr/bin/env bash
# Training speed and memory in f32, side by side with torch + PEFT: the same base, adapter, tokens a step (4 x 512, all
# supervised) and threads, taken in turn, since machines are noisy.
#
#   scripts/bench_vs_peft.sh PYTHON [MODEL [TURNS]]
#
# PYTHON belongs to an environment with torch, transformers, peft, accelerate and (for a .gguf model) gguf.
# THREADS=N sets the threads of both; default: all cores.
. "$(dirname "$0")/common.sh"
[ $# -ge 1 ] && [ $# -le 3 ] || { sed -n '5,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
python=$1
turns=${3:-3}
threads=${THREADS:-$cores}
length=512 batch=4 steps=6
"$python" -c 'import torch, transformers, peft' || { echo "bench_vs_peft.sh: $python lacks torch, transformers or peft" >&2; exit 1; }
scripts/deps.sh
build build -DMPILORA_TESTS=OFF
model=${2:-$(scripts/fetch_model.sh smollm2)}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Texts of many more tokens than are kept: each example is cut to exactly $length.
python3 - "$work/data.jsonl" $((batch * steps)) "$length" <<'PYTHON'
import json, random, sys
path, examples, length = sys.argv[1], *map(int, sys.argv[2:])
draw = random.Random(1)
with open(path, "w") as f:
    for _ in range(examples):
        words = ("".join(draw.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(draw.randint(2, 9))) for _ in range(length))
        print(json.dumps({"text": " ".join(words)}), file=f)
PYTHON

ours() {
    rm -rf "$work/run"
    python3 - "$work/run/metrics.jsonl" build/mpilora train --model "$model" --data "$work/data.jsonl" --output "$work/run" \
        --max-length $length --batch-size $batch --micro-batch-tokens $((batch * length)) --max-steps $steps \
        --lora-rank 16 --lora-alpha 32 --threads "$threads" --save-every 0 --resume never <<'PYTHON'
import json, resource, subprocess, sys
subprocess.run(sys.argv[2:], check=True, stdout=sys.stderr, stderr=subprocess.DEVNULL)
rows = [json.loads(line) for line in open(sys.argv[1])]
assert all(r["tokens"] == rows[0]["tokens"] for r in rows), "the steps differ"
print(json.dumps({"tokens_per_second": max(r["tokens_per_second"] for r in rows[1:]), "step_tokens": rows[0]["tokens"],
                  "peak_memory_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024}))
PYTHON
}
theirs() {
    "$python" scripts/peft_lora.py --model "$model" --batch $batch --length $length --steps $steps --threads "$threads" 2>/dev/null
}

for turn in $(seq "$turns"); do
    ours >>"$work/ours" && theirs >>"$work/theirs"
    printf 'turn %d  mpilora %s\n        PEFT    %s\n' "$turn" "$(tail -n 1 "$work/ours")" "$(tail -n 1 "$work/theirs")"
done
python3 - "$work/ours" "$work/theirs" <<'PYTHON'
import json, statistics, sys
ours, theirs = ([json.loads(line) for line in open(path)] for path in sys.argv[1:])
for name, ratios in (
    ("tokens/s, mpilora over PEFT", [a["tokens_per_second"] / b["tokens_per_second"] for a, b in zip(ours, theirs)]),
    ("peak memory, mpilora over PEFT", [a["peak_memory_bytes"] / b["peak_memory_bytes"] for a, b in zip(ours, theirs)]),
):
    print(f"{name}: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")
PYTHON
