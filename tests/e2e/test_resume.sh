# Going on from a checkpoint is never having stopped; what does not belong together is refused.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

more="--max-steps 200 --save-every 7 --eval-data $work/held.jsonl --eval-every 50"
check 0 train "$work/whole" $more

# Killed at some step, several times, then on another number of ranks: the same bytes, no step twice.
for step in 14 70; do
    "$MPILORA" train $options $more --output "$work/killed" >"$work/out" 2>"$work/err" </dev/null &
    pid=$!
    background="$background $pid"
    until_true $pid grep -q "^step $step/" "$work/err"
    kill -KILL $pid
    wait $pid 2>/dev/null
done
[ ! -e "$work/killed/adapter" ] || fail "the run was over before it was killed"
printf '{"step": 199, "los' >>"$work/killed/metrics.jsonl"
check 0 ranks 2 "$MPILORA" train $options $more --output "$work/killed"
says err '^going on from .*step-000'
same_run "$work/whole" "$work/killed"

# Its folder tells what each of its starts ran on, and names no host, path or user.
check 0 "$MPILORA" inspect "$work/killed" --json
holds '[(m["ranks"], m["from_step"] == 1) for m in v["machines"]] == [(1, True), (2, False)]'
holds 'all(m["threads"] == 1 and m["dtype"] == "f32" and "MPI" in m["mpi"] for m in v["machines"])'
holds 'all([(p["hosts"], p["ranks"]) for p in m["processors"]] == [(1, m["ranks"])] for m in v["machines"])'
holds "not any(w in str(v['machines']) for w in ('$work', '$(uname -n)', '$HOME'))"
check 0 "$MPILORA" report "$work/killed"
grep -q '<td>Ranks</td><td>1</td><td>2</td>' "$work/killed/report.html" || fail "the page does not show both machines"
holds '[m["machine"]["ranks"] for m in v["cells"][0]["machines"]] == [1, 2]' "$work/killed/report.json"
check 0 "$MPILORA" watch "$work/killed"
says out '^machine +2 ranks of 1 thread on 1 host  '

# A finished run says so and changes nothing; with more steps it goes on.
check 0 train "$work/short" --max-steps 20
find "$work/short" -type f -exec md5sum {} + | sort >"$work/before"
check 0 train "$work/short" --max-steps 20
says err 'finished: 20 steps'
find "$work/short" -type f -exec md5sum {} + | sort | cmp - "$work/before" || fail "a finished run was changed"
rm -r "$work/short/adapter"
check 0 train "$work/short" --max-steps 20
find "$work/short" -type f -exec md5sum {} + | sort | cmp - "$work/before" || fail "the export was not put back"
rm "$work/short/adapter/README.md" "$work/short/adapter/trainer_state.json" # as an earlier version left it
check 0 train "$work/short" --max-steps 20
find "$work/short" -type f -exec md5sum {} + | sort | cmp - "$work/before" || fail "the model card was not put back"
check 0 train "$work/short" --max-steps 31
check 0 train "$work/straight" --max-steps 31
same_run "$work/straight" "$work/short"

# An export that failed is made up for, though the checkpoint says that the run is over and an earlier adapter is there.
mv "$work/short/adapter/adapter_model.safetensors" "$work/stale"
mkdir "$work/short/adapter/adapter_model.safetensors"
check 1 train "$work/short" --max-steps 31 --save-failures 1
says err 'adapter could not be written'
rmdir "$work/short/adapter/adapter_model.safetensors"
printf x | dd of="$work/stale" bs=1 seek=3000 conv=notrunc status=none
touch -d '1 hour ago' "$work/stale"
mv "$work/stale" "$work/short/adapter/adapter_model.safetensors"
check 0 train "$work/short" --max-steps 31
same_run "$work/straight" "$work/short"

