#!/usr/bin/env bash
# Sees to it that what mpilora is built from is on this machine.
#
#   scripts/deps.sh            installs what is missing (Debian and its relatives, as root or with sudo);
#                              says nothing when nothing is missing
#   scripts/deps.sh --test     the same, with what only the tests need
#   scripts/deps.sh --check    installs nothing: exit status 1 and a list when something is missing
#   scripts/deps.sh --names debian|fedora|spack|conda     prints the names of the packages there
set -euo pipefail

# A dependency is there when its probe succeeds, wherever it came from: a package, a module, conda, Spack. What is of
# the group `extra` makes mpilora faster, and `cluster` is what the tests make a cluster of: these are installed where
# that can be done, and never missed.
#
#   group  what            probe                    Debian               Fedora             Spack            conda-forge
table='
build  C_compiler      links                    gcc,libc6-dev        gcc                gcc              c-compiler
build  CMake           have:cmake               cmake                cmake              cmake            cmake
build  Ninja           have:ninja               ninja-build          ninja-build        ninja            ninja
build  pkg-config      have:pkg-config          pkg-config           pkgconf-pkg-config pkgconf          pkg-config
build  Open_MPI        have:mpicc,mpirun        libopenmpi-dev,openmpi-bin openmpi-devel openmpi         openmpi
build  OpenBLAS_OpenMP openblas                 libopenblas-openmp-dev openblas-devel   openblas,threads=openmp "openblas=*=openmp*"
build  HDF5            have:h5cc                libhdf5-dev          hdf5-devel         hdf5~mpi         hdf5
build  jansson         pc:jansson               libjansson-dev       jansson-devel      jansson          jansson
build  PCRE2           pc:libpcre2-8            libpcre2-dev         pcre2-devel        pcre2+jit        pcre2
build  utf8proc        pc:libutf8proc           libutf8proc-dev      utf8proc-devel     utf8proc         libutf8proc
build  libyaml         pc:yaml-0.1              libyaml-dev          libyaml-devel      libyaml          yaml
build  xxHash          pc:libxxhash             libxxhash-dev        xxhash-devel       xxhash           xxhash
build  zlib            pc:zlib                  zlib1g-dev           zlib-devel         zlib-api         zlib
build  zstd            pc:libzstd               libzstd-dev          libzstd-devel      zstd             zstd
build  Python          have:python3             python3              python3            python           python
build  pip             pip                      python3-pip          python3-pip        py-pip           pip
build  curl            have:curl                curl,ca-certificates curl               curl             curl
extra  oneDNN          onednn                   libdnnl-dev          onednn-devel       onednn           onednn
test   CMocka          pc:cmocka                libcmocka-dev        libcmocka-devel    cmocka           cmocka
test   HDF5_tools      have:h5dump              hdf5-tools           hdf5               hdf5~mpi         hdf5
test   zstd_program    have:zstd                zstd                 zstd               zstd+programs    zstd
test   clang           clang                    clang,libomp-dev     clang,libomp-devel llvm+clang+openmp clang,llvm-openmp
test   sanitizers      sanitizers               libclang-rt-dev      compiler-rt        llvm+clang       compiler-rt
test   clang-tidy      have:clang-tidy          clang-tidy           clang-tools-extra  llvm+clang       clang-tools
test   libFuzzer       fuzzer                   libclang-rt-dev      compiler-rt        llvm+clang       compiler-rt
test   mold            have:mold                mold                 mold               mold             mold
cluster modules        modules                  lmod                 Lmod               -                -
cluster network        sbin:ip,tc               iproute2             iproute,iproute-tc -                -
cluster Slurm          sbin:slurmctld,slurmd,srun,munged slurmctld,slurmd,slurm-client,munge slurm-slurmctld,slurm-slurmd,slurm,munge - -
'

