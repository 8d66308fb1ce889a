# The job script for one machine, from a folder of the user's: paths are meant from there, and options reach the program.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

mkdir "$work/my folder"
cp "$work/data.jsonl" "$work/my folder/mine.jsonl"
cd "$work/my folder" || fail "no folder"
check 0 "$SOURCE/jobs/local.sh" 2 $options --data mine.jsonl --output runs/mine --max-steps 3
[ -e "$work/my folder/runs/mine/adapter/adapter_model.safetensors" ] || fail "no adapter: $(find .)"
check 2 "$SOURCE/jobs/local.sh" --data mine.jsonl
says err '^usage: jobs/local.sh RANKS'
check 2 "$SOURCE/jobs/hosts.sh" none --data mine.jsonl
says err 'jobs/hosts.sh: none: no such file of hosts'
passed
