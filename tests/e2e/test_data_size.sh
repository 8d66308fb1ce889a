# A data set costs memory for its index, not for its text: a run on a large file peaks where one on its first lines does.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

# 96 MiB in 24,576 lines of 4 KiB.
python3 - "$work" <<'PY' || fail "the data could not be made"
import json, random, sys
random.seed(5)
words = "alpha beta gamma delta the an in on job node rank queue".split()
with open(sys.argv[1] + "/large.jsonl", "w") as large, open(sys.argv[1] + "/small.jsonl", "w") as small:
    for i in range(24576):
        text = str(i)
        while len(text) < 400:
            text += " " + random.choice(words)
        line = json.dumps({"text": (text * 11)[:4084]}) + "\n"
        large.write(line)
        if i < 256:
            small.write(line)
PY

# peak NAME: trains on the file NAME.jsonl, and sets `peak` to the most memory that the process had, in KiB.
peak() {
    check 0 python3 -c '
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' \
        "$MPILORA" train $options --data "$work/$1.jsonl" --output "$work/$1" --max-steps 3
    peak=$(awk '$1 == "peak" { print $2 }' "$work/out")
}
peak small
small=$peak
peak large
bytes=$(stat -c %s "$work/large.jsonl")
echo "a file of $((bytes >> 20)) MiB: $((small >> 10)) MiB of memory for 256 of its lines, $((peak >> 10)) MiB for all of them"
# Room for the index: 24 bytes a line, twice while it is gathered; and for the pages of one block of lines, 16 MiB.
[ $((peak - small)) -lt 24576 ] || fail "that is too much"
passed