have() { # have WORD,WORD: all are commands
    local word
    for word in ${1//,/ }; do command -v "$word" >/dev/null 2>&1 || return 1; done
}

links() { # links COMPILER FLAG...: does a program link with these?
    local compiler=$1
    shift
    echo 'int main(void){return 0;}' | "$compiler" -x c - -o /dev/null "$@" >/dev/null 2>&1
}

probe() {
    case $1 in
    have:*) have "${1#have:}" ;;
    sbin:*) PATH=$PATH:/usr/sbin:/sbin have "${1#sbin:}" ;;
    links) links cc ;;
    pc:*) pkg-config --exists "${1#pc:}" 2>/dev/null ;;
    openblas) # Debian keeps the OpenMP build beside the others; elsewhere it has a name of its own, or is the only one
        compgen -G '/usr/lib/*/openblas-openmp/libopenblas.so' >/dev/null || links cc -lopenblaso ||
            { [ ! -e /etc/debian_version ] && links cc -lopenblas; } ;;
    onednn) links cc -include dnnl.h -ldnnl ;;
    pip) python3 -m pip --version >/dev/null 2>&1 || /usr/bin/python3 -m pip --version >/dev/null 2>&1 ;;
    clang) have clang && links clang -fopenmp ;;
    sanitizers) links clang -fsanitize=thread ;;
    modules) [ -e /usr/share/lmod/lmod/init/bash ] || [ -e /usr/share/modules/init/bash ] ;;
    fuzzer) have clang && links clang -fsanitize=fuzzer-no-link -Dmain=LLVMFuzzerTestOneInput -fsanitize=fuzzer ;;
    esac
}

names() { # names COLUMN GROUP...: all package names of a column
    local column=$1 group
    shift
    for group in "$@"; do
        awk -v g="$group" -v c="$column" '$1 == g && $c != "-" { gsub(",", " ", $c); print $c }' <<<"$table"
    done | tr '\n' ' '
    echo
}

usage() {
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
}

groups=build optional=extra mode=install
while [ $# -gt 0 ]; do
    case $1 in
    --test) groups="build test" optional="extra cluster" ;;
    --check) mode=check ;;
    --names)
        case ${2:-} in
        debian) names 4 build extra test cluster ;; fedora) names 5 build extra test cluster ;;
        spack) names 6 build extra test ;; conda) names 7 build extra test ;;
        *) echo "deps.sh: --names takes debian, fedora, spack or conda" >&2; exit 2 ;;
        esac
        exit 0 ;;
    --help | -h) usage; exit 0 ;;
    *) echo "deps.sh: unknown argument $1; see scripts/deps.sh --help" >&2; exit 2 ;;
    esac
    shift
done

missing_names() { # sets from the probes `missing`, what cannot be done without, and Debian's names: `needed`, `wanted`
    local group what test debian
    missing='' needed='' wanted=''
    while read -r group what test debian _; do
        case " $groups $optional " in *" $group "*) ;; *) continue ;; esac
        probe "$test" && continue
        case " $optional " in *" $group "*) wanted="$wanted ${debian//,/ }"; continue ;; esac
        missing="$missing ${what//_/ },"
        needed="$needed ${debian//,/ }"
    done <<<"${table#?}"
    missing=${missing%,}
}

explain() { # how to get what is missing where this script cannot install it
    cat >&2 <<TEXT
deps.sh: missing:$missing

On a cluster these usually come as modules; look for them and load them before building, for instance
    module avail openmpi ; module load gcc cmake openmpi openblas hdf5
What the modules lack, conda or Spack installs in your home folder, without an administrator:
    conda create -n mpilora -c conda-forge $(names 7 $groups extra)
    spack install $(names 6 $groups extra)
An administrator installs them with
    Debian, Ubuntu:  apt-get install $(names 4 $groups extra)
    Fedora:          dnf install $(names 5 $groups extra)
TEXT
}

give_up() { # give_up [REASON]: what is missing stays so
    [ -n "$missing" ] || exit 0
    explain
    [ $# = 0 ] || echo "deps.sh: $1" >&2
    exit 1
}

missing_names
[ -n "$needed$wanted" ] || exit 0
[ $mode != check ] || give_up

if [ "$(id -u)" = 0 ]; then
    as_root=
elif have sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    as_root=sudo
else
    give_up "not root, and sudo cannot be used here"
fi
have apt-get || give_up

echo "deps.sh: installing$needed$wanted" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1; }
install() { [ $# = 0 ] || apt install -y --no-install-recommends "$@"; }
# shellcheck disable=SC2086
if ! { apt update && install $needed; } && [ -n "$needed" ]; then
    cat "$log" >&2
    echo "deps.sh: apt-get failed; its messages are above" >&2
    exit 1
fi
# shellcheck disable=SC2086
install $wanted || echo "deps.sh: goes on without$wanted" >&2
hash -r
missing_names
if [ -n "$missing" ]; then
    echo "deps.sh: installed, but still not found:$missing" >&2
    exit 1
fi
