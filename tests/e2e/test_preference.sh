# Preference training: the same bits on any number of ranks and after a resume; rewards, which are 0 at the
# start if there is a reference; what cannot be trained so.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
python3 - "$work" <<'PY'
import json, random, sys
random.seed(5)
words = "alpha beta gamma delta the an in on job node rank queue".split()
for name, count in (("pairs", 23), ("held-pairs", 7)):
    with open(f"{sys.argv[1]}/{name}.jsonl", "w") as out:
        for i in range(count):
            text = lambda most: " ".join(random.choices(words, k=random.randint(1, most)))
            out.write(json.dumps({"prompt": text(6), "chosen": " yes " + text(5), "rejected": " no " + text(9)}) + "\n")
PY
cat >"$work/pairs.yaml" <<YAML
model: $model
data: [$work/pairs.jsonl]
eval-data: [$work/held-pairs.jsonl]
batch-size: 6
lora-rank: 4
max-length: 64
micro-batch-tokens: 160
learning-rate: 3e-3
lr-schedule: constant
lora-dropout: 0.1
threads: 1
max-steps: 8
eval-every: 4
save-every: 3
YAML
options="--config $work/pairs.yaml"

simpo="simpo --beta 2 --simpo-margin 1 --label-smoothing 0.1 --sft-weight 0.2"
# on OBJECTIVE: numbers of ranks, beside 1.
on() {
    case $1 in dpo) echo 2 3 4 ;; ipo) echo 2 ;; *) echo 3 ;; esac
}
for objective in "dpo --beta 0.5 --label-smoothing 0.1" "ipo --beta 0.2" "$simpo" "orpo --beta 0.5 --train-on all"; do
    name=${objective%% *}
    check 0 train "$work/$name" --objective $objective --tensorboard
    for n in $(on $name); do
        check 0 ranks $n "$MPILORA" train $options --objective $objective --output "$work/$name-on-$n"
        same_run "$work/$name" "$work/$name-on-$n"
    done
    check 0 train "$work/$name-parts" --objective $objective --max-steps 4
    check 0 ranks 2 "$MPILORA" train $options --objective $objective --output "$work/$name-parts"
    same_run "$work/$name" "$work/$name-parts"
    python3 - "$work/$name" "$work/$name-on-$n" "$work/$name-parts" <<'PY' || fail "the rewards of $name"
import json, sys
import math
runs = [[json.loads(l) for l in open(f"{folder}/metrics.jsonl")] for folder in sys.argv[1:]]
names = ["reward_chosen", "reward_rejected", "reward_margin", "reward_accuracy"]
for rows in zip(*runs):
    for name in names + (["eval_loss"] + ["eval_" + n for n in names] if rows[0]["step"] % 4 == 0 else []):
        assert len({row[name] for row in rows}) == 1, (name, rows)
first, last = runs[0][0], runs[0][-1]
assert last["loss"] < first["loss"] and last["reward_margin"] > first["reward_margin"], (first, last)
assert last["eval_reward_margin"] > 0, last
if "dpo" in sys.argv[1] or "ipo" in sys.argv[1]: # a policy that has learnt nothing
    assert all(first[name] == 0 for name in names), first
if "dpo" in sys.argv[1]:
    assert abs(first["loss"] - math.log(2)) < 1e-15, first
assert abs(last["reward_margin"] - (last["reward_chosen"] - last["reward_rejected"])) < 1e-12
PY
    check 0 python3 "$SOURCE/tests/support/read_events.py" "$work/$name/tensorboard"
    python3 - "$work/$name" "$work/out" <<'PY' || fail "the rewards of $name in the files for TensorBoard and transformers"
