# Sourced by the job scripts: sets up a shell so that it can start mpilora. Edit this file for your cluster; what
# a job asks Slurm for is in the #SBATCH lines of the .sbatch files, or on sbatch's command line.

# 1. Modules. Names differ from cluster to cluster: look with `module avail openmpi`, `module avail hdf5`.
# They must be the ones that mpilora was built with, because a program looks for its libraries when it starts.
# module load gcc openmpi openblas hdf5

# 2. The program and its cache of models. Both must be on a file system that all nodes see.
export MPILORA=${MPILORA:-${top:-$PWD}/build/mpilora}
export MPILORA_CACHE=${MPILORA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mpilora}

# 3. MPI. Slurm starts the ranks of Open MPI with pmix, and those of MPICH, MVAPICH and Intel MPI with pmi2
#    (`srun --mpi=list` shows the choices). The MPI must be the one that mpilora was built with: `mpilora --version`.
export SLURM_MPI_TYPE=${SLURM_MPI_TYPE:-pmix}
#    With pmix, ranks wait for each other in a fence before they send. That of Slurm 22.05 waits, unless it is of this kind,
#    only for the ranks of the same node: now and then a rank got a message too early and crashed in MPI_Init.
export SLURM_PMIX_FENCE=${SLURM_PMIX_FENCE:-ring}

# 4. Networks. Open MPI finds InfiniBand and Omni-Path by itself. On a cluster with several Ethernet interfaces it
#    may try one that does not connect the nodes: then name the right one here.
# export OMPI_MCA_btl_tcp_if_include=eth0

# 5. Threads. Nothing to set: each rank uses its share of the cores on which it may run, or as many as
#    SLURM_CPUS_PER_TASK or a cgroup allows; `--threads N` overrides this.
