#!/usr/bin/env bash
# Training on one machine with mpirun:
#
#     jobs/local.sh 2 --config jobs/quickstart.yaml --model PATH --data my.jsonl --output runs/mine
#
# The first argument is the number of ranks, the others go to `mpilora train`, or to `mpilora study` when the next is
# `study`. Ctrl-C once saves a checkpoint and stops; the same command again goes on from there.
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/jobs/env.sh" # before set -u, which some sites' modules do not stand
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

# --bind-to none: a rank has several threads, which must not share one core.
supervise mpirun -n "$ranks" --bind-to none --oversubscribe "$MPILORA" "$command" "$@"
[ "$status" != 75 ] || echo "saved; the same command goes on from here" >&2
exit "$status"
