/*
 * What a process knows of its launcher before MPI is started, from the environment alone.
 */
#ifndef MPILORA_RANKS_LAUNCH_H
#define MPILORA_RANKS_LAUNCH_H

#include "ranks/dist.h"

/* This process's number among those that mpirun or srun started; -1: no launcher, it was started by itself.
 */
int launch_rank(void);

/* One process by itself, without MPI: the functions of dist.h that a world of one rank needs do nothing then.
 * Not to be given to dist_stop(). */
void launch_alone(struct dist *d);

#endif
