#include "ranks/launch.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

int launch_rank(void)
{
    /* Open MPI's mpirun, anything that speaks PMIx (srun --mpi=pmix), MPICH and srun --mpi=pmi2, plain srun
     */
    static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *text = getenv(variables[i]);
        char *end;
        long rank = text ? strtol(text, &end, 10) : -1;
        if (rank >= 0 && rank <= INT_MAX && end != text && !*end)
            return (int)rank;
    }
    return -1;
}

void launch_alone(struct dist *d)
{
    *d = (struct dist){.world = 1, .node_ranks = 1, .nodes = 1};
    if (gethostname(d->host, sizeof d->host - 1))
        d->host[0] = '\0';
}
