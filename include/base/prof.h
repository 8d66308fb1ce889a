/*
 * Measures how the time of a step is divided among phases. At any moment the calling thread is in one phase.
 * Entering another one reads the clock once, which is cheap enough to be always on. The times of all phases add up
 * to the time that has passed.
 */
#ifndef MPILORA_BASE_PROF_H
#define MPILORA_BASE_PROF_H

enum prof_phase {
#define PHASE(code, name) PROF_##code,
#include "base/prof.def"
#undef PHASE
    PROF_COUNT
};

/* From now on, time counts for `phase`. Returns the previous phase, so that the caller can restore it. A thread
 * starts in PROF_OTHER. */
enum prof_phase prof_enter(enum prof_phase phase);

/* Seconds that the calling thread spent in each phase since its last call. The current phase continues. */
void prof_take(double seconds[PROF_COUNT]);

const char *prof_name(enum prof_phase phase);

#endif
