# Every model of tests/golden that is a folder: two ranks, another storage of the base, recomputation, a broadcast and a
# resume change no bit of what one rank trains; plan runs on it, and times a step.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

# A vocabulary of 64: capital letters, digits and <|im_end|> lie in it.
python3 - "$model" "$work" <<'PY' || fail "the tokenizer could not be made"
import json, random, sys
path = sys.argv[1] + "/tokenizer.json"
tokenizer = json.load(open(path))
tokenizer["model"] |= {"vocab": {t: i for t, i in tokenizer["model"]["vocab"].items() if i < 64}, "merges": []}
json.dump(tokenizer, open(path, "w"))
random.seed(5)
with open(sys.argv[2] + "/letters.jsonl", "w") as out:
    for i in range(12):
        text = "".join(random.choices("ABCDEFGHIJ0123456789", k=random.randint(9, 30)))
        out.write(json.dumps({"prompt": text[:5], "completion": text[5:]}) + "\n")
PY
common="--data $work/letters.jsonl --batch-size 4 --max-length 32 --micro-batch-tokens 64 --lora-rank 2 --lora-dropout 0.1
    --learning-rate 1e-2 --lr-schedule constant --threads 1"

# `plan` times the step that `bench` does; what `bench` has beside it, counts of the work and the rate of the memory, takes
# seconds and goes by sizes alone, so a few shapes are enough.
benched="tiny_gqa tiny_gemma3 tiny_gemma4 tiny_phi3 tiny_gpt_neox tiny_granite4 tiny_cohere2 tiny_qwen3_moe"

for folder in "$GOLDEN"/tiny_*; do
    [ -f "$folder/config.json" ] || continue
    name=$(basename "$folder")
    cp -r "$folder" "$work/$name"
    cp "$model/tokenizer.json" "$model/tokenizer_config.json" "$work/$name"
    targets=all-linear
    case $name in *mixtral* | *moe | *moe_*) # the experts are frozen
        check 1 "$MPILORA" plan --model "$work/$name" --length 16 --network 1gbit
        says err 'all-linear includes the experts of this model'
        targets=q_proj,k_proj,v_proj,o_proj
    esac
    # shellcheck disable=SC2086
    check 0 "$MPILORA" train $common --target-modules $targets --model "$work/$name" --output "$work/one" --max-steps 2
    # shellcheck disable=SC2086
    check 0 ranks 2 "$MPILORA" train $common --target-modules $targets --model "$work/$name" --output "$work/other" --max-steps 1 \
        --base-storage file --recompute layer --load broadcast
    # shellcheck disable=SC2086
    check 0 "$MPILORA" train $common --target-modules $targets --model "$work/$name" --output "$work/other" --max-steps 2 --recompute layer
    says err '^step 2/2 '
    same_run "$work/one" "$work/other"
    check 0 "$MPILORA" plan --model "$work/$name" --target-modules $targets --length 16 --steps 1 --lora-rank 2 --threads 1 \
        --network 1gbit --json
    holds 'v["measured"] and v["pack_seconds"] > 0'
    case " $benched " in *" $name "*)
        check 0 "$MPILORA" bench --model "$work/$name" --target-modules $targets --length 16 --steps 1 --lora-rank 2 --threads 1 \
            --json
        holds 'v["tokens_per_second"] > 0'
    esac
    rm -r "$work/one" "$work/other" "${work:?}/$name"
done
passed