import json, struct, sys
f32 = lambda x: struct.unpack("f", struct.pack("f", x))[0]
scalars = {(r["step"], r["tag"]): r["scalar"] for r in map(json.loads, open(sys.argv[2])) if "scalar" in r}
state = json.load(open(sys.argv[1] + "/adapter/trainer_state.json"))["log_history"]
names = {"chosen": "chosen", "rejected": "rejected", "margin": "margins", "accuracy": "accuracies"} # as TRL's trainers
for row in map(json.loads, open(sys.argv[1] + "/metrics.jsonl")):
    logged = {k: v for r in state if r["step"] == row["step"] for k, v in r.items()}
    for ours, theirs in names.items():
        assert logged["rewards/" + theirs] == row["reward_" + ours], (row, logged)
        assert scalars[row["step"], "train/rewards/" + theirs] == f32(row["reward_" + ours]), (row, theirs)
        evaluated = row.get("eval_reward_" + ours)
        assert logged.get("eval_rewards/" + theirs) == evaluated and (evaluated is not None) == (row["step"] % 4 == 0)
        assert scalars.get((row["step"], "eval/rewards/" + theirs)) == (None if evaluated is None else f32(evaluated))
PY
done
check 0 "$MPILORA" inspect "$work/dpo"
for name in reward_accuracy eval_reward_margin; do
    last=$(tail -n 1 "$work/dpo/metrics.jsonl" | python3 -c "import json; print('%.12g' % json.loads(input())['$name'])")
    says out "^  $name: ${last:0:4}"
done
check 0 "$MPILORA" report "$work/dpo"
check 0 python3 "$SOURCE/tests/support/read_metrics_csv.py" "$work/dpo"

# The four steps of an epoch compute what both sides of a pair begin with once, as far as it carries no loss.
check 0 "$MPILORA" inspect "$work/pairs.jsonl" --model "$model" --max-length 64 --examples 23 --json
python3 - "$work/out" "$work/dpo/metrics.jsonl" <<'PY' || fail "the tokens of a step are not those of prompts and answers"
import json, sys
shown = json.load(open(sys.argv[1]))
whole = shared = 0
for pair in shown["shown"]:
    chosen, rejected = pair["chosen"]["tokens"], pair["rejected"]["tokens"]
    whole += len(chosen) + len(rejected)
    shared += next(i for i, (a, b, mark) in enumerate(zip(chosen, rejected, pair["rejected"]["supervised"])) if a != b or mark)
rows = [json.loads(line) for line in open(sys.argv[2])][:4]
assert shared > 23 and shown["tokens"] == whole, (whole, shared, shown["tokens"])
assert sum(row["tokens"] for row in rows) == whole - shared, (whole, shared, rows)
PY

# From an adapter, which is the reference then, also after a resume.
more="--objective dpo --adapter $work/orpo/adapter --lora-dropout 0"
check 0 train "$work/second" $more
says err '^    \(its reference is the base, not .*/orpo/adapter as in this run: '
check 0 train "$work/second-parts" $more --max-steps 4
check 0 ranks 2 "$MPILORA" train $options $more --output "$work/second-parts"
same_run "$work/second" "$work/second-parts"
holds 'v["reward_margin"] == 0' <(head -n 1 "$work/second/metrics.jsonl")
# Only what a run uses is computed, and only what is not there yet.
check 0 train "$work/short" $more --max-steps 2
says err '^reference, training: 12 of 23 pairs in '
check 0 ranks 2 "$MPILORA" train $options $more --output "$work/short" --max-steps 3
says err '^reference, training: 6 of 23 pairs in '
check 0 train "$work/short" $more
says err '^reference, training: 5 of 23 pairs in '
checks=$((checks + 1))
! grep -q '^reference, evaluation' "$work/err" || fail "the evaluation data's reference was recomputed"
cmp "$work/second/adapter/adapter_model.safetensors" "$work/short/adapter/adapter_model.safetensors" ||
    fail "the reference in three parts is not that of one"
check 0 train "$work/short" $more --max-steps 9 --max-eval-examples 3
says err '^reference, evaluation: 3 pairs in '
checks=$((checks + 1))
! grep -q '^reference, training' "$work/err" || fail "other evaluation data had the training data's reference recomputed"
# Stopped while the reference is computed: what there is by then is kept.
for n in 3 2; do
    check 75 env MPILORA_SAVED="$work/noted" timeout 120 mpirun -n $n --bind-to none \
        "$MPILORA" train $options $more --output "$work/stopped" --time-limit 1s
    [ "$(cat "$work/noted")" = 0 ] || fail "a job script does not learn that there is something to go on from"
    rm "$work/noted"
    says err '^reference, training: 6 of 23 pairs in '
    says err 'stopped by a signal or the time limit while the reference was computed: the same command goes on with it$'
