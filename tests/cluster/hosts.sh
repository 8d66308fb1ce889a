# Sourced by the cluster tests, after e2e.sh: pretended hosts on this machine, and the network between them.
#
#   hosts_up NAME...       boots hosts 10.77.0.1, 10.77.0.2, ...; each has its own network, host name, processes and /dev/shm,
#                          and shares the file system; a switch (a bridge) joins them
#   on_host NAME COMMAND...
#   host_kill NAME         its processes are killed, and it is off the network
#   host_boot NAME         the same host again
#   link_rate RATE NAME... limits a host's cable in both directions, in tc's words: 1gbit
#   link_cut NAME          pulls the cable
#   link_join NAME         and puts it back
#   link_bytes NAME...     sets sent[NAME] and received[NAME], bytes since the host was booted
#
# A host is a process, init, and what lives in its namespaces. They have no names on this machine and end with init, and
# that with the test, however it ends: nothing can be left over.
unset OMPI_MCA_ess_singleton_isolated OMPI_MCA_orte_tmpdir_base # a host has its own
hosts_folder=$work/hosts
declare -A sent received
mkdir "$hosts_folder"
PATH=$PATH:/usr/sbin:/sbin # where a user who is not root does not look
export HOSTS=$hosts_folder

# Namespaces take root, which is had on one's own where the system lets users make namespaces.
hosts_need_namespaces() {
    local tool
    for tool in ip tc nsenter unshare setpriv; do
        command -v "$tool" >/dev/null || skip "$tool is not installed (Debian: iproute2, util-linux)"
    done
    if [ "$(id -u)" != 0 ] && unshare --user --map-root-user true 2>/dev/null; then
        rm -rf "$work"
        trap - EXIT
        exec unshare --user --map-root-user -- bash "$0"
    fi
    unshare --net --uts --pid --fork --mount-proc true 2>/dev/null ||
        skip "no namespaces: this takes root, or a system that lets users make namespaces"
    unshare --net -- ip link add name test type bridge 2>/dev/null || skip "this kernel has no bridges"
    unshare --net -- ip link add name test type veth peer name other 2>/dev/null || skip "this kernel has no veth pairs"
}

# hold NAME COMMAND...: starts it in namespaces of its own; it says when it is up, and ends with this test.
hold() {
    local name=$1
    shift
    rm -f "$hosts_folder/$name.up"
    setpriv --pdeathsig KILL unshare "$@" </dev/null >/dev/null 2>&1 &
    for _ in $(seq 200); do
        [ ! -e "$hosts_folder/$name.up" ] || break
        sleep 0.02
    done
    [ -e "$hosts_folder/$name.up" ] || fail "the pretended $name did not come up"
    disown $!
    echo $! >"$hosts_folder/$name.holder"
}

in_switch() { nsenter -t "$(cat "$hosts_folder/switch.holder")" -n -- "$@"; }

on_host() {
    local name=$1
    shift
    "$SOURCE/tests/cluster/agent.sh" "$name" "$(printf '%q ' "$@")"
}

# on_network_of NAME COMMAND...: with that host's network and name, but a process of this machine: it can start others on
# other hosts, and signals reach it.
on_network_of() {
    local init
    init=$(cat "$hosts_folder/$1.init") || fail "no host $1"
    shift
    nsenter -t "$init" -n -u --wd="$PWD" -- "$@"
}

host_boot() {
    local name=$1 address init
    address=$(awk -v n="$name" '$2 == n { print $1 }' "$hosts_folder/names")
    hold "$name" --net --uts --mount --pid --fork --kill-child=KILL --mount-proc bash -c '
        hostname "$1"
        mount --bind "$2/names" /etc/hosts
        mount -t tmpfs -o size=1g tmpfs /dev/shm
        ip link set lo up
        : >"$2/$1.up"
        sleep infinity &
        while :; do wait; sleep 1; done' init "$name" "$hosts_folder"
    init=$(pgrep -P "$(cat "$hosts_folder/$name.holder")") || fail "the pretended $name is gone"
    echo "$init" >"$hosts_folder/$name.init"
    in_switch ip link del "to-$name" 2>/dev/null # of an earlier life
    in_switch ip link add "to-$name" type veth peer name eth0 netns "$init" || fail "no cable for $name"
    in_switch ip link set "to-$name" master bridge up
    on_network_of "$name" ip addr add "$address/24" dev eth0
    on_network_of "$name" ip link set eth0 up
}

host_kill() {
    local holder network
    holder=$(cat "$hosts_folder/$1.holder") || return 0
    network=$(readlink "/proc/$(cat "$hosts_folder/$1.init")/ns/net")
    # All that is on its network: those of on_network_of are no children of init.
    kill -KILL $(find /proc/[0-9]*/ns/net -printf '%l/%p\n' 2>/dev/null |
        awk -F/ -v n="$network" '$1 == n { print $4 }') 2>/dev/null # one may take others along
    while kill -0 "$holder" 2>/dev/null; do sleep 0.02; done
    rm "$hosts_folder/$1".{holder,init}
}

hosts_up() {
    local name number=0
    { echo "127.0.0.1 localhost"; for name in "$@"; do echo "10.77.0.$((number += 1)) $name"; done; } \
        >"$hosts_folder/names"
    hold switch --net bash -c 'ip link add name bridge type bridge && ip link set bridge up && : >"$1/switch.up"
        exec sleep infinity' switch "$hosts_folder"
    for name in "$@"; do host_boot "$name"; done
}

hosts_down() {
    local file
    for file in "$hosts_folder"/*.init; do
        file=${file##*/}
        [ "$file" = '*.init' ] || host_kill "${file%.init}"
    done
    [ ! -e "$hosts_folder/switch.holder" ] || kill -KILL "$(cat "$hosts_folder/switch.holder")"
}
at_exit=hosts_down

link_rate() {
    local rate=$1 name
    shift
    for name in "$@"; do
        on_network_of "$name" tc qdisc replace dev eth0 root tbf rate "$rate" burst 256k latency 10ms &&
            in_switch tc qdisc replace dev "to-$name" root tbf rate "$rate" burst 256k latency 10ms || return
    done
}

link_cut() { in_switch ip link set "to-$1" down; }
# Comes back when all hosts that are up answer again: Open MPI gives a peer up that it cannot connect to at once.
link_join() {
    in_switch ip link set "to-$1" up
    until_true $$ reaches_all "$1"
}

# reaches_all NAME: a connection from it to each host is made or refused, by whom it was sent to.
reaches_all() {
    local name addresses=
    for name in "$hosts_folder"/*.init; do
        name=${name##*/}
        addresses+=" $(awk -v n="${name%.init}" '$2 == n { print $1 }' "$hosts_folder/names")"
    done
    on_network_of "$1" python3 -c '
import errno, socket, sys
for address in sys.argv[1:]:
    with socket.socket() as s:
        s.settimeout(1)
        if s.connect_ex((address, 9)) not in (0, errno.ECONNREFUSED):
            sys.exit(1)' $addresses
}

link_bytes() {
    local name in out
    for name in "$@"; do
        read -r in out < <(in_switch ip -s -j link show "to-$name" | python3 -c '
import json, sys
counts = json.load(sys.stdin)[0]["stats64"]
print(counts["rx"]["bytes"], counts["tx"]["bytes"])')
        sent[$name]=$in
        received[$name]=$out
    done
}
