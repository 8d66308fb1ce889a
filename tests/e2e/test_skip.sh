# Numbers gone wrong: steps that are skipped change nothing, on any number of ranks, and across a resume.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

# A learning rate that ruins the adapter in its first step: each step after that has no finite loss.
ruined="--learning-rate 1e30 --max-steps 20 --save-every 1 --keep-checkpoints 0"
check 1 train "$work/stopped" $ruined
says err '^mpilora: step 2: .*data.jsonl:[0-9]+.* not finite: (the output of [a-z0-9_.]+|[a-z0-9_.]+lora_[AB]) '
check 1 train "$work/ruined" $ruined --skip-nonfinite 3
says err '^warning: step 2: .*not finite.*; skipped, 1 of 3 that --skip-nonfinite allows'
says err '^mpilora: the 3 steps that --skip-nonfinite allows are used up: step 5: '
[ "$(steps "$work/ruined")" = "1 2 3 4" ] || fail "steps: $(steps "$work/ruined")"
python3 - "$work/ruined/metrics.jsonl" <<'PY' || fail "metrics.jsonl does not tell"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
assert [r.get("skipped") for r in rows] == [None] + ["nonfinite"] * 3, rows
assert [r["loss"] is None for r in rows] == [False, True, True, True], rows
PY
arrays() {
    h5dump -g /adapter -g /optimizer "$1" | tail -n +2
}
diff <(arrays "$work/ruined/checkpoints/step-00000001.h5") <(arrays "$work/ruined/checkpoints/step-00000004.h5") \
    >/dev/null || fail "a skipped step changed something"
check 1 ranks 3 "$MPILORA" train $options --output "$work/ruined3" $ruined --skip-nonfinite 3
[ "$(grep -c '^warning: step' "$work/err")" = 3 ] || fail "$(cat "$work/err")"
# What was skipped before a resume counts.
check 1 train "$work/ruined" $ruined --skip-nonfinite 3
says err 'used up: step 5: '
check 1 train "$work/ruined" $ruined --skip-nonfinite 4
says err 'used up: step 6: '

# Losses above the running mean: the same steps on one rank, on three, and when the run was interrupted.
noisy="--batch-size 2 --learning-rate 1e-4"
guarded="$noisy --spike-sigma 0.5 --max-steps 60 --save-every 7"
check 0 train "$work/one" $guarded
says err '^warning: step [2-6][0-9]: the loss .* standard deviations .*above the running mean'
[ "$(grep -c '"skipped": "spike"' "$work/one/metrics.jsonl")" -ge 3 ] || fail "hardly anything was skipped"
check 0 ranks 3 "$MPILORA" train $options --output "$work/three" $guarded
same_run "$work/one" "$work/three"
check 0 train "$work/parts" $noisy --spike-sigma 0.5 --max-steps 33 --save-every 7
check 0 train "$work/parts" $guarded
same_run "$work/one" "$work/parts"
check 0 train "$work/free" $noisy --max-steps 60
cmp -s "$work/one/adapter/adapter_model.safetensors" "$work/free/adapter/adapter_model.safetensors" &&
    fail "skipping made no difference"
check 1 train "$work/one" $noisy --spike-sigma 3 --max-steps 61
says err 'spike-sigma 3 \(checkpoint: 0.5\)'
passed
