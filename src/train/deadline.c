#include "train/deadline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "base/log.h"
#include "train/stop.h"

/* Seconds for the export, the end of communication and the launcher. */
#define END 2

/* Seconds that a save may take beside its bytes, until one was measured. */
#define SAVE 5

static enum err_code refuse(const char *text, struct err *e)
{
    return err_set(e, ERR_USAGE,
                   "--time-limit %s is not a time: give minutes, H:M:S, D-H:M:S, or a number with s, m or h "
                   "after it",
                   text);
}

enum err_code deadline_parse(double *seconds, const char *text, struct err *e)
{
    /* Seconds in the last part of M, M:S, H:M:S, and of H, H:M, H:M:S behind D-. */
    static const double of_last[2][3] = {{60, 1, 1}, {3600, 60, 1}};
    const char *at = text, *dash = strchr(text, '-');
    double days = 0, sum = 0;
    int parts = 0;
    for (;;) {
        char *end;
        if (*at < '0' || *at > '9')
            return refuse(text, e);
        double part = (double)strtoull(at, &end, 10);
        at = end + 1;
        if (*end == '-' && end == dash && parts == 0) {
            days = part;
            continue;
        }
        sum = sum * 60 + part;
        parts++;
        if (*end == ':' && parts < 3)
            continue;
        const char *unit = *end ? strchr("smh", *end) : NULL;
        if (unit && !end[1] && parts == 1 && !dash)
            *seconds = sum * (*unit == 's' ? 1 : *unit == 'm' ? 60 : 3600);
        else if (!*end)
            *seconds = days * 86400 + sum * of_last[dash != NULL][parts - 1];
        else
            return refuse(text, e);
        return *seconds > 0 ? ERR_OK : refuse(text, e);
    }
}

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

enum err_code deadline_set(struct deadline *d, const char *limit, struct err *e)
{
    double seconds;
    d->ends = 0;
    if (!strcmp(limit, "none"))
        return ERR_OK;
    if (*limit) {
        if (deadline_parse(&seconds, limit, e))
            return e->code;
        d->ends = cpu_process_start() + seconds;
        return ERR_OK;
    }
    seconds = seconds_left_of_job();
    if (seconds > 0)
        d->ends = cpu_seconds() + seconds;
    return ERR_OK;
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
    return stop_wanted() ? STOP_SIGNAL : deadline_is_near(d) ? STOP_TIME : STOP_NOT;
}
