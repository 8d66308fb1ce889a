# Eight ranks on few cores, each step saved: nothing is lost, and neither memory nor open files grow.
#   LOAD_SECONDS=600 ctest -R e2e.load     longer than the 20 seconds of every run
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
seconds=${LOAD_SECONDS:-20}
world=8

more="--batch-size 24 --micro-batch-tokens 64 --log-every 1000000 --eval-data $work/held.jsonl --eval-every 10"
folder=$work/run
mkdir "$work/kept"
mpirun -n $world --bind-to none "$MPILORA" train $options $more --max-steps 100000000 --save-every 1 \
    --output "$folder" >"$work/out" 2>"$work/err" </dev/null &
pid=$!
background=$pid
reached() { # reached STEP: is it on disk?
    local newest
    newest=$(readlink "$folder/checkpoints/latest") && newest=${newest#step-} && [ "$((10#${newest%.h5}))" -ge "$1" ]
}
until_true $pid reached 40 # after a few of all that happens in a run

[ "$(ranks_of $pid | wc -l)" = $world ] || fail "not $world ranks: $(ranks_of $pid)"
# Looks at all ranks, and keeps the newest checkpoint, twice a second; then asks them to stop.
python3 - $pid "$seconds" "$folder" "$work/kept" $(ranks_of $pid) >"$work/samples" <<'PY' || fail "the ranks could not be watched"
import json, os, signal, sys, time
launcher, seconds = (int(x) for x in sys.argv[1:3])
folder, kept = sys.argv[3:5]
ranks = [int(p) for p in sys.argv[5:]]

def resident(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1])

def files(pid): # between saves, which have some of their own open
    least = 1 << 30
    for _ in range(5):
        least = min(least, len(os.listdir(f"/proc/{pid}/fd")))
        time.sleep(0.01)
    return least

end = time.monotonic() + seconds
while time.monotonic() < end:
    print(json.dumps([[resident(pid), files(pid)] for pid in ranks]))
    try:
        newest = os.readlink(f"{folder}/checkpoints/latest")
        os.link(f"{folder}/checkpoints/{newest}", f"{kept}/{newest}")
    except OSError:
        pass  # replaced meanwhile, or kept already
    time.sleep(0.1)
os.kill(launcher, signal.SIGUSR1)
PY
status=0
wait $pid || status=$?
background=
checks=$((checks + 1))
is_stopped || fail "status $status: $(cat "$work/err")"
if grep -E 'could not|kept in memory' "$work/err" >&2; then fail "a save failed"; fi

# The first quarter is for what grows once: heaps, and pages of shared memory that are touched for the first time. Of the
# rest, the thirds are held against each other. A descriptor that is not closed is there for ever, so the least
# number counts, and may not grow at all. Of memory the middle counts: the C library returns none below 128 KiB and keeps a
# heap for each thread, hence half a MiB. On a busy machine such a heap may come late, once, so growth must go on: what
# counts is twice the lesser of the steps from third to third, which for a steady leak is the step from the first to the last.
python3 - $world "$work/samples" <<'PY' || fail "the ranks grew"
import json, statistics, sys
world = int(sys.argv[1])
samples = [json.loads(line) for line in open(sys.argv[2])]
samples = samples[len(samples) // 4:]
third = len(samples) // 3
assert third >= 3, "too few samples"
grown = []
for rank in range(world):
    memory = [s[rank][0] for s in samples]
    files = [s[rank][1] for s in samples]
    first, middle, last = (statistics.median(memory[begin:begin + third]) for begin in (0, third, len(memory) - third))
    growth = 2 * min(middle - first, last - middle)
    assert min(files[-third:]) <= min(files[:third]), f"rank {rank}: open files: {files}"
    assert growth <= 512, f"rank {rank}: {growth} KiB more: {memory}"
    grown.append(growth)
print(f"{len(samples)} samples: at most {max(files):g} files open, {max(memory) / 1024:.0f} MiB; growth of memory per rank "
      f"{min(grown):g} to {max(grown):g} KiB")
PY
checks=$((checks + 2 * world))

# Every checkpoint that was kept is whole, and no step is missing.
count=0
for file in "$work"/kept/*.h5; do
    check 0 "$MPILORA" inspect --verify "$file"
    count=$((count + 1))
done
check 0 "$MPILORA" inspect --verify "$folder"
last=$(steps "$folder" | awk '{ for (i = 1; i <= NF; i++) if ($i != i) exit 1; print NF }') || fail "metrics.jsonl lacks a step"
[ "$count" -gt $((seconds / 4)) ] || fail "only $count checkpoints were kept"

# To its end, and then the same bytes as on one rank that nothing disturbs.
end=$((last + 5))
check 0 ranks $world "$MPILORA" train $options $more --max-steps $end --save-every 1 --output "$folder"
check 0 timeout 600 "$MPILORA" train $options $more --max-steps $end --save-every 0 --output "$work/alone"
same_run "$work/alone" "$folder"
echo "$end steps on $world ranks in $seconds s, each saved, $count of them looked at: the bytes of the run on one rank"
passed
