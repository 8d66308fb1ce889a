# What goes by evaluations: examples kept from training, the best checkpoint, an early end; on any number of ranks, after
# any interruption, the same.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

# link_of FOLDER NAME: the step of the checkpoint that the link NAME leads to.
link_of() {
    readlink "$1/checkpoints/$2" | sed 's/^step-0*\([0-9]*\)\.h5$/\1/'
}
# lowest FOLDER: the step with the lowest eval loss of its metrics; the first of equal ones.
lowest() {
    python3 -c '
import json, sys
rows = [json.loads(l) for l in open(sys.argv[1] + "/metrics.jsonl")]
print(min((r for r in rows if "eval_loss" in r), key=lambda r: r["eval_loss"])["step"])' "$1"
}

# A part of the data is evaluated instead of trained on: the same on 1, 2 and 3 ranks, another one with another seed.
split="--eval-split 0.2 --eval-every 4 --max-steps 12"
check 0 train "$work/one" $split
says err 'data +29 examples'
says err 'eval data +8 examples' # 0.2 of 37, rounded up
for count in 2 3; do
    check 0 ranks $count "$MPILORA" train $options $split --output "$work/ranks$count"
    same_run "$work/one" "$work/ranks$count"
done
check 0 train "$work/number" --eval-split 8 --eval-every 4 --max-steps 12
same_run "$work/one" "$work/number"
check 0 train "$work/seed" $split --seed 1
[ "$(losses "$work/one" | sed -n 4p)" != "$(losses "$work/seed" | sed -n 4p)" ] || fail "the seed chooses nothing"

check 0 train "$work/few" $split --max-eval-examples 3
says err 'eval data +3 examples'
check 2 train "$work/no" --eval-split 0.2 --eval-data "$work/held.jsonl"
says err '--eval-split and --eval-data both'
check 2 train "$work/no" --eval-split 37
says err '37 of the 37 examples .*both parts need some'
check 2 train "$work/no" --eval-split 1.5
says err '1.5 is neither a share below 1 nor a whole number'
check 1 train "$work/one" $split --eval-split 5 --max-steps 20
says err '--eval-split 5 \(checkpoint: 0.2\)'

# Trained on two examples it gets worse on others soon: the best checkpoint is kept beside the newest and exported.
head -n 2 "$work/data.jsonl" >"$work/little.jsonl"
few="--data $work/little.jsonl --batch-size 2 --learning-rate 2e-2 --lora-dropout 0"
best="$few --eval-data $work/held.jsonl --eval-every 3 --save-every 4 --keep-checkpoints 2
 --keep-best"
check 0 train "$work/best" $best --max-steps 40
low=$(lowest "$work/best")
[ "$low" -lt 30 ] || fail "the lowest eval loss, of step $low, is too near to the end to show anything"
[ "$(link_of "$work/best" best)" = "$low" ] || fail "best is not the lowest, of step $low"
[ "$(cd "$work/best/checkpoints" && echo step-*)" = "$(printf 'step-%08d.h5 ' $low 36 40 | sed 's/ $//')" ] ||
    fail "kept: $(ls "$work/best/checkpoints")"
says err "adapter of step $low, which had the lowest eval loss"
holds "v['best_global_step'] == $low and v['global_step'] == v['max_steps'] == 40" "$work/best/adapter/trainer_state.json"
grep -q "^| adapter | that of step $low, " "$work/best/adapter/README.md" || fail "$(cat "$work/best/adapter/README.md")"
check 0 "$MPILORA" inspect "$work/best" --verify
check 0 "$MPILORA" eval --model "$model" --adapter "$work/best" --data "$work/held.jsonl"
says err "^warning: .*/best: this is the adapter of its newest checkpoint, of step 40; the evaluations were best at step $low: give "
check 0 "$MPILORA" eval --model "$model" --adapter "$work/best/checkpoints/best" --data "$work/held.jsonl"
! grep -q 'newest checkpoint' "$work/err" || fail "warned of the best: $(cat "$work/err")"
check 0 "$MPILORA" inspect "$work/best" --json
holds "v['best_step'] == $low"
check 0 train "$work/upto" $few --max-steps $low
cmp "$work/upto/adapter/adapter_model.safetensors" "$work/best/adapter/adapter_model.safetensors" ||
    fail "what is exported is not the adapter of step $low"

# Keeping and stopping change nothing of what is trained; a run of three ranks that was killed at any step is the same.
check 0 train "$work/plain" ${best/--keep-best/} --max-steps 40
diff <(losses "$work/plain") <(losses "$work/best") || fail "--keep-best changes the run"
check 0 train "$work/long" $best --max-steps 400
for step in 4 150; do # at about these
    mpirun -n 3 --bind-to none "$MPILORA" train $options $best --max-steps 400 --output "$work/killed" \
        >"$work/out" 2>"$work/err" </dev/null &
    pid=$!
    background="$background $pid"
    until_true $pid grep -q "^step $step/" "$work/err"
    kill -KILL $(ranks_of $pid) 2>/dev/null
    wait $pid 2>/dev/null
