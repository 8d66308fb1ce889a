# Input that cannot be trained on: one message that names it, the right status, on every number of ranks.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
out=$work/out-folder

# refused STATUS PATTERN OPTION...: on one rank and on two, said once.
refused() {
    local expected=$1 pattern=$2
    shift 2
    check "$expected" train "$out" --max-steps 3 "$@"
    says err "$pattern"
    check "$expected" ranks 2 "$MPILORA" train $options --output "$out" --max-steps 3 "$@"
    [ "$(grep -cE -- "^mpilora: .*$pattern" "$work/err")" = 1 ] || fail "not said once: $(cat "$work/err")"
    [ ! -e "$out/checkpoints" ] || fail "training began"
}
refused 2 'micro-batch-tokens 32 is below --max-length 64' --micro-batch-tokens 32
refused 2 'warmup-steps 4 is more than the 3 steps' --warmup-steps 4
refused 2 'q_prox' --target-modules q_prox
refused 1 'OWNER/NAME: no such file or folder; .*fetch_model.sh' --model OWNER/NAME
refused 1 'missing.jsonl' --data "$work/missing.jsonl"
# Known before the model is looked at.
for what in --data --eval-data --adapter --chat-template; do
    check 1 train "$out" --model "$work" $what "$work/missing"
    says err "^mpilora: .*$work/missing"
done
check 2 train "$out" --model "$work" --columns a
{ head -n 5 "$work/data.jsonl"; echo '{"prompt": 1}'; tail -n 5 "$work/data.jsonl"; } >"$work/bad.jsonl"
refused 1 'bad.jsonl:6: ' --data "$work/bad.jsonl"
: >"$work/empty.jsonl"
refused 1 'empty.jsonl: no example' --data "$work/empty.jsonl"
check 0 train "$work/skipping" --max-steps 2 --data "$work/bad.jsonl" --skip-bad-lines
says err '^warning: 1 unusable line.*bad.jsonl:6: '

# Beyond the positions that the model was made for there is no error, but one warning, however many ranks there are.
{ head -n 3 "$work/data.jsonl"; python3 -c 'print("{\"text\": \"" + "far " * 300 + "\"}")'; } >"$work/far.jsonl"
for n in 1 2; do
    check 0 ranks $n "$MPILORA" train $options --output "$work/far-$n" --max-steps 1 --data "$work/far.jsonl" \
        --max-length 1024 --micro-batch-tokens 1024
    [ "$(grep -cE '^warning: 1 of 4 examples \(.*far.jsonl\) .* than the 512 positions' "$work/err")" = 1 ] ||
        fail "not warned once: $(cat "$work/err")"
done

# A rate that blows up: all ranks stop together, with the step and an example, and older checkpoints stay.
for n in 1 2; do
    rm -rf "$work/blown"
    check 1 ranks $n "$MPILORA" train $options --output "$work/blown" --max-steps 60 --save-every 1 \
        --keep-checkpoints 0 --learning-rate 1e18 --max-grad-norm 0
    says err '^mpilora: step [0-9]+: .*data.jsonl:[0-9]+.*(not finite|NaN|infinite|nan|inf)'
    [ "$(grep -c '^mpilora: ' "$work/err")" = 1 ] || fail "not said once: $(cat "$work/err")"
    check 0 "$MPILORA" inspect "$work/blown/checkpoints/latest" --json
done

# A folder that cannot be written to, before anything is loaded.
: >"$work/file"
check 1 train "$work/file/folder"
says err 'cannot create the folder'
passed