# Epochs count from the cursor when the size of a batch changes: one of 37 examples are 4 batches of 10, 2 of 20, 8 of 5.
check 0 train "$work/sizes" --epochs 1
for sizes in "2 20 6" "3 5 14"; do
    set -- $sizes
    check 0 train "$work/sizes" --epochs $1 --batch-size $2 --allow-changed-options
    tail -n 1 "$work/sizes/metrics.jsonl" | grep -qE "\"step\": $3, \"epoch\": $1[,.]" || fail "$(tail -n 1 "$work/sizes/metrics.jsonl")"
done

# A learning rate that has gone down to its end does not go back up by itself; one on its way is stretched, and says so.
check 0 train "$work/cosine" --max-steps 8 --lr-schedule cosine
find "$work/cosine" -type f -exec md5sum {} + | sort >"$work/before"
check 0 train "$work/cosine" --max-steps 8 --lr-schedule cosine
says err 'to train it further, give a higher --max-steps or --epochs, and --lr-schedule constant with a --learning-rate'
for n in 1 2; do
    check 1 ranks $n "$MPILORA" train $options --output "$work/cosine" --max-steps 16 --lr-schedule cosine
    says err 'went down to 0\.000381; as one of 16 steps it would go back up to 0\.005\. Say which is meant: --lr-schedule constant'
done
find "$work/cosine" -type f -exec md5sum {} + | sort | cmp - "$work/before" || fail "a finished run was changed"
cp -r "$work/cosine" "$work/up"
check 1 train "$work/cosine" --max-steps 16 --lr-schedule constant # at the rate of its start
says err 'lr-schedule constant \(checkpoint: cosine\)'
check 1 train "$work/cosine" --max-steps 8 --lr-schedule constant --learning-rate 1e-4
says err 'lr-schedule constant \(checkpoint: cosine\)'
check 0 train "$work/cosine" --max-steps 16 --lr-schedule constant --learning-rate 1e-4
unwarned() { ! grep -E "^warning: .*(rate|options)" "$work/err" || fail "it warned"; }
unwarned
says err 'schedule .*learning rate 0\.0001, constant'
check 0 train "$work/cosine" --max-steps 20 --lr-schedule constant --learning-rate 1e-4
rates() {
    python3 -c 'import json, sys; print(*["%.3g" % json.loads(l)["learning_rate"] for l in open(sys.argv[1] + "/metrics.jsonl")][7:])' "$1"
}
[ "$(rates "$work/cosine")" = "0.000381$(printf ' 0.0001%.0s' {1..12})" ] || fail "rates: $(rates "$work/cosine")"
check 0 train "$work/up" --max-steps 16 --lr-schedule cosine --allow-changed-options
says err '^warning: the learning rate goes back up: .* 0\.000381 in the 8 steps .* 0\.005 at step 9 of 16'
check 0 train "$work/up" --max-steps 16 --lr-schedule cosine
check 0 train "$work/early" --max-steps 8 --lr-schedule cosine --save-every 3
rm "$work/early/checkpoints/step-00000008.h5"
check 0 train "$work/early" --max-steps 16 --lr-schedule cosine
says err 'the end moves from step 8 to 16, and the learning rate with it: step 7 has 0\.00691, not 0\.00146'
unwarned

# What must be the same, and is not.
check 1 train "$work/short" --max-steps 40 --lora-alpha 8
says err 'lora-alpha 8 \(checkpoint: 32\); give .*, or another --output for an adapter of another kind$'
check 1 train "$work/short" --max-steps 40 --learning-rate 1e-3
says err 'learning-rate 0.001 \(checkpoint: 0.01\); give .*, or --allow-changed-options$'
check 0 train "$work/short" --max-steps 32 --learning-rate 1e-3 --allow-changed-options
says err '^warning: .*learning-rate'
check 1 train "$work/short" --max-steps 40 --learning-rate 1e-3 --lora-rank 2 --allow-changed-options
says err 'the rank of .* is 4, in this run it is 2'
head -n 30 "$work/data.jsonl" >"$work/less.jsonl"
check 1 train "$work/short" --max-steps 40 --learning-rate 1e-3 --allow-changed-options --data "$work/less.jsonl"
says err 'another data set: its content hash is [0-9a-f]{32} there, [0-9a-f]{32} now'
python3 "$SOURCE/tests/support/make_tiny_model.py" "$work/other" 2
check 1 "$MPILORA" train $options --model "$work/other" --output "$work/short" --max-steps 40
says err 'another base model'

