/* When it is time to leave. */
#include "unit.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/cpu.h"
#include "train/deadline.h"

static void set(struct deadline *d, int word, double seconds)
{
    deadline_set(d, &(struct opt_time){word, seconds});
}

static void margin_grows_with_work_and_saves(void **state)
{
    (void)state;
    struct deadline d = {0};
    unsetenv("SLURM_JOB_END_TIME");
    set(&d, TIME_LIMIT_OF_JOB, 0);
    assert_false(deadline_is_near(&d));
    set(&d, OPT_NO_WORD, 1000);
    assert_false(deadline_is_near(&d));
    deadline_note_work(&d, 300);
    assert_false(deadline_is_near(&d));
    deadline_note_work(&d, 10); /* the longest counts */
    deadline_expect_save(&d, 500);
    assert_true(deadline_is_near(&d));
    deadline_note_save(&d, 1); /* measured is better than expected */
    assert_false(deadline_is_near(&d));
    deadline_note_work(&d, 499.5);
    assert_true(deadline_is_near(&d));
    assert_int_equal(deadline_or_signal(&d), STOP_TIME);
    set(&d, TIME_LIMIT_NONE, 0);
    assert_int_equal(deadline_or_signal(&d), STOP_NOT);
}

static void slurm_sets_the_end(void **state)
{
    (void)state;
    struct deadline d = {0};
    char text[32];
    deadline_note_work(&d, 499.5);
    deadline_note_save(&d, 1);
    snprintf(text, sizeof text, "%lld", (long long)time(NULL) + 990);
    setenv("SLURM_JOB_ID", "17", 1);
    setenv("SLURM_JOB_END_TIME", text, 1);
    set(&d, TIME_LIMIT_OF_JOB, 0);
    assert_true(deadline_is_near(&d));
    set(&d, TIME_LIMIT_NONE, 0);
    assert_false(deadline_is_near(&d));
    set(&d, OPT_NO_WORD, 3600);
    assert_false(deadline_is_near(&d));
    snprintf(text, sizeof text, "%lld", (long long)time(NULL) + 1200);
    setenv("SLURM_JOB_END_TIME", text, 1);
    set(&d, TIME_LIMIT_OF_JOB, 0);
    assert_false(deadline_is_near(&d));
}

/* The limit counts from the start of the process, not from where the option is read. */
static void a_limit_counts_from_the_start_of_the_process(void **state)
{
    (void)state;
    struct deadline d = {0};
    const double begun = cpu_process_start();
    assert_true(begun <= cpu_seconds() && cpu_seconds() - begun < 600);
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    assert_true(fabs(cpu_process_start() - begun) < 0.02); /* a tick, and the time between two clocks */
    set(&d, OPT_NO_WORD, 1000);
    assert_true(fabs(d.ends - begun - 1000) < 0.02);
}

/* Of a job that has ended, of another one, or nonsense. */
static void stale_ends_are_ignored(void **state)
{
    (void)state;
    struct deadline d = {0};
    char past[32], future[32];
    snprintf(past, sizeof past, "%lld", (long long)time(NULL) - 5);
    snprintf(future, sizeof future, "%lld", (long long)time(NULL) + 5);
    setenv("SLURM_JOB_ID", "17", 1);
    setenv("SLURM_JOB_END_TIME", future, 1);
    set(&d, TIME_LIMIT_OF_JOB, 0);
    assert_true(deadline_is_near(&d));
    static const char *const jobs[] = {"17", "17", NULL, ""};
    const char *const ends[] = {past, "soon", future, future};
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        unsetenv("SLURM_JOB_ID");
        if (jobs[i])
            setenv("SLURM_JOB_ID", jobs[i], 1);
        setenv("SLURM_JOB_END_TIME", ends[i], 1);
        set(&d, TIME_LIMIT_OF_JOB, 0);
        assert_false(deadline_is_near(&d));
    }
    unsetenv("SLURM_JOB_ID");
    unsetenv("SLURM_JOB_END_TIME");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(margin_grows_with_work_and_saves),
        cmocka_unit_test(slurm_sets_the_end),
        cmocka_unit_test(a_limit_counts_from_the_start_of_the_process),
        cmocka_unit_test(stale_ends_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
