# Every command on a tiny model: what it prints, what it writes, and that the parts fit each other.
. "$SOURCE/tests/support/e2e.sh"
: "${MPILORA:?is the program}"
ranks() { mpirun -n "$1" --bind-to none "${@:2}"; }
model=$work/model
python3 "$SOURCE/tests/support/make_tiny_model.py" "$model"
python3 - "$work" <<'PYTHON'
import json, sys
with open(sys.argv[1] + "/train.jsonl", "w") as f:
    for i in range(24):
        print(json.dumps({"prompt": f"on {i % 6}", "completion": f" the {i % 6}"}), file=f)
with open(sys.argv[1] + "/mixed.jsonl", "w") as f:
    print(json.dumps({"text": "in the én"}), file=f)
    print(json.dumps({"prompt": "an", "completion": " the"}), file=f)
    print(file=f)
    print(json.dumps({"messages": [{"role": "user", "content": "on"}, {"role": "assistant", "content": "the"}]}), file=f)
    print('{"text": 1}', file=f)
PYTHON

# tokenize: a line ends at LF alone, an empty line has no ids, and ids turn back into the same text.
check 0 "$MPILORA" tokenize --model "$model" --text 'on the énd<|im_end|>'
[ "$(cat "$work/out")" = "263 264 223 130 105 80 70 2" ] || fail "ids: $(cat "$work/out")"
check 0 "$MPILORA" tokenize --model "$model" --text 'on the én' --json
ids=$(cat "$work/out")
check 0 "$MPILORA" tokenize --model "$model" --decode "$ids" --json
holds 'v == "on the én"'
check 0 "$MPILORA" tokenize --model "$model" --decode '263, 264'
[ "$(cat "$work/out")" = "on the" ] || fail "decoded: $(cat "$work/out")"
printf 'on\r\n\nthe' >"$work/lines"
check 0 "$MPILORA" tokenize --model "$model" --file "$work/lines" --json
[ "$(wc -l <"$work/out")" = 3 ] || fail "three texts gave $(wc -l <"$work/out") lines"
sed -n 2p "$work/out" | grep -qx '\[\]' || fail "an empty line has ids"
check 0 "$MPILORA" tokenize --model "$model" --decode "$(sed -n 1p "$work/out")" --json
holds 'v == "on\r"'
printf 'on\n\377\n' >"$work/lines"
check 1 "$MPILORA" tokenize --model "$model" --file "$work/lines"
says err "$work/lines:2"

