#include "ranks/duty.h"

#include <inttypes.h>
#include <time.h>

#include "base/cpu.h"
#include "base/log.h"

#define PAUSE_MAX_SECONDS 60

void duty_tell(struct duty_company *company)
{
    if (!company)
        return;
    uint64_t more = 1;
    struct err ignored; /* a connection that is broken shows when the ranks agree */
    company->told++;
    dist_broadcast(company->ranks, &more, sizeof more, 0, &ignored);
}

void duty_pause(struct duty_company *company, double seconds)
{
    for (double end = cpu_seconds() + seconds, left; (left = end - cpu_seconds()) > 0;) {
        nanosleep(&(struct timespec){.tv_nsec = (long)((left < DUTY_BEAT ? left : DUTY_BEAT) * 1e9)}, NULL);
        duty_tell(company);
    }
}

double duty_pause_after(uint64_t failures)
{
    return failures > 6 ? PAUSE_MAX_SECONDS : (double)(UINT64_C(1) << (failures - 1));
}

/* Rank 0. */
static enum err_code work(struct dist *d, const struct duty *duty, struct err *e)
{
    struct duty_company company = {.ranks = d};
    for (uint64_t failures = 0;;) {
        enum err_code code = duty->work(duty->context, &company, e);
        if (!code || !duty->what || code == ERR_BUSY) /* what is another's stays so */
            return code;
        if (++failures >= duty->tries)
            return err_wrap(e, "%s could not be written, %" PRIu64 " times in a row (--save-failures)",
                            duty->what, failures);
        log_warn("%s could not be written (failure %" PRIu64 " of %" PRIu64
                 " that --save-failures allows): %s",
                 duty->what, failures, duty->tries, e->message);
        duty_pause(&company, duty_pause_after(failures));
    }
}

enum err_code duty_run(struct dist *d, const struct duty *duty, struct err *e)
{
    enum err_code code = d->rank == 0 ? work(d, duty, e) : ERR_OK;
    struct err lost;
    uint64_t more = 0;
    do {
        if (dist_broadcast(d, &more, sizeof more, 0, &lost)) {
            *e = lost;
            return e->code;
        }
    } while (more);
    return dist_agree(d, code, e);
}
