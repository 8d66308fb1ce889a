# inspect --verify: all is well after a run, and each kind of damage is found, in its file alone.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

check 0 train "$work/whole" --max-steps 12 --save-every 4 --trace-every 3
check 0 "$MPILORA" inspect --verify "$work/whole" --json
holds 'len(v["intact"]) == 7 and v["damaged"] == []'
check 0 "$MPILORA" inspect --verify "$work/whole/adapter"
check 0 "$MPILORA" inspect --verify "$work/whole/checkpoints/latest"
check 1 "$MPILORA" inspect --verify "$work/nothing"
check 2 "$MPILORA" inspect --verify "$work/model"
check 2 "$MPILORA" inspect --verify "$work/data.jsonl"

# damaged FILE REGEX COMMAND...: after the command, in the copy of the run, that file is named, and it alone.
damaged() {
    local file=$1 regex=$2
    shift 2
    rm -rf "$work/run"
    cp -a "$work/whole" "$work/run"
    (cd "$work/run" && "$@") || fail "$*"
    check 1 "$MPILORA" inspect --verify "$work/run" --json
    says err 'run: 1 file is damaged'
    holds 'len(v["damaged"]) == 1 and len(v["intact"]) == 6'
    holds 'not any(v["damaged"][0].startswith(path) for path in v["intact"])'
    says out "\"damaged\": \[\".*$file.*$regex"
}
flip() { # flip FILE OFFSET: another byte there
    python3 -c 'import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2]), 2 if sys.argv[2][0] == "-" else 0)
    byte = f.read(1)[0]
    f.seek(-1, 1)
    f.write(bytes([byte ^ 64]))' "$@"
}
damaged step-00000008.h5 '' truncate -s -1 checkpoints/step-00000008.h5
damaged step-00000012.h5 '' flip checkpoints/step-00000012.h5 20000
damaged step-00000004.h5 'holds step 8' cp checkpoints/step-00000008.h5 checkpoints/step-00000004.h5
damaged config.yaml 'unknown|option' sh -c 'echo "learn: 1" >>config.yaml'
damaged config.yaml '' rm config.yaml
damaged metrics.jsonl '13: the last line is incomplete' sh -c 'printf "{\"step\": 13" >>metrics.jsonl'
damaged metrics.jsonl '13: step 12 stands after step 12' sh -c 'tail -n 1 metrics.jsonl >last && cat last >>metrics.jsonl'
damaged metrics.jsonl '4: .*JSON' sed -i '4s/step/st"ep/' metrics.jsonl
damaged adapter 'is not what .*step-00000012.h5 has' flip adapter/adapter_model.safetensors -5
damaged adapter_model.safetensors '' truncate -s -4 adapter/adapter_model.safetensors
damaged adapter_config.json '' truncate -s 20 adapter/adapter_config.json

# Several at once, for a person.
truncate -s 100 "$work/run/checkpoints/step-00000004.h5"
check 1 "$MPILORA" inspect --verify "$work/run"
says err '2 files are damaged'
says out '^  - .*step-00000004.h5: '
says out '^  - .*step-00000012.h5$'
passed