done
check 0 "$MPILORA" watch "$work/stopped" --once
says out 'there is no checkpoint, but a reference: the same command goes on with that'
check 0 train "$work/stopped" $more
says err '^reference, training: 11 of 23 pairs in .* s, after 12 that were kept$'
same_run "$work/second" "$work/stopped"
# Killed meanwhile, at a pair that it reads, and while the file is written: the same command goes on after what was kept at
# every --save-every batches, and ends with the same bytes.
for at in "read pairs.jsonl 20 0 23" "all killed/checkpoints/.reference.h5 2 3 23" "all killed/checkpoints/.reference.h5 5 3 23" \
    "sync killed/checkpoints/.reference.h5 3 1 11"; do
    read -r calls file number every left <<<"$at"
    check 137 env LD_PRELOAD="${FAULT:?}" FAULT_CALLS=$calls FAULT_UNDER="$work/$file" FAULT_NTH=$number FAULT_SIGNAL=9 \
        "$MPILORA" train $options $more --output "$work/killed" --save-every $every
    [ -e "$work/killed/config.yaml" ] || fail "killed before it began: $at"
    check 0 ranks 2 "$MPILORA" train $options $more --output "$work/killed"
    says err "^reference, training: $left (of 23 )?pairs in "
    same_run "$work/second" "$work/killed"
    [ "$(ls -A "$work/killed/checkpoints" | grep -c tmp)" = 0 ] || fail "left behind: $(ls -A "$work/killed/checkpoints")"
    rm -r "$work/killed"
done

# The reference is computed once; what it depends on is compared, a damaged file or none has it recomputed.
silent_of_reference() {
    checks=$((checks + 1))
    ! grep -q 'reference is recomputed' "$work/err" || fail "the reference was recomputed: $(cat "$work/err")"
}
check 0 "$MPILORA" inspect --verify "$work/second"
says out 'checkpoints/reference.h5'
check 0 train "$work/second" $more --max-steps 9
silent_of_reference
check 0 train "$work/second" $more --max-steps 10 --beta 0.2 --learning-rate 1e-3 --allow-changed-options
silent_of_reference
check 0 train "$work/second" $more --max-steps 11 --beta 0.2 --learning-rate 1e-3 --max-length 63 --allow-changed-options
says err 'reference.h5 was computed with a different --max-length: the reference is recomputed'
truncate -s 700 "$work/second-parts/checkpoints/reference.h5"
check 1 "$MPILORA" inspect --verify "$work/second-parts"
check 0 train "$work/second-parts" $more --max-steps 12
says err 'reference.h5: has 700 of its [0-9]+ bytes: it is truncated: the reference is recomputed$'
rm "$work/second-parts/checkpoints/reference.h5"
check 0 train "$work/second-parts" $more --max-steps 16
check 0 train "$work/whole" $more --max-steps 16
same_run "$work/whole" "$work/second-parts"
check 0 train "$work/pissa" --objective dpo --lora-init pissa --lora-dropout 0 --max-steps 2
holds 'v["reward_margin"] == 0' <(head -n 1 "$work/pissa/metrics.jsonl")
# An adapter that begins elsewhere than at the base, which the reference is.
check 0 train "$work/apart" --objective dpo --lora-init both-normal --max-steps 1
says err '^warning: --lora-init both-normal: .* the reference of --objective dpo is the base without it'
holds 'v["reward_margin"] != 0' <(head -n 1 "$work/apart/metrics.jsonl")

# The best evaluation is one of evaluations that can be compared: the least loss of DPO is below all of IPO.
best="--eval-every 2 --keep-best"
check 0 train "$work/kept" $best --objective dpo --max-steps 2
check 0 train "$work/kept" $best --objective dpo --max-steps 4
checks=$((checks + 1))
! grep -q 'forgotten' "$work/err" || fail "the same evaluations cannot be compared: $(cat "$work/err")"
check 0 train "$work/kept" $best --objective ipo --max-steps 8 --allow-changed-options
says err 'h5: options differ from .*: --objective ipo \(checkpoint: dpo\)$'
says err 'h5: the evaluations so far were made with another --objective, .*: the best of them is forgotten$'
check 0 "$MPILORA" inspect "$work/kept"
says out '^best_step: [5-8]$'

