# What ends a job of Slurm before its training is done, and what becomes of it then, each as jobs/README.md says: cancelled,
# preempted, requeued, at its time limit. It saves every time.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/cluster/hosts.sh"
hosts_need_namespaces
. "$SOURCE/tests/cluster/slurm.sh"
slurm_need
. "$SOURCE/tests/support/train.sh"
hosts_up head node1 node2
slurm_up 2 2
cp -r "$SOURCE/jobs" "$work/top" && mkdir "$work/top/jobs" && mv "$work"/top/*.* "$work/top/jobs" || fail "no copy of the scripts"
cd "$work/top" || exit
export MPILORA

more="--max-steps 100000 --save-every 0"
newest() { readlink "$work/$1/checkpoints/latest"; }

# begin NAME STEP OPTION...: the very command that jobs/README.md has, until it has done that step.
begin() {
    local name=$1 step=$2
    shift 2
    submit ${sbatch:-} --output="$work/$name.log" jobs/train.sbatch $options $more --output "$work/$name" "$@"
    until_true $$ has_step "$name" "$step"
}
has_step() { awk -v wanted="$2" -F '[ /]' '/^step / && $2 >= wanted { found = 1 } END { exit !found }' "$work/$1.log"; }
log_says() {
    checks=$((checks + 1))
    until_true $$ grep -qE "$2" "$work/$1.log"
}
is_in_state() { [ "$(job_says JobState)" = "$1" ]; }

# On whole nodes, however small they are; both of them, since they are free.
begin cancelled 20
log_says cancelled '^ *ranks +2, node1 \(1 rank\), node2 \(1 rank\)'

# Cancelled: it saves, and does not come back.
slurm scancel "$job"
log_says cancelled 'stopped by a signal at step [0-9]+ of 100000'
log_says cancelled ' cancelled: saved, and not back into the queue; the same sbatch goes on from here$'
until_true $$ is_in_state CANCELLED
[ -n "$(newest cancelled)" ] || fail "no checkpoint"
[ "$(job_says Restarts)" = 0 ] || fail "it was requeued"

# The same command goes on. Requeued by its owner: it saves, and comes back once.
begin cancelled 40
log_says cancelled '^going on from .*step-'
before=$(newest cancelled)
slurm scontrol requeue "$job"
log_says cancelled ' saved; Slurm has put the job back into the queue \(restart 0 so far\)$'
until_true $$ is_in_state RUNNING
[ "$(job_says Restarts)" = 1 ] || fail "restarts: $(job_says Restarts)"
[[ $(newest cancelled) > $before ]] || fail "nothing was saved: $(newest cancelled)"
goes_on_again() { [ "$(grep -c '^going on from' "$work/cancelled.log")" = 2 ]; }
until_true $$ goes_on_again # before its script listens, a signal would end it at once
slurm scancel "$job"
until_true $$ is_in_state CANCELLED

# What --resume says holds for the first start: after a requeue the job goes on from what it has saved itself. Beside it, one
# with little time, which uses all of it, and a shell's SLURM_JOB_END_TIME of another job is not taken for its own.
export SLURM_JOB_END_TIME=$(($(date +%s) + 8))
sbatch="--nodes=1 --time=1" begin short 20
unset SLURM_JOB_END_TIME
short=$job
sbatch=--nodes=1 begin from 20 --resume "$work/cancelled"
log_says from "^going on from $work/cancelled/checkpoints/step-"
slurm scancel --batch --signal=USR1 "$job"
log_says from ' saved; back into the queue \(restart 0 so far\)$'
log_says from "^going on from $work/from/checkpoints/step-"
slurm scancel "$job"
until_true $$ is_in_state CANCELLED

job=$short
log_says short 'stopped in time for the limit at step [0-9]+ of 100000'
log_says short ' saved; back into the queue \(restart 0 so far\)$'
log_says short '^going on from .*step-'
slurm scancel "$job"
until_true $$ is_in_state CANCELLED
[ -z "$(ls -A | grep '^.mpilora-')" ] || fail "notes are left over: $(ls -A)"

# One that comes to no step in its time does not come back for ever. (The program has not begun when it is asked to stop.)
printf '#!/bin/sh\ntrap "exit 75" USR1 TERM\nsleep 1000 &\nwait\n' >"$work/slow"
chmod +x "$work/slow"
MPILORA=$work/slow submit --nodes=1 --time=1 --output="$work/nothing.log" jobs/train.sbatch $options --output "$work/nothing"
nothing=$job

# Meanwhile a study as documented, on nodes with fewer processors than it would take ranks.
grep -vE '^(output|learning-rate):' "$work/train.yaml" >"$work/study.yaml"
printf 'max-steps: 5\nlearning-rate: [1e-3, 1e-2]\nseed: [0, 1]\n' >>"$work/study.yaml"
submit --array=1-2 --output="$work/study-%a.log" jobs/study-array.sbatch --config "$work/study.yaml" --output "$work/study"
for part in 1 2; do
    log_says study-$part '^cells: 2 done, 0 running, 0 failed, 0 left'
done

job=$nothing
sleep 30 # Slurm looks at limits twice a minute
log_says nothing ' its time was over before a step was done, and would be again: give it more \(sbatch --time=...\)$'
until_true $$ is_in_state TIMEOUT

# Preempted by a job of more importance: in `main` Slurm puts it back into the queue, in `spare` it does so itself.
for partition in main spare; do
    sbatch=--partition=$partition begin $partition 20
    low=$job
    submit --partition=urgent --nodes=2 --exclusive --output=/dev/null --wrap 'sleep 1'
    log_says $partition 'stopped by a signal at step'
    job=$low
    log_says $partition '^going on from .*step-'
    [ "$(job_says Restarts)" = 1 ] || fail "restarts in $partition: $(job_says Restarts)"
    slurm scancel "$job"
    until_true $$ is_in_state CANCELLED
done
grep -q ' saved; Slurm has put the job back into the queue' "$work/main.log" || fail "$(cat "$work/main.log")"
grep -q ' saved; back into the queue (restart 0 so far)' "$work/spare.log" || fail "$(cat "$work/spare.log")"
passed
