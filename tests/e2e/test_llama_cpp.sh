# Adapters for llama.cpp: what its own converter made is read and written to the bit, predicts as llama.cpp does with it,
# and training goes on from it; with the package xllamacpp, llama.cpp predicts the same with what we export.
. "$SOURCE/tests/support/e2e.sh"
golden=$GOLDEN/llama_cpp
data=$golden/data.jsonl

# as_llama MODEL ADAPTER EXPECTED: `probe` computes the log-probabilities that llama.cpp gave.
as_llama() {
    checks=$((checks + 1))
    check 0 "$MPILORA" probe --model "$1" --adapter "$2" --data "$data" --threads 1 --output "$work/probe.h5"
    python3 "$SOURCE/tests/support/llama_compare.py" "$work/probe.h5" "$3" 0.005 >&2 || fail "$2 on $1: llama.cpp predicts otherwise"
}

for folder in "$golden"/*/; do
    name=$(basename "$folder")
    base=$folder/model.gguf
    as_llama "$base" "$folder/adapter.gguf" "$folder/expected.json"
    as_llama "$base" "$folder/adapter" "$folder/expected.json"
    check 0 "$MPILORA" export --model "$base" --checkpoint "$folder/adapter" --format gguf --output "$work/$name.gguf"
    python3 "$SOURCE/tests/support/gguf_content.py" "$folder/adapter.gguf" >"$work/theirs"
    python3 "$SOURCE/tests/support/gguf_content.py" "$work/$name.gguf" >"$work/ours"
    diff "$work/theirs" "$work/ours" >&2 || fail "$name: the export is not what llama.cpp's converter makes"

    # One step from the PEFT folder, from the file, and from our own export of a run: the same loss to the last digit.
    common="--model $base --data $data --max-steps 1 --threads 1 --batch-size 2"
    for from in "$folder/adapter" "$folder/adapter.gguf"; do
        # shellcheck disable=SC2086
        check 0 "$MPILORA" train $common --adapter "$from" --output "$work/run"
        python3 -c 'import json, sys; print(json.loads(next(open(sys.argv[1])))["loss"])' "$work/run/metrics.jsonl" >>"$work/$name.losses"
        rm -rf "$work/run-$name"
        mv "$work/run" "$work/run-$name"
    done
    [ "$(sort -u "$work/$name.losses" | wc -l)" = 1 ] || fail "$name: training starts from other values: $(cat "$work/$name.losses")"
    for run in eval generate; do
        more="--data $data --json"
        [ "$run" = eval ] || more="--prompt abc --max-new-tokens 3 --temperature 0"
        # shellcheck disable=SC2086
        check 0 "$MPILORA" $run --model "$base" $more --threads 1 --adapter "$work/run-$name"
        mv "$work/out" "$work/before"
        check 0 "$MPILORA" export --model "$base" --checkpoint "$work/run-$name" --format gguf --overwrite \
            --output "$work/$name.gguf"
        # shellcheck disable=SC2086
        check 0 "$MPILORA" $run --model "$base" $more --threads 1 --adapter "$work/$name.gguf"
        cmp "$work/out" "$work/before" >&2 || fail "$run: another output with the exported adapter"
    done
done

# Refused by name; nothing stays where nothing was written, and links that lie in wait are not followed.
check 1 "$MPILORA" eval --model "$golden/qwen2/model.gguf" --adapter "$golden/llama/adapter.gguf" --data "$data" --threads 1
says err 'adapter.gguf: general.architecture is "llama", not "qwen2"'
check 2 "$MPILORA" eval --model "$golden/llama/model.gguf" --adapter "$golden/llama/model.gguf" --data "$data" --threads 1
says err 'model.gguf: general.type is "model", not "adapter"'
mkdir "$work/place"
check 2 "$MPILORA" export --model "$golden/llama/model.gguf" --checkpoint "$golden/llama/adapter" --format gguf --overwrite \
    --output "$work/place"
[ -d "$work/place" ] || fail "a folder was replaced"
echo kept >"$work/victim"
ln -s "$work/victim" "$work/place/adapter.gguf"
check 2 "$MPILORA" export --model "$golden/llama/model.gguf" --checkpoint "$golden/llama/adapter" --format gguf --overwrite \
    --output "$work/place/adapter.gguf"
says err 'adapter.gguf exists already, and is no adapter of this format'
cp "$golden/qwen2/adapter.gguf" "$work/victim"
check 0 "$MPILORA" export --model "$golden/llama/model.gguf" --checkpoint "$golden/llama/adapter" --format gguf --overwrite \
    --output "$work/place/adapter.gguf"
cmp "$golden/qwen2/adapter.gguf" "$work/victim" >&2 && [ ! -L "$work/place/adapter.gguf" ] || fail "the export went through a link"
[ "$(ls "$work/place")" = adapter.gguf ] || fail "something is left beside the export: $(ls "$work/place")"

# The real program. Its folder of packages may be another Python's: MPILORA_PYTHON.
python=${MPILORA_PYTHON:-$(type -P python3)}
if "$python" -c 'import xllamacpp' 2>/dev/null; then
    for folder in "$golden"/*/; do
        name=$(basename "$folder")
        "$python" "$SOURCE/tests/support/llama_logprobs.py" "$folder/model.gguf" --adapter "$work/$name.gguf" --top 5 \
            <"$folder/expected.json" >"$work/live.json" 2>"$work/log" || fail "llama.cpp: $(tail -n 3 "$work/log")"
        as_llama "$folder/model.gguf" "$work/run-$name" "$work/live.json"
    done
else
    echo "the package xllamacpp is not there: compared with what llama.cpp predicted when the files were made"
fi
passed
