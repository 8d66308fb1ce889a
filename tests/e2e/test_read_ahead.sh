# Text is tokenised while a step computes: only the first step waits for it. What happens to a line meanwhile is said
# by all ranks together, and a run that is stopped or resumed is none the wiser.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

# Long lines of which the model sees the first 64 tokens: slow to tokenise, but not as slow as a step of this model.
python3 "$SOURCE/tests/support/make_tiny_model.py" "$work/wide" --width 640 --layers 4 || fail "no model"
python3 - "$work" <<'PY' || fail "the data could not be made"
import json, random, sys
random.seed(7)
words = "alpha beta gamma delta the an in on job node rank queue".split()
with open(sys.argv[1] + "/long.jsonl", "w") as out:
    for i in range(24):
        out.write(json.dumps({"text": str(i) + " " + " ".join(random.choices(words, k=20000))}) + "\n")
PY
check 0 train "$work/long" --model "$work/wide" --data "$work/long.jsonl" --batch-size 2 --max-steps 8
python3 - "$work/long/metrics.jsonl" <<'PY' || fail "steps wait for text"
import json, statistics, sys
rows = [json.loads(l) for l in open(sys.argv[1])]
waits = [r["data_seconds"] for r in rows]
first, median = waits[0], statistics.median(waits[1:])
step = statistics.median([r["seconds"] for r in rows[1:]])
print(f"the first step waits {first:.4f} s for text, one of the others {median:.6f} s of its {step:.4f}")
if first < 0.005:
    sys.exit("the text is too easy to prove anything")
if median > first / 20:
    sys.exit("the others wait too: %s" % waits)
PY
checks=$((checks + 1))

# A line that is damaged while the run goes on stops all ranks, in the step that needs it, with its place.
check 0 ranks 2 "$MPILORA" train $options --output "$work/undisturbed" --shuffle=false --max-steps 4
for count in 1 2; do
    cp "$work/data.jsonl" "$work/live.jsonl"
    ranks $count "$MPILORA" train $options --output "$work/live-$count" --data "$work/live.jsonl" --shuffle=false \
        --max-steps 1000000 --epochs 1000000 >"$work/out" 2>"$work/err" </dev/null &
    process=$!
    background="$background $process"
    until_true $process test -s "$work/live-$count/metrics.jsonl"
    python3 - "$work/live.jsonl" <<'PY'
import sys
with open(sys.argv[1], "r+b") as f:
    at = sum(len(l) for l in f.readlines()[:23])
    f.seek(at)
    f.write(b"!")
PY
    status=0
    wait $process || status=$?
    [ $status = 1 ] || fail "status $status with a damaged line: $(cat "$work/err")"
    says err "step [0-9]+: .*live.jsonl:24: this line has changed since the run began"
    [ "$(grep -c "has changed" "$work/err")" = 1 ] || fail "said more than once: $(cat "$work/err")"
    last=$(steps "$work/live-$count" | awk '{ print $NF }')
    [ $((last % 4)) = 2 ] || fail "the line is in each third of four batches, but the last step done was $last"
done
diff <(losses "$work/live-1" | head -n 4) <(losses "$work/live-2" | head -n 4) >&2 || fail "losses differ"
diff <(losses "$work/live-1" | head -n 4) <(losses "$work/undisturbed") >&2 || fail "losses differ"
passed
