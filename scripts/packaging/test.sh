#!/usr/bin/env bash
# Tries the recipes of this folder with the tools that they are for.
#
#   scripts/packaging/test.sh sources [CTEST-ARGUMENT...]
#                                            README's commands in a Debian root of its own, then tests there: those of
#                                            single modules and a choice of others, or those that are named
#   scripts/packaging/test.sh deb            cpack, lintian, then installed, used and purged in a Debian root of its own;
#                                            BUILD=FOLDER: of that finished build
#   scripts/packaging/test.sh apptainer      the steps of mpilora.def, each stage in a Debian root of its own
#   scripts/packaging/test.sh spack          SPACK=.../bin/spack SPACK_BUILTIN=.../spack_repo/builtin: installed against
#                                            what this machine has
#   scripts/packaging/test.sh easybuild      EB=.../bin/eb of an environment with easybuild and pycodestyle: checks the
#                                            easyconfig, finds its dependencies; takes lmod
#   scripts/packaging/test.sh conda          PYTHON=.../bin/python with py-rattler-build: renders the recipe
#
# sources, deb and apptainer take root, mmdebstrap and Debian's packages. Their roots are of Debian 12, or of SUITE=trixie
# (deb: of the Debian that this is); ROOT=FOLDER keeps that of sources, to go on there. README.md here says what each was
# last tried with.
. "$(dirname "$0")/../common.sh"

suite=${SUITE:-bookworm}

