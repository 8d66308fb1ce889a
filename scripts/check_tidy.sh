#!/usr/bin/env bash
# Runs clang-tidy, with the checks of .clang-tidy, over all of src/.
#
#   scripts/check_tidy.sh FOLDER    the build folder, made with clang, whose compile_commands.json is used
. "$(dirname "$0")/common.sh"

[ $# = 1 ] || { echo "check_tidy.sh: wants the build folder" >&2; exit 2; }
# The largest first, so that no core is left with one of them at the end.
find src -name '*.c' -printf '%s %p\n' | sort -rn | cut -d' ' -f2 |
    xargs -P "$cores" -n 1 clang-tidy -p "$1" --quiet --header-filter="^$PWD/(include|src)/.*[.]h$" 2>/dev/null ||
    { echo "check_tidy.sh: see above" >&2; exit 1; }
echo "clang-tidy: nothing to complain about"
