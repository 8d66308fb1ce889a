# A study: cells side by side, a failing one, killed and gone on with, in parts, on groups of ranks.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

grep -vE '^(output|learning-rate|batch-size):' "$work/train.yaml" >"$work/study.yaml"
cat >>"$work/study.yaml" <<YAML
eval-data: [$work/held.jsonl]
batch-size: 8
max-steps: 6
save-every: 2
trace-every: 2
rate.learning-rate: [1e-3, 1e-2]
rate.seed: [0, 1]
rank.lora-rank: [2, 4]
rank.learning-rate: 1e-2
YAML
cells=5 # 4 of the first sweep, 2 of the second, one of them is in both
study() {
    timeout 300 "$MPILORA" study --config "$work/study.yaml" "$@"
}
study_on() {
    local count=$1
    shift
    timeout 300 mpirun -n "$count" --bind-to none "$MPILORA" study --config "$work/study.yaml" "$@"
}
# same_cells A B: the same cells, each the same run, and the same report but for the time it took and what it ran on.
same_cells() {
    diff <(ls "$1/cells") <(ls "$2/cells") >&2 || fail "$1 and $2 have other cells"
    for cell in "$1"/cells/*; do
        same_run "$cell" "$2/cells/${cell##*/}"
    done
    for study in "$1" "$2"; do
        check 0 "$MPILORA" report "$study"
    done
    python3 - "$1/report.json" "$2/report.json" <<'PY' || fail "the reports of $1 and $2 differ"
import json, sys
without = lambda pairs: [p for p in pairs if p[0] not in ("seconds", "machines")]
first, second = ([(k, v) for k, v in json.load(open(path), object_pairs_hook=without)] for path in sys.argv[1:])
sys.exit(first != second)
PY
}

# One process; a cell is the very run that train makes of its options.
check 0 study --output "$work/one"
says err "^cells: 5 done, 0 running, 0 failed, 0 left"
[ "$(ls "$work/one/cells" | wc -l)" = $cells ] || fail "$(ls "$work/one/cells")"
check 0 train "$work/alone" --batch-size 8 --max-steps 6 --save-every 2 --trace-every 2 --lora-rank 2 --eval-data "$work/held.jsonl"
same_run "$work/alone" "$work/one/cells/normal-lr0.01-r2-s0"
check 0 study --output "$work/one"
says err "5 done before"

# Another job is at work on a cell: this one leaves that to it, and is not whole.
cell=$work/shared/cells/normal-lr0.01-r2-s0
mkdir -p "$cell"
command python3 -S -c '
import fcntl, sys, time
with open(sys.argv[1], "w") as lock:
    fcntl.lockf(lock, fcntl.LOCK_EX)
    print("process 1 on elsewhere", file=lock, flush=True)
    time.sleep(120)' "$cell/.lock" &
holder=$!
background="$background $holder"
until_true $holder test -s "$cell/.lock"
check 1 study --output "$work/shared"
says err "cell normal-lr0.01-r2-s0 is left to another job: .*in use by another run, process 1 on elsewhere"
says err "another job is working on 1 of 5 cells"
[ ! -e "$cell/failed.txt" ] || fail "a cell that another job trains is called failed"
kill $holder
wait $holder 2>/dev/null
check 0 study --output "$work/shared"
says err "4 done before"

# Of the evaluation data, the first examples only.
head -n 3 "$work/held.jsonl" >"$work/three.jsonl"
few="--batch-size 8 --max-steps 2 --lora-rank 2"
check 0 train "$work/three" $few --eval-data "$work/three.jsonl"
check 0 train "$work/limited" $few --eval-data "$work/held.jsonl" --max-eval-examples 3
same_run "$work/three" "$work/limited"

# Two ranks take turns; a group of two trains one cell. The result is the same.
check 0 study_on 2 --output "$work/two"
same_cells "$work/one" "$work/two"
check 0 study_on 2 --ranks-per-cell 2 --output "$work/group"
same_cells "$work/one" "$work/group"
check 2 study_on 2 --ranks-per-cell 3 --output "$work/no"

# Parts, as the tasks of a job array do them.
check 0 study --output "$work/parts" --cells 2/2
[ "$(ls "$work/parts/cells" | wc -l)" = 2 ] || fail "part 2 of 2 has other cells: $(ls "$work/parts/cells")"
check 0 study --output "$work/parts" --cells 1/2
same_cells "$work/one" "$work/parts"
check 2 study --output "$work/parts" --cells 3/2

# Killed half-way without a word, later stopped by a signal to one rank, then to the end.
sed 's/^max-steps: 6/max-steps: 150/; s/^save-every: 2/save-every: 20/' "$work/study.yaml" >"$work/long.yaml"
check 0 ranks 2 "$MPILORA" study --config "$work/long.yaml" --output "$work/whole"
# begin CELL STEP: starts or goes on in the background, until the cell has the checkpoint of that step.
begin() {
    mpirun -n 2 --bind-to none "$MPILORA" study --config "$work/long.yaml" --output "$work/killed" \
        >"$work/out" 2>"$work/err" </dev/null &
    pid=$!
    background="$background $pid"
    until_true $pid test -e "$work/killed/cells/$1/checkpoints/step-00000$2.h5"
}
begin normal-lr0.001-r4-s1 040
kill -KILL $(ranks_of $pid)
wait $pid 2>/dev/null
begin normal-lr0.01-r4-s0 040
kill -USR1 "$(ranks_of $pid | tail -n 1)"
status=0
wait $pid || status=$?
checks=$((checks + 1))
is_stopped || fail "status $status after a signal: $(cat "$work/err")"
says err 'stopped by a signal: [2-4] of 5 cells are done'
check 0 ranks 2 "$MPILORA" study --config "$work/long.yaml" --output "$work/killed"
says err '[2-4] done before'
same_cells "$work/whole" "$work/killed"

# A cell that cannot be trained is reported, and stops no other; it is tried again when it can be.
cp "$work/study.yaml" "$work/good.yaml"
printf 'bad.warmup-steps: 99\nbad.lora-rank: 3\nnan.learning-rate: 1e30\n' >>"$work/study.yaml"
check 1 study_on 2 --output "$work/failed"
says err "cell normal-lr1.0e.30-r4-s0 failed: step [0-9]+: .*(NaN|finite)"
says err "cell normal-lr0.0002-r3-s0-warmup-steps99 failed: .*warmup"
says err "2 of 7 cells failed"
grep -q warmup "$work/failed/cells/normal-lr0.0002-r3-s0-warmup-steps99/failed.txt" || fail "no reason in failed.txt"
[ "$(ls -d "$work"/failed/cells/*/adapter | wc -l)" = $cells ] || fail "other cells are not done"
mv "$work/good.yaml" "$work/study.yaml"
rm -r "$work"/failed/cells/normal-lr{0.0002-r3-s0-warmup-steps99,1.0e+30-r4-s0}
check 0 study --output "$work/failed"
same_cells "$work/one" "$work/failed"

# Cells of other options are not taken for done.
sed -i 's/^batch-size: 8/batch-size: 7/' "$work/study.yaml"
check 1 study --output "$work/one"
says err "5 of 5 cells failed"
grep -q "batch-size 7 (checkpoint: 8)" "$work/one/cells/normal-lr0.01-r2-s0/failed.txt" || fail "no reason"
passed
