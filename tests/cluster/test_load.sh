# A model that only the first host can read: --load broadcast sends it to each other host once, and the run is that of one
# rank, to the bit. Without it, one clear error.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/cluster/hosts.sh"
hosts_need_namespaces
. "$SOURCE/tests/support/train.sh"
. "$SOURCE/tests/cluster/mpirun.sh"

# A base of 61 MB in its file and twice that in memory.
python3 "$SOURCE/tests/support/make_tiny_model.py" "$work/models/wide" --width 1024 --layers 4 --bf16 || fail "no model"
sed -i "s/^lora-rank: .*/lora-rank: 2/; s/^batch-size: .*/batch-size: 8/; s/^micro-batch-tokens: .*/micro-batch-tokens: 64/" \
    "$work/train.yaml"
more="--max-steps 2 --save-every 1"
check 0 train "$work/one" --model "$work/models/wide" $more

hosts_up head node1 node2 node3
mkdir "$work/mine" "$work/lonely"
on_host node1 mount --bind "$work/models" "$work/mine" || fail "no mount of node1's own"
[ ! -e "$work/mine/wide" ] || fail "the model is not node1's own"
nodes="node1 node2 node3"

# traffic FILE HOSTS FOLDER OPTION...: trains, and writes what each cable carried: "node1 SENT RECEIVED".
traffic() {
    local file=$1 node
    shift
    link_bytes $nodes
    local -A before_sent before_received
    for node in $nodes; do before_sent[$node]=${sent[$node]} before_received[$node]=${received[$node]}; done
    check 0 train_over "$@" $more
    link_bytes $nodes
    for node in $nodes; do
        echo "$node $((sent[$node] - before_sent[$node])) $((received[$node] - before_received[$node]))"
    done >"$file"
    cat "$file"
}
base=$(stat -c %s "$work/models/wide/model.safetensors")

# carried FILE EXPRESSION: of what node n sent[n] and received[n], and of the base's size.
carried() {
    checks=$((checks + 1))
    python3 -c '
import sys
rows = [line.split() for line in open(sys.argv[1])]
sent, received = ({r[0][-1]: int(r[column]) for r in rows} for column in (1, 2))
base = int(sys.argv[3])
sys.exit(not eval(sys.argv[2]))' "$1" "$2" "$base" || fail "traffic: $2, of a base of $base bytes"
}

# Two ranks on each of two hosts, and one on the third: once to each, however many ranks it has.
hosts=node1:2,node2:2,node3
traffic "$work/sent" $hosts "$work/broadcast" --model "$work/mine/wide" --load broadcast
says err "mine/wide: 6[0-9.]+ MB read by rank 0 on node1; copies sent to other nodes: 2,"
same_run "$work/one" "$work/broadcast"
check 0 "$MPILORA" inspect "$work/broadcast" --json # what it ran on: the hosts are counted, not named
holds '[(m["ranks"], [(p["hosts"], p["ranks"]) for p in m["processors"]]) for m in v["machines"]] == [(5, [(3, 5)])]'
holds '"node" not in str(v["machines"])'
carried "$work/sent" 'all(base < received[n] < 1.15 * base for n in "23") and received["1"] < base / 4'
carried "$work/sent" 'base < sum(sent.values()) < 2.3 * base'
traffic "$work/unsent" $hosts "$work/each" --model "$work/models/wide"
same_run "$work/one" "$work/each"
carried "$work/unsent" 'max(*sent.values(), *received.values()) < base / 4'

# Its checkpoints are those of any other run: it goes on where the model is another's to read, and the other way.
more="--max-steps 3 --save-every 1"
check 0 train "$work/one" --model "$work/models/wide" $more
check 0 train "$work/broadcast" --model "$work/models/wide" $more
says err '^going on from .*step-00000002'
check 0 train_over $hosts "$work/each" --model "$work/mine/wide" --load broadcast $more
says err '^going on from .*step-00000002'
same_run "$work/one" "$work/broadcast"
same_run "$work/one" "$work/each"

# Who cannot read the model, and what helps, is said once.
check 1 train_over $hosts "$work/none" --model "$work/mine/wide" $more
says err "rank 2 on node2: .*mine/wide.*no such file.*--load broadcast sends them"
check 1 train_over node2,node1 "$work/none" --model "$work/mine/wide" --load broadcast $more
says err "rank 0 on node2, which is to read the model for all \(--load broadcast\): .*mine/wide.*no such file"
[ "$(grep -c '^mpilora: ' "$work/err")" = 1 ] || fail "more than one error: $(cat "$work/err")"
[ ! -e "$work/none/checkpoints" ] || fail "a run without a model"

# kept FOLDER OPTION...: MiB that node2's ranks have together (PSS) while they train, in `kept`.
kept() {
    begin_over $hosts "$1" 2 --max-steps 16 --threads 2 "${@:2}" # enough of them to be still at it when it is measured
    kept=$(on_host node2 bash -c 'for p in $("$0"); do cat /proc/$p/smaps_rollup; done' "$SOURCE/tests/support/rank_pids.sh" |
        awk '/^Pss:/ { sum += $2 } END { print int(sum / 1024) }')
    wait $pid || fail "$(cat "$work/err")"
    checks=$((checks + 1))
}
# What was expanded is not kept as it came: node2 has no more than where it reads the file itself. And by several threads.
kept "$work/kept-each" --model "$work/models/wide"
each=$kept
kept "$work/kept-sent" --model "$work/mine/wide" --load broadcast
same_run "$work/kept-each" "$work/kept-sent"
echo "node2: $each MiB with the file, $kept MiB with what it was sent"
[ "$each" -gt 121 ] && [ "$kept" -le $((each + 16)) ] || fail "the file is kept beside the base"

# A study opens it the same way, and its groups of ranks divide the cells by locks, and tell rank 0 what becomes of them.
cat >"$work/study.yaml" <<YAML
data: [$work/data.jsonl]
max-steps: 1
threads: 1
lora-rank: [1, 2]
YAML
printf 'node1 slots=1\nnode2 slots=1\n' >"$work/hostfile"
check 0 on_network_of head timeout --kill-after=10 120 "$SOURCE/jobs/hosts.sh" "$work/hostfile" study \
    --config "$work/study.yaml" --model "$work/mine/wide" --load broadcast --output "$work/study"
says err 'copies sent to other nodes: 1,'
says err 'cells: 2 done, 0 running, 0 failed, 0 left'
passed
