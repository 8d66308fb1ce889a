#!/usr/bin/env bash
# What several ranks cost on one machine: steps of the same batches with all threads in one rank, spread over 2 ranks, and
# over 4, which share cores where there are fewer threads; and what it costs that the sum of the gradients is the same bits
# on any number of ranks (--reduce exact) against a plain sum (--reduce fast). All taken in turn.
#
#   scripts/bench_ranks.sh [OPTION...]
#
#   --model PATH        Hugging Face folder or .gguf file; default: SmolLM2-135M-Instruct, fetched
#   --dtype f32|bf16    default f32
#   --packs N           of a step, a multiple of 4; default 4
#   --pack N            tokens of one; default 512
#   --turns N           default 3
#   --steps N           of each turn, after one that is not counted; the median counts; default 3
#   --threads N         of all ranks together, an even number; default: all cores
# MPILORA names the program, if it is not to be built.
. "$(dirname "$0")/common.sh"
. scripts/bench_common.sh
dtype=f32 packs=4 pack=512 steps=3
parse_options "dtype packs pack steps" "" "$@"
[ $((threads % 2)) = 0 ] || { echo "bench_ranks.sh: --threads $threads is not even" >&2; exit 2; }
prepare

# One example a pack, longer than that before it is cut.
python3 - "$work/data.jsonl" "$packs" "$pack" <<'PYTHON'
import json, sys
with open(sys.argv[1], "w") as out:
    for i in range(int(sys.argv[2])):
        print(json.dumps({"text": " ".join(str(i * k) for k in range(int(sys.argv[3]) + 2))}), file=out)
PYTHON

each() { # each RANKS: threads of one of them
    echo $((threads > $1 ? threads / $1 : 1))
}

take() { # take RANKS REDUCE: the steps of one run, then what its metrics say
    rm -rf "$work/run"
    ranks "$1" "$mpilora" train --model "$model" --data "$work/data.jsonl" --output "$work/run" --dtype "$dtype" \
        --threads "$(each "$1")" --batch-size "$packs" --micro-batch-tokens "$pack" --max-length "$pack" \
        --max-steps $((steps + 1)) --no-shuffle --save-every 0 --reduce "$2" &&
        python3 - "$work/run/metrics.jsonl" $((packs * pack)) <<'PYTHON'
import json, statistics, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
if any(row["tokens"] != int(sys.argv[2]) for row in rows):
    sys.exit("not full packs")
rows = rows[1:]
middle = lambda value: round(statistics.median(map(value, rows)), 5)
print(json.dumps({"step_seconds": middle(lambda r: r["seconds"]), "exposed": middle(lambda r: r["comm_seconds"]),
                  "waited": middle(lambda r: r["wait_seconds"]),
                  "adding": middle(lambda r: r["phases"]["communication"]), "loss": rows[-1]["loss"]}))
PYTHON
}

[ "$threads" -ge 4 ] || echo "4 ranks have a thread each and share $cores cores"
for number in $(seq "$turns"); do
    for count in 1 2 4; do turn "$number" "exact-$count" take "$count" exact; done
    turn "$number" fast-2 take 2 fast
done
for count in 2 4; do
    python3 - "$work/exact-1" "$work/exact-$count" <<'PYTHON'
import json, sys
one, many = ([json.loads(line)["loss"] for line in open(path)] for path in sys.argv[1:])
if any(abs(a / b - 1) > 1e-2 for a, b in zip(one, many)):
    sys.exit("not the same work")
PYTHON
    python3 scripts/ratios.py "$work/exact-1" "$work/exact-$count" \
        "efficiency of $count ranks with $(each $count) threads against one with $threads: a['step_seconds'] / b['step_seconds']" \
        "of a step of $count ranks, communication that nothing hides: b['exposed'] / b['step_seconds']"
done
python3 scripts/ratios.py "$work/exact-2" "$work/fast-2" \
    "a step of 2 ranks, exact over fast: a['step_seconds'] / b['step_seconds']" \
    "share of a step that adding up and communication take on rank 0, exact: a['adding'] / a['step_seconds']" \
    "the same, fast: b['adding'] / b['step_seconds']"
