#!/usr/bin/env bash
# Megabytes of text a second, side by side with the `tokenizers` library: the lines of one file, on one thread and on all,
# taken in turn. Both must find the same number of tokens.
#
#   scripts/bench_tokenizer.sh --python PYTHON --file FILE [OPTION...]
#
#   --python PYTHON     of an environment with tokenizers (for a .gguf model: with transformers, gguf and torch too)
#   --file FILE         text; a few megabytes are enough
#   --model PATH        Hugging Face folder or .gguf file; default: SmolLM2-135M-Instruct, fetched
#   --turns N           default 3
#   --steps N           passes over the file in each turn; the median counts; default 3
#   --threads N         default: all cores
# MPILORA names the program, if it is not to be built.
. "$(dirname "$0")/common.sh"
. scripts/bench_common.sh
file='' steps=3
parse_options "file steps" "" "$@"
[ -f "$file" ] || { echo "bench_tokenizer.sh: --file must name a file of text" >&2; exit 2; }
needs_python tokenizers
prepare

for number in $(seq "$turns"); do
    turn "$number" mpilora "$mpilora" bench --model "$model" --tokenize "$file" --steps "$steps" --threads "$threads" --json
    turn "$number" library "$python" scripts/tokenizers_rate.py --model "$model" --file "$file" --steps "$steps" --threads "$threads"
done
python3 - "$work/mpilora" "$work/library" <<'PYTHON'
import json, sys
a, b = (json.loads(open(path).readline())["tokens"] for path in sys.argv[1:])
if a != b:
    sys.exit(f"not the same work: {a} and {b} tokens")
PYTHON
python3 scripts/ratios.py "$work/mpilora" "$work/library" \
    'MB/s on one thread, mpilora over the library: a["thread_megabytes_per_second"] / b["thread_megabytes_per_second"]' \
    "MB/s on $threads threads, mpilora over the library: a['megabytes_per_second'] / b['megabytes_per_second']"
