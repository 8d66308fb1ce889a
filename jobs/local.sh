#!/usr/bin/env bash
# Training on one machine with mpirun:
#
#     jobs/local.sh 2 --config jobs/quickstart.yaml --model PATH --data my.jsonl --output runs/mine
#
# The first argument is the number of ranks. The other arguments are passed to `mpilora train`, or to `mpilora study` if
# the second one is `study`. Press Ctrl-C once to save a checkpoint and stop; the same command then continues from
# there.
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/jobs/env.sh" # before set -u, because the modules of some sites fail with it
set -euo pipefail
. "$top/jobs/supervise.sh"

case ${1:-} in
'' | *[!0-9]*) echo "usage: jobs/local.sh RANKS [study] OPTIONS..." >&2; exit 2 ;;
esac
ranks=$1
shift
command=train
if [ "${1:-}" = study ]; then
    command=study
    shift
fi

# --bind-to none: the threads of a rank must not share one core. More ranks than cores are allowed: the variables say so to
# Open MPI 4 and 5, and MPICH does not ask.
export OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
supervise mpirun -n "$ranks" --bind-to none "$MPILORA" "$command" "$@"
[ "$status" != 75 ] || echo "saved; the same command goes on from here" >&2
exit "$status"
