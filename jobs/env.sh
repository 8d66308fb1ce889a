# Sourced by the job scripts: what a shell needs before it can start mpilora. Edit this one file for your cluster.

# 1. Modules. Names differ from cluster to cluster: look with `module avail openmpi`, `module avail hdf5`.
#    They must be the ones that mpilora was built with, since an MPI program finds its libraries at the start.
# module load gcc openmpi openblas hdf5

# 2. The program and its cache of models. Both must be on a file system that all nodes see.
export MPILORA=${MPILORA:-${top:-$PWD}/build/mpilora}
export MPILORA_CACHE=${MPILORA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mpilora}

# 3. Networks. Open MPI finds InfiniBand and Omni-Path by itself. On clusters with several Ethernet interfaces it may
#    try one that the nodes cannot reach each other by: name the right one then.
# export OMPI_MCA_btl_tcp_if_include=eth0

# 4. Threads. Nothing to set: each rank takes its share of the cores that it may run on, or what
#    SLURM_CPUS_PER_TASK or a cgroup grants; `--threads N` overrides it.