version=$(sed -n 's/^project(mpilora VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
work=$(mktemp -d "${TMPDIR:-/tmp}/mpilora-packaging.XXXXXX")
trap 'rm -rf "$work"' EXIT

need() { # need COMMAND...: or it cannot be tried here
    local word
    for word in "$@"; do
        command -v "$word" >/dev/null || { echo "test.sh: $word is not installed" >&2; exit 77; }
    done
}

# debian FOLDER: a root with no more than Debian needs, made once and unpacked for each use; with DEBIAN=FILE it is kept there.
debian() {
    local archive=${DEBIAN:-$work/debian.tar} file here
    need mmdebstrap
    if [ ! -e "$archive" ]; then
        # Debian's packages from where this machine has them, of that release.
        here=$(. /etc/os-release && echo "$VERSION_CODENAME")
        mkdir "$work/apt"
        for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list; do
            if grep -qs " $here" "$file"; then sed "s/ $here/ $suite/g" "$file" >"$work/apt/${file##*/}"; fi
        done
        mmdebstrap --variant=minbase --quiet --aptopt='Acquire::Check-Valid-Until "false"' "$suite" "$archive" "$work"/apt/*
    fi
    mkdir "$1"
    tar -xpf "$archive" -C "$1"
    cp /etc/resolv.conf "$1/etc/resolv.conf"
}

# in_root FOLDER SCRIPT: runs the shell script as root of that folder, with /proc, /dev and the network; nothing stays mounted.
# The folder becomes the root of its mounts, so that the tests can make namespaces there.
in_root() {
    unshare --mount --pid --fork --kill-child bash -euc '
        mount --make-rprivate /
        mount --bind "$1" "$1"
        cd "$1"
        mount -t proc proc proc
        mount --rbind /dev dev
        mount --rbind /sys sys
        mount -t tmpfs tmpfs tmp
        pivot_root . .
        umount -l .
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
            bash -euxc "cd /; $2
            exit"' in_root "$1" "$2" # with `exit` bash stays: it is their process 1, and reaps those that lost their parent
}

# sources FOLDER: those of the commit that is checked out.
sources() {
    mkdir -p "$1"
    git archive HEAD | tar -x -C "$1"
}

# What a user of a fresh installation does first, with a tiny model in ~/model.
first_use='
    useradd --create-home --shell /bin/bash someone
    cp -r /first/. /home/someone
    chown -R someone: /home/someone
    as_user() { runuser -u someone -- env -C /home/someone HOME=/home/someone "$@"; }
    as_user mpilora --version
    as_user mpirun -n 2 --bind-to none mpilora selftest
    as_user mpirun -n 2 --bind-to none mpilora train --model model --data data.jsonl --max-length 256 --batch-size 4 \
        --max-steps 3 --output run
    as_user mpilora inspect --verify run/checkpoints/latest
    test -s /home/someone/run/adapter/adapter_model.safetensors
    as_user mpilora jobs jobs-of-someone
    as_user test -x jobs-of-someone/jobs/local.sh
'

give_first_use() { # give_first_use ROOT: the model and the data
    mkdir "$1/first"
    python3 tests/support/make_tiny_model.py "$1/first/model"
    head -n 40 jobs/quickstart/train.jsonl >"$1/first/data.jsonl"
}

# What talks to MPI, to its launcher, to HDF5 and to the matrix libraries, and what is installed.
choice='^((base|math|io|data|model|ranks|run|train|report|bench|fuzz|mpi)\..*|cluster\.ends'
choice+='|e2e\.(agreement|build|dtype|install|jobs|preference|rank_timeout|ranks|selftest|signals|tensorboard|threads|train|watch))$'

test_sources() {
    local root=${ROOT:-$work/root} commands
    [ $# -gt 0 ] || set -- --tests-regex "$choice"
    headline "README's commands in a fresh Debian ($suite)"
    commands=$(sed -n '/^```sh build$/,/^```$/p' README.md | sed '1d;$d')
    [ -n "$commands" ] || { echo "test.sh: README.md does not say how to build" >&2; exit 1; }
    [ -d "$root" ] || debian "$root"
    sources "$root/usr/src/mpilora"
    in_root "$root" "cd /usr/src/mpilora
        $commands
        mpicc --version | head -n 1
        scripts/deps.sh --test"
    headline "tests"
    in_root "$root" "cd /usr/src/mpilora
        cmake -S . -B build -G Ninja -DMPILORA_TESTS=ON
        ninja -C build
        ctest --test-dir build --output-on-failure --no-tests=error -j $cores $(printf ' %q' "$@")"
    echo "mpilora $version in $suite: built as README says, tested"
}

test_deb() {
    need cpack dpkg-shlibdeps file
    headline "Debian package"
    local package root=$work/root
    [ -n "${BUILD:-}" ] || build "$work/build" -DMPILORA_TESTS=OFF -DMPILORA_WERROR=OFF
    (cd "${BUILD:-$work/build}" && cpack -G DEB -B "$work/package")
    package=$(compgen -G "$work/package/mpilora_${version}-*.deb")
    dpkg-deb --info "$package"
    if command -v lintian >/dev/null; then lintian --fail-on error --allow-root "$package"; else echo "lintian is not installed"; fi

    headline "in a fresh Debian"
    debian "$root"
    cp "$package" "$root/mpilora.deb"
    give_first_use "$root"
    in_root "$root" "
        apt-get update -qq
        apt-get install -qq -y --no-install-recommends /mpilora.deb >/dev/null
        $first_use
        dpkg --verify mpilora
        for page in mpilora mpilora-train; do gzip -t /usr/share/man/man1/\$page.1.gz; done
        bash -c '. /usr/share/bash-completion/completions/mpilora && complete -p mpilora'
        test -s /usr/share/zsh/vendor-completions/_mpilora
        test -s /usr/share/fish/vendor_completions.d/mpilora.fish
        apt-get purge -qq -y mpilora >/dev/null
        rm -r /mpilora.deb /first /home/someone
        test -z \"\$(find / -xdev -name '*mpilora*' -print)\""
    echo "mpilora $version as a Debian package: installed, used, purged"
}

# section STAGE NAME: that section of that stage of the definition.
section() {
    awk -v stage="$1" -v name="%$2" '
        /^Bootstrap:/ { inside = 0 }
        /^Stage:/ { here = $2 }
        /^%/ { inside = here == stage && ($1 == name); next }
        inside' scripts/packaging/mpilora.def
}

test_apptainer() {
    headline "Apptainer definition: the stage that builds"
    debian "$work/stage-build"
    section build files | grep -qx ' *\. /usr/src/mpilora' || { echo "test.sh: other files than expected" >&2; exit 1; }
    sources "$work/stage-build/usr/src/mpilora"
    in_root "$work/stage-build" "$(section build post)"
    headline "the stage that runs"
    debian "$work/stage-run"
    section run 'files' | grep -qx ' */mpilora.deb /mpilora.deb' || { echo "test.sh: other files than expected" >&2; exit 1; }
    cp "$work/stage-build/mpilora.deb" "$work/stage-run"
    give_first_use "$work/stage-run"
    in_root "$work/stage-run" "$(section run post)"
    in_root "$work/stage-run" "$(section run test)
        $first_use"
    echo "mpilora.def: both stages built, the second one tested"
}

# external PACKAGE SPEC PREFIX [MORE]: a package that Spack takes as it is.
external() {
    printf '  %s:\n    buildable: false\n    externals:\n    - spec: "%s"\n      prefix: %s\n%s' "$1" "$2" "$3" "${4:-}"
}

spack_of() { "$SPACK" -C "$work/spack" "$@"; }

test_spack() {
    : "${SPACK:?is the program}" "${SPACK_BUILTIN:?is the folder of the packages that come with it}"
    headline "Spack $("$SPACK" --version)"
    export SPACK_DISABLE_LOCAL_CONFIG=1 SPACK_USER_CACHE_PATH=$work/spack/cache
    # A release as its maintainer would make it.
    git clone --quiet . "$work/mpilora"
    git -C "$work/mpilora" checkout --quiet -B main
    git -C "$work/mpilora" tag --force "v$version" >/dev/null
    # OpenBLAS and MPICH have a prefix of their own: Debian keeps builds of the same library side by side.
    local library of
    library=$(dirname "$(compgen -G '/usr/lib/*/openblas-openmp/libopenblas.so')")
    mkdir -p "$work/openblas" "$work/mpich/bin" "$work/spack"
    ln -s "$library" "$work/openblas/lib"
    ln -s "/usr/include/${library#/usr/lib/}" "$work/openblas/include"
    for of in mpicc mpiexec mpirun; do ln -s "/usr/bin/$of.mpich" "$work/mpich/bin/$of"; done
    pc() { pkg-config --modversion "$1"; }
    {
        echo packages:
        external gcc "gcc@$(gcc -dumpfullversion) languages='c,c++'" /usr \
            '      extra_attributes: {compilers: {c: /usr/bin/gcc, cxx: /usr/bin/g++}}
'
        external cmake "cmake@$(cmake --version | awk 'NR == 1 { print $3 }')" /usr
        external ninja "ninja@$(ninja --version)" /usr
        external pkgconf "pkgconf@$(pkg-config --version)" /usr
        external openmpi "openmpi@$(pc ompi-c)" /usr
        [ ! -e /usr/bin/mpicc.mpich ] || external mpich "mpich@$(pc mpich)" "$work/mpich"
        external openblas "openblas@$(PKG_CONFIG_PATH=$library/pkgconfig pc openblas) threads=openmp" "$work/openblas"
        external onednn "onednn@$(echo DNNL_VERSION_MAJOR.DNNL_VERSION_MINOR.DNNL_VERSION_PATCH |
            gcc -E -P -include dnnl_version.h - | tr -d ' ' | tail -n 1) cpu_runtime=omp" /usr
        external hdf5 "hdf5@$(pc hdf5)~mpi" /usr
        external jansson "jansson@$(pc jansson)" /usr
        external libyaml "libyaml@$(pc yaml-0.1)" /usr
        external pcre2 "pcre2@$(pc libpcre2-8)+jit" /usr
        external utf8proc "utf8proc@$(pc libutf8proc)" /usr
        external xxhash "xxhash@$(pc libxxhash)" /usr
        external zlib "zlib@$(pc zlib)" /usr
        external zstd "zstd@$(pc libzstd)" /usr
        printf '  zlib-api: {buildable: false}\n  mpi: {buildable: false}\n'
    } >"$work/spack/packages.yaml"
    printf 'repos:\n  mpilora: %s\n  builtin: %s\n' "$work/mpilora/scripts/packaging/spack" "$SPACK_BUILTIN" >"$work/spack/repos.yaml"
    printf 'bootstrap: {enable: false}\n' >"$work/spack/bootstrap.yaml"
    printf 'config:\n  install_tree: {root: %s}\n  build_stage: [%s]\n  build_jobs: %s\n' \
        "$work/spack/opt" "$work/spack/stage" "$cores" >"$work/spack/config.yaml"
    spack_of info mpilora
    local spec
    for spec in "mpilora@$version ^openmpi" "mpilora@main~onednn ^openmpi" "mpilora@$version ^mpich"; do
        [ "${spec#*^}" != mpich ] || [ -e /usr/bin/mpicc.mpich ] || continue
        headline "spack install $spec"
        spack_of spec "$spec"
        spack_of install --fail-fast --test root "$spec"
        "$(spack_of location --install-dir "$spec")/bin/mpilora" --version
    done
    echo "mpilora $version by Spack: concretised, built and installed against packages of this machine"
}

