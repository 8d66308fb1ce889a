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

# For people, and on two ranks.
check 0 mpirun -n 2 --bind-to none "$MPILORA" bench --model "$model" --length 48 --steps 2 --threads 1
says out '^tokens_per_second: [0-9]'
says out '^  communication: [0-9]'
says out '^step_tokens: 384$'
passed