# 20 steps by TRL's own trainers (scripts/make_golden_preference_curve.py).
golden=$SOURCE/tests/golden/preference
python3 -c 'import json, sys
for i, row in enumerate(json.load(open(sys.argv[1]))): print(i, row["objective"], row["options"])' "$golden/curves.json" >"$work/rows"
while read -r row objective more; do
    check 0 "$MPILORA" train --model "$model" --data "$golden/pairs.jsonl" --adapter "$golden/adapter" --objective $objective $more \
        --batch-size 6 --max-steps 20 --learning-rate 2e-3 --lr-schedule constant --lora-dropout 0 --no-shuffle --max-length 200 \
        --threads 1 --output "$work/curve-$row"
    python3 - "$golden/curves.json" "$row" "$work/curve-$row/metrics.jsonl" <<'PY' || fail "row $row, $objective: another curve than TRL's"
import json, sys
theirs = json.load(open(sys.argv[1]))[int(sys.argv[2])]["losses"]
ours = [json.loads(line)["loss"] for line in open(sys.argv[3])]
worst = max(abs(a - b) / (1 + abs(a)) for a, b in zip(theirs, ours, strict=True))
sys.exit(f"{worst}: {theirs} and {ours}" if worst > 1e-4 else 0)
PY
done <"$work/rows"

# What probe and eval say, against the formulas on probe's log-probabilities. The reference is the base.
for objective in dpo ipo orpo simpo; do
    one="--model $model --data $work/held-pairs.jsonl --max-length 64 --threads 1 --adapter $work/orpo/adapter"
    one="$one --objective $objective --beta 0.3 --sft-weight 0.25"
    check 0 "$MPILORA" probe $one --output "$work/probe.h5"
    check 0 ranks 2 "$MPILORA" eval $one --json
    python3 - "$work/probe.h5" "$work/out" $objective <<'PY' || fail "$objective: probe and eval differ from its formula"
import json, math, subprocess, sys
path, out, objective = sys.argv[1:]
def number(name):
    text = subprocess.run(["h5dump", "-y", "-m", "%.17g", "-a", name, path], capture_output=True, text=True, check=True).stdout
    return float(text.split("DATA {")[1].split("}")[0])
def tokens(group):
    text = subprocess.run(["h5dump", "-y", "-w", "0", "-d", group + "/supervised", path], capture_output=True, text=True, check=True).stdout
    return text.split("DATA {")[1].split("}")[0].count("1")
losses, chosen_sum, chosen_tokens, margins = [], 0, 0, []
for i in range(7):
    x, r, n = [], [], []
    for side in ("chosen", "rejected"):
        group = f"/examples/{i}/{side}"
        x.append(number(group + "/log_probability"))
        r.append(number(group + "/reference") if objective in ("dpo", "ipo") else 0)
        n.append(tokens(group))
    score = [a - b for a, b in zip(x, r)]
    mean = [a / b for a, b in zip(score, n)]
    sigmoid = lambda z: 1 / (1 + math.exp(-z))
    odds = lambda a: math.exp(a) / (1 - math.exp(a))
    losses.append({"dpo": -math.log(sigmoid(0.3 * (score[0] - score[1]))), "ipo": (mean[0] - mean[1] - 1 / 0.6) ** 2,
                   "orpo": -0.3 * math.log(sigmoid(math.log(odds(mean[0]) / odds(mean[1])))),
                   "simpo": -math.log(sigmoid(0.3 * (mean[0] - mean[1]) - 0.5))}[objective])
    margins.append(0.3 * (score[0] - score[1]) if objective in ("dpo", "ipo") else 0.3 * (mean[0] - mean[1]))
    chosen_sum, chosen_tokens = chosen_sum + x[0], chosen_tokens + n[0]
