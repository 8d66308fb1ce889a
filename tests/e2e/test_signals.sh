# Asked to stop, at any moment: a checkpoint, status 75, and a run that goes on as if nothing had been.
. "$SOURCE/tests/support/e2e.sh"
unset OMPI_MCA_ess_singleton_isolated # as it is used
. "$SOURCE/tests/support/train.sh"

more="--max-steps 400 --save-every 0 --eval-data $work/held.jsonl --eval-every 3"
check 0 train "$work/whole" $more

# stop SIGNAL FOLDER: starts or goes on, and stops after a few steps.
stop() {
    "$MPILORA" train $options --output "$2" $more >"$work/out" 2>"$work/err" </dev/null &
    pid=$!
    background="$background $pid"
    until_true $pid grep -q '^step .*[5-9]/400 ' "$work/err"
    kill "-$1" $pid
    status=0
    wait $pid || status=$?
    checks=$((checks + 1))
    [ $status = 75 ] || fail "status $status after $1: $(cat "$work/err")"
    says err '^mpilora: asked to stop: finishing this step, then saving a checkpoint; INT \(Ctrl-C\) now ends it at once'
    says err 'stopped by a signal at step [0-9]+ of 400'
}
stop USR1 "$work/run"
stop TERM "$work/run"
stop INT "$work/run"
[ ! -e "$work/run/adapter" ] || fail "the run was over before it was stopped"
check 0 train "$work/run" $more
same_run "$work/whole" "$work/run"

more="$more --resume never --overwrite" stop USR1 "$work/anew"
says err 'the same command, with --resume auto, goes on from'
# A finished run that goes on: its adapter is that of the earlier end until the next one.
check 0 train "$work/further" --max-steps 3
stop USR1 "$work/further"
says err '^warning: .*further/adapter is still the adapter of an earlier end of this run; mpilora export writes that of step [0-9]'

# To mpirun, which hands it to all ranks; and to one rank alone.
for target in all one; do
    mpirun -n 3 --bind-to none "$MPILORA" train $options $more \
        --output "$work/$target" >"$work/out" 2>"$work/err" </dev/null &
    pid=$!
    background="$background $pid"
    until_true $pid grep -q '^step 5/400 ' "$work/err"
    if [ $target = all ]; then kill -USR1 $pid; else kill -USR1 "$(ranks_of $pid | tail -n 1)"; fi
    status=0
    wait $pid || status=$?
    checks=$((checks + 1))
    is_stopped || fail "status $status of 3 ranks ($target): $(cat "$work/err")"
    [ "$(grep -c 'stopped by a signal' "$work/err")" = 1 ] || fail "said more than once: $(cat "$work/err")"
    [ -e "$work/$target/checkpoints/latest" ] || fail "no checkpoint"
done
check 0 ranks 2 "$MPILORA" train $options $more --output "$work/one"
same_run "$work/whole" "$work/one"

# Ctrl-C and TERM to mpirun. MPICH's hands them on, too, and waits.
for signal in INT TERM; do
    with_mpi MPICH || continue
    mpirun -n 2 "$MPILORA" train $options --output "$work/killed" --max-steps 100000 --save-every 0 --resume never --overwrite \
        >"$work/out" 2>"$work/err" </dev/null &
    pid=$!
    background="$background $pid"
    until_true $pid grep -q '^step 5/' "$work/err"
    kill -$signal $pid
    status=0
    wait $pid || status=$?
    is_stopped || fail "status $status of 2 ranks ($signal): $(cat "$work/err")"
    says err 'stopped by a signal at step [0-9]+ of 100000'
    check 0 "$MPILORA" inspect --verify "$(sed -nE 's/.* goes on from (.*step-[0-9]+[.]h5)$/\1/p' "$work/err")"
done
# Open MPI 5's waits a quarter of a second before and after it hands TERM on, lets nothing more be printed, and kills the
# ranks: the checkpoints are whole, and the run goes on from a save that fitted into that time, or from the one before.
for signal in INT TERM; do
    with_mpi "Open MPI 5" || continue
    mpirun -n 2 --bind-to none "$MPILORA" train $options ${more/--save-every 0/--save-every 3} --output "$work/cut-$signal" \
        >"$work/out" 2>"$work/err" </dev/null &
    pid=$!
    background="$background $pid"
    until_true $pid grep -q '^step 8/' "$work/err"
    kill -$signal $pid
    status=0
    wait $pid || status=$?
    [ $status = 1 ] || fail "status $status of 2 ranks ($signal): $(cat "$work/err")"
    for file in "$work/cut-$signal"/checkpoints/step-*.h5; do check 0 "$MPILORA" inspect --verify "$file"; done
    left=$(readlink "$work/cut-$signal/checkpoints/latest")
    [[ $left > step-00000002.h5 ]] || fail "a save is lost: $left" # that of step 6 had begun, so that of step 3 was done
    check 0 ranks 2 "$MPILORA" train $options $more --output "$work/cut-$signal"
    says err "^going on from .*/$left"
    same_run "$work/whole" "$work/cut-$signal"
