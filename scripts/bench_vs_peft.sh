#!/usr/bin/env bash
# Training speed and memory in f32, side by side with torch + PEFT: the same base, adapter, tokens a step (4 x 512, all
# supervised) and threads, taken in turn, since machines are noisy. Of each turn the fastest step counts, on both sides.
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

ours() {
    build/mpilora bench --model "$model" --length $length --micro-batch-tokens $((batch * length)) --lora-rank 16 \
        --steps $((steps - 1)) --threads "$threads" --json 2>/dev/null
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
    ("tokens/s, mpilora over PEFT", [a["fastest_step_tokens_per_second"] / b["tokens_per_second"] for a, b in zip(ours, theirs)]),
    ("peak memory, mpilora over PEFT", [a["peak_memory_bytes"] / b["peak_memory_bytes"] for a, b in zip(ours, theirs)]),
):
    print(f"{name}: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")
PYTHON
