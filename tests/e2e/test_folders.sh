# What a folder is: commands that write refuse one of another kind, commands that read say what to give; and what is said of
# the step that is taken, of the base that an adapter belongs to, and of a run that is over.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

# The rate is so high that the last evaluation is not the best.
eval="--max-steps 12 --save-every 0 --eval-data $work/held.jsonl --eval-every 1 --keep-best --learning-rate 0.3"
check 0 train "$work/run" $eval
best=$(readlink "$work/run/checkpoints/best" | sed 's/step-0*//; s/\.h5//')
[ "$best" -lt 12 ] || fail "the best step is the last"
check 0 "$MPILORA" export --model "$model" --checkpoint "$work/run" --output "$work/newest"
says err "run: this is the adapter of its newest checkpoint, of step 12; .*best at step $best: give .*/run/checkpoints/best for"
check 0 "$MPILORA" export --model "$model" --checkpoint "$work/run/checkpoints/best" --output "$work/best"
cmp "$work/best/adapter_model.safetensors" "$work/run/adapter/adapter_model.safetensors" || fail "the best is another"
check 0 "$MPILORA" inspect "$work/run"
says out "^best_step: $best$"
check 0 train "$work/run" $eval
says err 'this run is finished: 12 steps are done, and the adapter is in .*/run/adapter, for `mpilora eval`'
says err 'to train it further, give a higher --max-steps'
check 0 train "$work/plain" --max-steps 3
check 0 "$MPILORA" generate --model "$model" --adapter "$work/plain" --prompt "on 1" --max-new-tokens 2
silent err
mkdir "$work/plain/cells" # of the user's own, and no study
check 0 train "$work/plain" --max-steps 3
rmdir "$work/plain/cells"

# A run that is not over.
"$MPILORA" train $options --output "$work/begun" --max-steps 1000000 --save-every 2 >"$work/out" 2>"$work/err" </dev/null &
pid=$!
background="$background $pid"
until_true $pid test -e "$work/begun/checkpoints/latest"
kill -9 $pid
wait $pid || true
check 0 "$MPILORA" generate --model "$model" --adapter "$work/begun" --prompt "on 1" --max-new-tokens 2
says err 'begun: the adapter of its newest checkpoint, of step [0-9]+$'

# A study.
grep -vE '^(output|learning-rate|batch-size):' "$work/train.yaml" >"$work/study.yaml"
printf 'max-steps: 2\nbatch-size: 8\nlearning-rate: [1e-3, 1e-2]\n' >>"$work/study.yaml"
study() { check "$1" timeout 120 "$MPILORA" study --config "$work/study.yaml" --output "$2"; }
study 0 "$work/study"
study 2 "$work/run"
says err 'run is the folder of a run, and the files of a study would mix with it: give another --output'
[ ! -e "$work/run/study.yaml" ] && [ ! -e "$work/run/cells" ] || fail "the study was in the run's folder"
check 2 train "$work/study" --max-steps 1
says err 'study is the folder of a study, and the files of a run would mix with it'
[ ! -e "$work/study/config.yaml" ] && [ ! -e "$work/study/.lock" ] || fail "the run was in the study's folder"
sed '/^data:/d' "$work/study.yaml" >"$work/no-data.yaml"
check 2 "$MPILORA" study --config "$work/no-data.yaml" --output "$work/none/at/all"
says err 'study needs --data FILE; see mpilora study --help'
check 1 "$MPILORA" study --config "$work/study.yaml" --model "$work/no-model" --output "$work/none/at/all"
check 1 train "$work/none/at/all" --data "$work/no-data"
[ ! -e "$work/none" ] || fail "left by starts that failed: $(find "$work/none")"
check 0 "$MPILORA" inspect "$work/study" --json
holds 'v["kind"] == "study" and v["planned_cells"] == v["finished_cells"] == 2 and v["failed_cells"] == 0'
holds 'all(c["state"] == "finished" and c["step"] == 2 for c in v["cells"].values()) and len(v["cells"]) == 2'
check 0 "$MPILORA" inspect --verify "$work/study" --json
holds 'len([p for p in v["intact"] if p.endswith(".h5")]) == 2 and not v["damaged"]'
cell=$(echo "$work/study/cells/"*0.001*)
printf 'x' | dd of="$cell/checkpoints/step-00000002.h5" bs=1 seek=5000 conv=notrunc 2>/dev/null
check 1 "$MPILORA" inspect --verify "$work/study"
says err 'study: 1 file is damaged'

