# Sourced by the job scripts: how ranks are started, asked to stop, and waited for.

# Open MPI refuses root unless told; in a container root is often the only user there is.
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

# When Slurm will end the job, for --time-limit: in seconds since 1970. Older versions of Slurm do not tell the job.
if [ -n "${SLURM_JOB_ID:-}" ] && [ -z "${SLURM_JOB_END_TIME:-}" ]; then
    end=$(squeue -h -o %e -j "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}") &&
        end=$(date -d "$end" +%s 2>/dev/null) && export SLURM_JOB_END_TIME=$end
fi

# Of sbatch --export=NONE, which some sites make the default: srun would start the ranks without what env.sh has set.
unset SLURM_EXPORT_ENV

# A rank that leaves because another one does not answer (--rank-timeout) makes this file, here where all nodes see it.
export MPILORA_LEFT=$PWD/.mpilora-left-${SLURM_JOB_ID:-$(hostname)-$$}

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

# supervise COMMAND...: runs mpirun or srun to its end and sets `status` to its exit status.
#
# To mpilora USR1, TERM and INT all mean: finish the step, save, leave with status 75. The launchers are less patient: on
# TERM or INT srun kills its ranks at once and mpirun a second later, but both hand USR1 on. So whatever comes to this
# script becomes USR1: Ctrl-C, a closed terminal, what Slurm sends before a time limit (USR1) and at a requeue (TERM). A
# second Ctrl-C ends the launcher, and with it the ranks, at once.
supervise() {
    # Since 22.05 srun does not take this over from sbatch by itself: a task would get one core. But the srun that mpirun
    # starts one helper a node with must not have it: that one needs the cores of all ranks there.
    unset SRUN_CPUS_PER_TASK
    case ${1##*/} in
    srun) [ -z "${SLURM_CPUS_PER_TASK:-}" ] || export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK ;;
    esac
    rm -f "$MPILORA_LEFT"
    setsid "$@" & # in a session of its own the launcher does not see the terminal's Ctrl-C
    launcher=$! launcher_name=$1
    end_launcher_after_ranks &
    local helper=$!
    trap 'to_launcher USR1' USR1 TERM HUP
    trap 'to_launcher USR1; trap "to_launcher KILL" INT' INT
    while kill -0 "$launcher" 2>/dev/null; do # wait ends early when a signal comes
        wait "$launcher" || true
    done
    status=0
    wait "$launcher" || status=$?
    kill "$helper" 2>/dev/null || true
    if [ -e "$MPILORA_LEFT" ]; then # whatever the launcher made of it
        status=75
        rm -f "$MPILORA_LEFT"
    fi
}

# Status 75 means: not finished, but a checkpoint is there to go on from. It comes from a signal, from --time-limit, and
# from --rank-timeout when a node was lost. The job then goes back into the queue, under the same number, and goes on with
# the nodes that it gets. Everything else ends the job. A job that comes back too often is stopped, in case it gets nowhere.
requeue_if_saved() {
    local before=${SLURM_RESTART_COUNT:-0} # Slurm does not set it at the first start
    [ "$status" = 75 ] || return 0
    if [ "$before" -ge "${MAX_RESTARTS:-100}" ]; then
        echo "$(date '+%F %T') started $((before + 1)) times, and not again (MAX_RESTARTS)"
        return
    fi
    echo "$(date '+%F %T') saved; back into the queue (restart $before so far)"
    scontrol requeue "$SLURM_JOB_ID"
}
