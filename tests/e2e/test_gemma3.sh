# The recipe of Gemma 3 270M: the real file loads, is as sure of real texts as transformers' load of it (dequantised to
# f32, transformers 5.24), and learns. It is downloaded once; without a network this is skipped.
. "$SOURCE/tests/support/e2e.sh"

status=0
model=$("$SOURCE/scripts/fetch_model.sh" gemma3-270m 2>"$work/log" | tail -n 1) || status=$?
[ "$status" != 4 ] || skip "$(tail -n 1 "$work/log")"
[ "$status" = 0 ] || fail "fetch_model.sh: status $status: $(tail -n 1 "$work/log")"

cat >"$work/texts.jsonl" <<'JSONL'
{"text": "The capital of France is Paris, and the capital of Italy is"}
{"text": "Once upon a time there was a small cluster of computers that"}
{"text": "def fibonacci(n):\n    if n < 2:\n        return n\n    return"}
JSONL
check 0 "$MPILORA" eval --model "$model" --data "$work/texts.jsonl" --json
holds 'v["supervised_tokens"] == 49 and abs(v["loss"] - 2.760133) < 1e-4'

check 0 "$MPILORA" inspect "$model" --json
holds 'v["special"]["window"] == 512 and v["special"]["window_layers"] == 15 and v["special"]["norms_of_heads"] is True'

head -n 4 "$SOURCE/jobs/quickstart/train.jsonl" >"$work/data.jsonl"
check 0 "$MPILORA" train --config "$SOURCE/jobs/gemma3.yaml" --model "$model" --data "$work/data.jsonl" --output "$work/run" \
    --epochs 0 --max-steps 3 --batch-size 2 --max-length 48 --micro-batch-tokens 48 --lr-schedule constant --warmup-steps 0
python3 - "$work/run/metrics.jsonl" <<'PY' || fail "it does not learn"
import json, sys
losses = [json.loads(line)["loss"] for line in open(sys.argv[1])]
assert len(losses) == 3 and losses[2] < losses[0], losses
PY
passed
