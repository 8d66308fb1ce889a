# What PEFT, transformers and the gguf package make of exports, and what is made of PEFT's adapters. Needs a Python that
# has them: MPILORA_PYTHON names one, else python3 is tried.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
python=${MPILORA_PYTHON:-$(type -P python3)}
"$python" -c 'import gguf, h5py, peft, torch, transformers' 2>/dev/null ||
    skip "$python has not all of torch, transformers, peft, gguf and h5py"
clients="$python $SOURCE/tests/support/export_clients.py"

# Adapters that PEFT has made, for families with matrices in other orders: exported, and merged.
# shellcheck disable=SC2086
check 0 $clients make "$work" "$GOLDEN"
for adapter in "$work"/tiny_*; do
    name=$(basename "$adapter")
    for format in peft "merged --save-dtype f32"; do
        # shellcheck disable=SC2086
        check 0 "$MPILORA" export --model "$GOLDEN/$name" --checkpoint "$adapter" --format $format \
            --output "$adapter-${format%% *}"
    done
done
# shellcheck disable=SC2086
check 0 $clients check "$work" "$GOLDEN"
cat "$work/out"

# An adapter that was trained here gives PEFT the logits of `probe`.
check 0 train "$work/run" --max-steps 5 --rslora --eval-data "$work/held.jsonl" --eval-every 2 --base-name owner/tiny_1
check 0 "$MPILORA" probe --model "$model" --adapter "$work/run" --data "$work/held.jsonl" --threads 1 \
    --output "$work/probe.h5"
# shellcheck disable=SC2086
check 0 $clients probe "$model" "$work/run/adapter" "$work/probe.h5"
# shellcheck disable=SC2086
check 0 $clients beside "$work/run"

# A merged GGUF.
"$MPILORA" inspect "$GOLDEN/tiny_gguf/model.gguf" >"$work/log" || fail "no GGUF"
mkdir "$work/for-gguf"
"$python" - "$work/for-gguf" "$GOLDEN/tiny_gguf/model.gguf" <<'PY' || fail "the adapter could not be made"
import json, sys, numpy, gguf
from safetensors.numpy import save_file
folder, base = sys.argv[1:]
random = numpy.random.default_rng(1)
tensors = {}
for t in gguf.GGUFReader(base).tensors:
    if t.name.startswith("blk.") and t.name.endswith("attn_q.weight"):
        rows, columns = int(t.shape[1]), int(t.shape[0])
        path = f"base_model.model.model.layers.{t.name.split('.')[1]}.self_attn.q_proj"
        tensors[f"{path}.lora_A.weight"] = random.normal(size=(2, columns)).astype("float32")
        tensors[f"{path}.lora_B.weight"] = random.normal(size=(rows, 2)).astype("float32")
save_file(tensors, folder + "/adapter_model.safetensors")
config = {"peft_type": "LORA", "r": 2, "lora_alpha": 1, "target_modules": ["q_proj"]}
json.dump(config, open(folder + "/adapter_config.json", "w"))
PY
check 0 "$MPILORA" export --model "$GOLDEN/tiny_gguf/model.gguf" --checkpoint "$work/for-gguf" --format merged \
    --output "$work/merged.gguf"
# shellcheck disable=SC2086
check 0 $clients gguf "$GOLDEN/tiny_gguf/model.gguf" "$work/merged.gguf"
passed
