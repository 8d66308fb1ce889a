# Saving that fails: said, tried again, and the end of the run only when it goes on; what is on disk stays.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

more="--max-steps 60 --save-every 5"
check 0 train "$work/whole" $more

newest() {
    readlink "$1/checkpoints/latest"
}

none_left() { # no half-written file, whatever its name
    checks=$((checks + 1))
    local left
    left=$(find "$1" -name '*.tmp*')
    [ -z "$left" ] || fail "left behind: $left"
}

# HDF5 1.14 prints its stack if it gets no memory while it starts: only later can it be told to be silent.
talks_at_start=true
"$MPILORA" --version | grep -q '^HDF5: 1\.10\.' && talks_at_start=false

no_stack() { # of the HDF5 library's errors, from whichever thread
    local stacks at_start=0
    checks=$((checks + 1))
    stacks=$(grep -c 'HDF5-DIAG' "$work/err")
    ! $talks_at_start || at_start=$(grep -A 1 'HDF5-DIAG' "$work/err" | grep -c '#000.*library initialization failed')
    [ "$stacks" = "$at_start" ] || fail "HDF5's own words: $(cat "$work/err")"
}

# faulty FOLDER VARIABLE=VALUE... -- OPTION...: a run whose calls for files in the folder fail as support/fault.h says.
faulty() {
    local folder=$1 settings=()
    shift
    while [ "$1" != -- ]; do settings+=("$1") && shift; done
    shift
    timeout 120 env FAULT_UNDER="$folder" "${settings[@]}" LD_PRELOAD="${FAULT:?}" \
        "$MPILORA" train $options --output "$folder" $more "$@"
}

# One write of many fails, of a checkpoint or of the metrics: it is made up for, and the run is as if nothing had been.
# The disk is full, or the user's quota of it is used up (28 and 122).
for nth in 20 200 400; do
    check 0 faulty "$work/once$nth" FAULT_CALLS=write FAULT_NTH=$nth FAULT_ERRNO=$((nth == 200 ? 122 : 28)) --
    says err '^warning: .*(could not be saved.*(No space|quota)|(No space|quota).*kept in memory)'
    says err 'saving works again|can be written again'
    same_run "$work/whole" "$work/once$nth"
    none_left "$work/once$nth"
done

# The same of the metrics alone, whose lines wait in memory until the disk takes them.
check 0 faulty "$work/lines" FAULT_UNDER="$work/lines/metrics.jsonl" FAULT_CALLS=write FAULT_NTH=7 FAULT_LENGTH=5 \
    FAULT_ERRNO=28 --
says err '^warning: .*/lines/metrics.jsonl.*No space left.*kept in memory'
says err '/lines/metrics.jsonl: can be written again'
same_run "$work/whole" "$work/lines"

# The name in its folder counts, too: flushes are those for the folder of checkpoints, of config.yaml, of its folder, of the
# metrics, of the checkpoint, and this.
check 0 faulty "$work/name" FAULT_CALLS=sync FAULT_NTH=6 --
says err '^warning: step 5 could not be saved.*cannot flush the folder .*/name/checkpoints'
same_run "$work/whole" "$work/name"

# A disk that is full for good: three failures in a row, and the checkpoint from before it is whole.
check 1 faulty "$work/full" FAULT_CALLS=write FAULT_NTH=300 FAULT_LENGTH=100000000 FAULT_ERRNO=28 --
no_stack
says err 'failure 1 of 3 .*the newest checkpoint is that of step [0-9]+'
says err 'mpilora: .*step [0-9]+ could not be saved, nor could 2 others .*No space left'
none_left "$work/full"
check 0 "$MPILORA" inspect "$work/full/checkpoints/$(newest "$work/full")"
check 0 train "$work/full" $more
same_run "$work/whole" "$work/full"

# The last save and the export are tried again, too (the first three flushes are of the folder and config.yaml).
more="--max-steps 60 --save-every 0"
check 1 faulty "$work/end" FAULT_CALLS=sync FAULT_NTH=4 FAULT_LENGTH=100000000 -- --save-failures 2
says err 'failure 1 of 2 .*there is no checkpoint yet'
says err 'mpilora: .*step 60 could not be saved.*Input/output error'
[ ! -e "$work/end/adapter" ] || fail "an adapter was exported"
check 0 train "$work/export" $more
rm -r "$work/export/adapter"
check 1 faulty "$work/export" FAULT_CALLS=write FAULT_NTH=1 FAULT_LENGTH=100000000 -- --save-failures 2
says err 'mpilora: .*adapter could not be written, 2 times'
check 0 faulty "$work/export" FAULT_CALLS=write FAULT_NTH=1 --
cmp "$work/whole/adapter/adapter_model.safetensors" "$work/export/adapter/adapter_model.safetensors" ||
    fail "the export differs"

more="--max-steps 2 --save-every 1 --save-failures 2"
check 0 train "$work/short" $more

# each_fails CALLS FIRST APART [PATTERN]: of a whole short run every so-many-th such call fails, from config.yaml to the
# export: an end in order each time, with an error of that pattern if it is one, and then the same bytes. Sets nth.
each_fails() {
    local calls=$1 apart=$3 pattern=${4:-}
    nth=$2
    while run faulty "$work/each$nth" FAULT_CALLS="$calls" FAULT_NTH=$nth FAULT_ERRNO=5 FAULT_REPORT="$work/reached" --
        [ -e "$work/reached" ]; do
        rm "$work/reached"
        no_stack
        case $status in 0 | 1) ;; *) fail "status $status when call $nth ($calls) failed: $(cat "$work/err")" ;; esac
        [ $status = 0 ] || [ -z "$pattern" ] || says err "$pattern"
        check 0 train "$work/each$nth" $more
        same_run "$work/short" "$work/each$nth"
        rm -r "$work/each$nth"
        nth=$((nth + apart))
    done
    echo "one in $apart of $nth calls ($calls) failed"
}
each_fails all 1 31
[ $nth -gt 200 ] || fail "a run makes more calls than $nth"
# The allocations of the HDF5 library: it goes on, or says so.
each_fails hdf5 17 997 '^mpilora: (step [0-9]+ could not be saved|.*the HDF5 library has ended the program)'
[ $nth -gt 5000 ] || fail "HDF5 makes more allocations than $nth"

# A folder of checkpoints that vanishes is made again; that of the run is not.
during() { # during FOLDER COMMAND...: runs the command after some steps, then waits for the end
    local folder=$1
    shift
    "$MPILORA" train $options --output "$folder" --max-steps 20000 --save-every 20 >"$work/out" 2>"$work/err" &
    pid=$!
    background="$background $pid"
    until_true $pid test -e "$folder/checkpoints/step-00000040.h5"
    "$@"
}
during "$work/gone" rm -rf "$work/gone/checkpoints"
until_true $pid test -e "$work/gone/checkpoints/latest"
kill -USR1 $pid
wait $pid
[ $? = 75 ] || fail "did not stop: $(cat "$work/err")"
during "$work/lost" mv "$work/lost" "$work/found"
status=0
wait $pid || status=$?
[ $status = 1 ] || fail "status $status without a folder"
says err 'the folder .*/lost is gone'
[ ! -e "$work/lost" ] || fail "the folder was made again"
passed