loss = sum(losses) / 7 - (0.25 + (objective == "orpo")) * chosen_sum / chosen_tokens
got = json.load(open(out))
for a, b in ((loss, number("/loss")), (loss, got["loss"]), (sum(margins) / 7, number("/reward_margin")),
             (sum(margins) / 7, got["reward_margin"]), (sum(m > 0 for m in margins) / 7, got["reward_accuracy"])):
    assert abs(a - b) < 1e-5 * (1 + abs(a)), (a, b)
PY
done

check 0 "$MPILORA" eval --model "$model" --data "$work/held-pairs.jsonl" --max-length 64 --objective dpo --adapter "$work/second"
says err '/second: its training started from another adapter, the reference there; here the reference is the base'
check 0 "$MPILORA" eval --model "$model" --data "$work/held-pairs.jsonl" --max-length 64 --objective dpo --adapter "$work/second/adapter"
says err '/second/adapter: its training started from another adapter, the reference there; here the reference is the base'

# The parameters of the objective are those of the adapter's run, unless others are given; an export says them, too.
check 0 "$MPILORA" export --model "$model" --checkpoint "$work/dpo" --format gguf --output "$work/dpo.gguf"
one="--model $model --data $work/held-pairs.jsonl --max-length 64 --threads 1 --json"
for objective in "dpo --beta 0.5 --label-smoothing 0.1" \
    "simpo --beta 2 --label-smoothing 0.1 --sft-weight 0.2 --simpo-margin 1"; do
    name=${objective%% *}
    check 0 "$MPILORA" eval $one --adapter "$work/$name" --objective $objective
    cp "$work/out" "$work/given"
    check 0 ranks 2 "$MPILORA" eval $one --adapter "$work/$name" --objective $name
    cmp "$work/out" "$work/given" || fail "$name is not evaluated with the options of its run"
    says err "/$name: with${objective#$name}, as in its run\$"
    for export in "$work/$name/adapter" "$work/$name.gguf"; do
        [ -e "$export" ] || continue
        check 0 ranks 2 "$MPILORA" eval $one --adapter "$export" --objective $name
        cmp "$work/out" "$work/given" || fail "$export is not evaluated with the options of its run"
        says err "/${export##*/}: with${objective#$name}, as in its run\$"
        check 0 "$MPILORA" inspect "$export" --json
        holds "v['objective'].startswith('{objective: $name, beta: ')"
    done
    loss=$(tail -n 1 "$work/$name/metrics.jsonl" | python3 -c 'import json; print(json.loads(input())["eval_loss"])')
    holds "abs(v['loss'] - $loss) < 1e-6" "$work/given"
done
check 0 "$MPILORA" eval $one --adapter "$work/dpo" --objective dpo --beta 0.1
says err '/dpo: with --label-smoothing 0.1, as in its run$'
says err '/dpo was trained with --beta 0.5: the other value, which is given here, is used$'
check 0 "$MPILORA" eval $one --adapter "$work/dpo" --objective dpo --beta 0.1 --label-smoothing 0
cp "$work/out" "$work/given"
check 0 "$MPILORA" eval $one --adapter "$work/dpo/adapter" --objective dpo --beta 0.1 --label-smoothing 0
cmp "$work/out" "$work/given" || fail "an explicit --beta is not used"
says err '/adapter was trained with --beta 0.5 --label-smoothing 0.1: the other value, which is given here, is used$'
check 0 "$MPILORA" probe --model "$model" --data "$work/held-pairs.jsonl" --max-length 64 --objective dpo \
    --adapter "$work/dpo/adapter" --output "$work/probe.h5"
says err '/adapter: with --beta 0.5 --label-smoothing 0.1, as in its run$'
cp -r "$work/dpo/adapter" "$work/told" # an objective that this version does not know, or with a value that it cannot have
for said in '{objective: dpo, beta: -1}' '{objective: tpo, beta: 0.5}' '' '[dpo]'; do
    python3 - "$work/told/adapter_model.safetensors" "$work/dpo/adapter/adapter_model.safetensors" "$said" <<'PY'
