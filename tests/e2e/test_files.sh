# One data set in every kind of file that it comes in: the same adapter, on any number of ranks; what is damaged is named,
# and nothing that was expanded stays.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
for tool in zstd gzip; do command -v $tool >/dev/null || skip "$tool is not installed"; done
export TMPDIR=$work/tmp # of the program
mkdir "$TMPDIR"

# nothing_left: neither in TMPDIR, where MPI may have something, nor in the folder of a run.
nothing_left() {
    compgen -G "$TMPDIR/mpilora-*" && fail "left in TMPDIR"
    compgen -G "$work/*/.data*" && fail "left in the folder of a run"
    checks=$((checks + 1))
}

python3 - "$work" <<'PY' || fail "the files could not be made"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1] + "/data.jsonl")]
with open(sys.argv[1] + "/data.json", "w") as out:
    json.dump(rows, out, indent=2)
PY
cd "$work" || exit 1
gzip -k data.jsonl data.json
zstd -q data.jsonl data.json
cp data.jsonl.zst named.json # told by what it holds
gzip <(head -n 20 data.jsonl) -c >two.gz && tail -n +21 data.jsonl | gzip >>two.gz

check 0 train "$work/plain" --max-steps 8
for file in data.json data.jsonl.gz data.json.gz data.jsonl.zst data.json.zst named.json two.gz; do
    for count in 1 3; do
        check 0 ranks $count "$MPILORA" train $options --data "$work/$file" --max-steps 8 --output "$work/$file.$count"
        same_run "$work/plain" "$work/$file.$count"
    done
done
nothing_left

# What was expanded has the hash of its content: a run goes on with the other file.
check 0 train "$work/plain" --max-steps 12
check 0 train "$work/data.jsonl.zst.1" --max-steps 12
same_run "$work/plain" "$work/data.jsonl.zst.1"

# Without a run's folder: in TMPDIR, and nothing stays. What a killed process left goes.
: >"$TMPDIR/mpilora-data.tmp99999999"
check 0 ranks 2 "$MPILORA" eval --model "$model" --data "$work/data.json.gz" --json
mv "$work/out" "$work/of_gz"
check 0 "$MPILORA" eval --model "$model" --data "$work/data.jsonl" --json
cmp "$work/out" "$work/of_gz" || fail "another evaluation"
nothing_left
: >"$work/plain/.data.tmp12345-otherhost"
check 0 train "$work/plain" --max-steps 13
[ ! -e "$work/plain/.data.tmp12345-otherhost" ] || fail "what a killed run left is still there"

for file in data.json data.json.gz data.jsonl.zst; do
    check 0 "$MPILORA" inspect "$work/$file" --json
    holds "v['kind'] == 'data' and v['examples'] == 37 and v['bad_lines'] == 0"
done
nothing_left

# Damage, by its place; said once.
head -c 300 data.jsonl.gz >cut.gz
check 1 ranks 2 "$MPILORA" train $options --data "$work/cut.gz" --output "$work/no"
says err 'cut.gz: the gzip data is cut off: it does not end with the file, at byte 300'
[ "$(grep -c 'cut off' "$work/err")" = 1 ] || fail "said more than once"
head -c 200 data.jsonl.zst >cut.zst
check 1 train "$work/no" --data "$work/cut.zst"
says err 'cut.zst: the zstd data is cut off'
head -c 900 data.json >cut.json
for count in 1 3; do
    check 1 ranks $count "$MPILORA" train $options --data "$work/cut.json" --output "$work/no"
    says err 'cut.json: element [0-9]+: the file ends without the \] of its array'
done
python3 - <<'PY'
import json
rows = json.load(open("data.json"))
rows[16] = {"prompt": 3, "completion": "x"}
json.dump(rows, open("bad.json", "w"), indent=1)
PY
gzip -k bad.json
for file in bad.json bad.json.gz; do
    check 1 ranks 2 "$MPILORA" train $options --data "$work/$file" --output "$work/no"
    says err "$file, element 17: .*prompt"
    check 0 train "$work/skip-$file" --data "$work/$file" --skip-bad-lines --max-steps 2
    says err "1 unusable line was skipped; the first: .*$file, element 17"
done
cmp skip-bad.json/adapter/adapter_model.safetensors skip-bad.json.gz/adapter/adapter_model.safetensors || fail "they differ"
passed
