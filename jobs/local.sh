#!/usr/bin/env bash
# Training on one machine with mpirun:
#
#     jobs/local.sh 2 --config jobs/quickstart.yaml --model PATH --data my.jsonl --output runs/mine
#
# The first argument is the number of ranks, the others go to `mpilora train`, or to `mpilora study` when the next is
# `study`. Ctrl-C once saves a checkpoint and stops; the same command again goes on from there.
set -euo pipefail
cd "$(dirname "$0")/.."
. jobs/env.sh

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

# Open MPI refuses root unless told; in a container root is often the only user there is.
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

# mpirun answers Ctrl-C (INT) and TERM by killing the ranks a second later, but hands USR1 on to them at once. In a
# session of its own it does not see the terminal's Ctrl-C, and this script sends USR1 in its place.
# --bind-to none: a rank has several threads, which must not share one core.
setsid mpirun -n "$ranks" --bind-to none --oversubscribe "$MPILORA" "$command" "$@" &
run=$!
trap 'kill -USR1 "$run" 2>/dev/null || true' INT TERM

status=0
while :; do
    wait "$run" && status=0 || status=$?
    kill -0 "$run" 2>/dev/null || break
done
[ "$status" != 75 ] || echo "saved; the same command goes on from here" >&2
exit "$status"