import json, struct, sys
data = open(sys.argv[2], "rb").read()
size, = struct.unpack("<Q", data[:8])
header = json.loads(data[8:8 + size])
header["__metadata__"]["mpilora.objective"] = sys.argv[3]
text = json.dumps(header).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(text)) + text + data[8 + size:])
PY
    check 0 "$MPILORA" eval $one --adapter "$work/told" --objective dpo
    cmp "$work/out" "$work/given" || fail "$said is taken from an adapter"
    ! grep -q 'trained with\|as in its run' "$work/err" || fail "$said: $(cat "$work/err")"
done
check 0 "$MPILORA" eval $one --adapter "$work/dpo" --objective ipo
says err '/dpo was trained with --objective dpo, and this is ipo: the loss is another one than in its run$'

# Several adapters: each as if it were alone, and the base's log-probabilities are computed once for those that left the
# base as it is.
one="--model $model --data $work/held-pairs.jsonl --max-length 64 --threads 1 --objective dpo --json"
for name in orpo simpo pissa dpo/adapter; do
    check 0 "$MPILORA" eval $one --adapter "$work/$name"
    cat "$work/out" >>"$work/alone"
    several="${several:-} --adapter $work/$name"
done
check 0 ranks 2 "$MPILORA" eval $one $several
[ "$(grep -c '^reference, evaluation: 7 pairs in ' "$work/err")" = 2 ] || fail "references: $(cat "$work/err")"
python3 - "$work" <<'PY' || fail "several adapters together, and each alone"
import json, sys
alone, together = open(sys.argv[1] + "/alone").read(), json.load(open(sys.argv[1] + "/out"))
rows, at = [], 0
while alone[at:].strip():
    row, at = json.JSONDecoder().raw_decode(alone, at)
    rows.append(row)
    at += len(alone[at:]) - len(alone[at:].lstrip())
assert [{k: v for k, v in r.items() if k != "adapter"} for r in together] == rows, (together, rows)
assert len({r["reward_margin"] for r in rows}) == 4 == len(rows), rows
PY

check 1 train "$work/simpo-parts" --objective simpo --beta 3 --max-steps 9
says err 'options differ from those the checkpoint was trained with: .*--beta 3 \(checkpoint: 2\)'
check 1 train "$work/none" --objective simpo --data "$work/data.jsonl"
says err 'data.jsonl:1: is not a preference pair: a line must have "chosen" and "rejected"'
check 1 "$MPILORA" generate --model "$model" --data "$work/pairs.jsonl" --output "$work/answers.jsonl"
says err 'pairs.jsonl:1: has two answers, .*, --columns completion=chosen,unused=rejected compares with the chosen answers'
check 0 "$MPILORA" inspect "$work/pairs.jsonl" # which takes every form of data
says out '^  preference: 23$'
check 0 "$MPILORA" generate --model "$model" --data "$work/held-pairs.jsonl" --output "$work/answers.jsonl" \
    --max-new-tokens 1 --columns completion=chosen,unused=rejected
check 1 train "$work/none"
says err 'pairs.jsonl:1: has two answers, "chosen" and "rejected": --objective learns from both, --columns completion=chosen'
# A trace changes nothing. Of the base it has no loss that is relative to a reference.
check 0 ranks 2 "$MPILORA" train $options --objective dpo --beta 0.5 --label-smoothing 0.1 --trace-every 2 --output "$work/traced"
same_run "$work/dpo" "$work/traced"
python3 - "$work/traced/metrics.jsonl" <<'PY' || fail "the trace of dpo"
import json, math, sys
rows = [row for row in map(json.loads, open(sys.argv[1])) if "trace" in row]
assert [row["step"] for row in rows] == [1, 3, 5, 7], rows
for row in rows:
    assert abs(math.hypot(row["trace"]["grad_a"], row["trace"]["grad_b"]) - row["grad_norm"]) < 1e-5 * row["grad_norm"], row
