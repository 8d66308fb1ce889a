# What README and jobs/README say about building: with what `scripts/deps.sh` installs, and no more.
. "$SOURCE/tests/support/e2e.sh"
for tool in cmake ninja readelf; do
    command -v $tool >/dev/null || skip "$tool is not installed"
done

# A machine without CMocka: pkg-config sees everything else.
mkdir "$work/pc"
for folder in $(tr : ' ' <<<"$(pkg-config --variable pc_path pkg-config):${PKG_CONFIG_PATH:-}"); do
    for file in "$folder"/*.pc; do
        [ ! -e "$file" ] || [ "${file##*/}" = cmocka.pc ] || ln -sf "$file" "$work/pc/"
    done
done
without_cmocka() {
    env PKG_CONFIG_PATH= PKG_CONFIG_LIBDIR="$work/pc" "$@"
}
cd "$SOURCE" || exit
for page in README.md jobs/README.md; do
    configure=$(grep -oE 'cmake -S \. -B build[^&`]*' "$page" | head -n 1)
    [ -n "$configure" ] || fail "$page does not say how to build"
    rm -rf "$work/build"
    check 0 without_cmocka ${configure/-B build/-B $work/build}
    says out 'Tests are not built: CMocka is not there \(scripts/deps.sh --test installs it\)'
    check 0 ninja -C "$work/build" -n mpilora
done
check 1 without_cmocka cmake -S . -B "$work/build" -DMPILORA_TESTS=ON # as scripts/test.sh has it
says err 'The tests need CMocka: scripts/deps.sh --test installs it'

# Building the program alone, as the quickstart does, leaves a build folder with its tests: test.sh finds them there.
for script in scripts/*.sh; do
    ! grep -q 'MPILORA_TESTS=OFF' "$script" || fail "$script turns the tests of a folder off that others use"
done

# Installed, it finds the very libraries that it was built with.
check 0 cmake --install "$(dirname "$MPILORA")" --prefix "$work/installed"
libraries() { env -u LD_LIBRARY_PATH ldd "$1" | sed -n 's/^[[:space:]]*\(.*=> [^ ]*\).*/\1/p' | sort; }
libraries "$MPILORA" >"$work/built"
[ -s "$work/built" ] || fail "ldd says nothing"
diff "$work/built" <(libraries "$work/installed/bin/mpilora") >&2 || fail "the installed program has other libraries"
folders() { readelf -d "$1" | sed -n 's/.*R.*PATH.*\[\(.*\)\]/\1/p' | tr : '\n' | sed '/^$/d'; }
diff <(folders "$MPILORA") <(folders "$work/installed/bin/mpilora") >&2 || fail "another run path"
check 0 "$work/installed/bin/mpilora" --version

# Where it finds another build of OpenBLAS all the same, it says so.
. "$SOURCE/tests/support/train.sh"
check 0 env STAND_IN=threads LD_PRELOAD="${STAND_IN_OPENBLAS:?}" "$MPILORA" train $options --max-steps 1 --output "$work/run"
says err "^warning: .*libstand_in_openblas.so is OpenBLAS with threads of its own, .*: put its OpenMP build"
[ "$(grep -c 'threads of its own' "$work/err")" = 1 ] || fail "said more than once"
check 0 train "$work/other" --max-steps 1
! grep -q 'threads of its own' "$work/err" || fail "the OpenMP build was taken for another"
passed