# What is asked for lies inside, or around it.
for at in eval\ --data\ "$work/held.jsonl"\ --adapter export\ --output\ "$work/never"\ --checkpoint; do
    check 2 "$MPILORA" $at "$work/run/checkpoints" --model "$model"
    says err 'this is the folder of a run.s checkpoints, not .*: give that of the run, .*/run, or .*/checkpoints/best$'
    check 2 "$MPILORA" $at "$work/study" --model "$model"
    says err 'this is the folder of a study, .*give the folder of one of its cells, in .*/study/cells$'
    check 2 "$MPILORA" $at "$work/study/cells" --model "$model"
    says err 'this is the folder of a study.s cells, .*give one of the folders in it$'
done
for at in "" --verify; do
    check 2 "$MPILORA" inspect $at "$work/run/checkpoints"
    says err 'give that of the run, .*/run, or '
done
check 2 "$MPILORA" report "$work/run/checkpoints"
says err 'this is the folder of a run.s checkpoints, not the folder of a run or of a study: give that of the run'
check 2 train "$work/more" --resume "$work/study"
says err 'resume: .*this is the folder of a study, .*give the folder of one of its cells'
check 2 "$MPILORA" inspect --verify "$work/held.jsonl"
says err 'held.jsonl is JSON: --verify is for what has a content hash, a checkpoint'

# An export replaces nothing that is there, unless it is told to, and never a model, a run or a study.
echo precious >"$work/file"
mkdir "$work/empty"
check 2 "$MPILORA" export --model "$model" --checkpoint "$work/plain" --output "$work/best"
says err "best exists already: give another --output, or --overwrite"
check 0 "$MPILORA" export --model "$model" --checkpoint "$work/plain" --output "$work/my.gguf" --format gguf
cp -r "$model" "$work/another"
mkfifo "$work/pipe"
mkdir "$work/papers"
touch "$work/papers/mine"
for at in file pipe papers data.jsonl best my.gguf; do
    for format in peft gguf; do
        case $format-$at in peft-best | gguf-my.gguf) continue ;; esac
        check 2 "$MPILORA" export --model "$model" --checkpoint "$work/plain" --output "$work/$at" --format $format --overwrite
        says err "$at exists already, and is no adapter of this format, which --overwrite could replace"
    done
done
[ "$(cat "$work/file")" = precious ] && [ -p "$work/pipe" ] && [ "$(ls "$work/papers")" = mine ] || fail "replaced"
check 2 "$MPILORA" export --model "$model" --checkpoint "$work/plain" --output "$work/another" --overwrite
says err 'another is the folder of a model .*an export would mix with its files'
check 0 "$MPILORA" export --model "$model" --checkpoint "$work/plain" --output "$work/my.gguf" --format gguf --overwrite
check 2 "$MPILORA" export --model "$model" --checkpoint "$work/plain" --output "$work/best" --format merged --overwrite
says err 'best exists already: give another --output, or delete it$'
cmp "$work/best/adapter_model.safetensors" "$work/run/adapter/adapter_model.safetensors" || fail "it was replaced"
check 0 "$MPILORA" export --model "$model" --checkpoint "$work/plain" --output "$work/empty"
check 0 "$MPILORA" export --model "$model" --checkpoint "$work/plain" --output "$work/best" --overwrite
cmp "$work/best/adapter_model.safetensors" "$work/plain/adapter/adapter_model.safetensors" || fail "it was not replaced"
for at in run study model; do
    check 2 "$MPILORA" export --model "$model" --checkpoint "$work/plain" --output "$work/$at" --overwrite
    says err "$at is the .*: give another --output$"