done
# Open MPI 4's kills the ranks a second later, in the middle of a step that takes longer, since a rank stands still: what was
# learnt is saved beside it, and a line says where the run goes on.
for signal in INT TERM; do
    with_mpi "Open MPI 4" || continue
    mpirun -n 2 --mca odls_base_sigkill_timeout 10 --bind-to none "$MPILORA" train $options --output "$work/killed" \
        --max-steps 100000 --save-every 0 --resume never --overwrite >"$work/out" 2>"$work/err" </dev/null &
    pid=$!
    background="$background $pid"
    until_true $pid grep -q '^step 5/' "$work/err"
    stuck=$(ranks_of $pid | tail -n 1)
    kill -STOP $stuck
    sleep 1
    kill -$signal $pid
    while kill -STOP $stuck 2>/dev/null; do sleep 0.01; done # mpirun lets it go on, to end it
    wait $pid
    says err '^mpirun ends its ranks: the same command goes on from step [0-9]+, .*/killed/checkpoints/step-[0-9]+\.h5$'
    told=$(sed -nE 's/^mpirun ends .* from step ([0-9]+), .*/\1/p' "$work/err")
    seen=$(sed -nE 's/^step ([0-9]+).* loss .*/\1/p' "$work/err" | tail -n 1)
    [ "$told" -ge $((seen - 1)) ] || fail "saved step $told, was at $seen"
    check 0 "$MPILORA" inspect --verify "$work/killed/checkpoints/$(printf 'step-%08d.h5' "$told")"
done

# In time for the limit that the user or Slurm has set: of 9 s, two and what a save might take are kept back.
limited() {
    local begun=$SECONDS
    run mpirun -n 2 --bind-to none env $1 "$MPILORA" train $options --max-steps 100000 --save-every 0 \
        --output "$work/$2" --time-limit "$3"
    is_stopped || fail "status $status: $(cat "$work/err")"
    says err 'stopped in time for the limit at step [0-9]+ of 100000; the same command goes on from .*/checkpoints/step-'
    [ $((SECONDS - begun)) -lt 9 ] || fail "took $((SECONDS - begun)) s"
}
limited A=B limit 9s
limited "SLURM_JOB_ID=1 SLURM_JOB_END_TIME=$(($(date +%s) + 9))" slurm auto
check 2 train "$work/nolimit" --time-limit 12x
says err "--time-limit: '12x' is not a time"
check 0 env SLURM_JOB_ID=1 SLURM_JOB_END_TIME=$(($(date +%s) + 1)) "$MPILORA" train $options --max-steps 20 \
    --output "$work/nolimit" --time-limit none

# What a shell has kept of a job that is over, or of another one, is named, once, and no limit.
for stale in "SLURM_JOB_ID=1 SLURM_JOB_END_TIME=1" "SLURM_JOB_END_TIME=$(($(date +%s) + 1))"; do
    check 0 env -u SLURM_JOB_ID $stale "$MPILORA" train $options --max-steps 20 --output "$work/stale" --resume never --overwrite
    says err "^warning: ${stale##* } is not .*, and ignored: this run has no time limit"
    [ "$(grep -c SLURM_JOB_END_TIME "$work/err")" = 1 ] || fail "said more than once: $(cat "$work/err")"
done

# Before the first step, while the model is being loaded: what a trace measures then is not lost.
more="$more --trace-every 100"
check 0 train "$work/traced" $more
"$MPILORA" train $options --output "$work/early" $more >"$work/out" 2>"$work/err" </dev/null &
pid=$!
background="$background $pid"
until_true $pid test -e "$work/early"
kill -USR1 $pid
status=0
wait $pid || status=$?
[ $status = 75 ] || fail "status $status when stopped early: $(cat "$work/err")"
says err 'stopped by a signal (at step [0-9]+ of 400|before the first step, while the model was .*)'
check 0 train "$work/early" $more
for folder in traced early; do
    h5dump -a /trace/base_eval_loss "$work/$folder/checkpoints/latest" | grep '(0)' >"$work/$folder.base" || fail "no trace of the base"
done
cmp "$work/traced.base" "$work/early.base" || fail "another trace"
cmp "$work/whole/adapter/adapter_model.safetensors" "$work/early/adapter/adapter_model.safetensors" ||
    fail "the adapters differ"

# While much data is read: at once, and nothing is left of a folder that was not there.
seq 300000 | sed 's/.*/{"text": "alpha beta & gamma delta alpha beta gamma delta"}/' >"$work/much.jsonl"
for signal in TERM INT; do
    "$MPILORA" train $options --data "$work/much.jsonl" --output "$work/new/early" $more 2>"$work/err" </dev/null &
    pid=$!
    background="$background $pid"
    until_true $pid grep -q much.jsonl "/proc/$pid/maps"
    kill -$signal $pid
    status=0
    wait $pid || status=$?
    [ $status = 75 ] || fail "status $status when stopped while data was read: $(cat "$work/err")"
    says err '^mpilora: asked to stop: ending as soon as possible;'
    says err 'stopped by a signal before the first step, while the data was read: nothing is lost, start the same command'
    [ ! -e "$work/new" ] || fail "left: $(find "$work/new")"
done
passed
