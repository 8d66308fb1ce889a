#!/bin/bash
# The quickstart's data is what its generator writes, byte for byte, and has the promised size and split.
set -euo pipefail
: "${SOURCE:?is the folder of the sources}"
command -v python3 >/dev/null || { echo "SKIPPED: no python3 for the generator"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/mpilora-test.XXXXXX")
trap 'rm -rf "$work"' EXIT

PYTHONHASHSEED=1 python3 "$SOURCE/jobs/make_sbatch_data.py" "$work"
for name in train heldout; do
    cmp "$work/$name.jsonl" "$SOURCE/jobs/quickstart/$name.jsonl"
    sort "$SOURCE/jobs/quickstart/$name.jsonl" >"$work/$name.sorted"
done

[ "$(wc -l <"$work/train.jsonl")" -ge 1000 ] || { echo "fewer than 1000 training examples"; exit 1; }
[ "$(wc -l <"$work/heldout.jsonl")" -ge 100 ] || { echo "fewer than 100 held-out examples"; exit 1; }
both=$(comm -12 "$work/train.sorted" "$work/heldout.sorted")
[ -z "$both" ] || { echo "in both files: $both"; exit 1; }
echo "the quickstart's data is up to date"
