# A decoder that is a part of a model with a tower of vision trains as it does alone, bit by bit, whatever its tensors are
# called; the tower is not read; its modules go by the names of the class that serves the model, everywhere.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
python3 "$SOURCE/tests/support/wrap_model.py" "$model" "$work/new" || fail "the wrapper could not be made"
python3 "$SOURCE/tests/support/wrap_model.py" "$model" "$work/old" old || fail "the old wrapper could not be made"

# Nothing is drawn: random numbers go by the modules' names.
same="--lora-init constant --init-std 0.1 --lora-dropout 0 --max-steps 4"
for name in model new old; do
    # shellcheck disable=SC2086
    check 0 train "$work/run-$name" $same --model "$work/$name"
    check 0 "$MPILORA" eval --model "$work/$name" --adapter "$work/run-$name" --data "$work/held.jsonl" --threads 1 --json
    cp "$work/out" "$work/eval-$name"
done
for name in new old; do
    diff <(losses "$work/run-model") <(losses "$work/run-$name") >&2 || fail "$name trains in another way than the model alone"
    cmp "$work/eval-model" "$work/eval-$name" >&2 || fail "$name evaluates in another way"
    h5ls -r "$work/run-$name/checkpoints/latest" >"$work/out"
    says out '^/adapter/model\.language_model\.layers\.1/mlp\.down_proj/lora_A '
    [ "$(grep -c '^/adapter/model\.language_model\.layers\.[01]/.*/lora_[AB] ' "$work/out")" = 28 ] || fail "other modules are there"
    python3 - "$work/run-model/adapter" "$work/run-$name/adapter" <<'PY' || fail "the export of $name is another"
import json, struct, sys
def tensors(folder):
    data = open(folder + "/adapter_model.safetensors", "rb").read()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    del header["__metadata__"]
    return {name: data[8 + length:][slice(*entry["data_offsets"])] for name, entry in header.items()}
alone, wrapped = map(tensors, sys.argv[1:])
prefix = ("base_model.model.model.", "base_model.model.model.language_model.")
assert {name.replace(*prefix, 1): value for name, value in alone.items()} == wrapped
# Whole paths: the tower has modules of the same names.
targets = json.load(open(sys.argv[2] + "/adapter_config.json"))["target_modules"]
assert {f"base_model.model.{path}.lora_{m}.weight" for path in targets for m in "AB"} == set(wrapped)
PY
    check 0 "$MPILORA" eval --model "$work/$name" --adapter "$work/run-$name/adapter" --data "$work/held.jsonl" --threads 1 --json
    cmp "$work/eval-model" "$work/out" >&2 || fail "the export of $name evaluates in another way"
done

# The tower counts in no hash, and a tensor of no known part is refused.
check 0 "$MPILORA" inspect "$work/new" --json
hash=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["hash"])' <"$work/out")
truncate -s -4 "$work/new/model.safetensors"
printf '\0\0\0\0' >>"$work/new/model.safetensors"
check 0 "$MPILORA" inspect "$work/new" --json
holds "v['hash'] == '$hash'"
sed -i 's/model[.]vision_tower[.]patch_conv/model.hearing_tower.patch_cin/' "$work/new/model.safetensors"
check 1 train "$work/run-new" --model "$work/new"
says err 'model.hearing_tower.patch_cin.weight is not part of a llama model'

# What is wrong inside is named with its place; what the whole asks for counts too.
python3 - "$work/old/config.json" <<'PY'
import json, sys
v = json.load(open(sys.argv[1]))
json.dump(dict(v, quantization_config={"quant_method": "fp8"}), open(sys.argv[1], "w"))
PY
check 1 "$MPILORA" inspect "$work/old"
says err 'old/config.json: quantization_config: .* is not supported'
python3 - "$work/old/config.json" <<'PY'
import json, sys
v = json.load(open(sys.argv[1]))
del v["quantization_config"]
json.dump(dict(v, text_config=dict(v["text_config"], hidden_act="tanh")), open(sys.argv[1], "w"))
PY
check 1 "$MPILORA" inspect "$work/old"
says err 'old/config.json: text_config: hidden_act: "tanh" is not supported'
passed
