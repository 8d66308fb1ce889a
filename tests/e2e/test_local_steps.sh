# Local steps: the ranks meet every H steps and at the end; what is saved then is all that a run needs to go on.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

more="--local-steps 4 --batch-size 12 --micro-batch-tokens 64 --learning-rate 3e-3 --eval-data $work/held.jsonl --check-every 1"
check 0 ranks 2 "$MPILORA" train $options $more --output "$work/whole" --max-steps 22 --save-every 3 --keep-checkpoints 0 \
    --eval-every 6
says err '^ *network .* every 4 steps'
! grep -q '^warning: --outer' "$work/err" || fail "warned of the defaults: $(cat "$work/err")"
# What was due between two meetings is done at the next.
[ "$(cd "$work/whole/checkpoints" && echo step-*)" = "$(printf 'step-%08d.h5 ' 4 8 12 16 20 22 | sed 's/ $//')" ] ||
    fail "checkpoints: $(ls "$work/whole/checkpoints")"
evaluated=$(sed -n 's/.*"step": \([0-9]*\),.*eval_loss.*/\1/p' "$work/whole/metrics.jsonl" | tr '\n' ' ')
[ "$evaluated" = "8 12 20 22 " ] || fail "evaluated at: $evaluated"
python3 - "$work/whole/metrics.jsonl" <<'PY' || fail "the loss did not go down"
import json, sys
rows = [json.loads(l) for l in open(sys.argv[1])]
sys.exit(not rows[-1]["loss"] < 0.9 * rows[0]["loss"])
PY

# Gone on from a meeting, and stopped by a signal in between: the same bytes.
cp -r "$work/whole" "$work/parts"
rm -r "$work/parts/adapter" "$work"/parts/checkpoints/{latest,step-000000{12,16,20,22}.h5}
check 0 ranks 2 "$MPILORA" train $options $more --output "$work/parts" --max-steps 22 --save-every 3 --eval-every 6
says err '^going on from .*step-00000008.h5'
same_run "$work/whole" "$work/parts"
h5dump -d /optimizer/model.layers.0/self_attn.q_proj/lora_B_outer "$work/whole/checkpoints/latest" >"$work/out" ||
    fail "no outer momentum in the checkpoint"

mpirun -n 2 --bind-to none "$MPILORA" train $options $more --output "$work/long" --max-steps 40000 --save-every 0 \
    >"$work/out" 2>"$work/err" </dev/null &
pid=$!
background="$background $pid"
until_true $pid grep -q '^step 5/' "$work/err"
kill -USR1 $pid
status=0
wait $pid || status=$?
[ $status = 75 ] || fail "status $status: $(cat "$work/err")"
step=$(sed -n 's/.*stopped by a signal at step \([0-9]*\) .*/\1/p' "$work/err")
[ -n "$step" ] && [ $((step % 4)) = 0 ] || fail "stopped at step '$step', between two meetings"

check 0 train "$work/far" --local-steps 4 --max-steps 4 --outer-momentum 0.9
says err '^warning: --outer-learning-rate 0.7 with --outer-momentum 0.9 moves the adapter 7.0 times as far'
check 2 train "$work/none" --local-steps 4 --trace-every 2
says err '--trace-every'
check 0 train "$work/plain" --max-steps 3
check 1 train "$work/plain" --max-steps 5 --local-steps 2
says err 'local-steps 2 \(checkpoint: 1\)'
passed
