/*
 * Where the time of a step goes. At any moment the calling thread is in one phase; to enter another costs one
 * reading of the clock, so this is always on. The phases add up to all the time that passed.
 */
#ifndef MPILORA_BASE_PROF_H
#define MPILORA_BASE_PROF_H

enum prof_phase {
#define PHASE(code, name) PROF_##code,
#include "base/prof.def"
#undef PHASE
    PROF_COUNT
};

/* From now on time belongs to `phase`; returns the phase before, to go back to. A thread begins in
 * PROF_OTHER. */
enum prof_phase prof_enter(enum prof_phase phase);

/* Seconds of the calling thread in each phase since it last asked. The present phase goes on. */
void prof_take(double seconds[PROF_COUNT]);

const char *prof_name(enum prof_phase phase);

#endif
