# Asked to stop at a call for a file of the model or of the run, from the first one to the export's last: the run ends in order
# and goes on as if nothing had been.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

# One signal, or two of a kind. Status 0 is for those that come when the last checkpoint is written already.
more="--max-steps 6 --save-every 2 --eval-data $work/held.jsonl --eval-every 2"
check 0 train "$work/six" $more
signalled() { # signalled SIGNAL LENGTH NTH: at these calls for files below $under
    rm -rf "$work/at" "$work/reached"
    run env FAULT_UNDER="$under" FAULT_CALLS=all FAULT_NTH="$3" FAULT_LENGTH="$2" FAULT_SIGNAL="$1" \
        FAULT_REPORT="$work/reached" LD_PRELOAD="${FAULT:?}" timeout 120 "$MPILORA" train $options $more --output "$work/at"
}
gone_on() {
    check 0 train "$work/at" $more
    same_run "$work/six" "$work/at"
    diff -r "$work/six/adapter" "$work/at/adapter" >&2 || fail "what is beside the adapter differs"
}
lacks_evaluation() { # the last line is one of those that have one
    losses "$work/at" | tail -n 1 | grep -q '^[246] .* None$'
}
stopped=0 done=0 cut=0
for under in "$work/model" "$work/held" "$work/at"; do
    nth=1 apart=37
    [ "$under" = "$work/at" ] || apart=5 # there are few
    while signalled $((nth % 2 ? 10 : 15)) $((nth % 3 + 1)) $nth; [ -e "$work/reached" ]; do
        case $status in
        75) says err 'stopped by a signal (at step [0-6] of 6|before the first step, while the )' && stopped=$((stopped + 1)) ;;
        0) done=$((done + 1)) ;;
        *) fail "status $status after a signal at call $nth below $under: $(cat "$work/err")" ;;
        esac
        ! lacks_evaluation || cut=$((cut + 1))
        gone_on
        nth=$((nth + apart))
    done
done
echo "signals at $stopped moments stopped a run, at $done it was over already; $cut cut an evaluation short"
[ $stopped -ge 8 ] && [ $done -ge 1 ] && [ $cut -ge 1 ] || fail "too few moments"
signalled 2 300 60 # a second interrupt does not wait for a checkpoint
[ $status = 130 ] || fail "status $status after two interrupts: $(cat "$work/err")"
gone_on
passed
