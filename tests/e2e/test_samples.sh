# Sample answers: the same on any number of ranks and after any interruption; they change nothing of the run.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
more="--eval-data $work/held.jsonl --eval-every 4 --max-steps 12 --max-new-tokens 12 --lr-schedule cosine"
check 0 train "$work/without" $more
check 0 train "$work/with" $more --sample-prompts 5
same_run "$work/without" "$work/with"
[ ! -e "$work/without/samples.jsonl" ] || fail "answers that nobody asked for"
for count in 2 3; do
    check 0 ranks $count "$MPILORA" train $options $more --sample-prompts 5 --output "$work/ranks$count"
    cmp "$work/with/samples.jsonl" "$work/ranks$count/samples.jsonl" || fail "other answers on $count ranks"
done

# Prompts and expected answers are the data's; an answer is what `generate` says with the adapter.
python3 - "$work" <<'PY' || fail "samples.jsonl"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1] + "/with/samples.jsonl")]
data = [json.loads(line) for line in open(sys.argv[1] + "/held.jsonl")]
assert [(r["step"], r["example"]) for r in rows] == [(s, i) for s in (4, 8, 12) for i in range(5)], rows
for r in rows:
    assert r["prompt"].endswith(data[r["example"]]["prompt"]), r
    assert r["expected"] == data[r["example"]]["completion"], r
    assert r["exact"] == (r["answer"] == r["expected"]), r
assert len({r["answer"] for r in rows}) > 1, "all answers are the same"
PY
for example in 0 3; do
    prompt=$(python3 -c 'import json, sys; print(json.loads(open(sys.argv[1]).readlines()[int(sys.argv[2])])["prompt"])' \
        "$work/held.jsonl" $example)
    check 0 "$MPILORA" generate --model "$model" --adapter "$work/with" --prompt "$prompt" --max-new-tokens 12
    python3 - "$work" $example <<'PY' || fail "another answer than generate's"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1] + "/with/samples.jsonl")]
mine = [r["answer"] for r in rows if r["step"] == 12 and r["example"] == int(sys.argv[2])]
assert [open(sys.argv[1] + "/out").read().rstrip("\n")] == [a.rstrip("\n") for a in mine], mine
PY
done

# Going on: no step twice, none missing, whatever stands in the file.
check 0 train "$work/again" $more --sample-prompts 5 --max-steps 12 --save-every 4
printf '{"step": 12, "exam' >>"$work/again/samples.jsonl"
rm "$work/again/checkpoints/step-00000012.h5"
check 0 train "$work/again" $more --sample-prompts 5
cmp "$work/with/samples.jsonl" "$work/again/samples.jsonl" || fail "other answers after a resume"

# The report shows them, escaped.
check 0 "$MPILORA" report "$work/with"
grep -q '<h2>Sample answers</h2>' "$work/with/report.html" || fail "no answers in the report"
grep -q '<h3>Example 4</h3>' "$work/with/report.html" || fail "not all prompts in the report"
check 0 "$MPILORA" inspect "$work/with" --verify
printf '{"step": 1}\n' >>"$work/with/samples.jsonl"
check 1 "$MPILORA" inspect "$work/with" --verify
says out 'samples.jsonl.*stands after step 12'
check 0 "$MPILORA" report "$work/without"
! grep -q 'Sample answers' "$work/without/report.html" || fail "answers in the report of a run without"

check 2 train "$work/no" --sample-prompts 3
says err '--sample-prompts takes its prompts from what is evaluated'
printf '{"text": "no prompt"}\n' >"$work/text.jsonl"
check 2 train "$work/no" --eval-data "$work/text.jsonl" --sample-prompts 3
says err 'no example of .*text.jsonl has a prompt before its answer'
passed
