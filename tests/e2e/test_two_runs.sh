# Two runs that are given one folder: whatever is deleted under the first one, it ends and leaves the other's files alone.
. "$SOURCE/tests/support/e2e.sh"
unset OMPI_MCA_ess_singleton_isolated # two programs at a time
. "$SOURCE/tests/support/train.sh"

# begin NAME COMMAND...: a run without an end in $work/live, with its messages in $work/NAME.
begin() {
    local name=$1
    shift
    "$@" "$MPILORA" train $options --output "$work/live" --max-steps 1000000 --save-every 5 --log-every 1000 \
        ${seed:+--seed $seed} >"$work/err" 2>&1 </dev/null &
    pid=$!
    background="$background $pid"
    until_true $pid test -e "$work/live/checkpoints/step-00000010.h5"
    cp "$work/err" "$work/$name"
}

# one_run_only: one step after the other from 1 in the metrics, and `latest` points to a checkpoint that is there.
one_run_only() {
    checks=$((checks + 1))
    python3 - "$work/live" <<'PY' || fail "the folder is not that of one run"
import json, os, sys
folder = sys.argv[1]
steps = [json.loads(line)["step"] for line in open(folder + "/metrics.jsonl").read().rpartition("\n")[0].split("\n")]
assert steps == list(range(1, len(steps) + 1)), steps
assert os.path.exists(folder + "/checkpoints/latest")
PY
}

# takes_over LAUNCHER... -- COMMAND...: the first run, the command, a second run: the first ends with status 1, the second with 75
# and the bytes of a run that was alone.
takes_over() {
    local launcher=() first second
    while [ "$1" != -- ]; do launcher+=("$1") && shift; done
    shift
    seed=1 begin first "${launcher[@]}"
    first=$pid
    "$@"
    seed=2 begin second
    second=$pid
    status=0
    wait $first || status=$?
    checks=$((checks + 1))
    [ $status = 1 ] || fail "the first run ends with status $status"
    kill -0 $second || fail "the second run is gone: $(cat "$work/err")"
    kill -USR1 $second
    status=0
    wait $second || status=$?
    [ $status = 75 ] || fail "the second run ends with status $status: $(cat "$work/err")"
    one_run_only
    last=$(losses "$work/live" | tail -n 1 | cut -d' ' -f1)
    check 0 train "$work/live" --max-steps $((last + 2)) --save-every 5 --seed 2
    check 0 train "$work/alone" --max-steps $((last + 2)) --save-every 5 --seed 2 --resume never --overwrite
    same_run "$work/alone" "$work/live"
    rm -rf "$work/live"
}
remove_folder() {
    until rm -rf "$work/live" 2>/dev/null; do :; done # the run may be making a file
}
remove_lock() {
    rm "$work/live/.lock"
    for _ in $(seq 600); do # it may be saving, into a folder that it makes again
        kill -0 $first 2>/dev/null || break
        rm -rf "$work/live/checkpoints" 2>/dev/null
        sleep 0.1
    done
    ! kill -0 $first 2>/dev/null || fail "a run whose lock is gone does not end"
    rm -rf "$work/live/checkpoints"
}
takes_over -- remove_folder
takes_over mpirun -n 2 --bind-to none -- remove_folder
takes_over -- remove_lock

# What it says, and that all ranks leave together, with one error.
for launcher in "" "mpirun -n 2 --bind-to none"; do
    seed=1 begin alone $launcher
    rm "$work/live/.lock"
    status=0
    wait $pid || status=$?
    checks=$((checks + 1))
    [ $status = 1 ] || fail "status $status"
    says err "^mpilora: .*live is not this run's any more: the lock \.lock in it was deleted"
    [ "$(grep -c '^mpilora: ' "$work/err")" = 1 ] || fail "not one error: $(cat "$work/err")"
    check 0 "$MPILORA" inspect --verify "$work/live"
    rm -rf "$work/live"
done

# A copy by hard links keeps what it had, whatever becomes of the run.
check 0 train "$work/live" --max-steps 10 --save-every 5
cp -al "$work/live" "$work/copy"
sums() {
    (cd "$work/copy" && find . -type f ! -name .lock -exec cksum {} +) | sort
}
sums >"$work/before"
check 0 train "$work/live" --max-steps 20 --save-every 5
sums >"$work/after"
checks=$((checks + 1))
cmp "$work/before" "$work/after" || fail "the copy has changed"
check 0 train "$work/alone" --max-steps 20 --save-every 5 --resume never --overwrite
same_run "$work/alone" "$work/live"
check 0 "$MPILORA" inspect --verify "$work/copy"

# A file that somebody linked as the lock is not written into.
echo gold >"$work/precious"
rm "$work/live/.lock"
ln "$work/precious" "$work/live/.lock"
check 0 train "$work/live" --max-steps 21
[ "$(cat "$work/precious")" = gold ] || fail "a file linked as .lock was written into"

# A lock for reading on the lock does not keep the run out.
rm "$work/live/.lock"
install -m 644 /dev/null "$work/live/.lock"
command python3 -S - "$work/live/.lock" "$work/locked" <<'PY' &
import fcntl, sys, time
f = open(sys.argv[1])
fcntl.lockf(f, fcntl.LOCK_SH)
open(sys.argv[2], "w").close()
time.sleep(60)
PY
reader=$!
background="$background $reader"
until_true $reader test -e "$work/locked"
check 0 train "$work/live" --max-steps 22
says err 'warning: .*live/\.lock: another process holds a lock for reading'
[ "$(stat -c %a "$work/live/.lock")" = 600 ] || fail "the lock can be read by others: $(stat -c %a "$work/live/.lock")"
passed
