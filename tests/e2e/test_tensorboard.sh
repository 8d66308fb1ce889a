# --tensorboard: what metrics.jsonl and samples.jsonl have, once for each step, in files that TensorBoard reads; and a run
# that cannot write them goes on.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
more="--eval-data $work/held.jsonl --eval-every 2 --sample-prompts 3 --max-new-tokens 4 --save-every 2 --keep-checkpoints 0"

# As without it; stopped after step 6 and gone on with from step 4, so that two steps are done twice.
check 0 train "$work/plain" $more --max-steps 6
check 0 train "$work/run" $more --max-steps 6 --tensorboard --trace-every 2
cmp "$work/plain/adapter/adapter_model.safetensors" "$work/run/adapter/adapter_model.safetensors" || fail "another adapter"
rm -r "$work/run/adapter" "$work"/run/checkpoints/{latest,step-00000006.h5}
check 0 ranks 2 "$MPILORA" train $options $more --output "$work/run" --max-steps 6 --tensorboard --trace-every 2
same_run "$work/plain" "$work/run"
[ "$(ls "$work/run/tensorboard" | wc -l)" = 2 ] || fail "event files: $(ls "$work/run/tensorboard")"

check 0 "$MPILORA" report "$work/run"
check 0 python3 "$SOURCE/tests/support/read_metrics_csv.py" "$work/run"
check 0 python3 "$SOURCE/tests/support/read_events.py" "$work/run/tensorboard"
python3 - "$work" <<'PY' || fail "the event files and the run differ"
import json, struct, sys
run = sys.argv[1] + "/run/"
rows = [json.loads(line) for line in open(sys.argv[1] + "/out")]
metrics = [json.loads(line) for line in open(run + "metrics.jsonl")]
f32 = lambda x: struct.unpack("f", struct.pack("f", x))[0]
assert [r for r in rows if "version" in r] == 2 * [{"step": 0, "version": "brain.Event:2"}]
assert [r for r in rows if "session" in r] == [{"step": 5, "session": 1}]  # all from step 5 on is told anew
last = {(r["step"], r["tag"]): r for r in rows if "tag" in r}
for m in metrics:
    for tag, key in (("train/loss", "loss"), ("train/learning_rate", "learning_rate"), ("train/grad_norm", "grad_norm"),
                     ("train/epoch", "epoch"), ("speed/tokens_per_second", "tokens_per_second"), ("speed/seconds", "seconds")):
        assert last[m["step"], tag]["scalar"] == f32(m[key]), (m["step"], tag)
    for phase, seconds in m["phases"].items():
        assert last[m["step"], "phases/" + phase]["scalar"] == f32(seconds)
    assert ((m["step"], "eval/loss") in last) == ("eval_loss" in m)
    assert "eval_loss" not in m or last[m["step"], "eval/loss"]["scalar"] == f32(m["eval_loss"])
    assert ("trace" in m) == ((m["step"], "lora_A/q_proj") in last) == ((m["step"], "trace/norm_a") in last)
assert sum("trace" in m for m in metrics) >= 3
samples = [json.loads(line) for line in open(run + "samples.jsonl")]
for step in (2, 4, 6):
    cells = last[step, "sample answers"]["texts"]
    assert cells == ["**prompt**", "**expected**", "**answer**"] + [
        "    " + s[k].replace("\n", "\n    ") for s in samples if s["step"] == step for k in ("prompt", "expected", "answer")], cells
assert all(r["count"] == 2 * 4 * 32 for r in rows if r.get("tag") == "lora_A/q_proj")  # of two layers, [4, 32]
config = open(run + "config.yaml").read()
assert last[0, "configuration"]["texts"] == ["    " + config.replace("\n", "\n    ")]
PY
checks=$((checks + 1))

# TensorBoard itself, where a Python has it.
python=${MPILORA_PYTHON:-$(type -P python3)}
if "$python" -c 'import tensorboard' 2>/dev/null; then
    check 0 "$python" - "$work/run" <<'PY'
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
run = EventAccumulator(sys.argv[1] + "/tensorboard")
run.Reload()
metrics = [json.loads(line) for line in open(sys.argv[1] + "/metrics.jsonl")]
assert [s.step for s in run.Scalars("train/loss")] == [m["step"] for m in metrics]
assert all(abs(s.value - m["loss"]) < 1e-6 for s, m in zip(run.Scalars("train/loss"), metrics))
assert [s.step for s in run.Scalars("eval/loss")] == [2, 4, 6]
assert len(run.Histograms("lora_B/down_proj")) == sum("trace" in m for m in metrics)
assert [t.step for t in run.Tensors("sample answers")] == [2, 4, 6]
PY
else
    echo "TensorBoard is not there: its own reading was not tried (MPILORA_PYTHON names a Python that has it)"
fi

# Begun anew, it leaves nothing of the earlier run. Where there is no place for it, the run goes on without.
check 0 train "$work/run" --max-steps 2 --tensorboard --resume never --overwrite
[ "$(ls "$work/run/tensorboard" | wc -l)" = 1 ] || fail "event files: $(ls "$work/run/tensorboard")"
mkdir "$work/taken"
touch "$work/taken/tensorboard"
check 0 train "$work/taken" --max-steps 2 --tensorboard
says err '^warning: .*taken/tensorboard.*; this run goes on without files for TensorBoard'
check 0 env FAULT_UNDER="$work/full/tensorboard" FAULT_CALLS=write FAULT_NTH=3 FAULT_LENGTH=1000 FAULT_ERRNO=28 \
    LD_PRELOAD="${FAULT:?}" "$MPILORA" train $options --max-steps 3 --output "$work/full" --tensorboard
says err '^warning: .*full/tensorboard.*No space left.*; this run goes on without files for TensorBoard'
[ "$(grep -c '^warning' "$work/err")" = 1 ] || fail "warned more than once: $(cat "$work/err")"
passed
