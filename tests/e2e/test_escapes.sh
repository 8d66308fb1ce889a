# Text from files and the environment acts on no terminal: a list of all places that it comes from, each with control characters
# planted, and every byte that the program writes looked at.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
check 0 train "$work/run" --max-steps 2 --save-every 1
checks=$((checks + 1))
python3 - "$MPILORA" "$work" "$SOURCE" <<'PY' || fail "control characters reach the terminal"
import json, os, re, shutil, struct, subprocess, sys, time

program, work, source = sys.argv[1:]
EVIL = "x\x1b[31m\u009b32m\x7f\u202e\a\r"
model, run, data = f"{work}/model", f"{work}/run", f"{work}/data.jsonl"
done, unseen, bad = 0, [], []


def look(what, *words, environment=None, said=True, before=()):
    """Runs it, after the words of `before`; `said`: the text is to be seen, made harmless (or this one)."""
    global done
    variables = dict(os.environb)
    for name, value in (environment or {}).items():
        variables[name.encode()] = value.encode()
    result = subprocess.run([w.encode() for w in (*before, program, *words)], env=variables, cwd=work, stdin=subprocess.DEVNULL,
                            capture_output=True, timeout=120)
    done += 1
    for stream in (result.stdout, result.stderr):
        # libgomp of gcc 14 says this before the program begins.
        text = stream.decode("utf-8", "surrogateescape").replace(f"environment variable OMP_NUM_THREADS: {EVIL}\n", "", 1)
        if re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\udc80-\udcff]", text):
            bad.append(f"{what}: {text!r}"[:600])
    if said and (b"\\u001b[31m" if said is True else said) not in result.stdout + result.stderr:
        unseen.append(f"{what}: status {result.returncode}, {(result.stderr or result.stdout)[-300:]!r}")


def copy(name, changes):
    """A copy of the model with files changed: {file: function of its JSON, or of its bytes}."""
    folder = f"{work}/changed"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(model, folder)
    for file, change in changes.items():
        path = f"{folder}/{file}"
        if file.endswith(".safetensors"):
            content = change(open(path, "rb").read())
            open(path, "wb").write(content)
        else:
            value = json.load(open(path)) if os.path.exists(path) else {}
            value = change(value) or value
            json.dump(value, open(path, "w"))
    return folder


def sets(*keys, value=EVIL):
    def change(v):
        for key in keys[:-1]:
            v = v[key]
        v[keys[-1]] = value
    return change


def header(change):
    """Of a safetensors file."""
    def changed(content):
        size = struct.unpack("<Q", content[:8])[0]
        value = json.loads(content[8:8 + size])
        value = change(value) or value
        text = json.dumps(value).encode()
        return struct.pack("<Q", len(text)) + text + content[8 + size:]
    return changed


def first(v):
    return next(name for name in v if name != "__metadata__")


def renamed(v):
    v[EVIL] = v.pop(first(v))


def rebased(v):
    v["__metadata__"]["mpilora.base_hash"] = EVIL


def inspect(what, file, change, **more):
    look(what, "inspect", copy(what, {file: change}), **more)


# The command line, paths, the environment.
look("command", EVIL)
look("option", "train", "--" + EVIL, "1")
look("value of a choice", "train", "--lr-schedule", EVIL)
look("value that is a number", "train", "--seed", EVIL)
look("path of a model", "inspect", f"{work}/{EVIL}")
look("path of data", "train", "--model", model, "--data", f"{work}/{EVIL}", "--output", f"{work}/o")
look("output", "train", "--model", model, "--data", data, "--output", f"/proc/{EVIL}")
look("adapter", "generate", "--model", model, "--adapter", f"{work}/{EVIL}", "--prompt", "a")
look("resume", "train", "--model", model, "--data", data, "--output", f"{work}/o", "--resume", f"{work}/{EVIL}")
shutil.copytree(model, f"{work}/model {EVIL}")
look("path that is right", "inspect", f"{work}/model {EVIL}")
look("path that is right, as JSON", "inspect", f"{work}/model {EVIL}", "--json")
look("prompt", "generate", "--model", model, "--prompt", EVIL, "--max-new-tokens", "1", said=False)
for name in ("MPILORA_ISA", "OMP_NUM_THREADS", "SLURM_JOB_END_TIME", "SLURM_JOB_ID", "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS",
             "SLURMD_NODENAME", "SLURM_JOB_NODELIST", "HOSTNAME", "TERM", "MPILORA_SAVED", "OPENBLAS_CORETYPE"):
    variables = {name: EVIL}
    if name == "SLURM_JOB_END_TIME":
        variables["SLURM_JOB_ID"] = "1"
    look(f"variable {name}", "train", "--config", f"{work}/train.yaml", "--max-steps", "1", "--output", f"{work}/env",
         "--resume", "never", "--overwrite", environment=variables, said=False)

