# Threads and cores: what a rank takes of its node by itself, what it says about it, and what it warns of.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
unset OMP_NUM_THREADS SLURM_CPUS_PER_TASK
cores=$(nproc)
own=$(awk '/^Cpus_allowed_list/ { print $2 }' /proc/self/status) # as this shell may use them
first=${own%%[-,]*}
[ "$cores" -ge 2 ] || skip "one core only"

# one OPTION...: a step on as many threads as the rank takes by itself.
one() { "$MPILORA" train $options --threads 0 --max-steps 1 --output "$work/run" --resume never "$@"; }
rm -rf "$work/run"

check 0 one
says err "^ *threads +$cores a rank; "
says err "^ *cores +[^ ]+: rank 0 with $cores threads on cores $own$"
rm -rf "$work/run"
check 0 taskset -c "$first" "$MPILORA" train $options --threads 0 --max-steps 1 --output "$work/run"
says err "^ *threads +1 a rank; "
says err "^ *cores +[^ ]+: rank 0 with 1 thread on cores $first$"
rm -rf "$work/run"
check 0 env SLURM_CPUS_PER_TASK=1 "$MPILORA" train $options --threads 0 --max-steps 1 --output "$work/run"
says err "^ *threads +1 a rank; "
rm -rf "$work/run"
check 0 env SLURM_CPUS_PER_TASK=1 "$MPILORA" train $options --threads $cores --max-steps 1 --output "$work/run"
says err "^warning: 1 rank with $cores threads in all has 1 core of "

# OpenMP binds the main thread before the program begins, and what that starts: it looks beyond that, and its helpers leave.
rm -rf "$work/run"
OMP_PROC_BIND=close "$MPILORA" train $options --threads 1 --max-steps 100000 --save-every 0 --output "$work/run" \
    >"$work/out" 2>"$work/err" </dev/null &
pid=$!
background="$background $pid"
until_true $pid grep -q '^step 2/' "$work/err"
awk '/^Cpus_allowed_list/ { print FILENAME, $2 }' /proc/$pid/task/*/status >"$work/out"
kill -TERM $pid
wait $pid
says out "/$pid/status $first$"
says out " $own$"
says err "^ *cores +[^ ]+: rank 0 with 1 thread on cores $own$"
rm -rf "$work/run"
check 0 env OMP_PROC_BIND=close "$MPILORA" train $options --threads 0 --max-steps 1 --output "$work/run"
says err "^ *threads +$cores a rank; "

# Ranks share a node's cores, whether the launcher binds them or not; more threads than cores, or all ranks on one core: a warning.
check 0 ranks 2 "$MPILORA" train $options --threads 0 --max-steps 1 --output "$work/two"
says err "^ *cores +[^ ]+: ranks 0-1 with $((cores / 2)) threads? each on cores $own$"
! grep '^warning' "$work/err" || fail "a warning where all is well"
check 0 mpirun -n 2 --bind-to core "$MPILORA" train $options --threads 0 --max-steps 1 --output "$work/bound"
says err "^ *cores +[^ ]+: rank 0 with 1 thread on cores [0-9]+, rank 1 with 1 thread on cores [0-9]+$"
check 0 taskset -c "$first" mpirun -n 2 --bind-to none "$MPILORA" train $options --threads 0 --max-steps 1 --output "$work/one"
says err "^warning: all 2 ranks of [^ ]+ may use one core only: start mpirun with --bind-to none"
check 0 ranks 2 "$MPILORA" train $options --threads $cores --max-steps 1 --output "$work/many"
says err "^warning: 2 ranks with $((2 * cores)) threads in all have $cores cores of "
passed
