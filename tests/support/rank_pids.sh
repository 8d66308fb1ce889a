#!/usr/bin/env bash
# rank_pids.sh [PARENT]: the processes of ranks, one a line, in the order of the ranks: of the children of this process
# (of mpirun, say, or of MPICH's proxy below it), or of all that /proc shows (of a pretended host). Known by the number
# that the launcher gave them.
if [ $# -gt 0 ]; then
    parents=$1
    for proxy in $(pgrep -P "$1" -x hydra_pmi_proxy); do parents+=,$proxy; done
    processes=$(pgrep -P "$parents")
else
    processes=$(ls /proc | grep -x '[0-9]*')
fi
for process in $processes; do
    rank=$(tr '\0' '\n' <"/proc/$process/environ" | sed -nE 's/^(OMPI_COMM_WORLD|PMI)_RANK=//p')
    [ -z "$rank" ] || echo "$rank $process"
done 2>/dev/null | sort -n | cut -d' ' -f2
