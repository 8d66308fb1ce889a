#!/usr/bin/env bash
# Fuzzes the readers of files with libFuzzer, each for some seconds, two at a time, and prints a table.
#
#   scripts/fuzz.sh [--seconds N] [--corpus DIR] [READER...]
#
# N is 20, READER one of tests/fuzz/fuzz_READER.c (all of them). DIR keeps the inputs that reach new code for a later
# run. An input that crashes, takes more than ten seconds or more memory than any input may is kept in
# tests/fuzz/found/READER, where every run of the tests tries it again, and the exit status is 1.
. "$(dirname "$0")/common.sh"

seconds=20 corpus=''
readers=()
while [ $# -gt 0 ]; do
    case $1 in
    --seconds) seconds=${2:?--seconds wants a number}; shift ;;
    --corpus) corpus=${2:?--corpus wants a folder}; shift ;;
    -*) echo "fuzz.sh: unknown argument $1" >&2; exit 2 ;;
    *) [ -f "tests/fuzz/fuzz_$1.c" ] || { echo "fuzz.sh: there is no tests/fuzz/fuzz_$1.c" >&2; exit 2; }
       readers+=("$1") ;;
    esac
    shift
done
if [ ${#readers[@]} = 0 ]; then
    for source in tests/fuzz/fuzz_*.c; do
        name=${source##*/fuzz_}
        readers+=("${name%.c}")
    done
fi

mkdir -p build-fuzz
cmake -S . -B build-fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DMPILORA_FUZZ=ON >build-fuzz/configure.log 2>&1 ||
    { cat build-fuzz/configure.log; exit 1; }
ninja -C build-fuzz -j "$cores" --quiet "${readers[@]/#/fuzz_}"

# Inputs are files that live for a moment: in memory where there is such a file system.
if [ -d /dev/shm ] && [ -w /dev/shm ]; then work=$(mktemp -d /dev/shm/fuzz-XXXXXX); else work=$(mktemp -d); fi
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work GOLDEN=$PWD/tests/golden OMP_NUM_THREADS=1 ASAN_OPTIONS=allocator_may_return_null=1
export LSAN_OPTIONS=suppressions=$PWD/tests/support/lsan.supp:print_suppressions=0
export seconds corpus work

fuzz_one() { # fuzz_one READER: its output in $work/READER.log
    local reader=$1 own=${corpus:-$work/corpus}/$1 dictionary=()
    mkdir -p "$own" "tests/fuzz/found/$reader"
    [ ! -f "tests/fuzz/dict/$reader.dict" ] || dictionary=("-dict=tests/fuzz/dict/$reader.dict")
    build-fuzz/tests/fuzz_"$reader" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=256 \
        -max_len=65536 -print_final_stats=1 "${dictionary[@]}" \
        -artifact_prefix="tests/fuzz/found/$reader/" "$own" "tests/fuzz/seeds/$reader" "tests/fuzz/found/$reader" \
        >"$work/$reader.log" 2>&1 || echo "$?" >"$work/$reader.failed"
    rmdir --ignore-fail-on-non-empty "tests/fuzz/found/$reader"
}
export -f fuzz_one
printf '%s\n' "${readers[@]}" | xargs -P 2 -I {} bash -c 'fuzz_one {}'

last() { sed -n "s/$2/\1/p" "$work/$1.log" | tail -n 1; } # last READER PATTERN: what the group of its last match holds
printf '%-12s %10s %12s %9s  %s\n' reader inputs 'clean errors' coverage findings
status=0
for reader in "${readers[@]}"; do
    found=-
    if [ -f "$work/$reader.failed" ]; then
        status=1
        found=$(last "$reader" '.*Test unit written to \(.*\)')
        found=${found:-"exit status $(cat "$work/$reader.failed")"}
    fi
    errors=$(last "$reader" '^fuzz: [0-9]* inputs, \([0-9]*\) clean errors')
    printf '%-12s %10s %12s %9s  %s\n' "$reader" "$(last "$reader" '^stat::number_of_executed_units: *\([0-9]*\)')" \
        "${errors:--}" "$(last "$reader" '^#[0-9]*.* cov: \([0-9]*\) .*')" "$found"
done
for reader in "${readers[@]}"; do
    [ ! -f "$work/$reader.failed" ] || { echo && echo "$reader:" && tail -n 40 "$work/$reader.log"; }
done
exit $status
