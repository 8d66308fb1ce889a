#!/usr/bin/env bash
# Training on several machines without a batch system, with mpirun and ssh:
#
#     jobs/hosts.sh my-hosts --config my.yaml --model /shared/model --data my.jsonl --output runs/mine
#
# The first argument is a file with one line a machine, its name and how many ranks it gets (one or two are best, see
# README.md here). What follows goes to `mpilora train`, or to `mpilora study` when the next word is `study`.
#
#     node1 slots=1
#     node2 slots=1
#
# It takes: ssh to each machine without a password (try `ssh node2 hostname`), the same Open MPI on all of them, and the
# folder of mpilora, the one you start this from, model, data and output at the same paths on all, so on a shared file system;
# with --load broadcast the first machine alone needs the model.
#
# Ctrl-C once saves a checkpoint and stops; the same command again goes on from there. When a machine is lost the run
# ends; take its line out of the file, and the same command goes on from the last checkpoint without it. The
# result does not depend on the number of machines.
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/jobs/env.sh" # before set -u, which some sites' modules do not stand
set -euo pipefail
. "$top/jobs/supervise.sh"

[ $# -ge 1 ] || { echo "usage: jobs/hosts.sh HOSTFILE [study] OPTIONS..." >&2; exit 2; }
[ -f "$1" ] || { echo "jobs/hosts.sh: $1: no such file of hosts" >&2; exit 2; }
hosts=$1
shift
command=train
if [ "${1:-}" = study ]; then
    command=study
    shift
fi

# A machine that is switched off says nothing. After this many silent seconds, and three questions two seconds apart, mpirun
# takes it for lost and ends the run (Open MPI's own value is five minutes). When ranks leave before, for a --rank-timeout
# shorter than this, mpirun would wait for the lost machine, for a quarter of an hour: supervise.sh then ends it.
export OMPI_MCA_oob_tcp_keepalive_time=${OMPI_MCA_oob_tcp_keepalive_time:-20}
export OMPI_MCA_oob_tcp_keepalive_intvl=${OMPI_MCA_oob_tcp_keepalive_intvl:-2}
export OMPI_MCA_oob_tcp_keepalive_probes=${OMPI_MCA_oob_tcp_keepalive_probes:-3}

# mpirun by its whole path: it then starts its helpers on the other machines from the same folder. ssh does not take the
# environment along, so -x names what modules have set. --bind-to none: a rank's threads must not share one core.
set -- "$MPILORA" "$command" "$@"
for name in PATH LD_LIBRARY_PATH MPILORA_LEFT; do
    [ -z "${!name+set}" ] || set -- -x "$name" "$@"
done
supervise "$(command -v mpirun)" --hostfile "$hosts" --bind-to none "$@"
[ "$status" != 75 ] || echo "saved; the same command goes on from here" >&2
exit "$status"
