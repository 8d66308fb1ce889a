#!/usr/bin/env bash
# Whether training in bf16 learns what f32 does: the quickstart's training in both, with the loss on its held-out requests on
# the way and at the end. The same seed, so the same start and the same batches; --seeds of them, since the end of one run
# says little.
#
#   scripts/bench_dtype_loss.sh [OPTION...]
#
#   --model PATH        Hugging Face folder or .gguf file; default: SmolLM2-135M-Instruct, fetched
#   --steps N           default 200
#   --every N           steps between two evaluations, default 25
#   --seeds N           from 1 on, default 1
#   --data FILE         to train on; default: the quickstart's
#   --heldout FILE      default: the quickstart's
#   --threads N         default: all cores
# MPILORA names the program, if it is not to be built.
. "$(dirname "$0")/common.sh"
. scripts/bench_common.sh
steps=200 every=25 seeds=1 data=jobs/quickstart/train.jsonl heldout=jobs/quickstart/heldout.jsonl
parse_options "steps every seeds data heldout" "" "$@"
prepare

for seed in $(seq "$seeds"); do
    for dtype in f32 bf16; do
        "$mpilora" train --config jobs/quickstart.yaml --model "$model" --data "$data" --eval-data "$heldout" \
            --output "$work/$dtype-$seed" --dtype "$dtype" --seed "$seed" --epochs 1000 --max-steps "$steps" --eval-every "$every" \
            --save-every 0 --threads "$threads" 2>"$work/err" || {
            cat "$work/err" >&2
            exit 1
        }
    done
    python3 - "$work/f32-$seed/metrics.jsonl" "$work/bf16-$seed/metrics.jsonl" "$seed" <<'PYTHON'
import json, sys
rows = [[r for r in map(json.loads, open(path)) if r.get("eval_loss") is not None] for path in sys.argv[1:3]]
for a, b in zip(*rows, strict=True):
    print(f"seed {sys.argv[3]}, step {a['step']}: eval loss {a['eval_loss']:.5f} in f32, {b['eval_loss']:.5f} in bf16, "
          f"{100 * (b['eval_loss'] / a['eval_loss'] - 1):+.2f} %", flush=True)
PYTHON
done
