#!/usr/bin/env bash
# Builds mpilora with MPICH, where Debian has it beside Open MPI, and runs the tests of what talks to MPI and to mpirun.
#
#   scripts/test_mpich.sh                       a few minutes
#   scripts/test_mpich.sh CTEST-ARGUMENT...     other tests, such as -L e2e
. "$(dirname "$0")/common.sh"

command -v mpicc.mpich mpiexec.mpich >/dev/null || {
    echo "test_mpich.sh: MPICH is not installed (Debian: apt-get install libmpich-dev mpich)" >&2
    exit 1
}
headline "build with MPICH"
build build-mpich -DMPI_C_COMPILER=mpicc.mpich -DMPILORA_TESTS=ON
[ $# -gt 0 ] || set -- --tests-regex '^(mpi\..*\.[1-4]|ranks\..*|e2e\.(agreement|jobs|rank_timeout|ranks|signals|threads|train))$'
headline "tests with MPICH"
ctest --test-dir build-mpich --output-on-failure --no-tests=error -j "$cores" "$@"
