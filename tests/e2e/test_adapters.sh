# Several adapters: eval and generate use one after the other, on one base, as if each were alone.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
cat >"$work/pairs.jsonl" <<'LINES'
{"prompt": "one node", "completion": " alpha"}
{"prompt": "two nodes", "completion": " beta gamma"}
{"prompt": "<b>&\u001b[31m \"in\" 日本語", "completion": " on"}
{"prompt": "a job"}
LINES
head -n 3 "$work/pairs.jsonl" >"$work/answered.jsonl"
# One that knows the answers; one whose start is subtracted from the base; one of other modules and another rank.
known=$work/runs/known/one pissa=$work/runs/pissa/one other=$work/runs/other
check 0 train "$known" --data "$work/answered.jsonl" --max-steps 80 --batch-size 4 --lora-rank 8 --lora-dropout 0 --save-every 0
check 0 train "$pissa" --max-steps 3 --lora-init pissa
check 0 train "$other" --max-steps 3 --target-modules q_proj,down_proj --lora-rank 2
adapters="--adapter $known --adapter $pissa --adapter $other/adapter"
how="--model $model --threads 1"
short="$how --max-new-tokens 8"

# Each alone: nothing but its facts, and its answers.
number=0
for adapter in "$known" "$pissa" "$other/adapter"; do
    number=$((number + 1))
    check 0 "$MPILORA" eval $how --adapter "$adapter" --data "$work/held.jsonl" --json
    cp "$work/out" "$work/eval.$number"
    check 0 "$MPILORA" generate $short --adapter "$adapter" --prompt "one node"
    { [ $number = 1 ] || echo; echo "--- $adapter"; cat "$work/out"; } >>"$work/said"
    check 0 "$MPILORA" generate $short --adapter "$adapter" --data "$work/pairs.jsonl" --output "$work/answers.$number" --json
    cp "$work/out" "$work/counts.$number"
done
check 0 "$MPILORA" generate $short --data "$work/pairs.jsonl" --output "$work/answers.0"
same() { # WHAT: the last output, a list, has for each adapter what it gave alone
    checks=$((checks + 1))
    python3 - "$work" "$1" "$known" "$pissa" "$other/adapter" <<'PY' || fail "$1 of several: $(cat "$work/out")"
import json, sys
alone = [json.load(open(f"{sys.argv[1]}/{sys.argv[2]}.{i + 1}")) for i in range(3)]
assert json.load(open(sys.argv[1] + "/out")) == [{"adapter": a, **v} for a, v in zip(sys.argv[3:], alone)]
assert "adapter" not in alone[0] and len({str(v) for v in alone}) > 1
PY
}

check 0 "$MPILORA" eval $how $adapters --data "$work/held.jsonl" --json
same eval
check 0 ranks 2 "$MPILORA" eval $how $adapters --data "$work/held.jsonl"
[ "$(grep -E '^[^ ]' "$work/out")" = "$(printf '%s:\n' "$known" "$pissa" "$other/adapter")" ] ||
    fail "no block for each: $(cat "$work/out")"
[ "$(grep -c '^  loss: ' "$work/out")" = 3 ] || fail "no loss for each: $(cat "$work/out")"

check 0 "$MPILORA" generate $short $adapters --prompt "one node"
cmp "$work/said" "$work/out" || fail "other answers than each alone"
for count in 1 2 3; do
    check 0 ranks $count "$MPILORA" generate $short $adapters --data "$work/pairs.jsonl" --output "$work/all.$count" --json
    same counts
    cmp "$work/all.1" "$work/all.$count" || fail "other answers on $count ranks"
done
python3 - "$work" "$known" "$pissa" "$other/adapter" <<'PY' || fail "the answers of several"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1] + "/all.1")]
wanted = [{"adapter": a, **json.loads(line)} for i, a in enumerate(sys.argv[2:]) for line in open(f"{sys.argv[1]}/answers.{i + 1}")]
assert rows == wanted, rows
PY

# Interrupted while the second adapter is at work, and gone on with on other ranks. Other adapters are other work.
for i in $(seq 10); do cat "$work/data.jsonl"; done >"$work/many.jsonl"
check 0 "$MPILORA" generate $short $adapters --data "$work/many.jsonl" --output "$work/whole.jsonl"
"$MPILORA" generate $short $adapters --data "$work/many.jsonl" --output "$work/cut.jsonl" >/dev/null 2>&1 &
process=$!
background="$background $process"
is_at_second() { grep -q "^{\"adapter\": \"$pissa\"" "$work/cut.jsonl.part"; }
until_true $process is_at_second
kill -KILL $process 2>/dev/null
wait $process 2>/dev/null
[ ! -e "$work/cut.jsonl" ] || fail "it was done before it was killed: give it more to do"
check 1 "$MPILORA" generate $short --adapter "$known" --adapter "$other" --data "$work/many.jsonl" --output "$work/cut.jsonl"
says err 'holds answers to other data, or of another model, adapter or other options'
check 0 ranks 2 "$MPILORA" generate $short $adapters --data "$work/many.jsonl" --output "$work/cut.jsonl"
says err 'going on after the first [0-9]+ answers'
cmp "$work/whole.jsonl" "$work/cut.jsonl" || fail "other answers after a kill"

# Mistakes. An adapter that cannot be used is known before anything is answered.
mkdir "$work/empty"
for command in "generate --prompt a" "generate --data $work/pairs.jsonl --output $work/no.jsonl" \
    "eval --data $work/held.jsonl"; do
    check 2 ranks 2 "$MPILORA" $command $how $adapters --adapter "$work/empty"
    says err 'empty holds no adapter'
    silent out
done
[ ! -e "$work/no.jsonl.part" ] || fail "answers of a command that was refused"
check 0 "$MPILORA" train --model "$model" --data "$work/data.jsonl" --output "$work/last" --max-steps 1 --threads 1 \
    --adapter "$known" --adapter "$other"
says err '\-\-adapter is given twice: the last value, .*/other, is used, not .*/known/one'
holds 'v["r"] == 2' "$work/last/adapter/adapter_config.json"
passed
