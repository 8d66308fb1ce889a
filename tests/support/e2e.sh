# Sourced by the end-to-end tests: a scratch folder in $work, checks that say what they saw, a count at the end.
set -uo pipefail
: "${SOURCE:?is the folder of the sources}"
[ -z "${MPI_LAUNCHER:-}" ] || PATH=$MPI_LAUNCHER:$PATH # the mpirun of the MPI that the program was built with
work=$(mktemp -d "${TMPDIR:-/tmp}/mpilora-test.XXXXXX")
# A program without mpirun has Open MPI 4 start a daemon, with which it could start ranks: a third of the work of a
# tiny run. Without the daemon all such programs have one name for their folder, so those of a test have their own; a test
# that runs two of them at a time unsets the first variable.
export OMPI_MCA_ess_singleton_isolated=1 OMPI_MCA_orte_tmpdir_base=$work/.mpi
mkdir -m 1777 "$work/.mpi"
background=
checks=0
at_exit=: # a command of the test's own, before its folder goes
trap 'status=$?; for p in $background; do kill "$p" 2>/dev/null; done; $at_exit; rm -rf "$work"; exit $status' EXIT
trap 'exit 1' INT TERM

# The tests' own Python takes the standard library alone. Without -S it looks for installed packages at each start,
# which may take five times as long as the start. (In the background `command python3`, or $! is a shell around it.)
python3() { command python3 -S "$@"; }

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

skip() {
    echo "SKIPPED: $*"
    exit 77
}

# run COMMAND...: sets `status`; output is in $work/out and $work/err.
run() {
    status=0
    "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
}

# check STATUS COMMAND...: runs it and demands the exit status.
check() {
    local expected=$1
    shift
    run "$@"
    checks=$((checks + 1))
    [ "$status" = "$expected" ] || {
        sed 's/^/  out: /' "$work/out" | head -n 20 >&2
        sed 's/^/  err: /' "$work/err" | head -n 20 >&2
        fail "status $status, not $expected, of: $*"
    }
}

# says out|err REGEX: the last command's output has a line that matches (extended regular expression).
says() {
    checks=$((checks + 1))
    grep -qE -- "$2" "$work/$1" || {
        sed "s/^/  $1: /" "$work/$1" | head -n 20 >&2
        fail "no line of its std$1 matches: $2"
    }
}

# silent out|err: the last command wrote nothing there.
silent() {
    checks=$((checks + 1))
    [ ! -s "$work/$1" ] || {
        sed "s/^/  $1: /" "$work/$1" | head -n 20 >&2
        fail "its std$1 is not empty"
    }
}

# holds EXPRESSION [FILE]: a Python expression over v, the JSON value of the last output (or FILE), is true.
holds() {
    checks=$((checks + 1))
    python3 -c '
import json, sys
v = json.load(open(sys.argv[2]))
if not eval(sys.argv[1]):
    sys.exit("false: %s\nof: %.600s" % (sys.argv[1], v))' "$1" "${2:-$work/out}" >&2 || fail "JSON check: $1"
}

# ranks_of PROCESS: of the ranks that this mpirun has started, their processes in the order of the ranks.
ranks_of() {
    "$SOURCE/tests/support/rank_pids.sh" "$1"
}

# with_mpi NAME: was the program built with "Open MPI", or "Open MPI 5", or "MPICH"?
with_mpi() { "$MPILORA" --version | grep -q "^MPI: $1[ .]"; }

# is_stopped: the `status` of mpirun is that of ranks which were asked to stop. MPICH 4.0's mpirun ends with status 0 at
# times, even if all ranks have ended with another one.
is_stopped() { [ "$status" = 75 ] || { [ "$status" = 0 ] && with_mpi MPICH; }; }

passed() {
    echo "$checks checks passed"
}
