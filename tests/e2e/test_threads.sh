# Threads and cores: what a rank takes of its node by itself, what it says about it, and what it warns of.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
options="$options --max-length 128" # no example is cut, and nothing else to be warned of
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

# With oneDNN the result is the same bytes on any number of threads: f32, and bf16 where the processor has it. The model is wide
# enough that products are cut into parts and sums of theirs into blocks.
types=
"$MPILORA" --version | grep -q 'oneDNN .* for f32' && types="f32 bf16"
rm -rf "$work/model"
python3 "$SOURCE/tests/support/make_tiny_model.py" "$model" --width 576 --layers 2 || fail "the wider model could not be made"
for type in $types; do
    run train "$work/$type-1" --dtype $type --max-steps 2
    if [ "$type" = bf16 ] && grep -q 'take --dtype f32' "$work/err"; then
        echo "bf16: not on this build or processor: $(tail -n 1 "$work/err")"
        continue
    fi
    [ "$status" = 0 ] || fail "no run in $type: $(cat "$work/err")"
    for threads in 2 3; do
        check 0 train "$work/$type-$threads" --dtype $type --max-steps 2 --threads $threads
        same_run "$work/$type-1" "$work/$type-$threads"
    done
done

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
# Open MPI's mpirun binds a rank to a core by default and leaves the others idle: the rank takes them. Where somebody asked for
# it, it is said.
for launcher in mpirun mpirun.openmpi; do
    unset PRTE_MCA_rmaps_default_mapping_policy # Open MPI 5 binds none of ranks that may be more than there are cores
    if ! with_mpi "Open MPI" || ! command -v $launcher >/dev/null ||
        $launcher -n 1 grep -q "^Cpus_allowed_list:.*$own\$" /proc/self/status; then
        echo "no $launcher that binds by default"
        continue
    fi
    rm -rf "$work/run"
    check 0 $launcher -n 1 "$MPILORA" train $options --threads 0 --max-steps 1 --output "$work/run"
    says err "^mpirun had bound each rank to 1 core, as it does by default: they may use all of the job's $cores$"
    says err "^ *cores +[^ ]+: rank 0 with $cores threads on cores $own$"
    ! grep '^warning' "$work/err" || fail "a warning where all is well"
done
for threads in 0 $cores; do
    check 0 mpirun -n 1 --bind-to core "$MPILORA" train $options --threads $threads --max-steps 1 --output "$work/core-$threads"
    says err "^warning: 1 rank of [^ ]+ may use 1 of the $cores cores that the job has there: start mpirun with --bind-to none$"
    says err "^ *cores +[^ ]+: rank 0 with .* on cores [0-9]+, of $cores that the job has$"
done

# OMP_NUM_THREADS is an upper bound, but for --threads.
rm -rf "$work/run"
check 0 env OMP_NUM_THREADS=1 "$MPILORA" train $options --threads 0 --max-steps 1 --output "$work/run"
says err "^ *threads +1 a rank; "
says err "^warning: OMP_NUM_THREADS=1 leaves $((cores - 1)) of the $cores cores of .* idle: unset it, or give --threads $cores$"
rm -rf "$work/run"
check 0 env OMP_NUM_THREADS=1 "$MPILORA" train $options --threads $cores --max-steps 1 --output "$work/run"
says err "^ *threads +$cores a rank; "
says err "^OMP_NUM_THREADS=1 is ignored: --threads says $cores$"

check 0 taskset -c "$first" mpirun -n 2 --bind-to none "$MPILORA" train $options --threads 0 --max-steps 1 --output "$work/one"
says err "^warning: all 2 ranks of [^ ]+ may use one core only: start mpirun with --bind-to none"
check 0 ranks 2 "$MPILORA" train $options --threads $cores --max-steps 1 --output "$work/many"
says err "^warning: 2 ranks with $((2 * cores)) threads in all have $cores cores of "
passed
