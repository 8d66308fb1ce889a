/*
 * What a process can find out about its launcher (mpirun, srun) from the environment, before MPI is started.
 */
#ifndef MPILORA_RANKS_LAUNCH_H
#define MPILORA_RANKS_LAUNCH_H

#include <stdbool.h>

#include "ranks/dist.h"

/* The number of this process among those that mpirun or srun started; -1: it was started without a launcher. */
int launch_rank(void);

/* Number of processors that the job has on this host: those on which the launcher itself may run, because mpirun
 * binds the processes that it starts, but not itself. If no launcher is known, those of this process. */
int launch_job_cores(void);

/* By default Open MPI's mpirun binds each rank to one core if a host has at most two ranks, so that the other cores
 * stay idle. If the user did not ask for a binding, and the job has more cores than the ranks of this host are
 * bound to, this call lets the process run on all cores, as --bind-to none does. (With Open MPI 5 only on the host
 * where mpirun runs: elsewhere nothing tells what it was asked for.) Call it before threads are started. Returns
 * the number of cores to which the process was bound, 0 if nothing was changed. */
int launch_unbind(void);

/* Is Open MPI's mpirun the parent of this process? (It kills its ranks one second after it was told to end; that of
 * MPICH hands each signal on and lets them end.) */
bool launch_by_mpirun(void);

/* The terminal to which an mpirun on this host (Open MPI's or MPICH's) forwards the stderr of this process, as a
 * descriptor that stays open; -1 if there is none, or if mpirun adds other text to the output. */
int launch_terminal(void);

/* Makes a world of one rank without MPI: the functions of dist.h then have nothing to do. Do not call dist_stop()
 * on it. */
void launch_alone(struct dist *d);

#endif