# models: a row for each family, for people and for programs.
families=$(grep -l '^const struct family ' "$SOURCE"/src/model/families/*.c | wc -l)
check 0 "$MPILORA" models --json
holds '[set(row) for row in v] == [{"model_type", "gguf", "names", "tokenizers"}] * len(v)'
holds 'len({row["model_type"] for row in v}) == len(v) == '"$families"
holds '{row["model_type"]: row["gguf"] for row in v}["mistral"] is None'
holds 'all(row["names"] and row["tokenizers"] for row in v)'
check 0 "$MPILORA" models
[ "$(wc -l <"$work/out")" = "$((families + 1))" ] || fail "not a line for each family"
says out '^gemma2  '

# inspect: a model and data, before anything is trained.
check 0 "$MPILORA" inspect "$model" --json
holds 'v["kind"] == "model" and v["format"] == "huggingface" and v["architecture"] == "llama"'
holds 'v["layers"] == 2 and v["hidden_size"] == 32 and v["tied_embeddings"] is True'
holds 'v["tokenizer"]["eos"] == "<|im_end|>" and v["tokenizer"]["turn_ends"] == "<|im_end|>"'
check 0 "$MPILORA" inspect "$model"
says out '^layers: 2$'
# Each kind of rotation, and what else is not as in Llama.
for what in "tiny_llama3 llama3" "tiny_sharded linear" "tiny_ministral3 yarn" "tiny_phi3_long longrope rotated_columns" \
    "tiny_gpt2 none learned_positions layer_norm mlp_without_gate" "tiny_granite4_nope none layers_without_rope embedding_scale" \
    "tiny_falcon default layer_norm parallel_branches mlp_without_gate" "tiny_qwen3 default norms_of_heads" \
    "tiny_gemma4 proportional window window_layers window_rope_theta full_head_dim full_key_value_heads full_values_are_keys \
    rotated_share logit_cap embedding_scale norms_of_heads norms_of_values norms_after_branches scaled_blocks"; do
    check 0 "$MPILORA" inspect "$GOLDEN/${what%% *}" --json
    holds "[v['rope_type']] + sorted(v['special']) == ['$(echo "${what#* }" | cut -d' ' -f1)'] + sorted('$what'.split()[2:])"
done

check 0 "$MPILORA" inspect "$work/mixed.jsonl" --json
holds 'v["kind"] == "data" and v["examples"] == 3 and v["bad_lines"] == 1'
holds '{k: n for k, n in v["forms"].items() if n} == {"text": 1, "completion": 1, "messages": 1}'
holds '"mixed.jsonl:5" in v["first_bad_line"]'
# All bad lines: the first ones by name, the others in a count.
{ for i in $(seq 25); do echo "{\"txt\": $i}"; done; echo '{"text": "on"}'; } >"$work/bad.jsonl"
check 0 "$MPILORA" inspect "$work/bad.jsonl" --json
holds 'v["bad_lines"] == 25 and v["examples"] == 1 and len(v["first_bad_lines"]) == 20'
holds 'all(f"bad.jsonl:{i + 1}: " in line for i, line in enumerate(v["first_bad_lines"]))'
check 0 "$MPILORA" inspect "$work/bad.jsonl"
says out 'bad.jsonl:20: '
check 0 "$MPILORA" inspect "$work/bad.jsonl" --model "$model" --json
holds 'len(v["first_bad_lines"]) == 20'
holds 'v["warnings"][0].startswith("25 lines cannot be used: train and eval stop at the first")'
# A column that no line has; the length that an example had before it was cut; what is compressed.
echo '{"text": "on and on and on"}' >"$work/long.jsonl"
gzip -k "$work/long.jsonl"
check 0 "$MPILORA" inspect "$work/long.jsonl" --columns input=inptu --json
holds 'v["warnings"] == ["--columns input=inptu: no line has \"inptu\""] and "compressed_bytes" not in v'
check 0 "$MPILORA" inspect "$work/long.jsonl.gz" --model "$model" --max-length 4 --columns input=inptu --json
holds 'v["longest_tokens"] > 4 and v["max_length"] == 4 and v["shown"][0]["tokens"].__len__() == 4'
holds '"--max-length %d cuts none" % v["longest_tokens"] in v["warnings"][0] and "inptu" in v["warnings"][-1]'
holds 'v["compressed_bytes"] != v["bytes"] == 29'
check 0 "$MPILORA" inspect "$model" --train-on all
says err '^warning: --train-on changes nothing without data and --model$'
printf '<!DOCTYPE html><title>Log in</title>' >"$work/page.jsonl"
check 1 "$MPILORA" inspect "$work/page.jsonl"
says err 'page.jsonl: JSON is wanted here, and this is a web page'
check 1 "$MPILORA" inspect "$MPILORA"
check 1 "$MPILORA" inspect "$work"

# train, and what it leaves behind.
train="--model $model --data $work/train.jsonl --max-steps 12 --batch-size 6 --learning-rate 0.02 --lora-rank 4 --save-every 5"
# shellcheck disable=SC2086
check 0 ranks 2 "$MPILORA" train $train --output "$work/run"
for file in config.yaml metrics.jsonl adapter/adapter_config.json adapter/adapter_model.safetensors checkpoints/latest \
    checkpoints/step-00000012.h5; do
    [ -e "$work/run/$file" ] || fail "the run has no $file"
done
python3 - "$work/run/metrics.jsonl" <<'PYTHON' || fail "metrics.jsonl"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
keys = {"step", "epoch", "loss", "learning_rate", "grad_norm", "tokens", "supervised_tokens", "tokens_per_second", "seconds"}
assert [r["step"] for r in rows] == list(range(1, 13)), rows
assert all(keys <= r.keys() for r in rows), keys - rows[0].keys()
assert rows[-1]["loss"] < rows[0]["loss"], "nothing was learnt"
PYTHON
check 0 h5dump -n "$work/run/checkpoints/step-00000012.h5"
says out '/adapter/model.layers.1/mlp.down_proj/lora_B$'
says out '/optimizer/model.layers.0/self_attn.q_proj/lora_A_m$'

# inspect: what was trained.
check 0 "$MPILORA" inspect "$work/run" --json
holds 'v["kind"] == "run" and v["checkpoints"] == [5, 10, 12] and v["finished"] and v["step"] == 12'
holds 'v["last_metrics"]["step"] == 12 and v["exported_adapter"]'
holds 'v["last_metrics"]["slowest_host"] and v["last_metrics"]["phases"]["base_gemm"] > 0'
holds 'v["adapter"].endswith("/run/adapter") and v["config"]["adam-beta1"] == 0.9'
check 0 "$MPILORA" inspect "$work/run" # for people: what was given, what was learnt
says out '^  batch-size: 6$'
says out '^  loss: [0-9.]+$'
[ "$(grep -cE 'adam-beta1|base_gemm|slowest' "$work/out")" = 0 ] || fail "inspect says too much: $(cat "$work/out")"
check 0 "$MPILORA" inspect "$work/run/checkpoints/step-00000010.h5" --json
holds 'v["kind"] == "checkpoint" and v["step"] == 10 and v["cursor"] == 60 and not v["finished"]'
holds 'v["modules"] == 14 and v["lora_rank"] == 4 and v["config"]["learning-rate"] == 0.02'
check 0 "$MPILORA" inspect "$work/run/adapter" --json
holds 'v["kind"] == "adapter" and v["modules"] == 14 and v["lora_rank"] == 4'
holds '"rank_pattern" not in v and "layers_to_transform" not in v'
cp "$work/out" "$work/peft.json"
cp -r "$work/run/adapter" "$work/patterns"
python3 - "$work/patterns/adapter_config.json" <<'PYTHON'
import json, sys
v = json.load(open(sys.argv[1]))
v.update(rank_pattern={"q_proj": 4, "k.*": 4}, alpha_pattern={"q_proj": 7.5}, exclude_modules="x", layers_to_transform=[0, 1])
json.dump(v, open(sys.argv[1], "w"))
PYTHON
check 0 "$MPILORA" inspect "$work/patterns" --json
holds 'v["rank_pattern"] == {"q_proj": 4, "k.*": 4} and v["alpha_pattern"] == {"q_proj": 7.5}'
holds 'v["exclude_modules"] == "x" and v["layers_to_transform"] == [0, 1]'
check 0 "$MPILORA" export --model "$model" --checkpoint "$work/run" --format gguf --output "$work/adapter.gguf"
check 0 "$MPILORA" inspect "$work/adapter.gguf" --json
holds 'v["kind"] == "adapter" and v["adapter_type"] == "lora" and v["architecture"] == "llama"'
holds 'v["target_modules"] == ["attn_k", "attn_output", "attn_q", "attn_v", "ffn_down", "ffn_gate", "ffn_up"]'
holds "all(v[k] == json.load(open('$work/peft.json'))[k] for k in ('modules', 'parameters', 'lora_rank', 'lora_alpha'))"
check 0 "$MPILORA" inspect "$work/adapter.gguf"
says out '^lora_rank: 4$'

# export of the last checkpoint is the adapter that training wrote.
check 0 "$MPILORA" export --model "$model" --checkpoint "$work/run/checkpoints/step-00000012.h5" --format peft --output "$work/adapter"
cmp "$work/adapter/adapter_model.safetensors" "$work/run/adapter/adapter_model.safetensors" || fail "the export differs"
check 0 "$MPILORA" export --model "$model" --checkpoint "$work/run" --output "$work/named" --base-name owner/name
holds 'v["base_model_name_or_path"] == "owner/name"' "$work/named/adapter_config.json"
holds 'v["base_model_name_or_path"] == sys.argv[2].rsplit("/run/", 1)[0] + "/model"' "$work/run/adapter/adapter_config.json"
mkdir -p "$work/hub/models--owner--name.1/snapshots"
ln -s "$model" "$work/hub/models--owner--name.1/snapshots/1f2e"
check 0 "$MPILORA" export --model "$work/hub/models--owner--name.1/snapshots/1f2e" --checkpoint "$work/run" \
    --output "$work/named" --overwrite
says err 'written to .*/named, for the base owner/name\.1$'
holds 'v["base_model_name_or_path"] == "owner/name.1"' "$work/named/adapter_config.json"

# One file of an adapter in the place of its folder; what is none.
for file in adapter_model.safetensors adapter_config.json; do
    for command in "eval --adapter $work/adapter/$file --data $work/train.jsonl" \
        "export --checkpoint $work/adapter/$file --output $work/again"; do
        check 2 "$MPILORA" $command --model "$model"
        says err "$file is one file of an adapter: give the folder, $work/adapter$"
    done
done
for file in "$model/config.json" "$work/train.jsonl"; do
    check 2 "$MPILORA" eval --adapter "$file" --data "$work/train.jsonl" --model "$model"
    says err "$file is JSON: an adapter is a checkpoint \(\.h5\), the folder of a run, a folder of PEFT"
done

# Other files in the place of data, a model, a checkpoint and a template.
printf 'prompt,completion\na,b\n' >"$work/table.jsonl"
check 1 "$MPILORA" train --model "$model" --data "$work/table.jsonl" --output "$work/no" --skip-bad-lines
says err 'table.jsonl: JSON is wanted here, and this is a table with commas \(CSV\): .*read_csv\(FILE\)\.to_json'
check 1 "$MPILORA" train --model "$work/train.jsonl" --data "$work/train.jsonl" --output "$work/no"
says err 'neither a GGUF file nor a model folder: .*train.jsonl: a GGUF file is wanted here, and this is JSON'
check 1 "$MPILORA" train --model "$model" --data "$work/train.jsonl" --output "$work/no" --resume "$work/train.jsonl"
says err '\-\-resume: .*train.jsonl: an HDF5 file, such as a checkpoint, is wanted here, and this is JSON'
check 1 "$MPILORA" generate --model "$model" --chat-template "$model/config.json" --chat --prompt a
says err '\-\-chat-template: .*config.json: a chat template \(Jinja\) is wanted here, and this is JSON'

# eval: the base, and the adapter from each of its three forms; the same on 1 and on 3 ranks.
check 0 "$MPILORA" eval --model "$model" --data "$work/train.jsonl" --json
holds 'set(v) == {"loss", "perplexity", "token_accuracy", "exact_match", "supervised_tokens", "examples"}'
holds 'v["examples"] == 24 and v["exact_match"] < 0.5'
cp "$work/out" "$work/base.json"
for adapter in "$work/run" "$work/run/checkpoints/latest" "$work/adapter"; do
    check 0 "$MPILORA" eval --model "$model" --adapter "$adapter" --data "$work/train.jsonl" --json
    holds "v['loss'] < json.load(open('$work/base.json'))['loss']"
    [ ! -e "$work/eval.json" ] || cmp "$work/out" "$work/eval.json" || fail "$adapter: another result"
    cp "$work/out" "$work/eval.json"
done
check 0 ranks 3 "$MPILORA" eval --model "$model" --adapter "$work/run" --data "$work/train.jsonl" --json --threads 1
holds "abs(v['loss'] - json.load(open('$work/eval.json'))['loss']) < 1e-6 and v['examples'] == 24"
check 1 "$MPILORA" eval --model "$model" --data "$work/mixed.jsonl"
says err 'mixed.jsonl:5'
check 0 "$MPILORA" eval --model "$model" --data "$work/mixed.jsonl" --skip-bad-lines
says out '^examples: 3$'

# generate: greedy is repeatable, a seed is too, every output is UTF-8; the prompt does not come back.
for way in "" "--chat" "--temperature 1 --seed 3" "--adapter $work/run"; do
    # shellcheck disable=SC2086
    check 0 "$MPILORA" generate --model "$model" --prompt "on the" --max-new-tokens 12 $way
    cp "$work/out" "$work/first"
    # shellcheck disable=SC2086
    check 0 "$MPILORA" generate --model "$model" --prompt "on the" --max-new-tokens 12 $way
    cmp "$work/out" "$work/first" || fail "generate $way: not the same twice"
    iconv -f utf-8 -t utf-8 "$work/out" >/dev/null || fail "generate $way: not UTF-8"
done
check 0 "$MPILORA" generate --model "$model" --prompt "on 1" --adapter "$work/run" --max-new-tokens 8
! grep -q 'on 1' "$work/out" || fail "the prompt was printed"

# Every token that the model declares ends an answer, not the first of the list alone.
cp -r "$model" "$work/stops"
check 0 "$MPILORA" generate --model "$work/stops" --adapter "$work/run" --prompt "on the" --max-new-tokens 12
cp "$work/out" "$work/first"
check 0 "$MPILORA" tokenize --model "$work/stops" --text "$(cat "$work/first")" --json
python3 - "$work/out" "$work/stops/generation_config.json" <<'PY'
import json, sys
ids = json.load(open(sys.argv[1]))
json.dump({"eos_token_id": [2, ids[len(ids) // 2]]}, open(sys.argv[2], "w"))
PY
check 0 "$MPILORA" generate --model "$work/stops" --adapter "$work/run" --prompt "on the" --max-new-tokens 12
[ "$(wc -c <"$work/out")" -lt "$(wc -c <"$work/first")" ] || fail "went on: $(cat "$work/out")"

# probe: names, shapes and sums; the adapter is the one given; a base of another content is refused.
check 0 "$MPILORA" probe --model "$model" --data "$work/mixed.jsonl" --skip-bad-lines --adapter "$work/run" --output "$work/p.h5"
check 0 h5dump -H "$work/p.h5"
says out 'ATTRIBUTE "loss"'
says out 'ATTRIBUTE "supervised_tokens"'
check 0 h5dump -n "$work/p.h5"
for i in 0 1 2; do for name in tokens supervised logits; do says out "/examples/$i/$name\$"; done; done
for part in adapter grad; do says out "/$part/model.layers.0/self_attn.q_proj/lora_A\$"; done
for name in loss supervised_tokens examples/{0,1,2}/log_probability; do
  h5dump -y -m %.17g -a "/$name" "$work/p.h5" | sed -n 's/^ *\(-*[0-9][0-9.e+-]*\)$/\1/p'
done >"$work/sums"
python3 - "$work/sums" <<'PY' || fail "the log-probabilities are not the loss: $(cat "$work/sums")"
import sys
loss, tokens, *sums = map(float, open(sys.argv[1]))
sys.exit(len(sums) != 3 or max(sums) >= 0 or abs(sum(sums) + loss * tokens) > 1e-9 * loss * tokens)
PY
check 0 h5dump -d /adapter/model.layers.0/self_attn.q_proj/lora_B -y -w 1 "$work/p.h5"
grep -v 'DATASET\|HDF5' "$work/out" >"$work/probe"
check 0 h5dump -d /adapter/model.layers.0/self_attn.q_proj/lora_B -y -w 1 "$work/run/checkpoints/step-00000012.h5"
sed -n '/DATA {/,/}/p' "$work/probe" >"$work/values"
sed -n '/DATA {/,/}/p' "$work/out" | cmp - "$work/values" || fail "the probe's adapter is not the checkpoint's"
check 0 h5dump -d /examples/1/tokens -y -w 400 "$work/p.h5"
says out '^ +[0-9].*, 2$'
fresh="--model $model --data $work/train.jsonl --lora-rank 2 --target-modules q_proj --seed 5 --threads 1"
# shellcheck disable=SC2086
check 137 env LD_PRELOAD="${FAULT:?}" FAULT_CALLS=sync FAULT_UNDER="$work/.one.h5" FAULT_NTH=1 FAULT_SIGNAL=9 \
    "$MPILORA" probe $fresh --output "$work/one.h5"
[ "$(ls -A "$work" | grep -c 'one\.h5')" = 1 ] || fail "not killed while it wrote: $(ls -A "$work")"
# shellcheck disable=SC2086
check 0 "$MPILORA" probe $fresh --output "$work/one.h5"
[ "$(ls -A "$work" | grep 'one\.h5')" = one.h5 ] || fail "left by a killed one: $(ls -A "$work")"
# shellcheck disable=SC2086
check 0 ranks 2 "$MPILORA" probe $fresh --output "$work/two.h5"
check 0 h5diff "$work/one.h5" "$work/two.h5"
python3 "$SOURCE/tests/support/make_tiny_model.py" "$work/other" 2
check 1 "$MPILORA" eval --model "$work/other" --adapter "$work/run" --data "$work/train.jsonl"
says err 'allow-base-mismatch'
check 0 "$MPILORA" eval --model "$work/other" --adapter "$work/run" --data "$work/train.jsonl" --allow-base-mismatch
passed
