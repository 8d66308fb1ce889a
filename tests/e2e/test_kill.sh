# Killed again and again, and gone on with each time: no run is lost, and each ends with the bytes of one that nobody touched.
#   KILLS=200 ctest -R e2e.kill     more than the 30 of every run; SEED=N repeats a sequence of choices
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
kills=${KILLS:-30}
RANDOM=${SEED:-$$}
echo "SEED=${SEED:-$$}"

more="--max-steps 40 --save-every 1 --trace-every 9 --eval-data $work/held.jsonl --eval-every 20 --log-every 1000"
folder=$work/run
check 0 train "$work/whole" $more

# What is left of the last start: all that it started is in its session.
left_over() {
    pgrep -s $pid
}

# begin RANKS VARIABLE=VALUE...: starts or goes on, in the background; sets pid.
begin() {
    local count=$1 launcher=
    shift
    [ "$count" = 1 ] || launcher="mpirun -n $count --bind-to none"
    setsid env "$@" $launcher "$MPILORA" train $options $more --output "$folder" >"$work/out" 2>"$work/err" </dev/null &
    pid=$!
    background="$background $pid"
}

# end: waits for it, and for ranks that outlive their launcher; sets status.
end() {
    status=0
    { wait $pid; } 2>/dev/null || status=$?
    background=
    for _ in $(seq 300); do
        left_over >/dev/null || return
        sleep 0.1
    done
    fail "ranks that were left alone do not end"
}

half_written() {
    ls -A "$folder/checkpoints" 2>/dev/null | grep '^\.step-'
}

completed=0
complete() {
    same_run "$work/whole" "$folder"
    rm -r "$folder"
    completed=$((completed + 1))
}

done_kills=0 early=0 in_save=0
while [ $done_kills -lt "$kills" ]; do
    count=$((RANDOM % 3 ? 1 : 2))
    way=$((RANDOM % 2))
    before=$(half_written)
    if [ $way = 0 ]; then # at a call for a file of the run: most of them are those of a save
        begin $count LD_PRELOAD="${FAULT:?}" FAULT_CALLS=all FAULT_UNDER="$folder" FAULT_NTH=$((RANDOM % 2500 + 1)) FAULT_SIGNAL=9
    else # at some time: a rank, or the launcher
        begin $count KILLED=1
        sleep "0.$((RANDOM % 9 + 1))"
        victims=$(left_over | shuf -n 1 --random-source=<(yes $RANDOM))
        [ -z "$victims" ] || kill -KILL $victims 2>/dev/null
    fi
    end
    case $status in
    0) complete && continue ;; # it was faster than the killer
    75 | 1[0-9][0-9]) ;;  # killed; or it has seen another rank go, and left in order
    9) with_mpi MPICH || fail "a run was lost: status 9: $(cat "$work/err")" ;; # its mpirun says so of a rank that was killed
    *) fail "a run was lost: status $status: $(cat "$work/err")" ;;
    esac
    done_kills=$((done_kills + 1))
    [ -e "$folder/checkpoints/latest" ] || early=$((early + 1))
    after=$(half_written)
    [ "$after" = "" ] || [ "$after" = "$before" ] || in_save=$((in_save + 1))
    checks=$((checks + 1))
done
begin 1 KILLED=0
end
[ $status = 0 ] || fail "the last run was lost: $(cat "$work/err")"
complete
echo "$done_kills kills: $in_save in the middle of writing a checkpoint, $early before the first one; $completed runs," \
    "none lost, each with the bytes of the undisturbed one"
[ $in_save -gt 0 ] || [ "$kills" -lt 30 ] || fail "no kill hit a save"
passed
