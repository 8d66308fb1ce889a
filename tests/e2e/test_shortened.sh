# A model file that is shortened under the program: one line that names it, status 1, and the run as it was.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
file=$model/model.safetensors
cp "$file" "$work/whole"

# ends_so: the last command was ended by it, in order.
ends_so() {
    says err "^mpilora: $file: this file became shorter while it was in use"
    checks=$((checks + 1))
    ! grep -qiE 'backtrace|signal: bus|Failing at address|core dumped' "$work/err" || fail "a dump: $(cat "$work/err")"
    cat "$work/whole" >"$file"
}

# While training reads the matrices from it.
for launcher in "" "mpirun -n 2 --bind-to none"; do
    $launcher "$MPILORA" train $options --base-storage file --output "$work/run" --max-steps 1000000 --save-every 5 \
        >"$work/out" 2>"$work/err" </dev/null &
    pid=$!
    background="$background $pid"
    until_true $pid test -e "$work/run/checkpoints/step-00000010.h5"
    truncate -s 4096 "$file"
    status=0
    wait $pid || status=$?
    checks=$((checks + 1))
    [ $status = 1 ] || fail "status $status: $(cat "$work/err")"
    ends_so
    check 0 "$MPILORA" inspect --verify "$work/run"
    # Not by the link: the program may have died between a checkpoint and its link, and goes on from the checkpoint.
    last=$(cd "$work/run/checkpoints" && printf '%s\n' step-*.h5 | tail -n 1 | tr -dc 0-9 | head -c 8)
    last=$((10#$last))
    check 0 train "$work/run" --base-storage file --max-steps $((last + 3)) --save-every 5
    check 0 train "$work/alone" --max-steps $((last + 3)) --save-every 5 --resume never --overwrite
    same_run "$work/alone" "$work/run"
    rm -r "$work/run"
done

# While it is loaded: the program stops itself where it has just mapped the file.
env FAULT_UNDER="$file" FAULT_CALLS=close FAULT_NTH=1 FAULT_SIGNAL=19 FAULT_REPORT="$work/there" LD_PRELOAD="${FAULT:?}" \
    "$MPILORA" inspect "$model" >"$work/out" 2>"$work/err" </dev/null &
pid=$!
background="$background $pid"
until_true $pid grep -q '^State:.T' "/proc/$pid/status"
truncate -s 4096 "$file"
kill -CONT $pid
status=0
wait $pid || status=$?
checks=$((checks + 1))
[ $status = 1 ] || fail "status $status: $(cat "$work/err")"
ends_so
passed
