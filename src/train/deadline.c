#include "train/deadline.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/cpu.h"
#include "base/log.h"
#include "base/stop.h"

/* Seconds for the export, the end of communication and the launcher. */
#define END 2

/* Seconds that a save may take beside its bytes, until one was measured. */
#define SAVE 5

/* Until the end that Slurm has set for this job; 0: it has not. The variable outlives a job in what was started from
 * it, a shell say, and is handed on by sbatch. */
static double seconds_left_of_job(void)
{
    static bool warned; /* a study asks for each cell */
    const char *end = getenv("SLURM_JOB_END_TIME"), *job = getenv("SLURM_JOB_ID");
    if (!end || !*end)
        return 0;
    double left = strtod(end, NULL) - (double)time(NULL); /* seconds since 1970 */
    if (left > 0 && job && *job)
        return left;
    if (!warned)
        log_warn("SLURM_JOB_END_TIME=%s is %s, and ignored: this run has no time limit (--time-limit sets one)", end,
                 left > 0 ? "not of this process, which belongs to no job of Slurm" : "not a time to come");
    warned = true;
    return 0;
}

void deadline_set(struct deadline *d, const struct opt_time *limit)
{
    double left = limit->word == TIME_LIMIT_OF_JOB ? seconds_left_of_job() : 0;
    d->ends = left > 0 ? cpu_seconds() + left : 0;
    if (limit->word == OPT_NO_WORD)
        d->ends = cpu_process_start() + limit->seconds;
}

void deadline_expect_save(struct deadline *d, double seconds)
{
    d->save_expected = seconds;
}

void deadline_note_save(struct deadline *d, double seconds)
{
    d->save_longest = fmax(d->save_longest, seconds);
}

void deadline_note_work(struct deadline *d, double seconds)
{
    d->work_longest = fmax(d->work_longest, seconds);
}

bool deadline_is_near(const struct deadline *d)
{
    double save = d->save_longest > 0 ? 1.5 * d->save_longest : SAVE + d->save_expected;
    return d->ends > 0 && cpu_seconds() + 2 * d->work_longest + save + END > d->ends;
}

enum stop_reason deadline_or_signal(const struct deadline *d)
{
    return stop_is_asked() ? STOP_SIGNAL : deadline_is_near(d) ? STOP_TIME : STOP_NOT;
}
