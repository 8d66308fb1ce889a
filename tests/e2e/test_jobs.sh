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
# A file of hosts with this machine alone, which takes no ssh.
printf '# machines\nlocalhost slots=2\n' >"$work/machines"
check 0 "$SOURCE/jobs/hosts.sh" "$work/machines" $options --data mine.jsonl --max-steps 3 --output runs/hosts
says err '^ *ranks +2,'
# mpirun may end with status 0 when mpilora has not come to its end, or has failed; and hands on what it is given.
mkdir "$work/launcher"
launched_by() {
    printf '#!/bin/sh\n%s\nexit 0\n' "$2" >"$work/launcher/mpirun"
    chmod +x "$work/launcher/mpirun"
    check "$1" env -u OMP_NUM_THREADS PATH="$work/launcher:$PATH" SLURM_CPUS_PER_TASK=3 SLURM_TRES_PER_TASK=cpu=3 \
        "$SOURCE/jobs/local.sh" 2 $options --output runs/mine "${@:3}"
}
launched_by 1 'echo "helper: ${SLURM_CPUS_PER_TASK:-all} ${SLURM_TRES_PER_TASK:-all}, rank: $OMP_NUM_THREADS"'
says err '^mpirun ended with status 0, but mpilora did not come to its end: was a machine lost\? The same command goes on '
says out '^helper: all all, rank: 3$'
launched_by 0 'shift 4; "$@"'
launched_by 2 'shift 4; "$@"' --no-such-option
[ -z "$(ls -A | grep '^.mpilora-')" ] || fail "notes are left over: $(ls -A)"
# Where Slurm does not take a job back, its log says what to do.
mkdir "$work/slurm"
printf '#!/bin/sh\n[ "$1" = show ] && echo "JobState=RUNNING Restarts=0"\n' >"$work/slurm/scontrol"
printf '#!/bin/sh\n' >"$work/slurm/squeue"
chmod +x "$work"/slurm/*
check 0 env PATH="$work/slurm:$PATH" SLURM_JOB_ID=1 bash -c 'cd "$0" && . "$1/jobs/supervise.sh" && status=75 && requeue_if_saved' \
    "$work" "$SOURCE"
says out ' saved; back into the queue \(restart 0 so far\)$'
says out ' Slurm does not put it back into the queue: submit the same line again to go on$'
# A part of the reference is progress, and no checkpoint that --resume would mean.
again='cd "$0" && echo "$2" >.mpilora-saved-1 && . "$1/jobs/supervise.sh" && resume_options --resume PATH --overwrite &&
    echo "${options[*]}"'
for row in "0 --resume PATH --overwrite" "7 --resume auto" "before --resume auto"; do
    check 0 env SLURM_JOB_ID=1 SLURM_RESTART_COUNT=1 PATH="$work/slurm:$PATH" bash -c "$again" "$work" "$SOURCE" "${row%% *}"
    says out "^${row#* }\$"
done
for row in "0 saved; back into the queue" "before its time was over before a step was done"; do
    check 0 env SLURM_JOB_ID=1 SLURM_JOB_END_TIME=$(($(date +%s) + 10)) PATH="$work/slurm:$PATH" \
        bash -c 'cd "$0" && . "$1/jobs/supervise.sh" && echo "$2" >.mpilora-saved-1 && status=75 && requeue_if_saved' \
        "$work" "$SOURCE" "${row%% *}"
    says out " ${row#* }"
done
# Ranks that did not end by themselves may have lost another one: on with what was saved since the start, if anything was.
for row in "7 137 '' saved; back into the queue" "before 137 '' status 137" "7 1 1 status 1"; do
    read -r saved ended_with ended line <<<"$row"
    check 0 env SLURM_JOB_ID=1 PATH="$work/slurm:$PATH" bash -c 'cd "$0" && . "$1/jobs/supervise.sh" && echo "$2" >.mpilora-saved-1 &&
        status=$3 && eval "ended=$4" && requeue_if_saved && echo " status $status"' "$work" "$SOURCE" "$saved" "$ended_with" "$ended"
    says out " $line"
done

# The recipe of preference training, with a few steps: data as promised, and both adapters compared with the base.
check 0 "$SOURCE/jobs/preference.sh" 2 "$model" "$work/preference" --max-steps 2 --warmup-steps 0 --max-length 512 \
    --micro-batch-tokens 1024 --threads 1
says out '^ +base +SFT +DPO$'
says out '^exact match( +[01]\.[0-9]{3}){3}$'
says out '^reward accuracy +-( +[01]\.[0-9]{3}){2}$'
says out '^reward margin +-( +-?[0-9]+\.[0-9]{3}){2}$'
python3 - "$work/preference/data" "$SOURCE/jobs/quickstart/heldout.jsonl" <<'PY' || fail "the pairs of the recipe"
import json, sys
def read(path):
    return [json.loads(line) for line in open(path)]
sft, pairs, held = (read(f"{sys.argv[1]}/{name}.jsonl") for name in ("sft", "pairs", "heldout-pairs"))
assert (len(sft), len(pairs), len(held)) == (520, 256, 60)
assert not {p["prompt"] for p in sft + pairs} & {p["prompt"] for p in held + read(sys.argv[2])}
for pair in pairs + held:
    chosen, rejected = (set(pair[side].split("\n")) for side in ("chosen", "rejected"))
    assert len(chosen - rejected) <= 1 and len(rejected - chosen) <= 1 and chosen != rejected, pair
PY
check 2 "$SOURCE/jobs/preference.sh" 2 "$model"
says err '^usage: jobs/preference.sh RANKS MODEL FOLDER'
passed
