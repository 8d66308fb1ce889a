#!/usr/bin/env bash
# One epoch over the quickstart's data (short examples, loss on the completion), side by side with torch + PEFT, which pads
# each batch to its longest example: the same base, adapter, batches of 16 and threads, taken in turn. What both sides did
# must be the same: tokens, supervised tokens, steps, and the loss of the first batch.
#
#   scripts/bench_quickstart_vs_peft.sh --python PYTHON [OPTION...]
#
#   --python PYTHON     of an environment with torch, transformers, peft, accelerate and (for a .gguf model) gguf
#   --model PATH        Hugging Face folder or .gguf file; default: SmolLM2-135M-Instruct, fetched
#   --dtype f32|bf16    default f32
#   --compiled          PEFT's model through torch.compile
#   --turns N           default 3
#   --batch N           default 16
#   --pack N            tokens that mpilora works on at once; default 1024
#   --examples N        the first ones only; default: all
#   --threads N         of both; default: all cores
# MPILORA names the program, if it is not to be built.
. "$(dirname "$0")/common.sh"
. scripts/bench_common.sh
dtype=f32 compiled='' batch=16 pack=1024 examples=1000000
parse_options "dtype batch pack examples" compiled "$@"
needs_python torch transformers peft
prepare
head -n "$examples" jobs/quickstart/train.jsonl >"$work/data.jsonl"
length=128 rank=16 rate=1e-3 warmup=$(($(wc -l <"$work/data.jsonl") / batch / 10))

ours() { # the epoch, then what its metrics say
    rm -rf "$work/run"
    "$mpilora" train --model "$model" --data "$work/data.jsonl" --output "$work/run" --dtype "$dtype" --threads "$threads" \
        --batch-size "$batch" --micro-batch-tokens "$pack" --max-length $length --lora-rank $rank --epochs 1 \
        --learning-rate $rate --warmup-steps $warmup --save-every 0 --log-every 50 &&
        python3 - "$work/run/metrics.jsonl" <<'PYTHON'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
print(json.dumps({
    "epoch_seconds": sum(r["seconds"] for r in rows), "steps": len(rows), "tokens": sum(r["tokens"] for r in rows),
    "supervised_tokens": sum(r["supervised_tokens"] for r in rows),
    "first_loss": rows[0]["loss"], "last_loss": rows[-1]["loss"],
}))
PYTHON
}

for number in $(seq "$turns"); do
    turn "$number" mpilora ours
    turn "$number" PEFT "$python" scripts/peft_lora.py --model "$model" --data "$work/data.jsonl" --dtype "$dtype" \
        --batch "$batch" --length $length --rank $rank --threads "$threads" --learning-rate $rate --warmup-steps $warmup \
        ${compiled:+--compile}
done
python3 - "$work/mpilora" "$work/PEFT" "$dtype" <<'PYTHON'
import json, sys
a, b = (json.loads(open(path).readline()) for path in sys.argv[1:3])
for name in ("steps", "tokens", "supervised_tokens"):
    if a[name] != b[name]:
        sys.exit(f"not the same work: {a[name]} and {b[name]} {name}")
if abs(a["first_loss"] / b["first_loss"] - 1) > (1e-3 if sys.argv[3] == "f32" else 3e-2):
    sys.exit(f"not the same work: first loss {a['first_loss']} and {b['first_loss']}")
PYTHON
python3 scripts/ratios.py "$work/mpilora" "$work/PEFT" 'seconds of an epoch, PEFT over mpilora: b["epoch_seconds"] / a["epoch_seconds"]'
