# Exports: each is read back, and a killed or refused one leaves nothing that could be taken for a model.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

check 0 train "$work/run" --max-steps 8
check 0 "$MPILORA" export --model "$model" --checkpoint "$work/run" --format merged --output "$work/merged"
says err '^14 adapted modules written to '
says err '^read back: its logits differ by up to [0-9.e-]+ of the largest one'
[ "$(cd "$work/merged" && echo *)" = "README.md config.json model.safetensors tokenizer.json tokenizer_config.json" ] ||
    fail "files: $(ls "$work/merged")"
cmp "$model/tokenizer.json" "$work/merged/tokenizer.json" || fail "another tokenizer"
check 0 "$MPILORA" inspect "$model" --json
hash=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["hash"])' "$work/out")
grep -q "content hash of the base | \`$hash\`" "$work/merged/README.md" || fail "$(cat "$work/merged/README.md")"

# What is beside the adapter: train's export and ours are the same files, which say where it comes from, but no place.
check 0 "$MPILORA" export --model "$model" --checkpoint "$work/run" --output "$work/peft"
diff -r "$work/run/adapter" "$work/peft" >&2 || fail "another export than that of training"
[ "$(cd "$work/peft" && echo *)" = "README.md adapter_config.json adapter_model.safetensors trainer_state.json" ] ||
    fail "files: $(ls "$work/peft")"
loss=$(losses "$work/run" | awk 'END { printf "%.4f", $3 }')
for row in "base | model" "content hash of the base | \`$hash\`" "training data | data.jsonl" "steps | 8 (2.00 epochs)" \
    "loss of the last step | $loss" "lora-dropout | 0.1"; do
    grep -qxF "| $row |" "$work/peft/README.md" || fail "no '$row' in: $(cat "$work/peft/README.md")"
done
grep -lwF -e "$work" -e "$(hostname)" "$work/peft/README.md" "$work/merged/README.md" "$work/peft/trainer_state.json" &&
    fail "a place is told"
grep -qxF "| loss of the last step | $loss |" "$work/merged/README.md" || fail "$(cat "$work/merged/README.md")"
# A checkpoint without its run knows no losses, and a PEFT folder knows nothing; what was there of another one goes.
cp "$work/run/checkpoints/latest" "$work/lone.h5"
check 0 "$MPILORA" export --model "$model" --checkpoint "$work/lone.h5" --output "$work/peft" --overwrite --no-check
[ ! -e "$work/peft/trainer_state.json" ] || fail "the history of another export"
grep -qxF "| steps | 8 |" "$work/peft/README.md" || fail "$(cat "$work/peft/README.md")"
grep -q "loss" "$work/peft/README.md" && fail "losses: $(cat "$work/peft/README.md")"
check 0 "$MPILORA" export --model "$model" --checkpoint "$work/run/adapter" --output "$work/peft" --overwrite --no-check
grep -qE "steps|training data|rank.*16" "$work/peft/README.md" && fail "facts from nowhere: $(cat "$work/peft/README.md")"

# What it computes: the base with the adapter, from a checkpoint, a run folder or a PEFT folder.
loss_of() {
    check 0 "$MPILORA" eval --data "$work/held.jsonl" --threads 1 --json "$@"
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["loss"])' "$work/out"
}
wanted=$(loss_of --model "$model" --adapter "$work/run")
for source in run/adapter run/checkpoints/latest; do
    check 0 "$MPILORA" export --model "$model" --checkpoint "$work/$source" --format merged --output "$work/again" \
        --no-check --threads 1
    grep -q 'read back' "$work/err" && fail "--no-check checked"
    cmp "$work/merged/model.safetensors" "$work/again/model.safetensors" || fail "another model from $source"
    rm -r "$work/again"
done
got=$(loss_of --model "$work/merged")
python3 -c 'import sys; a, b = map(float, sys.argv[1:]); sys.exit(abs(a - b) > 1e-5 * a)' "$wanted" "$got" ||
    fail "loss $got, not $wanted"

# A part of the base that was taken out is put back.
check 0 train "$work/pissa" --max-steps 3 --lora-init pissa
for format in merged peft; do
    check 0 "$MPILORA" export --model "$model" --checkpoint "$work/pissa" --format $format \
        --output "$work/pissa-$format"
done

# An option that would have no effect.
check 2 "$MPILORA" export --model "$model" --checkpoint "$work/run" --save-dtype f16 --output "$work/typed"
says err '--save-dtype is for --format merged'

# Twice to the same place; a link; a full disk.
check 2 "$MPILORA" export --model "$model" --checkpoint "$work/run" --format merged --output "$work/merged"
says err 'merged exists already: give another --output'
ln -s "$work/nowhere" "$work/link"
check 2 "$MPILORA" export --model "$model" --checkpoint "$work/run" --format merged --output "$work/link"
[ -e "$work/nowhere" ] && fail "a link was followed"
under="FAULT_CALLS=write FAULT_UNDER=$work/full"
# shellcheck disable=SC2086
check 1 env LD_PRELOAD="$FAULT" $under FAULT_NTH=5 FAULT_LENGTH=9999 FAULT_ERRNO=28 "$MPILORA" export --model "$model" \
    --checkpoint "$work/run" --format merged --output "$work/full"
says err 'cannot write .*full.*: No space left on device'
ls "$work"/full* >/dev/null 2>&1 && fail "something is left: $(ls -d "$work"/full*)"

# Killed at each of many moments: nothing has the final name, and the next export takes away what is left.
for call in "write 1" "write 3" "write 7" "write 12" "write 16" "sync 1" "sync 3" "sync 6"; do
    set -- $call
    check 137 env LD_PRELOAD="$FAULT" FAULT_CALLS="$1" FAULT_UNDER="$work/killed" FAULT_NTH="$2" FAULT_SIGNAL=9 \
        "$MPILORA" export --model "$model" --checkpoint "$work/run" --format merged --output "$work/killed"
    [ -e "$work/killed" ] && fail "half a model after $call"
done
check 0 "$MPILORA" export --model "$model" --checkpoint "$work/run" --format merged --output "$work/killed"
diff -r "$work/merged" "$work/killed" >&2 || fail "another model after the kills"
[ "$(ls -d "$work"/killed*)" = "$work/killed" ] || fail "something is left: $(ls -d "$work"/killed*)"
# The same of an export that is one file.
to_gguf="--model $model --checkpoint $work/run --format gguf --output $work/one.gguf"
# shellcheck disable=SC2086
check 137 env LD_PRELOAD="$FAULT" FAULT_CALLS=sync FAULT_UNDER="$work/one.gguf" FAULT_NTH=1 FAULT_SIGNAL=9 \
    "$MPILORA" export $to_gguf
ls "$work"/one.gguf.tmp* >/dev/null || fail "nothing is left, so that there is nothing to see"
# shellcheck disable=SC2086
check 0 "$MPILORA" export $to_gguf
[ "$(ls -d "$work"/one*)" = "$work/one.gguf" ] || fail "something is left: $(ls -d "$work"/one*)"
passed
