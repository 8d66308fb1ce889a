# The job scripts under a real Slurm: training over nodes, stopped and requeued, with the bytes of a run that never was;
# a study as an array.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/cluster/hosts.sh"
hosts_need_namespaces
. "$SOURCE/tests/cluster/slurm.sh"
slurm_need
. "$SOURCE/tests/support/train.sh"
hosts_up head node1 node2 node3
slurm_up 3 4
cd "$SOURCE"

# What an administrator runs first, on every node.
for count in 2 4; do
    check 0 slurm srun --nodes=2 --ntasks=$count "$MPILORA" selftest --threads 1 --output "$work/selftest"
    says out "^ranks +fine +$count ranks on 2 nodes, rank 0 on node[12]"
    says out '^in all +(fine|slow)$'
done

# A rank of another node is late, and none leaves MPI_Init() before it has come, as with another kind of fence.
if with_mpi "Open MPI 4"; then
    (unset SLURM_PMIX_FENCE && . jobs/env.sh && [ "$SLURM_PMIX_FENCE" = ring ]) || fail "jobs/env.sh has another fence than this test"
    check 0 slurm srun --nodes=2 --ntasks=4 env LATE_RANK=3 LATE_FILE="$work/late" LD_PRELOAD="$LATE_FENCE" "$MPILORA" selftest \
        --threads 1 --output "$work/selftest"
    [ -e "$work/late" ] || fail "no rank was late"
    says out '^ranks +fine +4 ranks on 2 nodes'
fi

more="--max-steps 600 --save-every 50"
check 0 train "$work/one" $more

# begin NAME OPTION...: jobs/train.sbatch on two nodes, until some steps are done.
begin() {
    submit --nodes=2 --cpus-per-task=1 --time=5 --output="$work/$1.log" jobs/train.sbatch $options $more --output "$work/$@"
    until_true $$ grep -q "^step 120/" "$work/$1.log"
}

# goes_on NAME NODE NODE: the job was requeued once, went on, lately there, and ended with what one rank makes.
goes_on() {
    [ "$(job_says Restarts)" = 1 ] || fail "the job was not requeued: $(cat "$work/$1.log")"
    grep "^ *ranks  " "$work/$1.log" | tail -n 1 | grep -q "2, $2 (1 rank), $3 (1 rank)" || fail "$(cat "$work/$1.log")"
    grep -q "^going on from" "$work/$1.log" || fail "it began anew: $(cat "$work/$1.log")"
    same_run "$work/one" "$work/$1"
}

# Stopped as Slurm does it before a time limit; the job comes back under its number and goes on. Meanwhile, a study.
begin requeued
slurm scancel --batch --signal=USR1 "$job"
requeued=$job

grep -vE '^(output|learning-rate):' "$work/train.yaml" >"$work/study.yaml"
printf 'max-steps: 20\nlearning-rate: [1e-3, 1e-2]\nseed: [0, 1, 2]\n' >>"$work/study.yaml"
submit --array=1-2 --ntasks-per-node=2 --cpus-per-task=1 --time=5 --output="$work/study-%a.log" jobs/study-array.sbatch \
    --config "$work/study.yaml" --output "$work/study"
job_completes 60
check 0 train "$work/cell" --max-steps 20 --learning-rate 1e-3 --seed 1
same_run "$work/cell" "$work/study/cells/normal-lr0.001-r4-s1"
[ "$(ls -d "$work"/study/cells/*/adapter | wc -l)" = 6 ] || fail "cells: $(ls "$work/study/cells")"
for part in 1 2; do
    grep -q "^cells: 3 done" "$work/study-$part.log" || fail "part $part: $(cat "$work/study-$part.log")"
done

job=$requeued
job_completes 60
goes_on requeued "node[12]" "node[23]" # the study may still have one of the first two
grep -q "saved; back into the queue (restart 0 so far)" "$work/requeued.log" || fail "$(cat "$work/requeued.log")"

# The program learns when Slurm will end its job.
printf '#!/bin/bash\n. jobs/supervise.sh\necho "$SLURM_JOB_END_TIME"\n' >"$work/end"
submit --time=7 --output="$work/end.log" "$work/end"
job_completes 60
[ "$(cat "$work/end.log")" = $(($(date -d "$(job_says StartTime)" +%s) + 7 * 60)) ] || fail "end: $(cat "$work/end.log")"

# What sbatch gives each task, srun gives it too; mpirun's helper on the other node gets the cores of all ranks there. What
# the job script exports reaches the ranks, also where sbatch hands nothing on.
cat >"$work/cores" <<'SCRIPT'
#!/bin/bash
. jobs/supervise.sh
export MARK=seen
supervise srun --kill-on-bad-exit=1 sh -c "echo task \$MARK; scontrol show step \$SLURM_JOB_ID.0"
supervise mpirun --bind-to none sh -c "scontrol show step \$SLURM_JOB_ID.1"
SCRIPT
submit --export=NONE --nodes=2 --ntasks-per-node=2 --cpus-per-task=2 --time=5 --output="$work/cores.log" "$work/cores"
job_completes 60
[ "$(grep -c 'CPUs=8 Tasks=4 ' "$work/cores.log")" = 4 ] || fail "srun: $(cat "$work/cores.log")"
[ "$(grep -c 'task seen' "$work/cores.log")" = 4 ] || fail "srun's environment: $(cat "$work/cores.log")"
[ "$(grep -c 'CPUs=4 Tasks=1 ' "$work/cores.log")" = 4 ] || fail "mpirun: $(cat "$work/cores.log")"

# From a folder that is not mpilora's: one line that says so. A part of an array by itself: of how many?
for try in "--chdir=$work jobs/train.sbatch" "--array=2 jobs/study-array.sbatch"; do
    rm -f "$work/refused.log"
    slurm sbatch -W --nodes=1 --ntasks-per-node=1 --cpus-per-task=1 --time=5 --output="$work/refused.log" $try --model none \
        >"$work/out" 2>"$work/err" && fail "$try: taken"
    grep -qE "submit this from mpilora's top folder|PARTS=8" "$work/refused.log" || fail "$try: $(cat "$work/refused.log")"
    [ "$(wc -l <"$work/refused.log")" = 1 ] || fail "$try: $(cat "$work/refused.log")"
done

# A host dies and is back before Slurm notices. The other rank leaves after --rank-timeout, if Open MPI 5 and the srun of
# Slurm 24.11 do not end it before; the job goes on.
export LEAVE_GRACE=3
begin back --rank-timeout 3
host_kill node2
slurm_node_boot node2
until_true $$ grep -q "saved; back into the queue" "$work/back.log"
grep -qE "has waited for|mpilora did not come to its end \(status [0-9]+\): a node or a rank was lost" "$work/back.log" ||
    fail "no rank left by itself: $(cat "$work/back.log")"
job_completes 120
goes_on back node1 "node[23]"

# A host dies. Slurm notices after a while, and puts the job back into the queue; it goes on with another host.
begin lost
host_kill node2
job_completes 120
goes_on lost node1 node3
passed
