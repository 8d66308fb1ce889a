# train --adapter: A and B start as those of an adapter, wherever it comes from.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

# whole FOLDER OPTION...: all examples in one batch, as eval has them, without dropout.
whole() {
    local folder=$1
    shift
    timeout 120 "$MPILORA" train --model "$model" --data "$work/data.jsonl" --batch-size 37 --max-length 64 --threads 1 \
        --micro-batch-tokens 128 --learning-rate 1e-2 --lr-schedule constant --output "$folder" "$@"
}

# starts_as ADAPTER FOLDER: the run's first loss is what eval gives with the adapter.
starts_as() {
    check 0 "$MPILORA" eval --model "$model" --data "$work/data.jsonl" --adapter "$1" --max-length 64 \
        --micro-batch-tokens 128 --threads 1 --json
    holds "abs(v['loss'] - $(python3 -c 'import json, sys; print(json.loads(open(sys.argv[1]).readline())["loss"])' \
        "$2/metrics.jsonl")) < 1e-6 * v['loss']"
}

check 0 whole "$work/first" --max-steps 6 --lora-rank 4 --lora-alpha 12 --rslora
check 0 "$MPILORA" export --model "$model" --checkpoint "$work/first" --format gguf --output "$work/first.gguf"
for source in first first/checkpoints/latest first/adapter first.gguf; do
    check 0 whole "$work/second" --max-steps 4 --adapter "$work/$source"
    says err "^starting with the adapter of $work/$source, and a new optimizer$"
    starts_as "$work/$source" "$work/second"
    [ -d "$work/reference" ] && same_run "$work/reference" "$work/second"
    [ -d "$work/reference" ] || mv "$work/second" "$work/reference"
    rm -rf "$work/second"
done
losses "$work/first" | head -n 1 >"$work/anew"
losses "$work/reference" | head -n 1 | cmp -s - "$work/anew" && fail "the run began with a new adapter"
holds 'v["r"] == 4 and v["use_rslora"] and v["lora_alpha"] == 12' "$work/reference/adapter/adapter_config.json"

# Stopped and resumed, on another number of ranks: never stopped. The adapter may lie elsewhere, but must be the same one.
check 0 whole "$work/parts" --max-steps 2 --adapter "$work/first"
mkdir "$work/moved"
cp -r "$work/first/adapter" "$work/moved/adapter"
check 0 ranks 2 "$MPILORA" train --config "$work/parts/config.yaml" --output "$work/parts" --max-steps 4 \
    --adapter "$work/moved/adapter"
says err '^going on from .*step-00000002'
same_run "$work/reference" "$work/parts"
check 1 whole "$work/parts" --max-steps 6 --adapter "$work/reference/adapter"
says err 'belongs to another adapter: its content hash is .* give the same adapter'
check 1 whole "$work/parts" --max-steps 6
says err 'belongs to a run that started with --adapter; give the same --adapter, or another --output'
check 1 whole "$work/first" --max-steps 9 --adapter "$work/reference"
says err 'belongs to a run that started with a new adapter, without --adapter; give no --adapter, or'

# The written configuration is one to start from, and says nothing that is not so.
check 0 "$MPILORA" train --config "$work/reference/config.yaml" --output "$work/again"
same_run "$work/reference" "$work/again"
grep -qE '^(lora-rank|lora-alpha|target-modules)' "$work/again/config.yaml" && fail "$(cat "$work/again/config.yaml")"
grep -q "^adapter: .*first" "$work/again/config.yaml" || fail "no adapter in config.yaml"
check 0 "$MPILORA" inspect "$work/again/checkpoints/latest" --json
holds 'v["lora_rank"] == 4 and v["lora_init"] == "adapter" and len(v["adapter_hash"]) == 32 and "lora-rank" not in v["config"]'

# Options that agree with the adapter are taken, as from the first run's configuration; others are refused by name.
check 0 whole "$work/agrees" --max-steps 1 --adapter "$work/first" --config "$work/first/config.yaml"
for contradiction in "lora-rank 8" "lora-alpha 13" "no-rslora" "target-modules q_proj" "lora-init gaussian" "init-std 0.1"; do
    check 2 ranks 2 "$MPILORA" train --config "$work/first/config.yaml" --output "$work/refused" --max-steps 1 \
        --adapter "$work/first/adapter" --$contradiction
    says err "--${contradiction%% *}.* contradicts --adapter"
done
check 0 whole "$work/narrow" --max-steps 1 --target-modules q_proj,v_proj
check 2 whole "$work/refused" --max-steps 1 --adapter "$work/narrow" --target-modules q_proj
says err '--target-modules contradicts --adapter: it leaves out .*v_proj, which .* adapts'

# An adapter that changes the base: its checkpoint, and its export, which has twice the rank.
check 0 whole "$work/pissa" --max-steps 3 --lora-init pissa --lora-rank 2
for source in pissa pissa/adapter; do
    rm -rf "$work/second"
    check 0 ranks 2 "$MPILORA" train --config "$work/pissa/config.yaml" --max-steps 2 --adapter "$work/$source" \
        --output "$work/second" --lora-rank $([ $source = pissa ] && echo 2 || echo 4) \
        --lora-alpha $([ $source = pissa ] && echo 32 || echo 64)
    says err '^warning: lora-init of the configuration has no effect: A and B start as those of'
    starts_as "$work/$source" "$work/second"
    check 0 "$MPILORA" eval --model "$model" --data "$work/held.jsonl" --adapter "$work/second" --threads 1 --json
    cp "$work/out" "$work/here"
    check 0 "$MPILORA" eval --model "$model" --data "$work/held.jsonl" --adapter "$work/second/adapter" --threads 1 --json
    holds "abs(v['loss'] - $(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["loss"])' "$work/here")) < 1e-5"
done

# Another base is refused, unless it is said to be a twin.
cp -r "$model" "$work/twin"
python3 - "$work/twin/config.json" <<'PY'
import json, sys
v = json.load(open(sys.argv[1]))
v["rope_theta"] = 20000.0
json.dump(v, open(sys.argv[1], "w"))
PY
check 1 whole "$work/other" --max-steps 1 --adapter "$work/first" --model "$work/twin"
says err 'trained on another base'
check 0 whole "$work/other" --max-steps 1 --adapter "$work/first" --model "$work/twin" --allow-base-mismatch
passed