# The name of the host, where a namespace may have one of its own. With an escape in it Open MPI does not start.
host = ("unshare", "--uts", "sh", "-c", 'printf %s "$0" >/proc/sys/kernel/hostname && exec "$@"', "x\u202e\a\x7fy")
if subprocess.run([*host, "true"], stderr=subprocess.DEVNULL).returncode == 0:
    words = ("train", "--config", f"{work}/train.yaml", "--output", f"{work}/host", "--log-every", "1000")
    look("host", *words, "--max-steps", "2", before=host, said=False)
    look("host in metrics", "inspect", f"{work}/host", said=False)
    look("host in metrics, verified", "inspect", "--verify", f"{work}/host", said=False)
    look("report of a host", "report", f"{work}/host", said=False)
    holder = subprocess.Popen([*host, program, *words, "--max-steps", "1000000"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not os.path.getsize(f"{work}/host/.lock") and time.monotonic() < deadline:
        time.sleep(0.05)
    look("host of another run", *words, said=b"x\\u202e\\u0007")
    holder.kill()
    holder.wait()

# YAML.
for what, text in (("key", '"%s": 1\n'), ("value", 'lr-schedule: "%s"\n'), ("number", 'seed: "%s"\n'),
                   ("list", 'data: ["%s"]\nmodel: m\noutput: o\n'), ("syntax", 'a: [%s\n')):
    yaml = text % json.dumps(EVIL)[1:-1]
    open(f"{work}/evil.yaml", "w").write(yaml if what != "syntax" else text % "\x1b")
    look("YAML " + what, "train", "--config", f"{work}/evil.yaml", said=what not in ("syntax", "list"))

# config.json.
inspect("model_type", "config.json", sets("model_type"))
inspect("hidden_act", "config.json", sets("hidden_act"))
inspect("rope type", "config.json", sets("rope_scaling", value={"rope_type": EVIL, "factor": 2.0}))
inspect("rope type, older", "config.json", sets("rope_scaling", value={"type": EVIL, "factor": 2.0}))
inspect("rope type, newer", "config.json", sets("rope_parameters", value={"rope_type": EVIL, "rope_theta": 1e4}))
inspect("torch_dtype", "config.json", sets("torch_dtype"), said=False)
inspect("quantization", "config.json", sets("quantization_config", value={"quant_method": EVIL}), said=False)
inspect("a number that is a text", "config.json", sets("hidden_size"), said=False)

# Weights.
inspect("tensor name", "model.safetensors", header(renamed), said=False)
folder = copy("dtype name", {"model.safetensors": header(lambda v: sets(first(v), "dtype")(v))})
look("dtype name", "train", "--model", folder, "--data", data, "--output", f"{work}/o")
folder = copy("shard name", {"model.safetensors.index.json": lambda v: {"weight_map": {"a": EVIL}}})
os.remove(f"{folder}/model.safetensors")
look("shard name", "inspect", folder)
folder = copy("tensor of an index", {"model.safetensors.index.json": lambda v: {"weight_map": {EVIL: 1}}})
os.remove(f"{folder}/model.safetensors")
look("tensor of an index", "inspect", folder)

# The tokenizer.
for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
    inspect(f"type of {part}", "tokenizer.json", sets(part, value={"type": EVIL}))
    inspect(f"type in {part}", "tokenizer.json", sets(part, value={"type": "Sequence", "pretokenizers": [{"type": EVIL}],
            "normalizers": [{"type": EVIL}], "processors": [{"type": EVIL}], "decoders": [{"type": EVIL}]}))
inspect("type of the tokenizer", "tokenizer.json", sets("model", "type"))
inspect("begin token", "tokenizer_config.json", sets("bos_token"), said=False)
inspect("end token", "tokenizer_config.json", sets("eos_token"), said=False)


def names_end_token(v):
    v["added_tokens"].append({"id": len(v["model"]["vocab"]), "content": EVIL, "special": True, "normalized": False,
                              "lstrip": False, "rstrip": False, "single_word": False})


inspect("added token", "tokenizer.json", names_end_token, said=False)
chat = f"{work}/chat.jsonl"
open(chat, "w").write(json.dumps({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}) + "\n")
for what, template in (("exception", "{{ raise_exception('%s') }}" % EVIL), ("filter", "{{ a | %s }}" % EVIL),
                       ("tag", "{%% %s %%}" % EVIL), ("variable", "{{ messages | dictsort('%s') }}" % EVIL)):
    folder = copy("template", {"tokenizer_config.json": sets("chat_template", value=template)})
    look("template " + what, "train", "--model", folder, "--data", chat, "--output", f"{work}/o", said=what == "exception")

# Data.
for what, line in (("role", {"messages": [{"role": EVIL, "content": "a"}]}), ("column", {EVIL: 1}),
                   ("content", {"prompt": EVIL, "completion": 1}), ("message key", {"messages": [{EVIL: 1}]})):
    open(f"{work}/evil.jsonl", "w").write(json.dumps(line) + "\n")
    look("data " + what, "train", "--model", model, "--data", f"{work}/evil.jsonl", "--output", f"{work}/o", said=False)
    look("inspected data " + what, "inspect", f"{work}/evil.jsonl", said=False)
open(f"{work}/evil.jsonl", "w").write("{" + EVIL + "\n")
look("data that is no JSON", "inspect", f"{work}/evil.jsonl", said=False)
shutil.copy(data, f"{work}/data {EVIL}.jsonl")
look("name of a data file", "inspect", f"{work}/data {EVIL}.jsonl")

# Adapters.
for key in ("peft_type", "base_model_name_or_path", "bias", "task_type", "init_lora_weights", "target_modules", "rank_pattern",
            "layers_pattern", EVIL):
    shutil.rmtree(f"{work}/adapter", ignore_errors=True)
    shutil.copytree(f"{run}/adapter", f"{work}/adapter")
    config = json.load(open(f"{work}/adapter/adapter_config.json"))
    config[key] = {EVIL: 4} if key == "rank_pattern" else [EVIL] if key == "target_modules" else EVIL
    json.dump(config, open(f"{work}/adapter/adapter_config.json", "w"))
    look(f"adapter's {key}", "inspect", f"{work}/adapter", said=False)
    look(f"use of adapter's {key}", "eval", "--model", model, "--data", data, "--adapter", f"{work}/adapter", said=False)
shutil.copy(f"{run}/adapter/adapter_config.json", f"{work}/adapter/adapter_config.json")
content = open(f"{run}/adapter/adapter_model.safetensors", "rb").read()
open(f"{work}/adapter/adapter_model.safetensors", "wb").write(header(renamed)(content))
look("tensor of an adapter", "inspect", f"{work}/adapter", said=False)
look("use of a tensor of an adapter", "eval", "--model", model, "--data", data, "--adapter", f"{work}/adapter", said=False)
open(f"{work}/adapter/adapter_model.safetensors", "wb").write(header(rebased)(content))
look("base of an adapter", "inspect", f"{work}/adapter")
look("use of an adapter of such a base", "eval", "--model", model, "--data", data, "--adapter", f"{work}/adapter")

shutil.copytree(f"{run}/adapter", f"{work}/named {EVIL}")
open(f"{work}/asked.jsonl", "w").write(json.dumps({"prompt": EVIL, "completion": EVIL}) + "\n")
for command in (["eval"], ["eval", "--json"], ["compare", "--max-new-tokens", "2"], ["compare", "--max-new-tokens", "2", "--json"]):
    look("names of adapters: " + " ".join(command), *command, "--model", model, "--adapter", run, "--adapter",
         f"{work}/named {EVIL}", "--data", f"{work}/asked.jsonl")
for form in ([], ["--json"]):
    look("folder of the self-test: " + " ".join(form), "selftest", "--threads", "1", "--output", f"{work}/named {EVIL}", *form)

# A run's folder.
metrics = open(f"{run}/metrics.jsonl").read().split("\n")
line = json.loads(metrics[1])
line[EVIL] = line["eval_loss"] = EVIL
line["machine"] = {"processors": [{"name": EVIL}], "mpi": EVIL}
open(f"{run}/metrics.jsonl", "w").write(metrics[0] + "\n" + json.dumps(line) + "\n")
look("value of metrics", "inspect", run)
look("key of metrics, as JSON", "inspect", run, "--json")
look("machine in metrics", "inspect", run, said=rb"mpi: x\u001b[31m")
open(f"{run}/config.yaml", "a").write('"%s": 1\n' % json.dumps(EVIL)[1:-1])
look("config of a run", "inspect", "--verify", run, said=False)
look("report of a run", "report", run, said=False)
shutil.copytree(run, f"{work}/run {EVIL}")
for name, text in ((".lock", "process 1 on " + EVIL + "\n"), ("failed.txt", EVIL)):
    open(f"{work}/run {EVIL}/{name}", "w").write(text)
    look("watched run", "watch", f"{work}/run {EVIL}", environment={"COLUMNS": "300"}) # names have room
shutil.copy(f"{work}/run {EVIL}/failed.txt", f"{work}/log")
look("log of a watched run", "watch", run, "--log", f"{work}/log", said=False)
line["eval_loss"] = 1
open(f"{run}/metrics.jsonl", "w").write(json.dumps(line) + "\n")
look("machine of a watched run", "watch", run)
os.mkdir(f"{work}/several")
os.rename(f"{work}/run {EVIL}", f"{work}/several/run {EVIL}")
look("watched folder", "watch", f"{work}/several", environment={"COLUMNS": "300"})
look("watched folder, names cut", "watch", f"{work}/several", said=False)

# GGUF.
def text(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


for what, key in (("architecture", "general.architecture"), ("key", EVIL)):
    open(f"{work}/evil.gguf", "wb").write(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text(key) + struct.pack("<I", 8) + text(EVIL))
    look("GGUF " + what, "inspect", f"{work}/evil.gguf", said=what == "architecture")
for name in (f"blk.0.{EVIL}.weight.lora_a", "blk.0.weight.lora_a", "blk.weight.lora_a", ".weight.lora_a"):
    header = (b"GGUF" + struct.pack("<IQQ", 3, 1, 2) + text("general.type") + struct.pack("<I", 8) + text("adapter") +
              text("general.name") + struct.pack("<I", 8) + text(EVIL) + text(name) + struct.pack("<IQQIQ", 2, 4, 1, 0, 0))
    open(f"{work}/evil.gguf", "wb").write(header + bytes(-len(header) % 32 + 32))
    look("GGUF adapter with " + name, "inspect", f"{work}/evil.gguf")
open(f"{work}/evil.gguf", "wb").write(b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + text(EVIL) + struct.pack("<IQIQ", 1, 4, 99, 0))
look("GGUF tensor", "inspect", f"{work}/evil.gguf", said=False)

for line in bad:
    print("RAW", line, file=sys.stderr)
for line in unseen:
    print("NOT SAID", line, file=sys.stderr)
print(f"{done} places")
sys.exit(bool(bad or unseen))
PY

# An answer is the model's: the exact bytes into a file, and nothing that acts on a terminal.
check 0 "$MPILORA" tokenize --model "$model" --text "$(printf 'a\033[31mb')"
ids=$(tr -d '[]' <"$work/out")
check 0 "$MPILORA" tokenize --model "$model" --decode "$ids"
[ "$(cat "$work/out")" = "$(printf 'a\033[31mb')" ] || fail "other bytes: $(cat -v "$work/out")"
check 0 script -qec "'$MPILORA' tokenize --model '$model' --decode '$ids'" /dev/null
says out 'a\\u001b\[31mb'
passed
