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

# The commit that --version names: git's, or that which an archive holds; none where neither knows one, and not that of
# another repository around.
commit_of() { # commit_of FOLDER: of the sources there
    check 0 cmake -DGIT="${git-git}" -DSOURCE="$1" -DHEADER="$work/commit.h" -P scripts/commit.cmake
    found=$(sed -n 's/^#define MPILORA_COMMIT[A-Z_]* *\("[^"]*"\|[01]\).*/\1/p' "$work/commit.h" | tr -d '"' | paste -sd' ')
}
if command -v git >/dev/null; then
    repository=$work/repository
    in_repository() { git -C "$repository" -c user.name=a -c user.email=a@example.org -c core.hooksPath= "$@" >&2; }
    mkdir -p "$repository/scripts"
    cp scripts/commit.txt scripts/.gitattributes "$repository/scripts/"
    git init -q "$repository" && in_repository add . && in_repository commit -qm first || fail "no repository"
    commit="$(git -C "$repository" log -1 --format='%H %cs')"
    commit_of "$repository"
    [ "$found" = "$commit 0" ] || fail "the commit is '$commit', not '$found'"
    touch -d '2001-01-01' "$work/commit.h"
    touch "$repository/new"
    commit_of "$repository"
    [ "$(date -r "$work/commit.h" +%Y)" = 2001 ] || fail "the header was written though nothing had changed"
    mkdir "$repository/inside"
    git -C "$repository" archive HEAD | tar x -C "$repository/inside" || fail "no archive"
    commit_of "$repository/inside"
    [ "$found" = "$commit 0" ] || fail "of an archive: '$found', not '$commit'"
    git= commit_of "$repository/inside"
    [ "$found" = "$commit 0" ] || fail "of an archive, without git: '$found', not '$commit'"
    cp scripts/commit.txt "$repository/inside/scripts/"
    commit_of "$repository/inside"
    [ "$found" = "  0" ] || fail "of a folder without a commit: '$found'"
    echo >>"$repository/scripts/commit.txt"
    commit_of "$repository"
    [ "$found" = "$commit 1" ] || fail "a change was not seen: '$found'"
fi
if [ -e .git ] && command -v git >/dev/null; then
    check 0 "$MPILORA" --version
    says out '^commit: [0-9a-f]{40}( modified)?$'
    says out '^date: [0-9]{4}-[0-9]{2}-[0-9]{2}$'
fi

# Where it finds another build of OpenBLAS all the same, it says so.
. "$SOURCE/tests/support/train.sh"
check 0 env STAND_IN=threads LD_PRELOAD="${STAND_IN_OPENBLAS:?}" "$MPILORA" train $options --max-steps 1 --output "$work/run"
says err "^warning: .*libstand_in_openblas.so is OpenBLAS with threads of its own, .*: put its OpenMP build"
[ "$(grep -c 'threads of its own' "$work/err")" = 1 ] || fail "said more than once"
check 0 train "$work/other" --max-steps 1
! grep -q 'threads of its own' "$work/err" || fail "the OpenMP build was taken for another"
passed
