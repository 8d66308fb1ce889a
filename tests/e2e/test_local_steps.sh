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
is_stopped || fail "status $status: $(cat "$work/err")"
step=$(sed -n 's/.*stopped by a signal at step \([0-9]*\) .*/\1/p' "$work/err")
[ -n "$step" ] && [ $((step % 4)) = 0 ] || fail "stopped at step '$step', between two meetings"

check 0 train "$work/far" --local-steps 4 --max-steps 4 --outer-momentum 0.9
says err '^warning: --outer-learning-rate 0.7 with --outer-momentum 0.9 moves the adapter 7.0 times as far'
check 2 train "$work/none" --local-steps 4 --trace-every 2
says err '--trace-every'
check 0 train "$work/plain" --max-steps 3
check 1 train "$work/plain" --max-steps 5 --local-steps 2
says err 'local-steps 2 \(checkpoint: 1\)'

# Pairs: a rank's steps are those of a run of its own on its share of each batch, and the outer step takes their mean. With
# so large an epsilon, a step is as long as the gradient.
python3 - "$work" <<'PY'
import json, sys
pairs = [{"prompt": "on the job", "chosen": " node" * n, "rejected": " beta" * m} for n, m in ((11, 11), (10, 9), (11, 10), (9, 10))]
for name, part in (("both", pairs), ("0", pairs[::2]), ("1", pairs[1::2])): # in a batch, rank 0 has the longer one
    with open(f"{sys.argv[1]}/pairs-{name}.jsonl", "w") as out:
        out.writelines(json.dumps(pair) + "\n" for pair in part)
PY
more="--objective dpo --beta 0.5 --sft-weight 0.3 --max-steps 2 --no-shuffle --lora-dropout 0 --adam-epsilon 1 --max-grad-norm 0"
more="$more --learning-rate 1"
local="--local-steps 2 --outer-learning-rate 1 --outer-momentum 0 --batch-size 2 --data $work/pairs-both.jsonl"
check 0 ranks 2 "$MPILORA" train $options $more $local --output "$work/both"
for rank in 0 1; do
    check 0 train "$work/alone-$rank" $more --batch-size 1 --data "$work/pairs-$rank.jsonl"
done
python3 - "$work" <<'PY' || fail "local steps on pairs"
import array, json, sys
def read(name):
    data = open(f"{sys.argv[1]}/{name}/adapter/adapter_model.safetensors", "rb").read()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {k: v["data_offsets"] for k, v in json.loads(data[8:start]).items() if k != "__metadata__"}
    return {k: array.array("f", data[start + a:start + b]) for k, (a, b) in tensors.items()}
both, parts = read("both"), [read("alone-0"), read("alone-1")]
largest = max(abs(x) for k, v in both.items() if "lora_B" in k for x in v)
apart = max(abs(x - y) for k, v in parts[0].items() for x, y in zip(v, parts[1][k]))
worst = max(abs(x - (a + b) / 2) for k, v in both.items() for x, a, b in zip(v, parts[0][k], parts[1][k]))
print(largest, apart, worst)
assert largest > 1e-3 and apart > 1e-4 and worst < 1e-6
rows = [[json.loads(line) for line in open(f"{sys.argv[1]}/{name}/metrics.jsonl")] for name in ("both", "alone-0", "alone-1")]
for whole, one, other in zip(*rows):
    for name in ("reward_chosen", "reward_rejected", "reward_accuracy"):
        assert abs(whole[name] - (one[name] + other[name]) / 2) < 1e-5 * (1 + abs(whole[name])), (name, whole, one, other)
assert rows[0][1]["reward_margin"] != 0
PY
check 0 ranks 3 "$MPILORA" train $options $more $local --output "$work/idle" # one of them has no pair
passed