done
[ ! -e "$work/killed/adapter" ] || fail "the run was over before it was killed"
check 0 ranks 2 "$MPILORA" train $options $best --max-steps 400 --output "$work/killed"
same_run "$work/long" "$work/killed"
[ "$(link_of "$work/killed" best)" = "$(lowest "$work/long")" ] || fail "another best after being killed"

# An early end: after two evaluations without a better one, finished, with the same bits however it came there.
early="$best --early-stop 2"
check 0 train "$work/early" $early --max-steps 40
says err "stopped early: 2 evaluations in a row were no better than that of step $low"
last=$(link_of "$work/early" latest)
[ "$last" = $((low + 6)) ] || fail "stopped at step $last"
cmp "$work/best/adapter/adapter_model.safetensors" "$work/early/adapter/adapter_model.safetensors" || fail "another best"
holds "v['global_step'] == $last and v['max_steps'] == 40" "$work/early/adapter/trainer_state.json"
check 0 "$MPILORA" inspect "$work/early" --verify
find "$work/early" -type f -exec md5sum {} + | sort >"$work/before"
check 0 train "$work/early" $early --max-steps 40
says err 'to train it further, give a higher --early-stop'
find "$work/early" -type f -exec md5sum {} + | sort | cmp - "$work/before" || fail "a finished run was changed"
for count in 2 3; do
    check 0 ranks $count "$MPILORA" train $options $early --max-steps 40 --output "$work/early$count"
    same_run "$work/early" "$work/early$count"
done
for step in $((low - 3)) $low $((low + 3)) $((low + 5)); do # before, at and after the best: the count goes on
    rm -rf "$work/again"
    check 0 train "$work/again" $early --max-steps $step
    check 0 train "$work/again" $early --max-steps 40
    cmp "$work/early/adapter/adapter_model.safetensors" "$work/again/adapter/adapter_model.safetensors" || fail "from $step"
    [ "$(link_of "$work/again" latest)" = "$last" ] || fail "from step $step it went to $(link_of "$work/again" latest)"
done
check 0 train "$work/elsewhere" $early --max-steps 40 --resume "$work/best/checkpoints/$(printf 'step-%08d.h5' "$low")"
[ "$(link_of "$work/elsewhere" latest)" = "$last" ] || fail "elsewhere it went on to $(link_of "$work/elsewhere" latest)"
check 0 train "$work/further" $best --max-steps 43 --resume "$work/best"
cmp "$work/best/adapter/adapter_model.safetensors" "$work/further/adapter/adapter_model.safetensors" ||
    fail "the best checkpoint was not taken along"
check 0 train "$work/early" $early --early-stop 3 --max-steps 40
[ "$(link_of "$work/early" latest)" = $((low + 9)) ] || fail "with more patience: $(link_of "$work/early" latest)"

# What a resumed run that goes by evaluations must have in common.
check 1 train "$work/early" $early --early-stop 9 --max-steps 40 --eval-every 2
says err '--eval-every 2 \(checkpoint: 3\)'
check 1 train "$work/early" $early --early-stop 9 --max-steps 40 --max-eval-examples 2
says err '--max-eval-examples 2 \(checkpoint: 0\)'
check 1 train "$work/early" $early --early-stop 9 --max-steps 40 --eval-data "$work/little.jsonl"
says err 'evaluations so far were of other examples'
check 0 train "$work/plain" ${best/--keep-best/} --max-steps 41 --eval-every 2 # goes by none
check 2 train "$work/no" --keep-best --eval-data "$work/held.jsonl"
says err '--keep-best goes by evaluations: give --eval-every'
check 2 train "$work/no" --early-stop 3 --eval-every 2
says err '--early-stop goes by evaluations: .*--eval-data or --eval-split'

# The warmup as a share is the number of steps that it comes to; the rate ends at its floor.
rates="--lr-schedule cosine --max-steps 20 --min-learning-rate 2e-3"
check 0 train "$work/share" $rates --warmup-steps 0.11
check 0 train "$work/steps" $rates --warmup-steps 3
same_run "$work/share" "$work/steps"
python3 - "$work/share" <<'PY' || fail "the rates"
import json, math, sys
rates = [json.loads(l)["learning_rate"] for l in open(sys.argv[1] + "/metrics.jsonl")]
want = [1e-2 * (k + 1) / 3 if k < 3 else 2e-3 + 8e-3 * (1 + math.cos(math.pi * (k - 3) / 17)) / 2 for k in range(20)]
assert all(math.isclose(a, b, rel_tol=1e-12) for a, b in zip(rates, want)) and len(rates) == 20, (rates, want)
PY
check 2 train "$work/no" --min-learning-rate 1
says err '--min-learning-rate 1 is above --learning-rate 0.01'
passed
