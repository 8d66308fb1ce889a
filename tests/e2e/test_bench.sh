# bench: what it reports, that its parts fit each other, and that a step allocates nothing.
. "$SOURCE/tests/support/e2e.sh"
: "${MPILORA:?is the program}"
model=$work/model
python3 "$SOURCE/tests/support/make_tiny_model.py" "$model" || fail "the tiny model could not be made"

# bench OPTION...: a small piece of work, as JSON.
bench() {
    "$MPILORA" bench --model "$model" --length 48 --lora-rank 4 --steps 3 --threads 1 --json "$@"
}

check 0 bench
holds 'v["tokens_per_second"] > 0 and v["gemm_gflops"] > 0 and v["step_gflop"] > 0 and v["limit_share"] > 0'
holds 'v["slowest_step_tokens_per_second"] <= v["tokens_per_second"] <= v["fastest_step_tokens_per_second"]'
holds 'v["peak_memory_bytes"] > 1 << 20'
holds 'v["step_allocations"] == 0'
holds 'v["step_tokens"] == 4 * 48 and v["steps"] == 3 and v["ranks"] == 1 and v["threads"] == 1'
holds 'abs(v["tokens_per_second"] * v["step_seconds"] / v["step_tokens"] - 1) < 1e-6'
holds 'abs(v["limit_share"] * v["step_seconds"] * v["gemm_gflops"] / v["step_gflop"] - 1) < 1e-6'
holds 'set(v["phases"]) == {"other", "embedding", "norms", "attention", "activation", "base_gemm", "lora_gemm", "head",
       "optimizer", "communication"}'
holds 'all(v["phases"][p] > 0 for p in v["phases"])'
holds 'abs(sum(v["phases"].values()) - v["mean_step_seconds"]) < 0.05 * v["mean_step_seconds"] + 1e-4'

# The work, counted here from the model's shape: products forward and back but for the first input, lm_head for 47 of
# 48 tokens, attention's causal half, LoRA at rank 4. The phases have it, and a time that no limit forbids.
holds '(lambda n, rows, base, lora: abs(v["step_gflop"] * 1e9 - (
    4 * n * 2 * base - 2 * n * 32 * 64 + 4 * rows * 32 * 266 + 12 * 2 * 32 * 4 * 48 * 49 / 2
    + 6 * n * 2 * lora - 2 * n * 32 * 12)) < 1)(
    4 * 48, 4 * 47, 32 * 64 + 32 * 32 + 32 * 96 + 48 * 32, 4 * (32 * 3 + 64 + 64 + 32 * 2 + 96 + 48 + 32))'
holds 'abs(sum(v["phase_work"][p]["gflop"] for p in ("base_gemm", "lora_gemm", "attention", "head")) / v["step_gflop"] - 1) < 1e-6'
holds 'set(v["phases"]) - set(v["phase_work"]) == {"other", "communication"}'
holds 'all(w["gigabytes"] > 0 and w["limit_share"] > 0 for w in v["phase_work"].values())'
holds 'all(abs(v["phase_work"][p]["gflops"] * v["phases"][p] / w["gflop"] - 1) < 1e-6 for p, w in v["phase_work"].items()
       if w["gflop"])'
holds '0 < v["limit_share"] < 1 and 0 < v["attention_share"] < 1 and v["memory_gigabytes_per_second"] > 0'

# The picture: a document by itself, with a point for each phase that computes, all under their names.
check 0 bench --roofline "$work/roofline.svg"
checks=$((checks + 1))
python3 - "$work/roofline.svg" <<'PYTHON' || fail "the roofline"
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
space = "{http://www.w3.org/2000/svg}"
points = {g.get("data-series").split()[0]: int(g.get("data-points")) for g in root.iter(space + "g") if g.get("data-series")}
phases = {"norms", "attention", "activation", "base_gemm", "lora_gemm", "head", "optimizer"}
assert points == {**dict.fromkeys(phases, 1), "memory:": 2, "matrix": 2}, points
texts = [t.text.split()[0] for t in root.iter(space + "text") if t.text]
assert all(texts.count(p) == 1 for p in phases), texts
PYTHON
check 1 bench --roofline "$work/none/roofline.svg"
says err 'none/roofline.svg'