done

# Of another model: the base is named first, and what does not fit only after it.
python3 "$SOURCE/tests/support/make_tiny_model.py" "$work/twin" 2
python3 "$SOURCE/tests/support/make_tiny_model.py" "$work/wide" 2 --width 64
check 1 "$MPILORA" eval --data "$work/held.jsonl" --adapter "$work/plain" --model "$work/twin"
says err 'was trained on another base, .*/model: its content hash is .*, that of .*/twin is .*; --allow-base-mismatch uses'
check 0 "$MPILORA" eval --data "$work/held.jsonl" --adapter "$work/plain" --model "$work/twin" --allow-base-mismatch
says err '^warning: .* was trained on .*/model, a base with the content hash'
for at in plain plain/checkpoints/latest; do
    check 1 "$MPILORA" eval --data "$work/held.jsonl" --adapter "$work/$at" --model "$work/wide"
    says err 'was trained on .*/model, and this is another model, .*/wide, which the adapter does not fit: '
    ! grep -q allow-base-mismatch "$work/err" || fail "it offers what does not help"
done
check 1 "$MPILORA" eval --data "$work/held.jsonl" --adapter "$work/plain/adapter" --model "$work/wide"
says err 'adapter is for the base .*/model, and perhaps not for this model, .*/wide: '

# An export may be for another form of the model: every command says it once that it was made for another, and goes on.
check 0 "$MPILORA" export --model "$model" --checkpoint "$work/plain" --format gguf --output "$work/plain.gguf"
for adapter in "$work/plain/adapter" "$work/plain.gguf"; do
    for command in "eval --data $work/held.jsonl --adapter $adapter" "generate --prompt a --max-new-tokens 2 --adapter $adapter" \
        "compare --prompt a --max-new-tokens 2 --adapter $adapter" \
        "probe --data $work/held.jsonl --output $work/probe.h5 --adapter $adapter" \
        "train --data $work/data.jsonl --max-steps 1 --output $work/more --adapter $adapter" \
        "export --format merged --output $work/of-twin --checkpoint $adapter"; do
        rm -rf "$work/of-twin" "$work/more"
        # shellcheck disable=SC2086
        check 0 "$MPILORA" $command --model "$model"
        ! grep -q 'content hash' "$work/err" || fail "it warns of the base itself: $command"
        rm -rf "$work/of-twin" "$work/more"
        # shellcheck disable=SC2086
        check 0 "$MPILORA" $command --model "$work/twin"
        says err "^warning: $adapter was made for (.*/)?model, a base with the content hash [0-9a-f]{32}; this one, .*/twin, has"
        [ "$(grep -c 'content hash' "$work/err")" = 1 ] || fail "it is not said once: $(cat "$work/err")"
    done
    check 0 "$MPILORA" inspect "$adapter" --json
    cp "$work/out" "$work/adapter.json"
    check 0 "$MPILORA" inspect "$model" --json
    holds "v['hash'] == json.load(open('$work/adapter.json'))['base_hash']"
done

# Without target_modules PEFT adapts what it has in a list: here all that is in the file, which is said.
cp -r "$work/plain/adapter" "$work/unlisted"
sed -i -z 's/"target_modules": \[[^]]*\]/"target_modules": null/' "$work/unlisted/adapter_config.json"
check 0 "$MPILORA" eval --data "$work/held.jsonl" --model "$model" --adapter "$work/plain/adapter"
cp "$work/out" "$work/listed"
check 0 "$MPILORA" eval --data "$work/held.jsonl" --model "$model" --adapter "$work/unlisted"
cmp "$work/listed" "$work/out" || fail "another adapter without target_modules"
says err 'unlisted/adapter_config.json names no target_modules: the 14 modules whose tensors are there are adapted; PEFT'
[ "$(grep -c target_modules "$work/err")" = 1 ] || fail "it is not said once: $(cat "$work/err")"
passed