test_easybuild() {
    : "${EB:?is the program}"
    # EasyBuild takes the python3 and the lmod that it finds there: that of its environment, and where Debian keeps it.
    PATH=$(dirname "$EB"):$PATH:/usr/share/lmod/lmod/libexec
    need lmod
    headline "$("$EB" --version)"
    local file=mpilora-$version-foss-2023b.eb options=(--prefix="$work/easybuild" --sourcepath="$work")
    [ "$(id -u)" != 0 ] || options+=(--allow-use-as-root-and-accept-consequences)
    # The checksum is that of the archive of the release: who makes that puts it in.
    git archive --prefix="mpilora-$version/" --output="$work/mpilora-$version.tar.gz" HEAD
    sed "s/^sources = .*/&\nchecksums = ['$(sha256sum <"$work/mpilora-$version.tar.gz" | cut -d' ' -f1)']/" \
        "scripts/packaging/easybuild/$file" >"$work/$file"
    "$EB" "${options[@]}" --check-contrib "$work/$file"
    "$EB" "${options[@]}" --dry-run --robot "$work/$file" | tee "$work/dry"
    grep -q "(module: mpilora/$version-foss-2023b)" "$work/dry"
    echo "mpilora $version by EasyBuild: checked, all dependencies have easyconfigs; not built"
}

test_conda() {
    : "${PYTHON:?is a Python with py-rattler-build}"
    headline "conda recipe"
    "$PYTHON" - "$version" <<'PY'
import sys
from rattler_build import Stage0Recipe, VariantConfig

# What conda-forge pins for all its packages.
pins = VariantConfig.from_yaml("""
c_compiler: [gcc]
c_compiler_version: ["13"]
c_stdlib: [sysroot]
c_stdlib_version: ["2.17"]
""")
(rendered,) = Stage0Recipe.from_file("scripts/packaging/conda/recipe.yaml").render(pins)
recipe = rendered.recipe.to_dict()
for part, packages in recipe["requirements"].items():
    print(f"{part}: {', '.join(map(str, packages))}")
sys.exit(recipe["package"]["version"] != sys.argv[1])
PY
    echo "mpilora $version for conda: rendered; not built"
}

case ${1:-} in
sources) test_sources "${@:2}" ;;
deb | apptainer | spack | easybuild | conda) "test_$1" ;;
*) echo "usage: scripts/packaging/test.sh sources|deb|apptainer|spack|easybuild|conda" >&2; exit 2 ;;
esac
