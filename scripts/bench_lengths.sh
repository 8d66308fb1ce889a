#!/usr/bin/env bash
# What long examples cost: tokens a second of examples of 8,192 tokens over that of examples of 512, taken in turn. The
# work of attention grows with the square of the length for any program, so attention's share of the limit (its necessary
# FLOP at the rate of matrix products) is taken out of the time of both first. That counts six products, as if the
# probabilities were kept; without keeping anything of that size, backward makes them again, and there are seven: the ratio
# by that count is printed too, and that of the shares of the whole limit.
#
#   scripts/bench_lengths.sh [OPTION...]
#
#   --model PATH        Hugging Face folder or .gguf file; default: SmolLM2-135M-Instruct, fetched
#   --dtype f32|bf16    default f32
#   --long N            default 8192
#   --short N           default 512
#   --pack N            tokens of the short ones in one step; default 2048. The long ones have a step each
#   --turns N           default 3
#   --steps N           of each turn; the median counts; default 3
#   --threads N         default: all cores
# MPILORA names the program, if it is not to be built.
. "$(dirname "$0")/common.sh"
. scripts/bench_common.sh
dtype=f32 long=8192 short=512 pack=2048 steps=3
parse_options "dtype long short pack steps" "" "$@"
prepare

for number in $(seq "$turns"); do
    for length in $long $short; do
        turn "$number" "$length" "$mpilora" bench --model "$model" --dtype "$dtype" --length "$length" \
            --micro-batch-tokens $((length == short ? pack : length)) --steps "$steps" --threads "$threads" --json
    done
done
rate='lambda v, more=1: v["step_tokens"] / (v["step_seconds"] - more * v["phase_work"]["attention"]["gflop"] / v["gemm_gflops"])'
python3 scripts/ratios.py "$work/$long" "$work/$short" \
    "tokens/s without attention's share of the limit, $long over $short: ($rate)(a) / ($rate)(b)" \
    "the same with attention's seven products taken out: ($rate)(a, 7 / 6) / ($rate)(b, 7 / 6)" \
    "share of the whole limit, $long over $short: a['limit_share'] / b['limit_share']" \
    "tokens/s as they are, $long over $short: a['tokens_per_second'] / b['tokens_per_second']"