PY
check 1 h5dump -a /trace/base_eval_loss "$work/traced/checkpoints/latest"
check 0 train "$work/traced-simpo" --objective $simpo --trace-every 4 --max-steps 1
check 0 "$MPILORA" eval --model "$model" --data "$work/held-pairs.jsonl" --max-length 64 --threads 1 --objective $simpo --json
base=$(h5dump -y -m %.17g -a /trace/base_eval_loss "$work/traced-simpo/checkpoints/latest" | sed -n '/DATA {/{n;p;}')
holds "abs(v['loss'] - $base) < 1e-6"
check 2 train "$work/none" --objective simpo --train-on all
says err '^mpilora: --objective simpo compares answers: --train-on all is for orpo'
check 2 "$MPILORA" eval --model "$model" --data "$work/held-pairs.jsonl" --objective dpo --train-on all
says err '^mpilora: --objective dpo compares answers: --train-on all is for orpo'
# Sample answers are compared with the chosen ones, and what is offered at the end suits pairs.
check 0 train "$work/sampled" --objective $simpo --eval-data "$work/held-pairs.jsonl" --sample-prompts 3 --max-new-tokens 4
offered='eval --model .* --max-length 64 --objective simpo --beta 2 --label-smoothing 0.1 --sft-weight 0.2 --simpo-margin 1'
says err "^  mpilora $offered --adapter .*/sampled --data .*held-pairs.jsonl\$"
says err '^  mpilora generate --model [^ ]* --adapter .*/sampled --prompt TEXT$'
python3 - "$work" <<'PY' || fail "the answers to the prompts of pairs"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1] + "/sampled/samples.jsonl")]
pairs = [json.loads(line) for line in open(sys.argv[1] + "/held-pairs.jsonl")]
assert [(r["step"], r["example"]) for r in rows] == [(s, i) for s in (4, 8) for i in range(3)], rows
for r in rows:
    assert r["prompt"].endswith(pairs[r["example"]]["prompt"]) and r["expected"] == pairs[r["example"]]["chosen"], r
PY
check 0 "$MPILORA" $(sed -n 's/^  mpilora \(eval .*\)/\1/p' "$work/err") --threads 1 --json # which measures what the run did
holds "v['loss'] == $(tail -n 1 "$work/sampled/metrics.jsonl" | python3 -c 'import json; print(json.loads(input())["eval_loss"])')"
# One side is beyond the positions of the model, the other is not.
python3 -c 'print("{\"prompt\": \"far \", \"chosen\": \"" + "far " * 300 + "\", \"rejected\": \"no\"}")' >"$work/far.jsonl"
check 0 "$MPILORA" eval --model "$model" --data "$work/far.jsonl" --objective simpo --max-length 2048
says err '^warning: 1 of 1 examples \(.*far.jsonl\) are longer than the 512 positions'
check 2 train "$work/none" --objective simpo --micro-batch-tokens 127
says err 'micro-batch-tokens 127 is below twice --max-length 64: the longest pair would not fit'
check 0 train "$work/plain" --objective sft --max-steps 1 --beta 0.2 --columns completion=chosen,unused=rejected
says err '^warning: --beta changes nothing without an --objective for preferences'
one="--model $model --data $work/held-pairs.jsonl --max-length 64 --threads 1 --objective ipo --label-smoothing 0.2"
for command in eval "probe --output $work/probe.h5"; do
    check 0 "$MPILORA" $command $one
    says err '^warning: --label-smoothing changes nothing without --objective dpo or simpo$'
done
{
    cat "$work/pairs.yaml"
    echo "output: $work/study"
    echo "objective: ipo"
    echo "label-smoothing: [0, 0.1]"
    echo "beta: [0.1, 0.5]"
} | sed 's/max-steps: 8/max-steps: 1/; /eval-every\|save-every/d' >"$work/study.yaml"
check 0 "$MPILORA" study --config "$work/study.yaml"
says err '^warning: --label-smoothing changes nothing in 2 of 4 cells, which are without --objective dpo or simpo$'
check 0 "$MPILORA" report "$work/study"
python3 - "$work/study" <<'PY' || fail "the rewards in the report of a study"
import csv, json, sys
rows = list(csv.DictReader(open(sys.argv[1] + "/report.csv")))
assert len(rows) == 4 and len({r["final_eval_reward_margin"] for r in rows}) == 2, rows
for r in rows:
    last = json.loads(open(f"{sys.argv[1]}/cells/{r['cell']}/metrics.jsonl").readlines()[-1])
    for name in ("eval_loss", "eval_reward_accuracy", "eval_reward_margin"):
        assert float(r["final_" + name]) == last[name], (name, r, last)
