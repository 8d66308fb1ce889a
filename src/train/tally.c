#include "train/tally.h"

#include <assert.h>
#include <string.h>

/* Counts are exact in double below 2^53. */
enum { SUPERVISED, CORRECT, EXACT, DATA_SECONDS, FAILED, STOPS, LATE, COUNTS };

enum err_code tally_init(struct tally *t, size_t packs, size_t world, struct arena *a, struct err *e)
{
    *t = (struct tally){.capacity = packs, .world = world};
    t->slots = arena_alloc(a, COUNTS + world + packs, sizeof *t->slots, "sums of a batch", e);
    return t->slots ? ERR_OK : e->code;
}

void tally_begin(struct tally *t, size_t packs)
{
    assert(packs <= t->capacity);
    t->packs = packs;
    t->seconds = t->data_seconds = 0;
    memset(t->slots, 0, (COUNTS + t->world + packs) * sizeof *t->slots);
}

void tally_add(struct tally *t, size_t pack, const struct model_result *result)
{
    t->slots[COUNTS + t->world + pack] = result->loss_sum;
    t->slots[SUPERVISED] += (double)result->supervised;
    t->slots[CORRECT] += (double)result->correct;
    t->slots[EXACT] += (double)result->exact;
}

static void find_slowest(struct tally *t)
{
    const double *seconds = t->slots + COUNTS;
    double sum = 0;
    t->slowest = 0;
    for (size_t r = 0; r < t->world; r++) {
        sum += seconds[r];
        if (seconds[r] > seconds[t->slowest])
            t->slowest = r;
    }
    t->slowest_seconds = seconds[t->slowest];
    t->mean_seconds = sum / (double)t->world;
    t->mean_data_seconds = t->slots[DATA_SECONDS] / (double)t->world;
}

enum err_code tally_finish(struct tally *t, struct dist *d, enum err_code code, enum stop_reason stop,
                           struct err *e)
{
    t->slots[DATA_SECONDS] = t->data_seconds;
    t->slots[FAILED] = code != ERR_OK;
    t->slots[STOPS] = stop == STOP_SIGNAL;
    t->slots[LATE] = stop == STOP_TIME;
    t->slots[COUNTS + d->rank] = t->seconds;
    struct err trouble;
    if (dist_sum_f64(d, t->slots, COUNTS + t->world + t->packs, &trouble)) {
        *e = trouble;
        return e->code;
    }
    if (t->slots[FAILED] > 0)
        return dist_agree(d, code, e);
    t->total = (struct model_result){.supervised = (uint64_t)t->slots[SUPERVISED],
                                     .correct = (uint64_t)t->slots[CORRECT],
                                     .exact = (uint64_t)t->slots[EXACT]};
    for (size_t p = 0; p < t->packs; p++)
        t->total.loss_sum += t->slots[COUNTS + t->world + p];
    t->stop = t->slots[STOPS] > 0 ? STOP_SIGNAL : t->slots[LATE] > 0 ? STOP_TIME : STOP_NOT;
    find_slowest(t);
    return ERR_OK;
}
