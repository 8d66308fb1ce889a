/* Work that rank 0 does for all: tried again, waited for, and its error known to everyone. */
#include "mpi_unit.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "ranks/duty.h"
#include "ranks/watchdog.h"

struct job {
    int calls, failures;
    double seconds; /* of each call */
};

static enum err_code do_job(void *context, struct duty_company *company, struct err *e)
{
    struct job *job = context;
    expect(ranks.rank == 0 && company && company->ranks == &ranks);
    duty_pause(company, job->seconds);
    return ++job->calls <= job->failures ? err_set(e, ERR_IO, "no room, call %d", job->calls) : ERR_OK;
}

static enum err_code run(struct job *job, uint64_t tries, struct err *e)
{
    return duty_run(&ranks, &(struct duty){do_job, job, tries, tries ? "it" : NULL}, e);
}

static void rank_0_works_and_tries_again(void **state)
{
    (void)state;
    struct err e;
    struct job job = {.failures = 1};
    expect(run(&job, 2, &e) == ERR_OK);
    expect(job.calls == (ranks.rank == 0 ? 2 : 0));
    agree();
}

static void the_last_failure_is_the_error_of_all(void **state)
{
    (void)state;
    struct err e = {0};
    struct job job = {.failures = 9};
    expect(run(&job, 2, &e) == ERR_IO);
    expect(
        !strcmp(e.message, "it could not be written, 2 times in a row (--save-failures): no room, call 2"));
    job.calls = 0;
    expect(run(&job, 1, &e) == ERR_IO);
    expect(strstr(e.message, "it could not be written, 1 times in a row"));
    job.calls = 0;
    expect(run(&job, 0, &e) == ERR_IO);
    expect(!strcmp(e.message, "no room, call 1"));
    agree();
}

/* Longer than the others' watchdogs let a call take. */
static void who_waits_knows_that_rank_0_is_there(void **state)
{
    (void)state;
    struct err e;
    struct job job = {.seconds = 4};
    expect(watchdog_start(1.5, "a rank", NULL, &e) == ERR_OK);
    watchdog_note_work(1e-3);
    expect(run(&job, 1, &e) == ERR_OK);
    watchdog_stop();
    agree();
}

static void pauses_double_up_to_a_minute(void **state)
{
    (void)state;
    static const double pauses[] = {1, 2, 4, 8, 16, 32, 60, 60};
    for (uint64_t i = 0; i < sizeof pauses / sizeof *pauses; i++)
        expect(duty_pause_after(i + 1) == pauses[i]);
    expect(duty_pause_after(UINT64_MAX) == 60);
    agree();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(rank_0_works_and_tries_again),
    cmocka_unit_test(the_last_failure_is_the_error_of_all),
    cmocka_unit_test(who_waits_knows_that_rank_0_is_there),
    cmocka_unit_test(pauses_double_up_to_a_minute),
};
MPI_UNIT_MAIN(tests)
