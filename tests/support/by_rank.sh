#!/usr/bin/env bash
# by_rank.sh COMMAND... + COMMAND...    under mpirun: the last rank becomes the second command, all others the first.
# (mpirun takes several commands itself, but that of Open MPI 5.0.7 in Debian 13 crashes then.)
rank=${OMPI_COMM_WORLD_RANK:-${PMI_RANK:?is the number of the rank}}
ranks=${OMPI_COMM_WORLD_SIZE:-${PMI_SIZE:?is the number of ranks}}
first=()
while [ "${1:?there is no + between two commands}" != + ]; do
    first+=("$1")
    shift
done
shift
[ "$rank" = $((ranks - 1)) ] || set -- "${first[@]}"
exec "$@"
