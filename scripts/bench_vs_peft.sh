#!/usr/bin/env bash
# Training speed and memory side by side with torch + PEFT: the same base, adapter, tokens a step (4 x 512, all of them
# supervised) and threads, taken in turn, since machines are noisy. Of each turn the fastest step counts, on both sides.
#
#   scripts/bench_vs_peft.sh --python PYTHON [OPTION...]
#
#   --python PYTHON     of an environment with torch, transformers, peft, accelerate and (for a .gguf model) gguf
#   --model PATH        Hugging Face folder or .gguf file; default: SmolLM2-135M-Instruct, fetched
#   --dtype f32|bf16    default f32; in bf16 PEFT keeps its adapter in f32, as mpilora does
#   --compiled          PEFT's model through torch.compile
#   --turns N           default 3
#   --batch N           examples a step, default 4
#   --length N          tokens of each, default 512
#   --rank N            of LoRA, default 16
#   --steps N           of each turn, the first of which does not count; default 6
#   --threads N         of both; default: all cores
# MPILORA names the program, if it is not to be built.
. "$(dirname "$0")/common.sh"
. scripts/bench_common.sh
dtype=f32 compiled='' length=512 batch=4 rank=16 steps=6
parse_options "dtype length batch rank steps" compiled "$@"
needs_python torch transformers peft
prepare

for number in $(seq "$turns"); do
    turn "$number" mpilora "$mpilora" bench --model "$model" --dtype "$dtype" --length "$length" \
        --micro-batch-tokens $((batch * length)) --lora-rank "$rank" --steps $((steps - 1)) --threads "$threads" --json
    turn "$number" PEFT "$python" scripts/peft_lora.py --model "$model" --dtype "$dtype" --batch "$batch" --length "$length" \
        --rank "$rank" --steps "$steps" --threads "$threads" ${compiled:+--compile}
done
python3 scripts/ratios.py "$work/mpilora" "$work/PEFT" \
    'tokens/s, mpilora over PEFT: a["fastest_step_tokens_per_second"] / b["tokens_per_second"]' \
    'peak memory, mpilora over PEFT: a["peak_memory_bytes"] / b["peak_memory_bytes"]'
