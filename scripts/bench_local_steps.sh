#!/usr/bin/env bash
# What --local-steps costs in loss and saves on the network: the quickstart's training on 2 ranks that meet at every step and
# at every H-th, with the loss on its held-out requests at the end and what a rank has sent by then.
#
#   scripts/bench_local_steps.sh [OPTION...]
#
#   --model PATH        Hugging Face folder or .gguf file; default: SmolLM2-135M-Instruct, fetched
#   --dtype f32|bf16    default f32
#   --local H           default 8
#   --rate X            --outer-learning-rate of the runs, default 0.7
#   --momentum X        their --outer-momentum, default 0.3
#   --steps N           default: one epoch
#   --length N          of an example at most, in tokens; a pack has twice as many; default 128
#   --ranks N           default 2
#   --threads N         of all ranks together; default: all cores
# MPILORA names the program, if it is not to be built.
. "$(dirname "$0")/common.sh"
. scripts/bench_common.sh
dtype=f32 local=8 rate=0.7 momentum=0.3 steps=0 length=128 ranks=2
parse_options "dtype local rate momentum steps length ranks" "" "$@"
prepare

for every in 1 "$local"; do
    ranks "$ranks" "$mpilora" train --config jobs/quickstart.yaml --model "$model" --data jobs/quickstart/train.jsonl \
        --eval-data jobs/quickstart/heldout.jsonl --output "$work/$every" --dtype "$dtype" --local-steps "$every" \
        --outer-learning-rate "$rate" --outer-momentum "$momentum" --max-steps "$steps" --save-every 0 \
        --max-length "$length" --micro-batch-tokens $((2 * length)) --threads $((threads > ranks ? threads / ranks : 1)) 2>"$work/err" || {
        cat "$work/err" >&2
        exit 1
    }
    python3 - "$work/$every/metrics.jsonl" "$work/err" "$every" <<'PYTHON'
import json, re, sys
rows, said, every = [json.loads(line) for line in open(sys.argv[1])], open(sys.argv[2]).read(), int(sys.argv[3])
once = float(re.search(r"a rank sends (?:up to )?([\d.]+) MiB", said).group(1))
meetings = -(-len(rows) // every)
print(f"--local-steps {every}: eval loss {rows[-1]['eval_loss']:.4f} after {len(rows)} steps, {meetings} times {once:.2f} MiB, "
      f"in all {meetings * once:,.0f} MiB sent by a rank")
PYTHON
done
