# Sourced by the other scripts: where things are, and what every one of them needs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cores=$(nproc)

# What Open MPI (4, and 5) wants to be told: that there may be more ranks than cores, and that root may start them, who in a
# container is often the only user there is. MPICH does not ask.
export OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

headline() { printf '\n== %s\n' "$*"; }

# [targets=...] build FOLDER [CMAKE ARGUMENT...]: configures and builds all, or these; one that another generator made is made again.
build() {
    local folder=$1
    shift
    if [ -f "$folder/CMakeCache.txt" ] && [ ! -f "$folder/build.ninja" ]; then rm -rf "$folder"; fi
    mkdir -p "$folder"
    cmake -S . -B "$folder" -G Ninja "$@" >"$folder/configure.log" 2>&1 || { cat "$folder/configure.log"; return 1; }
    ninja -C "$folder" -j "$cores" --quiet ${targets:-}
}

# ranks N COMMAND...: on N ranks of this machine, which share its cores.
ranks() {
    local n=$1
    shift
    mpirun -n "$n" --bind-to none "$@"
}
