#!/usr/bin/env bash
# Training on several machines without a batch system, with mpirun and ssh:
#
#     jobs/hosts.sh my-hosts --config my.yaml --model /shared/model --data my.jsonl --output runs/mine
#
# The first argument is a file with one line for each machine: its name and its number of ranks (one or two are best,
# see README.md in this folder). The other arguments are passed to `mpilora train`, or to `mpilora study` if the second
# one is `study`.
#
#     node1 slots=1
#     node2 slots=1
#
# Requirements: ssh to each machine without a password (try `ssh node2 hostname`), the same MPI on all of them, and
# a shared file system, so that the folder of mpilora, the current folder, model, data and output have the same paths on
# all of them. With --load broadcast only the first machine needs the model.
#
# Press Ctrl-C once to save a checkpoint and stop; the same command then continues from there. When a machine is lost,
# the run ends; remove its line from the file and start the same command again: it continues from the last checkpoint
# without that machine. The result does not depend on the number of machines.
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/jobs/env.sh" # before set -u, because the modules of some sites fail with it
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

# A machine that is switched off does not answer. After this many seconds, and three probes two seconds apart, mpirun
# treats it as lost and ends the run (Open MPI's default is five minutes). If the ranks end earlier, because
# --rank-timeout is shorter than this, mpirun would wait a quarter of an hour for the lost machine: supervise.sh then
# ends mpirun.
for setting in time=20 intvl=2 probes=3; do
    for name in {OMPI,PRTE}_MCA_oob_tcp_keepalive_"${setting%=*}"; do # of Open MPI 4, and of 5
        export "$name=${!name:-${setting#*=}}"
    done
done

# With its full path, mpirun starts its helpers on the other machines from the same folder. ssh does not pass the
# environment on, so -x names the variables that modules have set; MPICH passes all of it on by itself, and writes hosts as
# node1:1,node2:1. --bind-to none: the threads of a rank must not share one core.
set -- "$MPILORA" "$command" "$@"
case $(mpirun --version 2>&1) in
*HYDRA* | *Intel*)
    list=$(sed -E 's/#.*//; /^[[:space:]]*$/d; s/[[:space:]]+slots=([0-9]+).*/:\1/; s/[[:space:]].*//' "$hosts" | paste -sd,)
    count=$(tr , '\n' <<<"$list" | awk -F: '{ sum += NF > 1 ? $2 : 1 } END { print sum }')
    supervise "$(command -v mpirun)" -hosts "$list" -n "$count" --bind-to none "$@" ;;
*)
    for name in PATH LD_LIBRARY_PATH MPILORA_LEFT MPILORA_ENDED; do
        [ -z "${!name+set}" ] || set -- -x "$name" "$@"
    done
    supervise "$(command -v mpirun)" --hostfile "$hosts" --bind-to none "$@" ;;
esac
[ "$status" != 75 ] || echo "saved; the same command goes on from here" >&2
exit "$status"
