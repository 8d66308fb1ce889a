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
goes_on requeued node1 node2
grep -q "saved; back into the queue (restart 0 so far)" "$work/requeued.log" || fail "$(cat "$work/requeued.log")"

# The program learns when Slurm will end its job.
submit --time=7 --output="$work/end.log" --wrap '. jobs/supervise.sh; echo "$SLURM_JOB_END_TIME"'
job_completes 60
[ "$(cat "$work/end.log")" = $(($(date -d "$(job_says StartTime)" +%s) + 7 * 60)) ] || fail "end: $(cat "$work/end.log")"

# What sbatch gives each task, srun gives it too.
submit --ntasks=2 --cpus-per-task=2 --time=5 --output="$work/cores.log" \
    --wrap '. jobs/supervise.sh; supervise srun --kill-on-bad-exit=1 scontrol show step "$SLURM_JOB_ID.0"'
job_completes 60
[ "$(grep -c 'CPUs=4 Tasks=2 ' "$work/cores.log")" = 2 ] || fail "$(cat "$work/cores.log")"

# A host dies and is back before Slurm notices. The other rank leaves after --rank-timeout; the job goes on.
export LEAVE_GRACE=3
begin back --rank-timeout 3
host_kill node2
slurm_node_boot node2
until_true $$ grep -q "saved; back into the queue" "$work/back.log"
grep -q "has waited for" "$work/back.log" || fail "no rank left by itself: $(cat "$work/back.log")"
job_completes 120
goes_on back node1 "node[23]"

# A host dies. Slurm notices after a while, and puts the job back into the queue; it goes on with another host.
begin lost
host_kill node2
job_completes 120
goes_on lost node1 node3
passed