figures = {f["plot"]: f for f in json.load(open(sys.argv[1] + "/report.json"))["figures"]}
assert {"eval-reward-accuracy", "eval-reward-margin", "final-beta", "accuracy-beta"} <= set(figures), figures.keys()
assert figures["eval-loss"]["y_title"] == "loss", figures["eval-loss"]
PY
grep -q '<th class="number">Final eval reward accuracy</th>' "$work/study/report.html" || fail "no rewards in its page"
# Objectives as an axis: each cell is the run that it would be alone, and their losses are not drawn on one axis.
{
    sed '/max-steps\|eval-every\|save-every/d' "$work/pairs.yaml"
    printf '%s\n' "max-steps: 2" "output: $work/objectives" "objective: [dpo, orpo]" "beta: [0.1, 0.5]"
} >"$work/objectives.yaml"
check 0 ranks 2 "$MPILORA" study --config "$work/objectives.yaml"
check 0 train "$work/alone-dpo" --objective dpo --beta 0.5 --max-steps 2 --eval-every 0
cmp "$work/alone-dpo/adapter/adapter_model.safetensors" \
    "$work/objectives/cells/normal-lr0.003-r4-s0-objectivedpo-beta0.5/adapter/adapter_model.safetensors" || fail "a cell is another run"
check 0 "$MPILORA" report "$work/objectives"
check 0 "$MPILORA" study --config "$work/objectives.yaml" # all is done
says err 'done: 4 cells'
sed 's/dpo, orpo/dpo, sft/' "$work/objectives.yaml" >"$work/mixed.yaml"
check 2 "$MPILORA" study --config "$work/mixed.yaml"
says err 'objective: all cells share the data, and sft does not learn from pairs as the others do: give it a study of its own'
check 0 "$MPILORA" report "$work/dpo" "$work/orpo" "$work/ipo" --output "$work/several.html"
check 0 "$MPILORA" report "$work/dpo" "$work/dpo-parts" --output "$work/alike.html"
check 0 "$MPILORA" report "$work/second"
python3 - "$work" <<'PY' || fail "objectives in reports"
import json, re, sys
work = sys.argv[1]
def curves(path):
    html = open(f"{work}/{path}", encoding="utf-8").read()
    figures = json.loads(re.search(r'id="curves">(.*?)</script>', html, re.S)[1])
    return html, {f["plot"]: [s["name"] for s in f["series"]] for f in figures}
figures = {f["plot"]: len(f["series"]) for f in json.load(open(f"{work}/objectives/report.json"))["figures"]}
for name in ("loss", "eval-loss", "eval-reward-margin"):
    assert name not in figures and figures[name + "-dpo"] == figures[name + "-orpo"] == 2, figures
assert figures["eval-reward-accuracy"] == 4 and "accuracy-beta" in figures and "final-beta" not in figures, figures
html, plots = curves("several.html")
for name in ("loss", "eval-loss", "margin"):
    assert name not in plots and [plots[f"{name}-{o}"] for o in ("dpo", "orpo", "ipo")] == [["dpo"], ["orpo"], ["ipo"]], plots
assert plots["reward-accuracy"] == plots["speed"] == ["dpo", "orpo", "ipo"], plots
best = lambda html, row: "best" in re.search(rf"<td>{row}</td>(.*?)</tr>", html)[1]
assert not best(html, "Final eval loss") and best(html, "Final eval reward accuracy"), "losses of objectives are compared"
html, plots = curves("alike.html")
assert plots["loss"] == ["dpo", "dpo-parts"] and best(html, "Final eval loss"), plots
facts = lambda path: dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", open(f"{work}/{path}/report.html", encoding="utf-8").read()))
assert facts("dpo")["Objective"] == "dpo, beta 0.5, label smoothing 0.1" and facts("dpo")["Rank"] == "4", facts("dpo")
assert facts("second")["Objective"] == "dpo, beta 0.2" and facts("second")["Rank"] == "4", facts("second")
assert facts("second")["Begun with"] == "adapter" and "–" not in facts("second").values(), facts("second")
PY
passed
