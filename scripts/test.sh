#!/usr/bin/env bash
# Builds mpilora and runs all its tests: with gcc everything, with clang the unit tests and clang-tidy, under
# ThreadSanitizer those of what threads share, some seconds of fuzzing for each reader (see fuzz.sh), and under
# AddressSanitizer and UBSan the unit and MPI tests and what fuzzing once found.
# Installs what is missing first (see deps.sh).
#
#   scripts/test.sh            everything
#   scripts/test.sh --quick    the gcc build and its tests only
. "$(dirname "$0")/common.sh"

quick=
case ${1:-} in
'') ;;
--quick) quick=1 ;;
*) echo "test.sh: unknown argument $1" >&2; exit 2 ;;
esac
[ $# -le 1 ] || { echo "test.sh: too many arguments" >&2; exit 2; }

# Some 170 programs to link in each build. (binutils' gold would wrap malloc of shared libraries, too.)
linker=(-DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=mold)

# pyenv's python3 is a script that looks for the interpreter each time, for 0.16 seconds of processor time instead of 0.02;
# the tests start it thousands of times.
case $(command -v python3) in
*/shims/python3) PATH=$(python3 -c 'import os, sys; print(os.path.dirname(sys.executable))'):$PATH ;;
esac

# Many tests wait, for ranks to start or for a retry, longer than they compute: more of them than there are cores. (Ranks
# that wait seem to compute: they ask again and again, and give their core to whoever has work.)
run_tests() { # run_tests FOLDER CTEST-ARGUMENT...; says at the end what was skipped, and why
    local folder=$1 status=0
    shift
    ctest --test-dir "$folder" --output-on-failure --no-tests=error -j $((cores * 3)) "$@" || status=$?
    grep -E '^[0-9]+/[0-9]+ Testing: |^SKIPPED: ' "$folder/Testing/Temporary/LastTest.log" |
        grep -B 1 '^SKIPPED: ' | sed -n 's/^[^ ]* Testing: //p; s/^SKIPPED: /    skipped: /p' || true
    return $status
}

headline "dependencies"
scripts/deps.sh --test

headline "build with gcc"
build build "${linker[@]}" -DCMAKE_C_COMPILER=gcc -DMPILORA_TESTS=ON

headline "model"
status=0
model=$(scripts/fetch_model.sh smollm2) || status=$?
case $status in
0) export MPILORA_SMOLLM2=$model && echo "$model" ;;
4) echo "the package index cannot be reached: tests that need SmolLM2 are skipped" ;;
*) exit "$status" ;;
esac

headline "all tests"
run_tests build
[ -z "$quick" ] || exit 0

headline "build with clang, unit tests"
build build-clang "${linker[@]}" -DCMAKE_C_COMPILER=clang -DMPILORA_TESTS=ON
run_tests build-clang --label-regex unit

headline "clang-tidy"
scripts/check_tidy.sh build-clang

headline "build with ThreadSanitizer, tests of what threads share"
targets=tests_of_threads build build-threads "${linker[@]}" -DCMAKE_C_COMPILER=clang -DMPILORA_SANITIZE_THREADS=ON
run_tests build-threads --label-regex '^threads$'

headline "fuzzing of the readers"
scripts/fuzz.sh

headline "build with AddressSanitizer and UndefinedBehaviorSanitizer, unit, MPI and fuzz tests"
build build-sanitize "${linker[@]}" -DCMAKE_C_COMPILER=gcc -DMPILORA_SANITIZE=ON
run_tests build-sanitize --label-regex '^(unit|mpi|fuzz)$'
