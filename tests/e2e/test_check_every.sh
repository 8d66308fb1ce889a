# A rank whose memory goes wrong: one bit of its adapter is turned over from outside while the run goes on. --check-every
# finds it, and the run ends with that rank's name.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

# turn_bit RANK RUN...: in that rank below $pid, wherever it has the adapter of one of these runs.
turn_bit() {
    local wrong
    wrong=$(ranks_of $pid | sed -n "$(($1 + 1))p")
    shift
    kill -STOP "$wrong" # or the run may be over before Python has started
    python3 "$SOURCE/tests/support/turn_bit.py" "$wrong" "${@/%//adapter/adapter_model.safetensors}" >"$work/turned" 2>&1 || {
        ! grep -q 'PermissionError' "$work/turned" || skip "this system does not let a process write into another's memory"
        fail "$(cat "$work/turned")"
    }
    kill -CONT "$wrong"
}

# At this learning rate the values stay what they were at the start.
more="--learning-rate 1e-30 --save-every 0 --check-every 20"
check 0 train "$work/start" $more --max-steps 1

mpirun -n 3 --bind-to none "$MPILORA" train $options $more --max-steps 1000000 --log-every 1 --output "$work/run" \
    >"$work/out" 2>"$work/err" </dev/null &
pid=$!
background="$background $pid"
until_true $pid grep -q '^step 60/' "$work/err" # checked three times, and found well
turn_bit 1 "$work/start"
status=0
wait $pid || status=$?
checks=$((checks + 1))
[ $status = 1 ] || fail "status $status: $(tail -n 3 "$work/err")"
says err "^mpilora: step [0-9]*[02468]0: the adapter of rank 1 on $(hostname) is not that of most ranks: memory, processor or"
[ ! -e "$work/run/adapter" ] || fail "the run went on to its end"

# In a study that cell fails, and no other, whoever trains it: here not the group of rank 0, which waits for all.
grep -vE '^(output|learning-rate):' "$work/train.yaml" >"$work/study.yaml"
printf 'learning-rate: 1e-30\nsave-every: 0\ncheck-every: 20\nmax-steps: 1000\nseed: [0, 1]\n' >>"$work/study.yaml"
check 0 train "$work/start-1" $more --max-steps 1 --seed 1
mpirun -n 4 --bind-to none "$MPILORA" study --config "$work/study.yaml" --ranks-per-cell 2 --output "$work/study" \
    >"$work/out" 2>"$work/err" </dev/null &
pid=$!
background="$background $pid"
for seed in 0 1; do until_true $pid sh -c "grep -q '\"step\": 30,' $work/study/cells/*-s$seed/metrics.jsonl"; done
turn_bit 3 "$work/start" "$work/start-1"
status=0
wait $pid || status=$?
checks=$((checks + 1))
[ $status = 1 ] || fail "status $status of the study: $(tail -n 3 "$work/err")"
says err '1 of 2 cells failed: each has a failed.txt'
grep -q 'the adapter of rank . on .* is not that of ' "$work"/study/cells/*/failed.txt || fail "no failed.txt that says so"
check 0 mpirun -n 2 --bind-to none "$MPILORA" study --config "$work/study.yaml" --output "$work/study"
says err '1 done before'
[ "$(ls -d "$work"/study/cells/*/adapter | wc -l)" = 2 ] || fail "not tried again"
[ ! -e "$work"/study/cells/*/failed.txt ] || fail "a failure of old"
passed
