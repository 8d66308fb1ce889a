# Sourced by the tests under Slurm, after hosts.sh: a real Slurm over pretended hosts, node1, node2, ...
#
#   slurm_need            skips the test where Slurm is not installed
#   slurm_up NODES CPUS   boots `head` (munged, slurmctld) and the nodes (slurmd); ends with the hosts
#   slurm COMMAND...      sbatch, scontrol, ... on head
#   slurm_node_boot NODE  a node that was killed, back at work
#   submit ARGUMENT...    sbatch; sets `job`
#   job_says NAME         a field of `scontrol show job`
#   job_completes SECONDS waits until it has
slurm_folder=$work/slurm
export SLURM_CONF=$slurm_folder/slurm.conf SLURM_MPI_TYPE=pmix SLURM_PMIX_FENCE=ring # as jobs/env.sh says
if with_mpi MPICH; then
    SLURM_MPI_TYPE=pmi2 # likewise
    export UCX_TLS=tcp,self # UCX takes ranks of this machine for neighbours, which on pretended hosts do not share memory
fi

slurm_need() {
    local tool
    for tool in munged slurmctld slurmd sbatch; do
        command -v $tool >/dev/null || skip "$tool is not installed (Debian: slurm-wlm, munge)"
    done
    [ "$(id -u)" = 0 ] && setpriv --clear-groups true 2>/dev/null || skip "Slurm starts jobs as root only"
}

# What is not Slurm's own default:
# - cred_expire: a requeued job waits as long as credentials are good, two minutes by default;
# - TmpFS: PMIx keeps files there, and the nodes share this machine's /tmp;
# - JobRequeue: what holds for jobs that do not say; ours do;
# - KillOnBadExit: the survivors of a lost rank would go on;
# - config_overrides: a node has the processors that it is said to have;
# - jobs of `urgent` take the nodes of others: those of `main` go back into the queue, those of `spare` end;
# - SlurmdTimeout, KillWait, the scheduler's intervals: a test cannot wait for minutes.
# Without cgroups, which belong to this machine.
slurm_configure() { # slurm_configure NODES CPUS
    local user node
    user=$(id -un)
    mkdir -p "$slurm_folder"/{munge,state,log,run}
    chmod 700 "$slurm_folder/munge"
    (umask 077 && head -c 1024 /dev/urandom >"$slurm_folder/munge/key")
    for node in $(seq -f node%g "$1"); do mkdir -p "$slurm_folder"/{spool,tmp}/"$node"; done
    printf 'CgroupPlugin=cgroup/v1\nConstrainCores=no\nConstrainRAMSpace=no\n' \
        >"$slurm_folder/cgroup.conf"
    cat >"$SLURM_CONF" <<CONF
ClusterName=pretended
SlurmctldHost=head
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$slurm_folder/run/munge.sock,cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=bf_interval=1,sched_interval=1,requeue_delay=1
PriorityType=priority/basic
StateSaveLocation=$slurm_folder/state
SlurmctldPidFile=$slurm_folder/run/slurmctld.pid
SlurmctldLogFile=$slurm_folder/log/slurmctld
SlurmdPidFile=$slurm_folder/run/%n.pid
SlurmdLogFile=$slurm_folder/log/%n
SlurmdSpoolDir=$slurm_folder/spool/%n
TmpFS=$slurm_folder/tmp/%n
SlurmctldTimeout=30
SlurmdTimeout=10
KillWait=5
MinJobAge=300
ReturnToService=2
JobRequeue=0
KillOnBadExit=1
SlurmdParameters=config_overrides
NodeName=node[1-$1] CPUs=$2 RealMemory=500 State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes=node[1-$1] Default=YES MaxTime=INFINITE State=UP
PartitionName=spare Nodes=node[1-$1] MaxTime=INFINITE State=UP PreemptMode=CANCEL
PartitionName=urgent Nodes=node[1-$1] MaxTime=INFINITE State=UP PreemptMode=OFF PriorityTier=10
CONF
}

slurm() { on_host head timeout 60 "$@"; }

all_idle() { [ "$(slurm sinfo -h -N -t idle -o %N | sort -u | wc -l)" = "$1" ]; }

slurm_up() {
    local node
    slurm_configure "$1" "$2"
    on_host head munged --key-file="$slurm_folder/munge/key" --socket="$slurm_folder/run/munge.sock" \
        --pid-file="$slurm_folder/munge/pid" --log-file="$slurm_folder/munge/log" \
        --seed-file="$slurm_folder/munge/seed" --num-threads=2 --force >/dev/null 2>&1 ||
        fail "munged does not start: $(cat "$slurm_folder/munge/log")"
    on_host head slurmctld -f "$SLURM_CONF" || fail "slurmctld does not start"
    for node in $(seq -f node%g "$1"); do on_host "$node" slurmd -N "$node" -f "$SLURM_CONF"; done
    for _ in $(seq 150); do
        if all_idle "$1"; then
            slurm srun --mpi=list 2>&1 | grep -q "$SLURM_MPI_TYPE" || skip "this Slurm does not know $SLURM_MPI_TYPE"
            return
        fi
        sleep 0.1
    done
    fail "Slurm did not come up: $(slurm sinfo -N -o '%N %T %E'; tail -n 5 "$slurm_folder"/log/*)"
}

# What PMIx left of a step that was killed keeps the step, which has the same number after a requeue, from starting.
slurm_node_boot() {
    host_boot "$1"
    rm -rf "$slurm_folder/tmp/$1"/spmix_appdir_* "$slurm_folder/spool/$1"/*pmix.*
    on_host "$1" slurmd -N "$1" -f "$SLURM_CONF"
}

submit() { job=$(slurm sbatch --parsable "$@") || fail "sbatch refuses: $*"; }

job_says() { slurm scontrol show job "$job" | grep -oE "$1=[^ ]*" | head -n 1 | cut -d= -f2; }

job_completes() {
    local state
    checks=$((checks + 1))
    for _ in $(seq $(($1 * 4))); do
        state=$(job_says JobState)
        case $state in COMPLETED) return ;; FAILED | CANCELLED | TIMEOUT | NODE_FAIL) break ;; esac
        sleep 0.25
    done
    slurm scontrol show job "$job" >&2
    tail -n 20 "$work"/*.log "$slurm_folder/log/slurmctld" >&2
    fail "job $job does not complete: $state"
}
