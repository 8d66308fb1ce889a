# A rank that answers no more: the others leave with 75 instead of waiting for ever, and the run goes on as if nothing
# had been.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

more="--max-steps 300 --save-every 20"
check 0 train "$work/whole" $more

mpirun -n 3 --bind-to none "$MPILORA" train $options $more --output "$work/run" --rank-timeout 2 \
    >"$work/out" 2>"$work/err" </dev/null &
pid=$!
background="$background $pid"
until_true $pid test -e "$work/run/checkpoints/latest"
stopped=$(ranks_of $pid | tail -n 1)
kill -STOP "$stopped"
begun=$SECONDS status=0
wait $pid || status=$?
checks=$((checks + 1))
[ $status = 75 ] || fail "status $status: $(cat "$work/err")"
[ $((SECONDS - begun)) -lt 20 ] || fail "took $((SECONDS - begun)) s"
says err 'error: rank [0-2] on .* has waited for 2\.[0-9] s in .* of step [0-9]+: another rank or the network is gone'
[ ! -e "$work/run/adapter" ] || fail "the run was over before a rank was stopped"
check 0 ranks 2 "$MPILORA" train $options $more --output "$work/run"
says err '^going on from .*step-'
same_run "$work/whole" "$work/run"

# Rank 0 tries for a while to save what others wait for: it is not gone.
check 1 env LD_PRELOAD="${FAULT:?}" FAULT_UNDER="$work/slow" FAULT_CALLS=sync FAULT_NTH=4 FAULT_LENGTH=100000000 \
    mpirun -n 2 --bind-to none "$MPILORA" train $options --output "$work/slow" --max-steps 30 --save-every 0 --rank-timeout 1 \
    --save-failures 3
says err 'mpilora: .*step 30 could not be saved, nor could 2 others .*Input/output error'
! grep -q 'is gone' "$work/err" || fail "taken for lost: $(cat "$work/err")"
passed
