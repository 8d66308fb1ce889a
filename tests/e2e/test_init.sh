# Every initialisation through the whole of the program: training, resuming, tracing, evaluation, export.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

eval_loss() { # eval_loss OPTION...
    "$MPILORA" eval --model "$model" --data "$work/held.jsonl" --max-length 64 --threads 1 --json "$@" |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["loss"])'
}
near() { python3 -c 'import sys; a, b = map(float, sys.argv[1:]); sys.exit(abs(a - b) > 1e-4)' "$1" "$2"; }

# The run's own loss, its checkpoint's and its export's on the untouched base are one.
base=$(eval_loss)
for init in normal kaiming-uniform gaussian zero both-normal b-normal constant orthogonal pissa olora; do
    rslora=
    [ $init != pissa ] || rslora=--rslora
    check 0 train "$work/$init" --lora-init $init $rslora --max-steps 6 --eval-data "$work/held.jsonl" --lora-dropout 0
    if [ $init = zero ]; then says err '^warning: --lora-init zero: .*nothing trains'; fi
    run=$(tail -n 1 "$work/$init/metrics.jsonl" | python3 -c 'import json, sys; print(json.load(sys.stdin)["eval_loss"])')
    near "$run" "$(eval_loss --adapter "$work/$init")" || fail "$init: the checkpoint's loss is not the run's, $run"
    near "$run" "$(eval_loss --adapter "$work/$init/adapter")" || fail "$init: the export's loss is not the run's, $run"
    if [ $init = zero ]; then near "$run" "$base"; else ! near "$run" "$base"; fi || fail "$init: $run, the base $base"
done
python3 - "$work" <<'PY' || fail "the exported configurations are wrong"
import json, sys
for init, rank, alpha, rslora in (("normal", 4, 32, False), ("olora", 8, 64, False), ("pissa", 8, 32 * 2**0.5, True)):
    c = json.load(open(f"{sys.argv[1]}/{init}/adapter/adapter_config.json"))
    assert c["r"] == rank and abs(c["lora_alpha"] / alpha - 1) < 1e-6 and c["use_rslora"] is rslora, (init, c)
    assert c["init_lora_weights"] is True
PY

# Going on, on other numbers of ranks, with a changed base, a trace and LoRA+: the same bytes.
more="--lora-init pissa --lora-plus-ratio 4 --trace-every 3 --save-every 5"
check 0 train "$work/whole" $more --max-steps 17
check 0 ranks 3 "$MPILORA" train $options --output "$work/parts" $more --max-steps 10
check 0 ranks 2 "$MPILORA" train $options --output "$work/parts" $more --max-steps 17
same_run "$work/whole" "$work/parts"
grep -q '"trace": {"step": 15, ' "$work/parts/metrics.jsonl" || fail "no trace in metrics.jsonl"
check 1 train "$work/whole" --max-steps 20 --allow-changed-options
says err 'took a part of the base as its start \(lora-init pissa\), this run does not'

# What cannot be is refused before anything is trained.
check 2 train "$work/no" --lora-init orthogonal --lora-rank 3
says err 'orthogonal needs an even rank'
check 2 train "$work/no" --lora-init pissa --lora-rank 17
says err 'rank 17 is larger than that of model.layers.0.self_attn.k_proj, 16 x 32'
check 2 train "$work/no" --lora-init b-normal --init-std 0.1
says err 'the scheme b-normal of lora-init does not use it'
check 2 train "$work/no" --lora-init pisa
passed
