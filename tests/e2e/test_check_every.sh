# A rank whose memory goes wrong: one bit of its adapter is turned over from outside while the run goes on. --check-every
# finds it, and the run ends with that rank's name.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

# At this learning rate the values stay what they were at the start.
more="--learning-rate 1e-30 --save-every 0 --check-every 20"
check 0 train "$work/start" $more --max-steps 1

cat >"$work/turn.py" <<'PY'
# Turns one bit over in each place of a process's memory that holds the first lora_A of an adapter.
import json, struct, sys
pid, path = sys.argv[1:]
data = open(path, "rb").read()
length, = struct.unpack("<Q", data[:8])
tensors = json.loads(data[8:8 + length])
begin, end = next(t["data_offsets"] for name, t in sorted(tensors.items()) if "lora_A" in name)
values = data[8 + length + begin:8 + length + end]
found = 0
with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
    for line in open(f"/proc/{pid}/maps"):
        span, access, *rest = line.split()
        if not access.startswith("rw") or rest[-1] in ("[vvar]", "[vsyscall]"):
            continue
        first, last = (int(x, 16) for x in span.split("-"))
        try:
            memory.seek(first)
            here = memory.read(last - first)
        except OSError:
            continue
        at = here.find(values)
        while at >= 0:
            memory.seek(first + at + 4)
            memory.write(bytes([here[at + 4] ^ 1]))
            found += 1
            at = here.find(values, at + 1)
print("turned over in", found, "places")
sys.exit(found == 0)
PY

mpirun -n 3 --bind-to none "$MPILORA" train $options $more --max-steps 1000000 --log-every 1 --output "$work/run" \
    >"$work/out" 2>"$work/err" </dev/null &
pid=$!
background="$background $pid"
until_true $pid grep -q '^step 60/' "$work/err" # checked three times, and found well
for rank in $(pgrep -P $pid mpilora); do
    if tr '\0' '\n' <"/proc/$rank/environ" | grep -qx OMPI_COMM_WORLD_RANK=1; then wrong=$rank; fi
done
python3 "$work/turn.py" "$wrong" "$work/start/adapter/adapter_model.safetensors" >"$work/turned" 2>&1 || {
    ! grep -q 'PermissionError' "$work/turned" || skip "this system does not let a process write into another's memory"
    fail "$(cat "$work/turned")"
}
status=0
wait $pid || status=$?
checks=$((checks + 1))
[ $status = 1 ] || fail "status $status: $(tail -n 3 "$work/err")"
says err "^mpilora: step [0-9]*[02468]0: the adapter of rank 1 on $(hostname) is not that of most ranks: memory, processor or"
[ ! -e "$work/run/adapter" ] || fail "the run went on to its end"
passed
