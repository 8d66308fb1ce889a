#!/usr/bin/env bash
# rank_pids.sh [PARENT]: the processes of ranks, one a line, in the order of the ranks: of the children of this process
# (of mpirun, say), or of all that /proc shows (of a pretended host). Known by the number that the launcher gave them.
if [ $# -gt 0 ]; then processes=$(pgrep -P "$1"); else processes=$(ls /proc | grep -x '[0-9]*'); fi
for process in $processes; do
    rank=$(tr '\0' '\n' <"/proc/$process/environ" | sed -n 's/^OMPI_COMM_WORLD_RANK=//p')
    [ -z "$rank" ] || echo "$rank $process"
done 2>/dev/null | sort -n | cut -d' ' -f2
