#include "train/tally.h"

#include <assert.h>
#include <string.h>

/* Counts are exact in double below 2^53. */
enum { SUPERVISED, CORRECT, EXACT, DATA_SECONDS, FAILED, STOPS, LATE, COUNTS };

static size_t count_slots(const struct tally *t, size_t packs)
{
    return COUNTS + t->world + packs * (1 + t->sums);
}

/* Its loss, then its further sums. */
static double *slots_of(const struct tally *t, size_t pack)
{
    return t->slots + count_slots(t, pack);
}

enum err_code tally_init(struct tally *t, size_t packs, size_t world, size_t sums, struct arena *a, struct err *e)
{
    *t = (struct tally){.capacity = packs, .world = world, .sums = sums};
    t->slots = arena_alloc(a, count_slots(t, packs), sizeof *t->slots, "sums of a batch", e);
    if (t->slots && sums)
        t->totals = arena_alloc(a, sums, sizeof *t->totals, "sums of a batch", e);
    return t->slots && (t->totals || !sums) ? ERR_OK : e->code;
}

void tally_begin(struct tally *t, size_t packs)
{
    assert(packs <= t->capacity);
    t->packs = packs;
    t->seconds = t->data_seconds = 0;
    memset(t->slots, 0, count_slots(t, packs) * sizeof *t->slots);
}

void tally_add(struct tally *t, size_t pack, const struct model_result *result)
{
    *slots_of(t, pack) = result->loss_sum;
    t->slots[SUPERVISED] += (double)result->supervised;
    t->slots[CORRECT] += (double)result->correct;
    t->slots[EXACT] += (double)result->exact;
}

void tally_add_sums(struct tally *t, size_t pack, const double *sums)
{
    memcpy(slots_of(t, pack) + 1, sums, t->sums * sizeof *sums);
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
    if (dist_sum_f64(d, t->slots, count_slots(t, t->packs), &trouble)) {
        *e = trouble;
        return e->code;
    }
    if (t->slots[FAILED] > 0)
        return dist_agree(d, code, e);
    t->total = (struct model_result){.supervised = (uint64_t)t->slots[SUPERVISED],
                                     .correct = (uint64_t)t->slots[CORRECT],
                                     .exact = (uint64_t)t->slots[EXACT]};
    for (size_t i = 0; i < t->sums; i++)
        t->totals[i] = 0;
    for (size_t p = 0; p < t->packs; p++) {
        const double *slots = slots_of(t, p);
        t->total.loss_sum += slots[0];
        for (size_t i = 0; i < t->sums; i++)
            t->totals[i] += slots[1 + i];
    }
    t->stop = t->slots[STOPS] > 0 ? STOP_SIGNAL : t->slots[LATE] > 0 ? STOP_TIME : STOP_NOT;
    find_slowest(t);
    return ERR_OK;
}
