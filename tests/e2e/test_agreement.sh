# What is not the same on all ranks ends the start, with the rank, its host and what differs: the program, an option, the
# model, its tokenizer, the data.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
host=$(hostname)

# Two folders with the same names in them: each rank runs in its own.
for folder in a b; do
    mkdir "$work/$folder"
    cp -r "$model" "$work/data.jsonl" "$work/held.jsonl" "$work/$folder"
done
cat >"$work/here.yaml" <<YAML
model: model
data: [data.jsonl]
eval-data: [held.jsonl]
threads: 1
max-steps: 1
YAML

# pair PROGRAM OPTION...: rank 1, in b, is this program and has these options more than rank 0 in a.
pair() {
    local program=$1
    shift
    timeout 120 mpirun --bind-to none -n 2 "$SOURCE/tests/support/by_rank.sh" \
        env -C "$work/a" "$MPILORA" train --config "$work/here.yaml" --output "$work/run" + \
        env -C "$work/b" "$program" train --config "$work/here.yaml" --output "$work/run" "$@"
}
# differs WHAT PROGRAM OPTION...: that is found, and said once.
differs() {
    local what=$1
    shift
    rm -rf "$work/run"
    check 1 pair "$@"
    says err "^mpilora: (--eval-data: )?rank 1 on $host has another $what than rank 0 on $host.*: all ranks must be given the same$"
    [ "$(grep -c '^mpilora: ' "$work/err")" = 1 ] || fail "said more than once: $(cat "$work/err")"
    [ ! -e "$work/run/checkpoints" ] || fail "it trained"
}

cp "$MPILORA" "$work/other"
printf '\0' >>"$work/other"
differs "build of the program" "$work/other"
differs "set of options" "$MPILORA" --seed 7
says err "'seed: 7' instead of 'seed: 0'"

# One number of the weights: in the last bytes of the file.
python3 - "$work/b/model/model.safetensors" <<'PY'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(-4, 2)
    last = f.read(1)
    f.seek(-4, 2)
    f.write(bytes([last[0] ^ 1]))
PY
differs "base model" "$MPILORA"
cp "$work/a/model/model.safetensors" "$work/b/model/model.safetensors"

sed -i 's/"th e", //' "$work/b/model/tokenizer.json"
cmp -s "$work/a/model/tokenizer.json" "$work/b/model/tokenizer.json" && fail "tokenizer.json was not changed"
differs "tokenizer" "$MPILORA"
cp "$work/a/model/tokenizer.json" "$work/b/model/tokenizer.json"

sed -i '3s/"completion": " ./"completion": " z/' "$work/b/data.jsonl"
differs "data set" "$MPILORA"
cp "$work/a/data.jsonl" "$work/b/data.jsonl"
sed -i '2s/"completion": " ./"completion": " z/' "$work/b/held.jsonl"
differs "data set" "$MPILORA"
cp "$work/a/held.jsonl" "$work/b/held.jsonl"
check 0 pair "$MPILORA" # so that each of these was what it was ended for

# Means of computing may differ: that is said, and the run goes on.
rm -rf "$work/run"
check 0 timeout 120 mpirun --bind-to none -n 2 bash -c '
    cd "$0" && [ "${OMPI_COMM_WORLD_RANK-$PMI_RANK}" = 0 ] || export MPILORA_ISA=portable
    exec "$@"' "$work/a" "$MPILORA" train --config "$work/here.yaml" --output "$work/run" --gemm openblas
says err "^warning: rank 1 on .* computes with 1 thread, OpenBLAS.*, kernels portable, rank 0 on .*: the result's last bits"
passed
