# The self-test: nothing wrong where all is well, on 1 to 3 ranks, and each fault that it is to find, with what to do.
. "$SOURCE/tests/support/e2e.sh"
unset OMPI_MCA_ess_singleton_isolated # two programs at a time, and as it is used
: "${MPILORA:?is the program}"
unset OMP_NUM_THREADS
mkdir "$work/here" "$work/closed"
cd "$work/here" || fail "no folder"
ranks() { timeout 120 mpirun -n "$1" --bind-to none "${@:2}"; }
by_rank=$SOURCE/tests/support/by_rank.sh
selftest() { timeout 120 "$MPILORA" selftest --threads 1 "$@"; }
names="ranks threads memory products tokenizer training bits network clock files"

# All is well. On a busy machine some of it is slow.
for n in 1 3; do
    check 0 ranks $n "$MPILORA" selftest --threads 1
    [ "$(cut -c 1-10 "$work/out" | xargs)" = "$names in all" ] || fail "lines: $(cat "$work/out")"
    for name in ranks tokenizer training bits clock; do says out "^$name +fine  "; done
    says out "^ranks +fine +$n ranks? on 1 node, rank 0 on "
    says out '^in all +(fine|slow)$'
    [ -z "$(ls -A)" ] || fail "left behind: $(ls -A)"
done
check 0 ranks 2 "$MPILORA" selftest --threads 1 --json --output "$work/here/new/folder"
silent err
[ -z "$(ls -A)" ] || fail "left behind: $(ls -A)"
holds '[c["check"] for c in v["checks"]] == "'"$names"'".split() and v["verdict"] in ("fine", "slow")'
holds 'all((c["verdict"] == "fine") == (c["cure"] is None) and c["text"] for c in v["checks"])'
holds '(lambda c: c["ranks"]["ranks"] == 2 and c["ranks"]["nodes"] == 1 and c["threads"]["threads"] == 1
        and c["products"]["f32_gflops"] > 0 and c["training"]["last_loss"] < c["training"]["first_loss"]
        and c["network"]["sum_microseconds"] > 0 and c["network"]["sum_megabytes_per_second"] > 0
        and c["clock"]["skew_seconds"] < 5 and c["files"]["save_megabytes_per_second"] > 0)(
        {c["check"]: c for c in v["checks"]})'
check 2 selftest --model x
# Four threads on one core are seldom as fast as one alone: where they are not, it is told.
check 0 taskset -c "$(taskset -cp $$ | sed 's/.*: *\([0-9]*\).*/\1/')" timeout 120 "$MPILORA" selftest --threads 4 --json
holds '(lambda c: c["verdict"] == "slow" or c["f32_gflops"] >= 0.9 * c["thread_f32_gflops"])(
        {c["check"]: c for c in v["checks"]}["products"])'

# wrong NAME REGEX CURE: that check, and it alone.
wrong() {
    says out "^$1 +wrong +.*$2"
    says out "^ +to do: .*$3"
    says err "^mpilora: the self-test found something wrong: $1$"
    [ -z "$(ls -A)" ] || fail "left behind: $(ls -A)"
}

# Folders that cannot be used.
touch "$work/file"
check 1 selftest --output "$work/file/folder"
wrong files "$work/file.*[Nn]ot a directory" '--output'
cp "$MPILORA" "$work/mpilora"
chmod 555 "$work/closed"
as_user=
[ "$(id -u)" != 0 ] || as_user="setpriv --reuid=65534 --regid=65534 --clear-groups"
chmod a+rx "$work"
check 1 env HOME="$work" $as_user timeout 120 "$work/mpilora" selftest --threads 1 --output "$work/closed"
wrong files "no folder can be made in $work/closed: Permission denied" '--output'
for error in "28 No space left on device" "30 Read-only file system"; do
    check 1 env LD_PRELOAD="${FAULT:?}" FAULT_CALLS=write FAULT_UNDER="$work/here" FAULT_NTH=3 FAULT_LENGTH=100000000 \
        FAULT_ERRNO="${error%% *}" timeout 120 "$MPILORA" selftest --threads 1
    wrong files "${error#* }" '--output'
