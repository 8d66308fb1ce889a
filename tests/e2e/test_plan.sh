# plan: what it says against what train does, on the same packs; and what makes sense whatever was measured.
. "$SOURCE/tests/support/e2e.sh"
: "${MPILORA:?is the program}"
. "$SOURCE/tests/support/train.sh"

# Batches of six packs, each of four examples that are cut to 16 tokens; an adapter of some MiB.
python3 - "$work/long.jsonl" <<'PYTHON'
import json, sys
with open(sys.argv[1], "w") as f:
    for i in range(24):
        print(json.dumps({"text": "alpha beta gamma delta on the job node " * 3}), file=f)
PYTHON
shape="--lora-rank 2000 --micro-batch-tokens 64 --threads 1"

# plan OPTION...: of that, as JSON.
plan() {
    "$MPILORA" plan --model "$model" $shape --length 16 --steps 3 --network 1gbit,50us --batch-packs 6 --json "$@"
}
check 0 plan --ranks 3
cp "$work/out" "$work/plan"
silent err
holds 'v["measured"] and v["pack_seconds"] > 0 and v["update_seconds"] > 0 and v["pack_tokens"] == 64'
holds '[r["ranks"] for r in v["rows"]] == sorted([3] + [2 ** k for k in range(11)])'
holds '[r["packs"] for r in v["rows"]][:4] == [6, 3, 2, 2] and v["rows"][-1]["packs"] == 1'
holds 'all(r["exposed_seconds"] > 0 and 0 < r["efficiency"] < 1 and r["nodes"] == r["ranks"] for r in v["rows"][1:])'
holds 'v["rows"][0]["exposed_seconds"] == 0 and v["rows"][0]["efficiency"] == 1 and v["rows"][0]["sent_bytes"] == 0'
holds 'abs(v["rows"][0]["step_seconds"] - 6 * v["pack_seconds"] - v["update_seconds"]) < 1e-9'

# same_as_planned RANKS: train, the last command, says what the plan does.
same_as_planned() {
    checks=$((checks + 1))
    python3 - "$work/plan" "$work/err" $1 <<'PYTHON' || fail "plan and train differ: $(cat "$work/err")"
import json, re, sys
plan, said, ranks = json.load(open(sys.argv[1])), open(sys.argv[2]).read(), int(sys.argv[3])
row = next(r for r in plan["rows"] if r["ranks"] == ranks)
MiB = 1 << 20
base, adapter, acts = map(int, re.search(r"base (\d+), adapter .* up to (\d+),\n *activations (\d+) ", said).groups())
planned, flat = row["adapter_bytes"] / MiB, plan["adapter_parameters"] * 4 / MiB
print(ranks, plan["base_bytes"] / MiB, plan["activation_bytes"] / MiB, planned, flat, base, acts, adapter)
assert abs(plan["base_bytes"] / MiB - base) < 1 and abs(plan["activation_bytes"] / MiB - acts) < 1
# train has room for batches that need more packs, and so for some more sums of them
assert flat > 4 and planned - 1 < adapter and (plan["reduce"] == "exact" or adapter < planned + 1)
if ranks > 1:
    gradient, sent = map(float, re.search(r"([\d.]+) MiB of gradient.* up to ([\d.]+) MiB", said).groups())
    print(gradient, sent, plan["adapter_parameters"], row["sent_bytes"])
    assert abs(gradient - plan["adapter_parameters"] * 4 / MiB) < 0.006 and abs(sent - row["sent_bytes"] / MiB) < 0.006
    assert sent > 4
PYTHON
}

for reduce in exact fast; do
    check 0 plan --ranks 3 --reduce $reduce --step-seconds 6
    cp "$work/out" "$work/plan"
    holds 'not v["measured"] and v["pack_seconds"] == 1 and v["rows"][0]["step_seconds"] == 6'
    for n in 1 2 3 4; do
        check 0 ranks $n "$MPILORA" train --model "$model" --data "$work/long.jsonl" --max-length 16 --batch-size 24 $shape \
            --max-steps 1 --reduce $reduce --output "$work/$reduce$n"
        same_as_planned $n
    done
done

# Pairs: six packs of two, each of twice 16 tokens: answers of 3 to a prompt that counts once; train has as much memory for
# them. What the reference takes is apart from the steps.
python3 - "$work/pairs.jsonl" <<'PYTHON'
import json, sys
with open(sys.argv[1], "w") as f:
    for i in range(12):
        print(json.dumps({"prompt": "alpha beta gamma delta on the job node " * 3, "chosen": " on", "rejected": " in"}), file=f)
