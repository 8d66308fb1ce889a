# generate --data: the same text on any number of ranks, whole after any interruption, for every form of data.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
check 0 train "$work/run" --max-steps 4
how="--model $model --adapter $work/run --max-new-tokens 12 --threads 1"
answers() {
    local output=$1
    shift
    "$MPILORA" generate $how --output "$output" "$@"
}

# A line for each example, in order; what `generate --prompt` says.
check 0 answers "$work/one.jsonl" --data "$work/data.jsonl" --json
holds 'v["examples"] == 37 and v["expected"] == 37 and v["exact_match"] == v["exact"] / 37'
[ ! -e "$work/one.jsonl.part" ] || fail "the part is still there"
python3 - "$work" <<'PY' || fail "one.jsonl"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1] + "/one.jsonl")]
data = [json.loads(line) for line in open(sys.argv[1] + "/data.jsonl")]
assert [r["example"] for r in rows] == list(range(37))
for r, d in zip(rows, data):
    assert r["prompt"].endswith(d["prompt"]) and r["expected"] == d["completion"], r
    assert r["exact"] == (r["answer"] == r["expected"]), r
PY
for example in 0 20; do
    prompt=$(python3 -c 'import json, sys; print(json.loads(open(sys.argv[1]).readlines()[int(sys.argv[2])])["prompt"])' \
        "$work/data.jsonl" $example)
    check 0 "$MPILORA" generate $how --prompt "$prompt"
    python3 - "$work" $example <<'PY' || fail "another answer than generate --prompt's"
import json, sys
row = json.loads(open(sys.argv[1] + "/one.jsonl").readlines()[int(sys.argv[2])])
assert open(sys.argv[1] + "/out").read().rstrip("\n") == row["answer"].rstrip("\n"), row
PY
done

# Ranks, and a sampled answer, which is its example's own.
for count in 2 3; do
    check 0 ranks $count "$MPILORA" generate $how --data "$work/data.jsonl" --output "$work/ranks$count.jsonl"
    cmp "$work/one.jsonl" "$work/ranks$count.jsonl" || fail "other answers on $count ranks"
done
check 0 answers "$work/drawn.jsonl" --data "$work/data.jsonl" --temperature 1.5 --seed 3
check 0 ranks 2 "$MPILORA" generate $how --data "$work/data.jsonl" --temperature 1.5 --seed 3 --output "$work/drawn2.jsonl"
cmp "$work/drawn.jsonl" "$work/drawn2.jsonl" || fail "other draws on 2 ranks"
! cmp -s "$work/one.jsonl" "$work/drawn.jsonl" || fail "nothing was drawn"

head -n 5 "$work/data.jsonl" >"$work/five.jsonl"
# An answer with the byte 0, which readers of JSON refuse.
check 0 "$MPILORA" generate --model "$model" --threads 1 --temperature 1000 --max-new-tokens 400 --data "$work/five.jsonl" \
    --output "$work/wild.jsonl"
python3 - "$work" <<'PY' || fail "wild.jsonl"
import json, sys
answers = [json.loads(line)["answer"] for line in open(sys.argv[1] + "/wild.jsonl")]
assert len(answers) == 5 and any(chr(1) in a for a in answers), "the bytes are not drawn: take more tokens"
assert not any(chr(0) in a for a in answers) and any("\ufffd" in a for a in answers)
PY
# Killed as soon as there is a line, then started again on other ranks: no line twice, none missing. A torn one goes.
for i in $(seq 40); do cat "$work/data.jsonl"; done >"$work/many.jsonl"
check 0 answers "$work/whole.jsonl" --data "$work/many.jsonl"
"$MPILORA" generate $how --data "$work/many.jsonl" --output "$work/killed.jsonl" >/dev/null 2>&1 &
process=$!
background="$background $process"
has_lines() { [ "$(wc -l <"$work/killed.jsonl.part")" -gt 1 ]; }
until_true $process has_lines
kill -KILL $process 2>/dev/null
wait $process 2>/dev/null
[ ! -e "$work/killed.jsonl" ] || fail "it was done before it was killed: give it more to do"
printf '{"example": 99, "pro' >>"$work/killed.jsonl.part"
check 2 answers "$work/killed.jsonl" --data "$work/many.jsonl" --chat
check 1 answers "$work/killed.jsonl" --data "$work/held.jsonl"
says err 'killed.jsonl.part holds answers to other data, or of another model, adapter or other options'
check 1 answers "$work/killed.jsonl" --data "$work/many.jsonl" --seed 4
check 0 ranks 2 "$MPILORA" generate $how --data "$work/many.jsonl" --output "$work/killed.jsonl"
says err 'going on after the first [0-9]+ answers of .*killed.jsonl.part'
cmp "$work/whole.jsonl" "$work/killed.jsonl" || fail "other answers after a kill"