# Tokenising: all lines of a file, on one thread and on all.
for i in $(seq 40000); do echo "on the $i én"; done >"$work/text"
printf 'the end' >>"$work/text"
check 0 "$MPILORA" tokenize --model "$model" --file "$work/text"
tokens=$(wc -w <"$work/out")
check 0 "$MPILORA" bench --model "$model" --tokenize "$work/text" --threads 2 --steps 2 --json
holds 'v["texts"] == 40001 and v["threads"] == 2 and v["tokens"] == '"$tokens and v['bytes'] == $(wc -c <"$work/text")"
holds 'v["thread_megabytes_per_second"] > 0 and v["megabytes_per_second"] > 0'
check 0 mpirun -n 2 --bind-to none "$MPILORA" bench --model "$model" --tokenize "$work/text" --threads 1
says out '^  one thread +[0-9.]+ MB/s$'
printf 'on\n\377\n' >>"$work/text"
check 1 "$MPILORA" bench --model "$model" --tokenize "$work/text"
says err "$work/text: "
: >"$work/text"
check 1 "$MPILORA" bench --model "$model" --tokenize "$work/text"
says err 'empty'

# Examples from their lines to what is trained.
for i in $(seq 50); do echo "{\"prompt\": \"on $i\", \"completion\": \" the end\"}"; done >"$work/data.jsonl"
check 0 "$MPILORA" bench --model "$model" --data "$work/data.jsonl" --threads 2 --steps 2 --json
holds 'v["examples"] == 50 and v["threads"] == 2 and v["tokens"] > 200'
holds 'v["thread_examples_per_second"] > 0 and v["examples_per_second"] > 0 and v["json_share"] > 0'
check 0 "$MPILORA" bench --model "$model" --data "$work/data.jsonl" --threads 1
says out '^50 examples of [0-9]+ tokens on average$'
says out '^  one thread +[0-9]+ examples/s, [0-9]+ % of the time for JSON$'
check 2 "$MPILORA" bench --model "$model" --data "$work/data.jsonl" --tokenize "$work/text"
says err 'give one of them'

# The work grows as the options say.
check 0 bench --micro-batch-tokens 96
holds 'v["step_tokens"] == 96'
check 1 "$MPILORA" bench --model "$work/none" --json
check 2 bench --micro-batch-tokens 100
says err '--micro-batch-tokens 100 is not a multiple of --length 48'
check 2 bench --gemm mkl
says err 'openblas'
check 0 bench --gemm openblas
holds 'v["gemm"].startswith("OpenBLAS")'

# Pairs: a step computes the logits twice, which counts once as work; the reference is timed by itself.
check 0 bench
step=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["step_gflop"])' "$work/out")
holds '"step_pairs" not in v and "reference_seconds" not in v and v["objective"] == "sft"'
for objective in dpo ipo orpo simpo; do
    check 0 bench --objective $objective
    holds 'v["step_pairs"] == 2 and v["step_tokens"] == 4 * 48 and v["step_allocations"] == 0'
    holds "v['step_gflop'] == $step and v['objective'] == '$objective'"
    holds '("reference_seconds" in v) == (v["objective"] in ("dpo", "ipo"))'
    holds '0 < v.get("reference_seconds", 1e-9) < v["mean_step_seconds"] and v["phases"]["head"] > 0'