done
# MPI needs files itself, of some megabytes.
check 1 bash -c 'ulimit -f 30000; exec "$0" selftest --threads 1' "$MPILORA"
wrong files 'ulimit -f' 'ulimit -f unlimited'

# Cores, and too few of them.
first=$(awk '/^Cpus_allowed_list/ { split($2, part, /[-,]/); print part[1] }' /proc/self/status)
check 0 ranks 2 taskset -c "$first" "$MPILORA" selftest
says out '^threads +slow +.* may use (1 of|one core only)'
says out 'to do: start mpirun with --bind-to none'
check 0 timeout 120 "$MPILORA" selftest --threads $(($(nproc) + 1))
says out "^threads +slow +1 rank with $(($(nproc) + 1)) threads in all has $(nproc) core"

# Processors that are threads of one core, as far as the kernel says.
cat >"$work/siblings.sh" <<'SH'
for list in /sys/devices/system/cpu/cpu[0-9]*/topology/thread_siblings_list; do
    mount --bind "$0" "$list" || exit 77
done
exec "$@"
SH
echo 0 >"$work/siblings"
run unshare -rm sh -c "$(cat "$work/siblings.sh")" "$work/siblings" timeout 120 "$MPILORA" selftest --threads 2
if [ "$status" = 0 ] && [ "$(nproc)" -ge 2 ] && ! grep -q '^products *slow .* plain loop' "$work/out"; then # else: too busy
    says out '^products +(fine|slow) .*(hardware threads of 1 core|two or more on a core)'
fi

# Ranks that are not alike.
cp "$MPILORA" "$work/other"
echo >>"$work/other"
check 1 ranks 2 "$by_rank" "$MPILORA" selftest --threads 1 + "$work/other" selftest --threads 1
wrong ranks 'rank 1 on .* another build of the program' 'same build'
if "$MPILORA" --version | grep -q '^ISA: avx'; then
    check 1 ranks 3 "$by_rank" "$MPILORA" selftest --threads 1 + \
        env MPILORA_ISA=portable "$MPILORA" selftest --threads 1
    says out '^products +slow +rank '
    says out '^training +wrong +rank 2 on .*: its adapter is not that of most ranks'
    says out '^ +to do: the ranks compute by different means: take hosts of one kind'
    says out '^bits +fine +not compared'
fi
# Root has mounts of its own without a user namespace, in which MPICH's UCX does not get the memory of the other rank.
own_mounts="unshare -rm"
[ "$(id -u)" != 0 ] || own_mounts="unshare -m"
if $own_mounts mount -t tmpfs tmpfs "$work/here" 2>/dev/null; then
    check 0 ranks 2 "$by_rank" "$MPILORA" selftest --threads 1 + \
        $own_mounts sh -c 'mount -t tmpfs tmpfs "$0" && exec "$@"' "$work/here" "$MPILORA" selftest --threads 1
    says out '^files +slow +rank 1 on .*does not see the folder'
    says out 'to do: .*file system that all hosts share'
fi

# Too little address space, too little even to start in. (A sanitizer's shadow needs more by itself.)
if ! grep -qaE '__(asan|tsan)_init' "$MPILORA"; then
    check 1 env OMP_NUM_THREADS=1 bash -c 'ulimit -v 1200000; exec "$0" selftest --threads 1' "$MPILORA"
    wrong memory 'address space is limited to 1.14 GiB' 'ulimit -v unlimited'
    check 1 timeout 100 bash -c 'ulimit -v 200000; exec "$0" selftest' "$MPILORA"
    says err 'OpenBLAS gets no memory .*ulimit -v'
fi
for buffered in "" "stdbuf -oL"; do
    check 1 bash -c '$1 "$0" selftest --threads 1 >/dev/full' "$MPILORA" "$buffered"
    says err 'No space left'
done
passed
