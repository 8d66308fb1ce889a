# One result on any number of ranks, to the bit: with dropout, with batches that do not divide by the ranks, with ranks
# that have nothing to do, with parts of the run on different numbers.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

more="--batch-size 33 --micro-batch-tokens 64 --eval-data $work/held.jsonl --eval-every 2 --check-every 1"
check 0 train "$work/one" $more --max-steps 5
for n in 2 3 4 7 8; do
    check 0 ranks $n "$MPILORA" train $options $more --output "$work/ranks$n" --max-steps 5
    says err "^ *ranks +$n"
    same_run "$work/one" "$work/ranks$n"
done

# On 2 ranks, then on 3, then on one.
check 0 ranks 2 "$MPILORA" train $options $more --output "$work/parts" --max-steps 2
check 0 ranks 3 "$MPILORA" train $options $more --output "$work/parts" --max-steps 4
check 0 train "$work/parts" $more --max-steps 5
says err '^going on from .*step-00000004'
diff <(losses "$work/one" | cut -d' ' -f1-6) <(losses "$work/parts" | cut -d' ' -f1-6) >&2 || fail "the metrics differ"
cmp "$work/one/adapter/adapter_model.safetensors" "$work/parts/adapter/adapter_model.safetensors" || fail "the adapters differ"

# Ranks that the launcher started and that do not find each other: all of them, and some.
check 1 env SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=4 "$MPILORA" train $options --output "$work/none"
says err 'the launcher started 4 processes \(SLURM_STEP_NUM_TASKS\), but each of them is alone'
check 1 env SLURM_STEP_ID=0 SLURM_NTASKS=3 "$MPILORA" train $options --output "$work/none"
says err 'started 3 processes \(SLURM_NTASKS\), but each of them is alone'
check 1 ranks 2 env -u OMPI_COMM_WORLD_SIZE SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=4 "$MPILORA" train $options \
    --output "$work/none"
says err 'the launcher started 4 processes \(SLURM_STEP_NUM_TASKS\), but only 2 of them found each other'
# A job's own number of tasks says nothing about an mpirun inside of it.
check 0 ranks 2 env SLURM_NTASKS=4 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=1 "$MPILORA" train $options --max-steps 1 \
    --output "$work/inside"
passed