done
check 2 bench --objective dpo --micro-batch-tokens 144
says err '--micro-batch-tokens 144 is not a multiple of twice --length 48, the two sides of a pair'
check 0 mpirun -n 2 --bind-to none "$MPILORA" bench --model "$model" --length 48 --steps 2 --threads 1 --objective dpo
says out '^4 pairs of 2 x 48 tokens a step, dpo, f32, rank 16, on 2 ranks of 1 thread$'
says out '^  reference +[0-9.]+ s for the pairs of a step, once, before the first step$'
for i in $(seq 50); do echo "{\"prompt\": \"on $i\", \"chosen\": \" the end\", \"rejected\": \" no\"}"; done >"$work/pairs.jsonl"
check 0 "$MPILORA" bench --model "$model" --data "$work/pairs.jsonl" --objective dpo --threads 1
says out '^50 pairs of [0-9]+ tokens on average$'
check 1 "$MPILORA" bench --model "$model" --data "$work/pairs.jsonl" --threads 1
says err 'pairs.jsonl:1: has two answers'

# For people, and on two ranks.
check 0 mpirun -n 2 --bind-to none "$MPILORA" bench --model "$model" --length 48 --steps 2 --threads 1
says out '^8 x 48 tokens a step, f32, rank 16, on 2 ranks of 1 thread$'
says out '^  tokens a second +[0-9.]+   median of 2 steps, from [0-9.]+ to [0-9.]+$'
says out '^  allocations a step +0$'
says out '^  communication +[0-9.]+ +[0-9.]+ % +- +- +-$'
says out '^  base_gemm +[0-9.]+ +[0-9.]+ % +[0-9.]+ +[0-9.]+ +[0-9.]+$'

# Ratios of what was measured in turn, and the script that needs no other program than this one.
printf '{"v": 2}\n{"v": 9}\n{"v": 8}\n' >"$work/left"
printf '{"v": 1}\n{"v": 3}\n{"v": 8}\n' >"$work/right"
check 0 python3 "$SOURCE/scripts/ratios.py" "$work/left" "$work/right" 'both: a["v"] / b["v"]'
says out '^both: median 2, from 1 to 3$'
printf '{"v": 1}\n' >>"$work/left"
check 1 python3 "$SOURCE/scripts/ratios.py" "$work/left" "$work/right" 'both: a["v"] / b["v"]'
export MPILORA
cd "$work" || fail "no scratch folder"
check 0 "$SOURCE/scripts/bench_lengths.sh" --model model --long 96 --short 24 --pack 48 --turns 2 --steps 1 --threads 1
[ "$(grep -c '^turn [12]  \(96\|24\) ' "$work/out")" = 4 ] || fail "not two turns of both"
says out "^tokens/s without attention's share of the limit, 96 over 24: median [0-9.]+, from [0-9.]+ to [0-9.]+$"
says out '^share of the whole limit, 96 over 24: median [0-9.]+'
check 0 "$SOURCE/scripts/bench_ranks.sh" --model model --packs 4 --pack 32 --turns 1 --steps 2 --threads 4
[ "$(grep -c '^turn 1  \(exact-[124]\|fast-2\) .*"step_seconds": [0-9.]*, "exposed": ' "$work/out")" = 4 ] || fail "not all of a turn"
says out '^efficiency of 2 ranks with 2 threads against one with 4: median [0-9.]+'
says out '^efficiency of 4 ranks with 1 threads against one with 4: median [0-9.]+'
says out '^a step of 2 ranks, exact over fast: median [0-9.]+'
check 2 "$SOURCE/scripts/bench_ranks.sh" --model model --threads 3
check 0 "$SOURCE/scripts/bench_local_steps.sh" --model model --local 4 --steps 10 --threads 2 --length 512
says out '^--local-steps 1: eval loss [0-9.]+ after 10 steps, 10 times [0-9.]+ MiB'
says out '^--local-steps 4: eval loss [0-9.]+ after 10 steps, 3 times [0-9.]+ MiB'
check 0 "$SOURCE/scripts/bench_vs_peft.sh" --help
says out '^ +--dtype f32\|bf16 '
check 2 "$SOURCE/scripts/bench_vs_peft.sh" --lenght 3
says err '--lenght: no such option'
check 1 "$SOURCE/scripts/bench_vs_peft.sh" --python "$work/none"
says err 'lacks one of: torch'
passed
