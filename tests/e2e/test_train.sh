# Training: what it leaves behind, on any number of ranks the same.
. "$SOURCE/tests/support/e2e.sh"
unset OMPI_MCA_ess_singleton_isolated # as it is used
. "$SOURCE/tests/support/train.sh"

check 0 train "$work/one" --max-steps 9 --eval-data "$work/held.jsonl" --eval-every 4 --save-every 2 --keep-checkpoints 2
says err '^ *ranks +1'
says err '^ *data +37 examples'
says err '^step 9/9 +loss '
# The last lines are commands that work as they are, but for a prompt and a folder.
sed -n '/^next:$/,$s/^  mpilora //p' "$work/err" >"$work/next"
[ "$(wc -l <"$work/next")" = 4 ] || fail "not four commands: $(cat "$work/next")"
while IFS= read -r command; do
    command=${command/--prompt TEXT/--prompt alpha --max-new-tokens 2}
    eval "check 0 \"\$MPILORA\" ${command/--output FOLDER/--output $work/merged}"
done <"$work/next"
[ -e "$work/one/report.html" ] && [ -e "$work/merged/config.json" ] || fail "no report, or no merged model"
rm -r "$work/one"/report.* "$work/merged"
[ "$(steps "$work/one")" = "1 2 3 4 5 6 7 8 9" ] || fail "steps: $(steps "$work/one")"
[ "$(cd "$work/one/checkpoints" && echo *)" = "latest step-00000008.h5 step-00000009.h5" ] ||
    fail "checkpoints: $(ls "$work/one/checkpoints")"
[ "$(readlink "$work/one/checkpoints/latest")" = step-00000009.h5 ] || fail "latest: $(readlink "$work/one/checkpoints/latest")"
holds 'v["peft_type"] == "LORA" and v["r"] == 4 and v["lora_alpha"] == 32' "$work/one/adapter/adapter_config.json"
holds 'v["target_modules"] == [f"{m}_proj" for m in ("q", "k", "v", "o", "gate", "up", "down")]' \
    "$work/one/adapter/adapter_config.json"
sed -n 's/.*"step": \([0-9]*\),.*eval_loss.*/\1/p' "$work/one/metrics.jsonl" >"$work/evaluated"
[ "$(tr '\n' ' ' <"$work/evaluated")" = "4 8 9 " ] || fail "evaluated at: $(cat "$work/evaluated")"

# The loss went down, and the last one is what eval says.
python3 - "$work/one/metrics.jsonl" <<'PY' || fail "the loss did not go down"
import json, sys
rows = [json.loads(l) for l in open(sys.argv[1])]
sys.exit(not rows[-1]["loss"] < 0.8 * rows[0]["loss"])
PY
last=$(python3 -c 'import json, sys; print(json.loads(open(sys.argv[1]).readlines()[-1])["eval_loss"])' "$work/one/metrics.jsonl")
check 0 "$MPILORA" eval --model "$model" --data "$work/held.jsonl" --adapter "$work/one" --max-length 64 \
    --micro-batch-tokens 128 --threads 1 --json
holds "abs(v['loss'] - $last) < 1e-9 * v['loss'] and v['examples'] == 9"
check 0 "$MPILORA" eval --model "$model" --data "$work/held.jsonl" --adapter "$work/one/adapter" --max-length 64 \
    --micro-batch-tokens 128 --threads 1 --json
holds "abs(v['loss'] - $last) < 1e-9 * v['loss']"

# The same run on more ranks: the same bits.
check 0 ranks 4 "$MPILORA" train $options --output "$work/ranks4" --max-steps 9 --eval-data "$work/held.jsonl" --eval-every 4
says err "^ *ranks +4"
same_run "$work/one" "$work/ranks4"

# Every step says what it lost to communication and to waiting, and for whom it waited.
says err '^of the steps. time [0-9.]+ % went into communication, [0-9.]+ % into waiting for the$'
says err '^slowest rank, most often rank [0-3] on '
python3 - "$work/one/metrics.jsonl" "$work/ranks4/metrics.jsonl" <<'PY' || fail "times of communication"
import json, os, sys
for path, ranks in zip(sys.argv[1:], (1, 4)):
    for v in map(json.loads, open(path)):
        lost = v["comm_seconds"], v["wait_seconds"]
        good = lost == (0, 0) if ranks == 1 else min(lost) >= 0 and sum(lost) > 0
        if not (good and v["slowest_rank"] in range(ranks) and v["slowest_host"] == os.uname().nodename):
            sys.exit(f"{ranks} ranks: {v}")