# Asked to stop: what is at work is answered, and the same command goes on.
mv "$work/killed.jsonl" "$work/done.jsonl"
"$MPILORA" generate $how --data "$work/many.jsonl" --output "$work/killed.jsonl" >"$work/out" 2>"$work/err" </dev/null &
process=$!
background="$background $process"
until_true $process has_lines
kill -TERM $process
status=0
wait $process || status=$?
[ "$status" = 75 ] || fail "status $status, not 75: $(cat "$work/err")"
says err 'stopped by a signal: [0-9]+ of 1480 prompts are answered, in .*killed.jsonl.part; the same command goes on'
check 0 answers "$work/killed.jsonl" --data "$work/many.jsonl"
cmp "$work/whole.jsonl" "$work/killed.jsonl" || fail "other answers after a signal"

# Beyond the positions of the model there is one warning.
check 0 answers "$work/far.jsonl" --data "$work/five.jsonl" --max-new-tokens 505
says err '^warning: [1-5] of 5 prompts \(the longest: [0-9]+ tokens\) may .* pass the 512 positions'

# No file of another's is touched, and no two processes write into one.
check 2 answers "$work/one.jsonl" --data "$work/data.jsonl"
says err 'one.jsonl exists already'
check 2 answers "$work/data.jsonl" --data "$work/data.jsonl"
echo mine >"$work/busy.jsonl.part"
check 1 answers "$work/busy.jsonl" --data "$work/data.jsonl"
[ "$(cat "$work/busy.jsonl.part")" = mine ] || fail "a file of another's was changed"
printf 'mine, of one line' >"$work/busy.jsonl.part"
check 1 answers "$work/busy.jsonl" --data "$work/data.jsonl"
[ "$(cat "$work/busy.jsonl.part")" = 'mine, of one line' ] || fail "a file of another's without an end of line was changed"
: >"$work/busy.jsonl.part"
exec 8>>"$work/busy.jsonl.part"
flock -n 8 || fail "no lock to be had"
check 1 answers "$work/busy.jsonl" --data "$work/data.jsonl"
says err 'another process is at work on .*busy.jsonl.part'
exec 8>&-

# All forms, with an answer and without.
cat >"$work/forms.jsonl" <<'JSON'
{"prompt": "the an"}
{"prompt": "the an", "completion": " in"}
{"text": "the an"}
{"messages": [{"role": "user", "content": "in"}]}
{"messages": [{"role": "user", "content": "in"}, {"role": "assistant", "content": "on"}]}
{"messages": [{"role": "user", "content": "in"}, {"role": "assistant", "content": "on", "weight": 0}]}
{"prompt": [{"role": "user", "content": "in"}]}
{"prompt": [{"role": "user", "content": "in"}], "completion": [{"role": "assistant", "content": "on"}]}
{"instruction": "in", "input": ""}
{"instruction": "in", "output": "on"}
{"conversations": [{"from": "human", "value": "in"}]}
{"conversations": [{"from": "human", "value": "in"}, {"from": "gpt", "value": "on"}]}
JSON
cat >"$work/chatml.jinja" <<'JINJA'
{%- for m in messages %}<|im_start|>{{ m.role }}:{{ m.content }}<|im_end|>{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant:{% endif %}
JINJA
check 0 answers "$work/forms-out.jsonl" --data "$work/forms.jsonl" --chat-template "$work/chatml.jinja" --json
holds 'v["examples"] == 12 and v["expected"] == 6'
python3 - "$work" <<'PY' || fail "forms-out.jsonl"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1] + "/forms-out.jsonl")]
asked = "<|im_start|>user:in<|im_end|><|im_start|>assistant:"
for i, r in enumerate(rows):
    answered = i in (1, 4, 5, 7, 9, 11)
    assert (r["expected"] is not None) == (r["exact"] is not None) == answered, r
    assert r["prompt"].endswith("the an") if i < 3 else r["prompt"] == asked, r
    assert not answered or r["expected"] == (" in" if i < 3 else "on"), r
assert rows[0]["answer"] == rows[1]["answer"] == rows[2]["answer"]
assert len({r["answer"] for r in rows[3:]}) == 1
PY

# Mistakes.
echo '{"completion": "no prompt"}' >"$work/bad.jsonl"
check 1 answers "$work/bad-out.jsonl" --data "$work/bad.jsonl"
says err 'bad.jsonl:1: wrong fields: has "completion" but no "prompt"'
check 2 "$MPILORA" generate $how
says err 'give --prompt TEXT, or --data FILE with --output FILE.jsonl'
check 2 "$MPILORA" generate $how --data "$work/data.jsonl"
says err 'give --output FILE.jsonl'
check 2 "$MPILORA" generate $how --data "$work/data.jsonl" --prompt a --output "$work/no.jsonl"
check 2 "$MPILORA" generate $how --prompt a --output "$work/no.jsonl"
check 1 answers "$work/none/out.jsonl" --data "$work/data.jsonl"
says err 'none/out.jsonl.part'
passed
