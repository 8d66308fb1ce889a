#include "base/prof.h"

#include <assert.h>
#include <string.h>

#include "base/cpu.h"

static _Thread_local struct {
    enum prof_phase phase;
    double since; /* 0: nothing was asked yet */
    double seconds[PROF_COUNT];
} state;

static void settle(void)
{
    double now = cpu_seconds();
    if (state.since > 0)
        state.seconds[state.phase] += now - state.since;
    state.since = now;
}

enum prof_phase prof_enter(enum prof_phase phase)
{
    enum prof_phase before = state.phase;
    assert(phase < PROF_COUNT);
    settle();
    state.phase = phase;
    return before;
}

void prof_take(double seconds[PROF_COUNT])
{
    settle();
    memcpy(seconds, state.seconds, sizeof state.seconds);
    memset(state.seconds, 0, sizeof state.seconds);
}

const char *prof_name(enum prof_phase phase)
{
    static const char *const names[] = {
#define PHASE(code, name) name,
#include "base/prof.def"
#undef PHASE
    };
    assert(phase < PROF_COUNT);
    return names[phase];
}
