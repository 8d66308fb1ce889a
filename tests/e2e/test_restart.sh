# On a processor that OpenBLAS does not know, the program restarts itself with better kernels: it is then the same
# process, under the same name, with the same arguments, and does the same. All other tests can be run so:
#   STAND_IN=core LD_PRELOAD=$PWD/build/tests/libstand_in_openblas.so ctest --test-dir build ...
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
unknown="STAND_IN=core LD_PRELOAD=${STAND_IN_OPENBLAS:?}"
check 0 env MPILORA_ISA=portable $unknown "$MPILORA" --version # nothing better is known
says out 'OpenBLAS .* Prescott'
check 0 "$MPILORA" --version
! grep -q 'ISA: portable' "$work/out" || skip "this processor has no better kernels to start anew with"
check 0 env $unknown "$MPILORA" --version
says out 'OpenBLAS .* (Haswell|SkylakeX)$'

# started ARGV0 COMMAND...: runs it until it trains, and demands the name of the program's own file, these words, and that it
# was started anew.
started() {
    local zero=$1 process pid
    shift
    (
        export $unknown
        exec -a "$zero" "$@" $options --max-steps 1000000 --output "$work/$zero"
    ) >"$work/out" 2>"$work/err" </dev/null &
    pid=$!
    background="$background $pid"
    until_true $pid grep -q '^step 5/' "$work/err"
    process=$pid
    [ "$zero" != mpirun ] || process=$(ranks_of $pid | tail -n 1)
    checks=$((checks + 3))
    [ "$(cat "/proc/$process/comm")" = mpilora ] || fail "the process is named $(cat "/proc/$process/comm")"
    [ "$(readlink "/proc/$process/exe")" = "$(readlink -f "$MPILORA")" ] || fail "another program"
    tr '\0' '\n' <"/proc/$process/environ" | grep -qx 'OPENBLAS_CORETYPE=.*' || fail "it was not started anew"
    tr '\0' '\n' <"/proc/$process/cmdline" >"$work/words"
    kill -USR1 $pid
    status=0
    wait $pid || status=$?
    is_stopped || fail "status $status: $(cat "$work/err")"
}
started by-another-name "$MPILORA" train
[ "$(head -n 1 "$work/words")" = by-another-name ] || fail "argv[0] is $(head -n 1 "$work/words")"
started mpirun mpirun -n 2 --bind-to none "$MPILORA" train
[ "$(head -n 1 "$work/words")" = "$MPILORA" ] || fail "argv[0] is $(head -n 1 "$work/words")"

# Where its own file has no path any more, too.
cp "$MPILORA" "$work/deleted"
check 0 env $unknown python3 -c '
import os, sys
program = os.open(sys.argv[1], os.O_RDONLY)
os.unlink(sys.argv[1])
os.set_inheritable(program, True)
os.execv(f"/proc/self/fd/{program}", ["mpilora", "--version"])' "$work/deleted"
says out 'OpenBLAS .* (Haswell|SkylakeX)$'
passed
