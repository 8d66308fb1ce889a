# Sourced by the end-to-end tests of training, after e2e.sh: a tiny model, data, and ways to run and compare.
model=$work/model
python3 "$SOURCE/tests/support/make_tiny_model.py" "$model" || fail "the tiny model could not be made"
python3 - "$work" <<'PY' || fail "the data could not be made"
import json, random, sys
random.seed(3)
words = "alpha beta gamma delta the an in on job node rank queue".split()
for name, count in (("data", 37), ("held", 9)):
    with open(f"{sys.argv[1]}/{name}.jsonl", "w") as out:
        for i in range(count):
            text = lambda most: " ".join(random.choices(words, k=random.randint(1, most)))
            out.write(json.dumps({"prompt": text(6), "completion": " " + text(9)}) + "\n")
PY
# What the runs have in common; what is on the command line wins over it.
cat >"$work/train.yaml" <<YAML
model: $model
data: [$work/data.jsonl]
batch-size: 10
lora-rank: 4
max-length: 64
micro-batch-tokens: 128
learning-rate: 1e-2
lr-schedule: constant
lora-dropout: 0.1
shuffle: true
threads: 1
YAML
options="--config $work/train.yaml"

# ranks N COMMAND...: under mpirun, without a word of it on stdout.
ranks() {
    local count=$1
    shift
    timeout 300 mpirun -n "$count" --bind-to none "$@"
}

# train FOLDER OPTION...: one run on one rank.
train() {
    local folder=$1
    shift
    timeout 300 "$MPILORA" train $options --output "$folder" "$@"
}

# steps FOLDER: the steps in its metrics.jsonl, on one line.
steps() {
    python3 -c 'import json, sys; print(*[json.loads(l)["step"] for l in open(sys.argv[1] + "/metrics.jsonl")])' "$1"
}

# losses FOLDER: step, loss and norm, one step a line, every digit.
losses() {
    python3 -c '
import json, sys
for l in open(sys.argv[1] + "/metrics.jsonl"):
    v = json.loads(l)
    print(v["step"], v["epoch"], v["loss"], v["learning_rate"], v["grad_norm"], v["tokens"], v.get("eval_loss"))' "$1"
}

# same_run A B: the same metrics and the same bytes of the adapter and of the last checkpoint's arrays.
same_run() {
    checks=$((checks + 1))
    diff <(losses "$1") <(losses "$2") >&2 || fail "the metrics of $1 and $2 differ"
    cmp "$1/adapter/adapter_model.safetensors" "$2/adapter/adapter_model.safetensors" >&2 ||
        fail "the adapters of $1 and $2 differ"
    diff <(h5dump -g /optimizer "$1/checkpoints/latest" | tail -n +2) \
        <(h5dump -g /optimizer "$2/checkpoints/latest" | tail -n +2) >/dev/null ||
        fail "the optimizer states of $1 and $2 differ"
}

# until_true PROCESS COMMAND...: waits until the command succeeds; a minute at most, and only while the process lives.
until_true() {
    local process=$1
    shift
    for _ in $(seq 600); do
        "$@" 2>/dev/null && return
        kill -0 "$process" 2>/dev/null || break
        sleep 0.1
    done
    fail "never came true: $*; $(cat "$work/err")"
}
