# Real file systems that are full, turn read-only or vanish under a run, and come back: in a name space of its own for mounts.
if [ -z "${OWN_MOUNTS:-}" ]; then
    for way in "unshare -m" "unshare -rm"; do
        $way true 2>/dev/null && OWN_MOUNTS=yes exec $way bash "$0"
    done
    echo "SKIPPED: this user may not have file systems of its own (unshare -m)"
    exit 77
fi
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
mkdir "$work/disk" "$work/seen"
unmount_all() {
    umount -l -R "$work/seen" "$work/disk" 2>/dev/null
}
at_exit=unmount_all
mount -t tmpfs -o size=600k tmpfs "$work/disk" || skip "no file system can be mounted here"
newest() {
    readlink "$1/checkpoints/latest"
}

# Full, and with room again.
more="--max-steps 60 --save-every 5"
check 0 train "$work/whole" $more
check 1 train "$work/disk/run" $more --keep-checkpoints 0
says err 'could not be saved.*No space left on device'
[ -z "$(find "$work/disk/run" -name '*.tmp*')" ] || fail "left behind: $(find "$work/disk/run" -name '*.tmp*')"
check 0 "$MPILORA" inspect "$work/disk/run/checkpoints/$(newest "$work/disk/run")"
mount -o remount,size=40m "$work/disk"
check 0 train "$work/disk/run" $more
same_run "$work/whole" "$work/disk/run"

# Read-only: what is looked up by its name now is found through a second mount, which has no file open that is written to.
turn_read_only() {
    mount --bind "$work/disk" "$work/seen" && mount -o remount,bind,ro "$work/seen" || fail "cannot mount read-only"
}
vanish() {
    umount -l "$work/seen" || fail "cannot unmount"
}

# begin FOLDER OPTION...: a run, which has saved before this returns.
begin() {
    local folder=$1
    shift
    "$MPILORA" train $options --output "$folder" --max-steps 1000000 --save-every 20 --log-every 1000 "$@" \
        >"$work/out" 2>"$work/err" </dev/null &
    pid=$!
    background="$background $pid"
    until_true $pid test -e "$folder/checkpoints/step-00000040.h5"
}

# ended STATUS: of the run that was begun.
ended() {
    status=0
    wait $pid || status=$?
    checks=$((checks + 1))
    [ $status = "$1" ] || fail "status $status, not $1: $(tail -n 5 "$work/err")"
}

# go_on FOLDER: a few steps more, and then the bytes of an undisturbed run.
go_on() {
    local steps
    steps=$(($(losses "$1" | tail -n 1 | cut -d' ' -f1) + 5))
    check 0 train "$1" --max-steps $steps --save-every 0
    check 0 train "$work/alone" --max-steps $steps --save-every 0 --resume never --overwrite
    same_run "$work/alone" "$1"
}

# Back after a while: the checkpoint from before is whole meanwhile, and the run saves again by itself.
mount --bind "$work/disk" "$work/seen"
begin "$work/seen/back" --save-failures 1000000
turn_read_only
until_true $pid grep -q 'could not be saved (failure 3 of .* is that of step .*Read-only file system' "$work/err"
before=$(newest "$work/seen/back")
check 0 "$MPILORA" inspect --verify "$work/seen/back/checkpoints/$before"
vanish # the second mount only
until_true $pid grep -q 'saving works again' "$work/err"
kill -USR1 $pid
ended 75
[ "$(newest "$work/seen/back")" != "$before" ] || fail "no later checkpoint than $before"
go_on "$work/seen/back"

# For good: an end when it has failed too often. From the start: an end at once.
begin "$work/seen/stay" --save-failures 4
turn_read_only
ended 1
says err 'failure 3 of 4 in a row'
says err 'mpilora: .*could not be saved, nor could 3 others .*that of step [0-9]+.*Read-only file system'
check 0 "$MPILORA" inspect --verify "$work/seen/stay"
check 1 train "$work/seen/new"
says err "mpilora: .*$work/seen/new.*Read-only file system"
vanish
go_on "$work/seen/stay"

# A folder that is a file system's own: the one below it is not taken for it.
mkdir "$work/disk/root"
umount -l "$work/seen"
mount --bind "$work/disk/root" "$work/seen"
begin "$work/seen" --save-failures 1000000
vanish
until_true $pid grep -q 'could not be saved .*in its place is one of another file system' "$work/err"
[ -z "$(ls -A "$work/seen")" ] || fail "written below the mount: $(ls -A "$work/seen")"
mount --bind "$work/disk/root" "$work/seen"
until_true $pid grep -q 'saving works again' "$work/err"
kill -USR1 $pid
ended 75
go_on "$work/seen"
passed
