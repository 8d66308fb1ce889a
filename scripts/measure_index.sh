#!/usr/bin/env bash
# Measures the memory of the index of a large data set: makes files of 1 and 10 million lines (or LINES and ten times as
# many) in TMPDIR, lets `inspect` read each as a model is trained on it, and prints the most memory that it took and how
# much of that each further line costs. An index has 24 bytes an example; the text is read where it lies.
#
#   scripts/measure_index.sh MODEL [LINES]
#
# Takes some minutes and, at its most, 0.5 GB of disk. MPILORA: the program; default: build/mpilora.
# Exit status: 0 no more than 30 bytes for each further line, 1 more, 2 usage.
set -euo pipefail
[ $# = 1 ] || [ $# = 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
model=$1
lines=${2:-1000000}
program=${MPILORA:-$(dirname "$0")/../build/mpilora}
work=$(mktemp -d "${TMPDIR:-/tmp}/mpilora-index.XXXXXX")
trap 'rm -rf "$work"' EXIT
for count in "$lines" $((10 * lines)); do
    awk -v count="$count" 'BEGIN { for (i = 0; i < count; i++) printf "{\"prompt\":\"%d\",\"completion\":\"%d\"}\n", i, i % 7 }' \
        >"$work/data.jsonl"
    python3 - "$program" "$work/data.jsonl" "$model" "$count" <<'PY' >>"$work/seen"
import json, resource, subprocess, sys
program, data, model, count = sys.argv[1:]
out = subprocess.run([program, "inspect", data, "--model", model, "--examples", "0", "--json"], check=True,
                     stdout=subprocess.PIPE).stdout
assert json.loads(out)["examples"] == int(count), out
print(count, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
PY
    tail -n 1 "$work/seen" | awk '{ printf "%s lines: %.0f MB\n", $1, $2 / 1e6 }'
done
awk 'NR == 1 { n = $1; m = $2 } NR == 2 { x = ($2 - m) / ($1 - n); printf "%.1f bytes a line\n", x; exit x > 30 }' "$work/seen"
