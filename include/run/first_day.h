/*
 * The day on which a run first started: what chat templates see unless --chat-date says another. It is kept with the
 * run's options, so that a run that goes on renders the texts that it began with, whatever the date.
 */
#ifndef MPILORA_RUN_FIRST_DAY_H
#define MPILORA_RUN_FIRST_DAY_H

#include "ranks/dist.h"
#include "run/options.h"

/* Collective. Where the command takes --chat-date and it is not given, sets it: for a run or a study that goes on, as
 * that has it (not at all, if it is of a version that knew no such option); else to today, of rank 0's host. What
 * cannot be read is no error here: who goes on from it will say so. */
enum err_code first_day_settle(struct options *o, struct dist *d, struct err *e);

#endif
