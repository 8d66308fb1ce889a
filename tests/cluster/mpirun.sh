# Sourced by the tests of training over pretended hosts, after hosts.sh: jobs/hosts.sh as a user would start it.
with_mpi "Open MPI" || skip "the agent that stands for ssh is one of Open MPI"
export OMPI_MCA_plm_rsh_agent=$SOURCE/tests/cluster/agent.sh # in the place of ssh
export OMPI_MCA_oob_tcp_if_include=eth0 OMPI_MCA_btl_tcp_if_include=eth0
export PRTE_MCA_plm_ssh_agent=$OMPI_MCA_plm_rsh_agent PRTE_MCA_oob_tcp_if_include=eth0 # Open MPI 5
export OMPI_MCA_mpi_yield_when_idle=1 # each host believes that all cores are its own

# train_over HOST[:RANKS],HOST... FOLDER OPTION...: one rank on each host, or so many, started from the host `head`.
train_over() {
    local folder=$2 host
    for host in ${1//,/ }; do
        case $host in
        *:*) echo "${host%:*} slots=${host#*:}" ;;
        *) echo "$host slots=1" ;;
        esac
    done >"$work/hostfile"
    shift 2
    on_network_of head timeout --kill-after=10 120 "$SOURCE/jobs/hosts.sh" "$work/hostfile" $options --output "$folder" "$@"
}

has_reached() { awk -F '[ /]+' -v step="$1" '/^step / && $2 >= step { found = 1 } END { exit !found }' "$work/err"; }

# begin_over HOST,HOST... FOLDER STEP OPTION...: starts it in the background as $pid, until it has come that far.
begin_over() {
    local hosts=$1 folder=$2 step=$3
    shift 3
    train_over "$hosts" "$folder" "$@" >"$work/out" 2>"$work/err" </dev/null &
    pid=$!
    background="$background $pid"
    until_true $pid has_reached "$step"
}
