# One result on any number of ranks, to the bit: with dropout, with batches that do not divide by the ranks, with ranks
# that have nothing to do, with parts of the run on different numbers.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

more="--batch-size 33 --micro-batch-tokens 64 --eval-data $work/held.jsonl --eval-every 2 --check-every 1"

# any_number DTYPE: the same run on each number of ranks, and on 2, then on 3, then on one.
any_number() {
    local n run="$work/$1" type="--dtype $1"
    for n in 2 3 4 7 8; do
        check 0 ranks $n "$MPILORA" train $options $more $type --output "$run-$n" --max-steps 5
        says err "^ *ranks +$n"
        same_run "$run" "$run-$n"
        diff -r "$run/adapter" "$run-$n/adapter" >&2 || fail "what is beside the adapter differs"
    done
    check 0 ranks 2 "$MPILORA" train $options $more $type --output "$run-parts" --max-steps 2
    check 0 ranks 3 "$MPILORA" train $options $more $type --output "$run-parts" --max-steps 4
    check 0 train "$run-parts" $more $type --max-steps 5
    says err '^going on from .*step-00000004'
    diff <(losses "$run" | cut -d' ' -f1-6) <(losses "$run-parts" | cut -d' ' -f1-6) >&2 || fail "the metrics differ"
    cmp "$run/adapter/adapter_model.safetensors" "$run-parts/adapter/adapter_model.safetensors" || fail "the adapters differ"
    diff <(h5dump -g /optimizer "$run/checkpoints/latest" | tail -n +2) \
        <(h5dump -g /optimizer "$run-parts/checkpoints/latest" | tail -n +2) >/dev/null || fail "the moments differ"
}

check 0 train "$work/f32" $more --max-steps 5
any_number f32
run train "$work/bf16" $more --max-steps 5 --dtype bf16
if [ "$status" = 1 ] && grep -q "take --dtype f32" "$work/err"; then
    echo "bf16: not on this build or processor: $(tail -n 1 "$work/err")"
else
    [ "$status" = 0 ] || fail "status $status: $(cat "$work/err")"
    any_number bf16
    ! cmp -s "$work/f32/adapter/adapter_model.safetensors" "$work/bf16/adapter/adapter_model.safetensors" || fail "bf16 is f32"
fi

# Ranks that the launcher started and that do not find each other: all of them, and some.
check 1 env SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=4 "$MPILORA" train $options --output "$work/none"
says err 'the launcher started 4 processes \(SLURM_STEP_NUM_TASKS\), but each of them is alone'
check 1 env SLURM_STEP_ID=0 SLURM_NTASKS=3 "$MPILORA" train $options --output "$work/none"
says err 'started 3 processes \(SLURM_NTASKS\), but each of them is alone'
check 1 ranks 2 env -u OMPI_COMM_WORLD_SIZE -u MPI_LOCALNRANKS SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=4 "$MPILORA" train $options \
    --output "$work/none"
says err 'the launcher started 4 processes \(SLURM_STEP_NUM_TASKS\), but only 2 of them found each other'
# One process is one process: in a batch script, in the shell of an salloc, where an srun of one task has kept the job's variables.
for place in "" "SLURM_PROCID=0 SLURM_STEP_ID=4294967290 SLURM_STEP_NUM_TASKS=1" "SLURM_PROCID=0 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=1"; do
    rm -rf "$work/alone"
    check 0 env SLURM_JOB_ID=77 SLURM_NODELIST="$(hostname)" SLURM_NTASKS=4 SLURM_NPROCS=4 $place "$MPILORA" train $options \
        --max-steps 1 --output "$work/alone"
    says err '^ *ranks +1,'
done
# A job's own number of tasks says nothing about an mpirun inside of it.
check 0 ranks 2 env SLURM_NTASKS=4 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=1 "$MPILORA" train $options --max-steps 1 \
    --output "$work/inside"

# Between nodes, ranks talk over TCP: there MPICH 4.0 would not come to the end of MPI_Finalize() in one of several runs.
if with_mpi MPICH; then
    for n in $(seq 12); do
        UCX_TLS=tcp,self check 0 ranks 4 "$MPILORA" train $options --threads 1 --max-steps 1 --overwrite --output "$work/over"
    done
fi

# A shell that was started as one of several ranks: what is run in it by hand is not silent.
for command in "train $options --output $work/shell" "inspect $model" "inspect nothing" "--version" "--help"; do
    run script -qec "env OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=1 '$MPILORA' $command" /dev/null
    checks=$((checks + 1))
    [ -s "$work/out" ] || fail "nothing is said of: $command"
done
check 1 env OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=1 "$MPILORA" train $options --output "$work/shell"
silent err
passed
