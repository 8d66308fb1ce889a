/*
 * What a process knows of its launcher before MPI is started, from the environment alone.
 */
#ifndef MPILORA_RANKS_LAUNCH_H
#define MPILORA_RANKS_LAUNCH_H

#include <stdbool.h>

#include "ranks/dist.h"

/* This process's number among those that mpirun or srun started; -1: no launcher, it was started by itself.
 */
int launch_rank(void);

/* Processors that the job has on this host, as the launcher of this process may run on them: an mpirun binds the
 * processes that it starts, not itself. Those of this process where no launcher is known. */
int launch_job_cores(void);

/* Open MPI's mpirun binds ranks by default, up to two of a host to a core each, and leaves the others idle. Where
 * nobody asked for a binding and the job has more cores than the ranks of this host were bound to, this process may
 * run on all of them from now on, as with --bind-to none. To be called before there are threads. Gives the number of
 * cores that it was bound to, 0 if nothing was changed. */
int launch_unbind(void);

/* Has Open MPI's mpirun started this process, as its parent? It kills the ranks a second after it was told to end. */
bool launch_by_mpirun(void);

/* The terminal to which an mpirun on this host passes on what this process writes to stderr: a descriptor, open for the
 * rest of the process; -1 where there is none, or mpirun would write something else around it. */
int launch_terminal(void);

/* One process by itself, without MPI: the functions of dist.h that a world of one rank needs do nothing then.
 * Not to be given to dist_stop(). */
void launch_alone(struct dist *d);

#endif
