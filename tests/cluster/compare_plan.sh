#!/usr/bin/env bash
# What `plan` predicts against what `train` then takes, on 2 and 4 pretended hosts, at 1 Gbit/s and as fast as this machine
# lets them talk. By hand, on a machine that does nothing else:
#
#     MPILORA=build/mpilora tests/cluster/compare_plan.sh MODEL [HOSTS [unlimited|1gbit]]
#
# The work of a rank is set by the environment: PACKS (2) of TOKENS tokens (256) in examples of 128, one thread each, DTYPE
# (f32), REDUCE (exact), and STEPS to count (3).
#
# All hosts are this machine: plan times its packs on as many ranks at the same time.
[ $# -ge 1 ] || { echo "usage: MPILORA=build/mpilora $0 MODEL [HOSTS [unlimited|1gbit]]" >&2; exit 2; }
SOURCE=$(cd "$(dirname "$0")/../.." && pwd)
export SOURCE MPILORA=${MPILORA:-$SOURCE/build/mpilora} OMP_WAIT_POLICY=passive
model=$(realpath "$1")
counts=${2:-2 4}
limits=${3:-unlimited 1gbit} # in this order: a limit stays
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/cluster/hosts.sh"
hosts_need_namespaces
. "$SOURCE/tests/cluster/mpirun.sh"
nodes="node1 node2 node3 node4"
packs=${PACKS:-2} tokens=${TOKENS:-256} counted=${STEPS:-3}
common="--dtype ${DTYPE:-f32} --reduce ${REDUCE:-exact} --micro-batch-tokens $tokens --threads 1"
batch=$((packs * tokens / 128)) # of a rank; the first step is not counted

python3 - "$work/data.jsonl" $((batch * 4)) <<'PYTHON'
import json, sys
with open(sys.argv[1], "w") as f:
    for i in range(int(sys.argv[2])):
        print(json.dumps({"text": " ".join(str(i * k) for k in range(200))}), file=f)
PYTHON
cat >"$work/link.py" <<'PYTHON'
# Payload in bit a second, and half of a round trip, between two hosts.
import socket, sys, time
if sys.argv[1] == "take":
    with socket.create_server(("", 9999)) as door:
        open(sys.argv[2], "w").close()
        link, _ = door.accept()
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(1000): link.send(link.recv(1))
        while link.recv(1 << 20): pass
        link.send(b"!")
else:
    size = int(sys.argv[3])
    with socket.create_connection((sys.argv[2], 9999)) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun = time.monotonic()
        for _ in range(1000):
            link.send(b"?")
            link.recv(1)
        between = time.monotonic()
        link.sendall(bytes(size))
        link.shutdown(socket.SHUT_WR)
        link.recv(1)
    print(f"{8 * size / (time.monotonic() - between):.0f},{(between - begun) / 2000:.9f}")
PYTHON

hosts_up head $nodes
for limit in $limits; do
    size=2000000000
    if [ "$limit" != unlimited ]; then
        link_rate "$limit" head $nodes || skip "no limit of $limit: this kernel does not have tbf"
        size=100000000
    fi
    rm -f "$work/open"
    on_host node2 python3 "$work/link.py" take "$work/open" &
    until [ -e "$work/open" ]; do sleep 0.1; done
    measured=$(on_host node1 python3 "$work/link.py" give node2 $size)
    network=$limit
    [ "$limit" != unlimited ] || network=$measured
    echo "$limit: payload in bit/s and latency in s of a link, measured: $measured; plan is told $network"
    for n in $counts; do
        # its own ranks, each believed to be on a host of its own
        mpirun -n "$n" --oversubscribe --bind-to none "$MPILORA" plan --model "$model" $common --length 128 \
            --packs-per-rank $packs --steps 3 --ranks-per-node 1 --network "$network" \
            --json >"$work/plan" || fail "no plan"
        options="--model $model --data $work/data.jsonl $common --max-length 128
            --batch-size $((batch * n)) --max-steps $((counted + 1)) --save-every 0"
        train_over "$(echo $nodes | cut -d' ' -f1-"$n" | tr ' ' ,)" "$work/run" >"$work/out" 2>"$work/err" ||
            fail "$(cat "$work/err")"
        python3 - "$work/plan" "$work/run/metrics.jsonl" "$n" <<'PYTHON'
import json, statistics, sys
plan = json.load(open(sys.argv[1]))
row = next(r for r in plan["rows"] if r["ranks"] == int(sys.argv[3]))
steps = [json.loads(line) for line in open(sys.argv[2])][1:]
took, exposed, waited = (statistics.median(s[k] for s in steps) for k in ("seconds", "comm_seconds", "wait_seconds"))
print(f"{sys.argv[3]} hosts: a step predicted {row['step_seconds']:.3f} s, measured {took:.3f} s "
      f"({100 * (row['step_seconds'] / took - 1):+.1f} %); exposed communication predicted {row['exposed_seconds']:.3f} s, "
      f"measured {exposed:.3f} s, {100 * exposed / took:.2f} % of the step (the travel takes {row['travel_seconds']:.3f} s); "
      f"waiting for the slowest {waited:.3f} s", flush=True)
PYTHON
        rm -r "$work/run"
    done
done
