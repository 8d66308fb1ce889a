# What eval calls exact is what generate says: a prompt has the same ids in training, evaluation and generation, whatever
# special tokens the tokenizer puts around a text.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
cat >"$work/pairs.jsonl" <<'LINES'
{"prompt": "one node", "completion": " alpha"}
{"prompt": "two nodes", "completion": " beta gamma"}
{"prompt": "no node at all", "completion": "<|im_end|>"}
{"prompt": "a job", "completion": "the delta<|im_end|>"}
LINES
memorise="--max-steps 80 --batch-size 4 --lora-rank 8 --lora-dropout 0 --save-every 0"

# with_tokens FOLDER FRONT BACK: the tiny model, whose post-processor puts these tokens (JSON, "" for none) around a text.
with_tokens() {
    cp -r "$model" "$1"
    python3 - "$1/tokenizer.json" "$2" "$3" <<'PY'
import json, sys
path, front, back = sys.argv[1:]
t = json.load(open(path, encoding="utf-8"))
token = lambda s: [{"SpecialToken": {"id": s, "type_id": 0}}] if s else []
t["post_processor"] = {
    "type": "TemplateProcessing", "single": token(front) + [{"Sequence": {"id": "A", "type_id": 0}}] + token(back), "pair": [],
    "special_tokens": {a["content"]: {"id": a["content"], "ids": [a["id"]], "tokens": [a["content"]]} for a in t["added_tokens"]}}
json.dump(t, open(path, "w", encoding="utf-8"), ensure_ascii=False)
PY
}
with_tokens "$work/front" "<|im_start|>" ""
with_tokens "$work/both" "<|im_start|>" "<|im_end|>"

for kind in model front both; do
    check 0 train "$work/$kind-run" --model "$work/$kind" --data "$work/pairs.jsonl" $memorise
    check 0 "$MPILORA" eval --model "$work/$kind" --adapter "$work/$kind-run" --data "$work/pairs.jsonl" --threads 1 --json
    holds 'v["exact_match"] == 1 and v["examples"] == 4'
    while IFS= read -r line; do
        prompt=$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["prompt"])' "$line")
        wanted=$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["completion"].replace("<|im_end|>", ""))' "$line")
        check 0 "$MPILORA" generate --model "$work/$kind" --adapter "$work/$kind-run" --prompt "$prompt" --max-new-tokens 16 --threads 1
        [ "$(cat "$work/out")" = "$wanted" ] || fail "$kind, $prompt: $(cat "$work/out"), not $wanted"
        silent err
    done <"$work/pairs.jsonl"
done
! cmp -s "$work/front-run/adapter/adapter_model.safetensors" "$work/model-run/adapter/adapter_model.safetensors" ||
    fail "the token in front makes no difference"
cmp "$work/front-run/adapter/adapter_model.safetensors" "$work/both-run/adapter/adapter_model.safetensors" ||
    fail "a token after a text stands between prompt and completion"

# Text of the BOS token in the prompt itself: the same ids, and a warning, once.
sed 's/"prompt": "/&<|im_start|>/' "$work/pairs.jsonl" >"$work/spelled.jsonl"
check 0 ranks 2 "$MPILORA" train $options --model "$work/front" $memorise --data "$work/spelled.jsonl" --output "$work/spelled-run"
says err '^warning: 4 of 4 examples \(.*spelled.jsonl\) begin with <\|im_start\|>, which the tokenizer adds anyway'
[ "$(grep -c 'adds anyway' "$work/err")" = 1 ] || fail "said more than once: $(cat "$work/err")"
cmp "$work/front-run/adapter/adapter_model.safetensors" "$work/spelled-run/adapter/adapter_model.safetensors" ||
    fail "two tokens in front of a prompt"
check 0 "$MPILORA" generate --model "$work/front" --adapter "$work/front-run" --prompt "<|im_start|>one node" --threads 1 \
    --max-new-tokens 16
[ "$(cat "$work/out")" = " alpha" ] || fail "$(cat "$work/out")"
says err '^warning: --prompt begins with <\|im_start\|>'
check 0 train "$work/other" --model "$model" --data "$work/spelled.jsonl" --max-steps 1
! grep -q 'adds anyway' "$work/err" || fail "this tokenizer puts nothing in front"
passed