# Old checkpoints in the way of a new start.
check 2 train "$work/straight" --max-steps 31 --resume never
says err 'holds checkpoints up to step 31.*--overwrite'
check 0 train "$work/straight" --max-steps 5 --resume never --overwrite
[ "$(steps "$work/straight")" = "1 2 3 4 5" ] || fail "steps: $(steps "$work/straight")"

# A damaged newest checkpoint is named and passed over; when all are damaged the run does not start from scratch.
check 0 train "$work/damaged" --max-steps 21 --save-every 5
truncate -s -1 "$work/damaged/checkpoints/step-00000021.h5"
printf 'x' | dd of="$work/damaged/checkpoints/step-00000020.h5" bs=1 seek=9000 conv=notrunc status=none
check 0 train "$work/damaged" --max-steps 22 --save-every 0
says err '^warning: checkpoint skipped: .*step-00000021.h5'
says err '^warning: checkpoint skipped: .*step-00000020.h5'
says err '^going on from .*step-00000015.h5'
for f in "$work"/damaged/checkpoints/step-*; do : >"$f"; done
check 1 train "$work/damaged" --max-steps 30
says err 'none of the [0-9]+ checkpoints'

# Two runs in one folder: the second is refused by name, however the first one ended the third is not.
"$MPILORA" train $options --max-steps 100000 --save-every 5 --output "$work/two" >"$work/out" 2>"$work/err.one" </dev/null &
pid=$!
background="$background $pid"
until_true $pid test -e "$work/two/checkpoints/latest"
before=$(cat "$work/two/config.yaml")
check 1 train "$work/two" --max-steps 100000 --resume never --overwrite
says err "two is in use by another run, process $pid on .*another --output"
check 1 ranks 2 "$MPILORA" train $options --max-steps 50 --output "$work/two"
[ "$(grep -c 'in use' "$work/err")" = 1 ] || fail "said more than once"
[ "$before" = "$(cat "$work/two/config.yaml")" ] && [ -e "$work/two/checkpoints/latest" ] || fail "the folder was touched"
kill -KILL $pid
wait $pid 2>/dev/null
check 0 train "$work/two" --max-steps 50

# From a given checkpoint, into another folder.
check 0 train "$work/from" --max-steps 22 --resume "$work/whole/checkpoints/latest"
says err 'finished: 200 steps'
check 0 "$MPILORA" inspect "$work/from" --verify
cmp "$work/whole/adapter/adapter_model.safetensors" "$work/from/adapter/adapter_model.safetensors" || fail "not its end"
check 2 train "$work/short" --max-steps 300 --resume "$work/whole/checkpoints/latest"
says err 'holds checkpoints .*of another run than the one to go on from'
check 0 train "$work/short" --max-steps 203 --resume "$work/whole/checkpoints/latest" --overwrite
[ "$(steps "$work/short")" = "201 202 203" ] || fail "steps of two runs: $(steps "$work/short")"
check 0 "$MPILORA" inspect "$work/short" --verify
grep -qE '^(resume|overwrite|allow-changed-options):' "$work/short/config.yaml" && fail "a wish for one start was recorded"
check 0 train "$work/killed" $more --resume "$work/killed/checkpoints/step-00000189.h5" --overwrite
same_run "$work/whole" "$work/killed"
check 1 train "$work/from2" --max-steps 400 --resume "$work/nothing.h5"
says err 'nothing.h5'
check 2 train "$work/from2" --max-steps 400 --resume "$work/whole/adapter"
says err '^mpilora: --resume: .*/whole/adapter: this is the folder of an adapter, not the folder of a run with checkpoints$'
check 1 train "$work/from2" --max-steps 400 --resume "$work/whole" --data "$work/less.jsonl"
says err 'another data set.* or leave out --resume to start anew'
passed
