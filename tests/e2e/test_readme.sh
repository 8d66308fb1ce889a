# The READMEs' own commands, on a tiny model: the blocks marked "sh tested", in their order, in one shell.
. "$SOURCE/tests/support/e2e.sh"
unset OMPI_MCA_ess_singleton_isolated # as it is used
: "${MPILORA:?is the program}"
python3 "$SOURCE/tests/support/make_tiny_model.py" "$work/model"
mkdir "$work/here" "$work/bin"
ln -s "$MPILORA" "$work/bin/mpilora"
cd "$work/here" || exit 1
python3 - <<'PYTHON'
import json
for name, count in (("my", 20), ("held-out", 5)):
    with open(f"{name}.jsonl", "w") as f:
        for i in range(count):
            print(json.dumps({"prompt": f"{i} nodes", "completion": f" the {i}"}), file=f)
with open("chat.jsonl", "w") as f:
    for i in range(20):
        print(json.dumps({"messages": [{"role": "user", "content": f"node {i}"}, {"role": "assistant", "content": "on"}]}), file=f)
PYTHON

{
    echo 'set -euxo pipefail'
    awk '/^```sh tested$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$SOURCE/README.md" "$SOURCE/jobs/README.md"
} >"$work/commands.sh"
[ "$(wc -l <"$work/commands.sh")" -ge 12 ] || fail "the READMEs have too few commands that are tested"
PATH=$work/bin:$PATH model=$work/model check 0 bash "$work/commands.sh"

for file in runs/mine/adapter/adapter_model.safetensors runs/again/adapter/adapter_config.json \
    runs/chat/checkpoints/latest my-adapter/adapter_model.safetensors my-adapter.gguf my-model/config.json probe.h5; do
    checks=$((checks + 1))
    [ -s "$file" ] || fail "the READMEs' commands did not make $file"
done

# Every script and page that the READMEs name is there.
named=$(cat "$SOURCE/README.md" "$SOURCE"/{jobs,scripts,src,tests}/README.md |
    grep -oE '(scripts|jobs|src|tests)/[A-Za-z_./]+\.(sh|md|py|sbatch|yaml)')
for file in $named; do
    checks=$((checks + 1))
    [ -e "$SOURCE/$file" ] || fail "a README names $file, which does not exist"
done
passed