PYTHON
check 0 plan --objective dpo
holds 'v["objective"] == "dpo" and 0 < v["reference_pack_seconds"] < v["pack_seconds"]'
holds 'abs(v["rows"][0]["reference_seconds"] - 6 * v["reference_pack_seconds"]) < 1e-9'
holds 'abs(v["rows"][0]["step_seconds"] - 6 * v["pack_seconds"] - v["update_seconds"]) < 1e-9'
holds 'all(r["reference_seconds"] > v["reference_pack_seconds"] * r["packs"] for r in v["rows"][1:])'
cp "$work/out" "$work/plan"
check 0 ranks 2 "$MPILORA" train --model "$model" --data "$work/pairs.jsonl" --objective dpo --max-length 29 --batch-size 12 \
    $shape --max-steps 1 --output "$work/pairs"
same_as_planned 2
# Trained on from an adapter, which is the reference then: it takes as much memory again as its values.
room() { sed -n 's/.*adapter and optimizer up to \([0-9]*\),.*/\1/p' "$work/err"; }
before=$(room) planned=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["rows"][1]["adapter_bytes"])' "$work/plan")
check 0 plan --objective dpo --adapter "$work/exact1"
holds "v['rows'][1]['adapter_bytes'] - $planned == 4 * v['adapter_parameters'] > 4 << 20"
cp "$work/out" "$work/plan"
check 0 ranks 2 "$MPILORA" train --model "$model" --data "$work/pairs.jsonl" --objective dpo --max-length 29 --batch-size 12 \
    $shape --max-steps 1 --adapter "$work/exact1" --output "$work/further"
same_as_planned 2
holds "abs($(room) - $before - v['adapter_parameters'] * 4 / 2 ** 20) <= 1" "$work/plan"
check 0 plan --objective simpo
holds '"reference_pack_seconds" not in v and "reference_seconds" not in v["rows"][0]'
check 0 plan --objective ipo --step-seconds 6
holds 'v["pack_seconds"] == 1 and v["reference_pack_seconds"] == 0.5 and v["rows"][0]["reference_seconds"] == 3'

# Two ranks at a time are timed, and share a node; a batch that grows with the ranks.
check 0 ranks 2 "$MPILORA" plan --model "$model" --network 10gbit --packs-per-rank 4 --length 16 --steps 2 --threads 1 --json
holds 'v["ranks_per_node"] == 2 and [r["nodes"] for r in v["rows"]][:4] == [1, 1, 2, 4]'
holds 'all(r["packs"] == 4 for r in v["rows"]) and v["rows"][1]["travel_seconds"] == 0 < v["rows"][2]["travel_seconds"]'
holds 'all(r["node_memory_bytes"] < 2 * r["rank_memory_bytes"] for r in v["rows"])'
holds 'abs(v["network_bits_per_second"] / 9.41e9 - 1) < 0.01'

# For people; mistakes.
check 0 "$MPILORA" plan --model "$model" --network 1gbit --length 16 --steps 1 --threads 1 --ranks 3000
says out '^packs of 64 tokens in examples of 16, 8 for each rank; f32, 1 thread a rank$'
says out '^ *ranks +nodes +packs +MiB/rank +MiB/node +MiB sent +s/step +exposed s +share +tokens/s +efficiency$'
says out '^ +1 +1 +8 +[0-9]+ +[0-9]+ +0\.00 +[0-9.]+ +0\.0000 +0\.0 % +[0-9.]+ +1\.000$'
says out '^ +1024 +1024 +8 '
says out '^ +3000 +3000 +8 '
check 0 "$MPILORA" plan --model "$model" --network 1gbit --length 16 --steps 1 --threads 1 --objective dpo
says out '^packs of 64 tokens in pairs of 2 x 16, 8 for each rank; f32, 1 thread a rank$'
says out '^the reference of dpo takes [0-9.e-]+ s a pack, once, before the first step'
says out '^ *ranks .* efficiency +reference s$'
says out '^ +1024 +1024 +8 .* [0-9]+\.[0-9]{3} +[0-9]+\.[0-9]{3}$'
check 2 "$MPILORA" plan --model "$model" --network 1gigabit
says err "network '1gigabit' is neither"
check 2 "$MPILORA" plan --model "$model"
says err 'plan needs --network'
check 2 "$MPILORA" plan --model "$model" --network 1gbit --length 15 --micro-batch-tokens 64
says err 'not a multiple of --length 15'
check 1 "$MPILORA" plan --model "$work/none" --network 1gbit
says err "$work/none"
passed
