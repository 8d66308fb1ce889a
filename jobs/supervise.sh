# Sourced by the job scripts: how ranks are started, asked to stop, and waited for.

# Open MPI refuses root unless told; in a container root is often the only user there is.
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

# When Slurm will end the job, for --time-limit: in seconds since 1970. Older versions of Slurm do not tell the job, and
# sbatch may have handed on that of another one, from whose shell it was called.
if [ -n "${SLURM_JOB_ID:-}" ]; then
    end=$(squeue -h -o %e -j "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}") &&
        [ -n "$end" ] && end=$(date -d "$end" +%s 2>/dev/null) && export SLURM_JOB_END_TIME=$end
fi

# Of sbatch --export=NONE, which some sites make the default: srun would start the ranks without what env.sh has set.
unset SLURM_EXPORT_ENV

# A rank that leaves because another one does not answer (--rank-timeout) makes this file, here where all nodes see it.
export MPILORA_LEFT=$PWD/.mpilora-left-${SLURM_JOB_ID:-$(hostname)-$$}

# Rank 0 writes its status into this file at its end. What the launcher ends with may be another: that of mpirun of Open MPI 5 is
# 0 when it has lost a machine, and a rank that MPI, Slurm or the kernel has ended leaves some number.
export MPILORA_ENDED=$PWD/.mpilora-ended-${SLURM_JOB_ID:-$(hostname)-$$}

# Rank 0 writes a number of steps into this file when it has saved a step of its own for the first time: so a job that comes
# back from the queue knows that there is something to go on from, and whether a start got anywhere. 0 stands for a part of what
# pairs are compared with: that is progress, and nothing that --resume could mean.
if [ -n "${SLURM_JOB_ID:-}" ]; then
    export MPILORA_SAVED=$PWD/.mpilora-saved-$SLURM_JOB_ID
    [ "${SLURM_RESTART_COUNT:-0}" != 0 ] || rm -f "$MPILORA_SAVED" # Slurm does not set it at the first start
    case $(cat "$MPILORA_SAVED" 2>/dev/null) in
    '') ;;
    0) rm "$MPILORA_SAVED" ;;
    *) echo before >"$MPILORA_SAVED" ;;
    esac
fi

to_launcher() { kill "-$1" "$launcher" 2>/dev/null || true; }

# Beside the launcher: ends it when ranks have left and it does not. It may wait for ever for a machine that is gone (mpirun,
# before it notices), or that came back so soon that nobody noticed (srun).
end_launcher_after_ranks() {
    local since=0
    while kill -0 "$launcher" 2>/dev/null; do
        [ ! -e "$MPILORA_LEFT" ] || since=$((since + 1))
        if [ "$since" -gt "${LEAVE_GRACE:-30}" ]; then
            echo "$(date '+%F %T') the ranks have left, but not ${launcher_name##*/}: ending it" >&2
            kill -KILL -- "-$launcher" 2>/dev/null # and what it has started itself
            return
        fi
        sleep 1
    done
}

# supervise COMMAND...: runs mpirun or srun to its end and sets `status` to its exit status, and `ended` to that with which
# mpilora itself has ended, or to nothing.
#
# To mpilora USR1, TERM and INT all mean: finish the step, save, leave with status 75. The launchers are less patient: on
# TERM or INT srun kills its ranks at once and mpirun a second later, but both hand USR1 on. So whatever comes to this
# script becomes USR1: Ctrl-C, a closed terminal, scancel and a requeue (TERM). A second Ctrl-C ends the launcher, and with it
# the ranks, at once. USR2 is what Slurm sends two minutes before a job's end, for ranks that do not know when that is; those
# that do leave in time, with all that they can do by then.
supervise() {
    # srun is to give each task the cores that sbatch was asked for, which from 22.05 on it does only if told. But the srun
    # that mpirun starts one helper a node with must not have it, and that of 24.11 reads it itself again: the helper needs
    # the cores of all ranks there. They learn their share from OMP_NUM_THREADS.
    local start=(setsid) # in a session of its own the launcher does not see the terminal's Ctrl-C
    unset SRUN_CPUS_PER_TASK
    rm -f "$MPILORA_LEFT"
    { : >"$MPILORA_ENDED"; } 2>/dev/null || true # where this folder cannot be written, the launcher's word has to do
    case ${1##*/} in
    srun) [ -z "${SLURM_CPUS_PER_TASK:-}" ] || export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK ;;
    *)
        start+=(env -u SLURM_CPUS_PER_TASK -u SLURM_TRES_PER_TASK)
        [ -z "${SLURM_CPUS_PER_TASK:-}" ] || start+=("OMP_NUM_THREADS=${OMP_NUM_THREADS:-$SLURM_CPUS_PER_TASK}") ;;
    esac
    "${start[@]}" "$@" &
    launcher=$! launcher_name=$1
    end_launcher_after_ranks &
    local helper=$!
    trap 'to_launcher USR1' USR1 TERM HUP
    trap '[ -n "${SLURM_JOB_END_TIME:-}" ] || to_launcher USR1' USR2
    trap 'to_launcher USR1; trap "to_launcher KILL" INT' INT
    while kill -0 "$launcher" 2>/dev/null; do # wait ends early when a signal comes
        wait "$launcher" || true
    done
    status=0
    wait "$launcher" || status=$?
    kill "$helper" 2>/dev/null || true
    ended=$status
    [ ! -e "$MPILORA_ENDED" ] || ended=$(cat "$MPILORA_ENDED")
    if [ -e "$MPILORA_LEFT" ]; then # whatever the launcher made of it
        status=75
    elif [ "$status" = 0 ] && [ "${1##*/}" = mpirun ]; then
        status=${ended:-1}
        [ -n "$ended" ] || echo "mpirun ended with status 0, but mpilora did not come to its end: was a machine lost? The same" \
            "command goes on from the last checkpoint; jobs/hosts.sh takes a file without that machine" >&2
    fi
    rm -f "$MPILORA_LEFT" "$MPILORA_ENDED"
}

