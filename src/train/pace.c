#include "train/pace.h"

#include <stdlib.h>

#include "base/cpu.h"
#include "base/log.h"

enum err_code pace_open(struct pace *p, struct dist *d, struct err *e)
{
    *p = (struct pace){.world = d->world};
    void *hosts;
    size_t total;
    if (dist_gather_all(d, &hosts, &total, NULL, d->host, sizeof d->host, e))
        return e->code;
    p->hosts = hosts;
    p->slowest = calloc((size_t)d->world, sizeof *p->slowest);
    enum err_code code = ERR_OK;
    if (!p->slowest)
        code = err_set(e, ERR_MEMORY, "no memory for %d counts", d->world);
    code = dist_agree(d, code, e);
    if (code)
        pace_close(p);
    return code;
}

void pace_close(struct pace *p)
{
    free(p->hosts);
    free(p->slowest);
    *p = (struct pace){0};
}

void pace_meet(struct pace *p)
{
    p->met = cpu_seconds();
}

double pace_arrive(struct pace *p)
{
    p->arrived = cpu_seconds();
    p->work = p->arrived - p->met;
    return p->work;
}

void pace_finish(struct pace *p, const struct tally *t, struct metrics_row *row)
{
    pace_meet(p);
    row->data_seconds = t->mean_data_seconds;
    row->slowest_rank = t->slowest;
    row->slowest_host = p->hosts[t->slowest];
    p->slowest[t->slowest]++;
    if (p->world == 1)
        return;
    double own_wait = t->slowest_seconds - p->work, after = p->met - p->arrived;
    row->wait_seconds = t->slowest_seconds - t->mean_seconds;
    row->comm_seconds = after > own_wait ? after - own_wait : 0;
    p->waited += row->wait_seconds;
    p->communicated += row->comm_seconds;
    p->seconds += t->slowest_seconds + row->comm_seconds;
}

void pace_report(const struct pace *p)
{
    if (p->world == 1 || p->seconds <= 0)
        return;
    int most = 0;
    for (int r = 1; r < p->world; r++)
        if (p->slowest[r] > p->slowest[most])
            most = r;
    log_note("of the steps' time %.1f %% went into communication, %.1f %% into waiting for the",
             100 * p->communicated / p->seconds, 100 * p->waited / p->seconds);
    log_note("slowest rank, most often rank %d on %s", most, p->hosts[most]);
}