PY

# The plain sum: close to it, and not gone on with in the other way.
check 0 ranks 2 "$MPILORA" train $options --output "$work/fast" --max-steps 9 --reduce fast
says err '^ *network .* MiB of gradient a step, a rank sends up to .* MiB$'
says err '^ {15}\(--reduce fast\)$'
python3 - "$work/one/metrics.jsonl" "$work/fast/metrics.jsonl" <<'PY' || fail "the plain sum gives another loss"
import json, sys
one, fast = [[json.loads(l)["loss"] for l in open(path)] for path in sys.argv[1:]]
sys.exit(any(abs(a - b) > 1e-4 * a for a, b in zip(one, fast)) or len(one) != len(fast))
PY
check 1 ranks 2 "$MPILORA" train $options --output "$work/fast" --max-steps 12
says err '--reduce exact \(checkpoint: fast\)'

# Fewer packs than ranks: allowed, and warned about with the option that helps.
printf '{"prompt": "a", "completion": "b"}\n{"prompt": "c", "completion": "d"}\n' >"$work/short.jsonl"
check 0 ranks 3 "$MPILORA" train $options --micro-batch-tokens 512 --batch-size 4 --output "$work/idle" --max-steps 2
says err '^warning: a batch has 1 pack for 3 ranks.*--micro-batch-tokens \(now 512, down to the 64 of --max-length\)'
check 0 ranks 2 "$MPILORA" train $options --micro-batch-tokens 64 --batch-size 1 --output "$work/small" --max-steps 1
says err '^warning: a batch has 1 pack for 2 ranks, .* nothing to do: a larger --batch-size'
check 0 ranks 2 "$MPILORA" train $options --micro-batch-tokens 64 --batch-size 2 --output "$work/small" --max-steps 1 --resume never \
    --overwrite --data "$work/short.jsonl"
says err '^warning: a batch has 1 pack for 2 ranks.* a smaller --max-length \(now 64\) with packs to match or a larger --batch-size'

# The written configuration is one to start from.
check 0 "$MPILORA" train --config "$work/one/config.yaml" --output "$work/again"
same_run "$work/one" "$work/again"

# A bar on a terminal, not a line a step.
for launch in "" "mpirun -n 2 --bind-to none"; do
    rm -rf "$work/bar"
    script -qec "stty cols 120; TERM=xterm $launch $MPILORA train $options --output $work/bar --max-steps 5" "$work/typescript" \
        >/dev/null </dev/null || fail "training in a terminal failed: $(cat "$work/typescript")"
    checks=$((checks + 1))
    grep -q $'\r.*\[##*\.*\] step 1/5  loss [0-9.]*  epoch 0.27  lr 0.01  norm [0-9.]*  [0-9]* tokens/s  [0-9:]* left' \
        "$work/typescript" || fail "no bar: $(cat -v "$work/typescript")"
    [ "$(tr '\r' '\n' <"$work/typescript" | grep -c '^step')" = 0 ] || fail "plain lines on a terminal"
done
# Nothing redraws where mpirun writes something else around it, or where its output goes to a file.
tags=(--tag-output)
! with_mpi MPICH || tags=(-l)
! "$MPILORA" --version | grep -q '^MPI: Open MPI 5' || tags+=("--output tag" --output=timestamp)
for tag in "${tags[@]}"; do
    rm -rf "$work/bar"
    script -qec "stty cols 120; TERM=xterm mpirun $tag -n 1 $MPILORA train $options --output $work/bar --max-steps 6" \
        "$work/typescript" >/dev/null </dev/null || fail "training in a terminal failed: $(cat "$work/typescript")"
    grep -qE '(<stderr>: ?|\[0\] )step 6/6  loss' "$work/typescript" || fail "no plain line: $(cat -v "$work/typescript")"
done
check 0 ranks 2 env TERM=xterm "$MPILORA" train $options --output "$work/bar" --max-steps 7
says err '^step 7/7  loss [0-9.]+  epoch 1.81  lr 0.01  norm [0-9.]+  [0-9]+ tokens/s  0:00 left$'
[ "$(awk 'length > 80 && !/warning|\// { n++ } END { print n + 0 }' "$work/err")" = 0 ] || fail "too wide: $(cat "$work/err")"
passed
