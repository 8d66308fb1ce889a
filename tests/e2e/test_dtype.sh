# --dtype and --recompute: what they refuse, and that a run in bf16 has its bits on any number of ranks too.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

check 2 train "$work/no" --dtype f16
says err "dtype"
check 2 train "$work/no" --dtype bf16 --gemm openblas
says err "bf16 needs --gemm onednn or auto"
MPILORA_ISA=avx2 check 1 train "$work/no" --dtype bf16
says err "dtype bf16: .*(without oneDNN|no instructions for it).* take --dtype f32"
check 1 env MPILORA_ISA=avx2 mpirun -n 2 --bind-to none "$MPILORA" train $options --output "$work/no" --dtype bf16
[ "$(grep -c "take --dtype f32" "$work/err")" = 1 ] || fail "the ranks did not say it together: $(cat "$work/err")"

# f32 has the same bits whatever is computed again.
check 0 train "$work/f32" --max-steps 9
for mode in attention layer; do
    check 0 train "$work/$mode" --max-steps 9 --recompute $mode
    same_run "$work/f32" "$work/$mode"
done

# One example that is longer than all others together.
python3 - "$work/long.jsonl" <<'PY'
import json, sys
json.dump({"text": "alpha beta gamma delta the an in on job node rank queue " * 700}, open(sys.argv[1], "w"))
PY
check 0 train "$work/long" --data "$work/long.jsonl" --max-length 8192 --micro-batch-tokens 8192 --batch-size 1 \
    --max-steps 2 --recompute layer
says err "1 example, 8192 tokens"

run train "$work/bf16" --max-steps 9 --dtype bf16 --eval-data "$work/held.jsonl"
if [ "$status" = 1 ] && grep -q "take --dtype f32" "$work/err"; then
    echo "bf16: not on this build or processor: $(tail -n 1 "$work/err")"
    passed
    exit
fi
check 0 ranks 3 "$MPILORA" train $options --output "$work/ranks3" --max-steps 9 --dtype bf16 --eval-data "$work/held.jsonl"
same_run "$work/bf16" "$work/ranks3"
check 0 ranks 2 "$MPILORA" train $options --output "$work/parts" --max-steps 4 --dtype bf16 --eval-data "$work/held.jsonl" --save-every 2
check 1 train "$work/parts" --max-steps 9
says err "dtype"
check 0 train "$work/parts" --max-steps 9 --dtype bf16 --eval-data "$work/held.jsonl"
python3 - "$work/bf16" "$work/parts" <<'PY' || fail "a resumed run in bf16 has other losses"
import json, sys
one, two = [[(v["step"], v["loss"], v["grad_norm"]) for v in map(json.loads, open(p + "/metrics.jsonl"))] for p in sys.argv[1:]]
sys.exit(one != two)
PY
cmp "$work/bf16/adapter/adapter_model.safetensors" "$work/parts/adapter/adapter_model.safetensors" || fail "other adapters"

# Near to f32, and read by the other commands.
python3 - "$work/f32" "$work/bf16" <<'PY' || fail "bf16 is far from f32"
import json, sys
one, two = [[json.loads(l)["loss"] for l in open(p + "/metrics.jsonl")] for p in sys.argv[1:]]
sys.exit(one == two or any(abs(a - b) > 0.02 * a for a, b in zip(one, two)))
PY
last=$(python3 -c 'import json, sys; print(json.loads(open(sys.argv[1]).readlines()[-1])["eval_loss"])' "$work/bf16/metrics.jsonl")
check 0 "$MPILORA" eval --model "$model" --data "$work/held.jsonl" --adapter "$work/bf16" --max-length 64 \
    --micro-batch-tokens 128 --threads 1 --dtype bf16 --json
holds "abs(v['loss'] - $last) < 1e-9 * v['loss']"
check 0 "$MPILORA" generate --model "$model" --adapter "$work/bf16" --prompt "alpha beta" --max-new-tokens 4 --dtype bf16
passed