# resume_options OPTION...: sets `options` to what this start is to be given. One that comes back from the queue goes on from
# what the job itself has saved, whatever --resume and --overwrite said about its first start.
resume_options() {
    options=("$@")
    [ -e "$MPILORA_SAVED" ] || return 0
    options=()
    while [ $# -gt 0 ]; do
        case $1 in
        --resume) [ $# = 1 ] || shift ;;
        --resume=* | --overwrite | --overwrite=* | --no-overwrite) ;;
        *) options+=("$1") ;;
        esac
        shift
    done
    options+=(--resume auto)
}

# job_says NAME: that field of the job's record.
job_says() { tr ' ' '\n' <<<"$record" | sed -n "s/^$1=//p" | head -n 1; }

# Why does the job end? Sets `fate`: `own`, it has itself to see to what comes next; `requeued`, Slurm has put it back into the
# queue; or `cancelled`. Slurm calls all that it ends COMPLETING, and a job that reaches its time limit, or is preempted
# without being requeued, differs from one that is cancelled in one field.
find_fate() {
    local record
    fate=own
    record=$(scontrol show job -o "$SLURM_JOB_ID") || return 0
    case $(job_says JobState) in
    RUNNING) ;;
    *CANCELLED*) fate=cancelled ;;
    PENDING) fate=requeued ;;
    *)
        if [ "$(job_says Restarts)" != "${SLURM_RESTART_COUNT:-0}" ]; then
            fate=requeued
        elif [ "$(job_says Reason)" != TimeLimit ] && [[ $(job_says PreemptTime) != [0-9]* ]]; then
            fate=cancelled
        fi ;;
    esac
}

say() { echo "$(date '+%F %T') $*"; }

# Has this start saved a step, or a part of the reference?
has_got_on() { [ "$(cat "$MPILORA_SAVED" 2>/dev/null || echo before)" != before ]; }

# Status 75 means: not finished, but a checkpoint is there to go on from. It comes from a signal, from --time-limit, and
# from --rank-timeout when a node was lost. It is taken for 75 when mpilora did not end by itself, after a save: Open MPI 5 may
# end the ranks before that timeout does. The job then goes back into the queue, under the same number, and goes on with
# the nodes that it gets. Everything else ends the job, as does `scancel JOBID`; and a job that would come back for ever: too
# often, or because its time is over before it has done a step.
requeue_if_saved() {
    local before=${SLURM_RESTART_COUNT:-0} fate=own
    if [ "$status" != 0 ] && [ "$status" != 75 ] && [ -z "$ended" ] && has_got_on; then
        say "mpilora did not come to its end (status $status): a node or a rank was lost"
        status=75
    fi
    if [ "$status" = 75 ]; then
        find_fate
        if [ $fate = requeued ]; then
            say "saved; Slurm has put the job back into the queue (restart $before so far)"
            return
        elif [ $fate = cancelled ]; then
            say "cancelled: saved, and not back into the queue; the same sbatch goes on from here"
        elif [ "$before" -ge "${MAX_RESTARTS:-100}" ]; then
            say "started $((before + 1)) times, and not again (MAX_RESTARTS)"
        elif ! has_got_on && [ $((${SLURM_JOB_END_TIME:-9999999999} - $(date +%s))) -lt 120 ]; then
            say "its time was over before a step was done, and would be again: give it more (sbatch --time=...)"
        else
            say "saved; back into the queue (restart $before so far)"
            scontrol requeue "$SLURM_JOB_ID" && return
            say "Slurm does not put it back into the queue: submit the same line again to go on"
        fi
    fi
    rm -f "$MPILORA_SAVED"
}
