# Training over four hosts: the bytes of one rank, and nothing but the adapter's gradients on the cables.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/cluster/hosts.sh"
hosts_need_namespaces
. "$SOURCE/tests/support/train.sh"
. "$SOURCE/tests/cluster/mpirun.sh"

# A base of 8 MB, and four steps of an adapter of a fiftieth of that.
python3 "$SOURCE/tests/support/make_tiny_model.py" "$work/wide" --width 256 --layers 4 || fail "no model"
sed -i "s|^model: .*|model: $work/wide|; s/^lora-rank: .*/lora-rank: 2/
    s/^batch-size: .*/batch-size: 16/; s/^micro-batch-tokens: .*/micro-batch-tokens: 64/" "$work/train.yaml"
steps=4
more="--max-steps $steps --save-every 2"
nodes="node1 node2 node3 node4"

check 0 train "$work/one" $more
hosts_up head $nodes

# four FOLDER: trains on four hosts; the same run, and the cables bear witness.
four() {
    link_bytes $nodes
    local -A before_sent before_received
    for node in $nodes; do before_sent[$node]=${sent[$node]} before_received[$node]=${received[$node]}; done
    check 0 train_over "${nodes// /,}" "$1" $more
    says err 'ranks +4, node1 \(1 rank\), node2'
    same_run "$work/one" "$1"
    link_bytes $nodes
    for node in $nodes; do
        echo "$node sent $((sent[$node] - before_sent[$node])), received $((received[$node] - before_received[$node]))"
    done >"$work/traffic"
    # A step takes (N - 1) / N of the adapter's size for each subtree of the gradients' sum that a rank holds, here one to
    # three, and as much again for the sum. The rest is the start of the ranks, and what they agree on.
    python3 - "$work" "$1" $steps <<'PY' || fail "traffic on the cables"
import os, re, struct, sys
work, run, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
path = run + "/adapter/adapter_model.safetensors"
adapter = os.path.getsize(path) - 8 - struct.unpack("<Q", open(path, "rb").read(8))[0]
base = os.path.getsize(work + "/wide/model.safetensors")
least, most = steps * adapter * 2 * 3 // 4, steps * adapter * 4 * 3 // 4 + 500_000
wrong = most > base // 2
for line in open(work + "/traffic"):
    print(line.strip())
    for bytes in map(int, re.findall(r" (\d+)", line)):
        wrong |= not least < bytes < most
print(f"adapter {adapter}, base {base}: each is to be from {least} to {most}")
sys.exit(wrong)
PY
    checks=$((checks + 1))
}
four "$work/four"

# At 1 Gbit/s, once that is seen to be the limit: the same.
if link_rate 1gbit head $nodes 2>/dev/null; then
    cat >"$work/pour.py" <<'PY'
import socket, sys, time
if sys.argv[1] == "take":
    with socket.create_server(("", 9999)) as door:
        open(sys.argv[2], "w").close()
        link, _ = door.accept()
        while link.recv(1 << 20): pass
        link.send(b"!")
else:
    begun = time.monotonic()
    with socket.create_connection((sys.argv[2], 9999)) as link:
        link.sendall(bytes(40_000_000))
        link.shutdown(socket.SHUT_WR)
        link.recv(1)
    rate = 0.32 / (time.monotonic() - begun)
    print(f"{rate:.2f} Gbit/s")
    sys.exit(not 0.3 < rate < 1.1)
PY
    on_host node2 python3 "$work/pour.py" take "$work/open" &
    until_true $! test -e "$work/open"
    check 0 on_host node1 python3 "$work/pour.py" give node2
    cat "$work/out"
    four "$work/gigabit"
else
    echo "no limit of 1 Gbit/s: this kernel does not have tbf"
fi

# The self-test of two hosts; of a slow network, and of a folder that only one of them has.
selftest_over() {
    check 0 on_network_of head timeout --kill-after=10 120 mpirun --host node1,node2 --bind-to none "$MPILORA" selftest \
        --threads 1 --output "$work/selftest"
}
selftest_over
says out '^ranks +fine +2 ranks on 2 nodes, rank 0 on node1;'
for name in training bits clock; do says out "^$name +fine "; done
mkdir "$work/selftest"
on_host node2 mount -t tmpfs tmpfs "$work/selftest" || fail "no file system of its own"
! link_rate 100mbit node1 node2 2>/dev/null || slow_network=yes
selftest_over
says out '^files +slow +rank 1 on node2: it does not see the folder'
if [ -n "${slow_network:-}" ]; then
    says out '^network +slow +a sum of '
    says out 'to do: name the fast network .*--local-steps'
fi
passed
