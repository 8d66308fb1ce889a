#include "data/examples/repeats.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* Open addressing, at most half full; a slot holds the number of an example plus 1. */
struct table {
    size_t *slots, mask;
    const uint64_t *prints;
};

static enum err_code open_table(struct table *t, const struct dataset *d, struct err *e)
{
    size_t size = 16;
    while (size < 2 * d->count)
        size *= 2;
    assert(d->prints || !d->count);
    *t = (struct table){.slots = calloc(size, sizeof *t->slots), .mask = size - 1, .prints = d->prints};
    return t->slots ? ERR_OK : err_set(e, ERR_MEMORY, "not enough memory to compare %zu examples", d->count);
}

/* The slot of an example with this fingerprint, or the empty one where it would be. */
static size_t *find(const struct table *t, uint64_t print)
{
    size_t at = (size_t)print & t->mask;
    while (t->slots[at] && t->prints[t->slots[at] - 1] != print)
        at = (at + 1) & t->mask;
    return &t->slots[at];
}

enum err_code repeats_find(struct repeats *r, const struct dataset *d, struct err *e)
{
    struct table t = {0};
    *r = (struct repeats){0};
    if (open_table(&t, d, e))
        return e->code;
    for (size_t i = 0; i < d->count; i++) {
        size_t *slot = find(&t, d->prints[i]);
        if (*slot && !r->count++) {
            r->first = i;
            r->of = *slot - 1;
        }
        *slot = *slot ? *slot : i + 1;
    }
    free(t.slots);
    return ERR_OK;
}

bool repeats_describe(char *text, size_t size, const struct repeats *r, const struct dataset *d)
{
    char first[512], of[512];
    if (!r->count)
        return false;
    dataset_place(first, sizeof first, d, r->first);
    dataset_place(of, sizeof of, d, r->of);
    snprintf(text, size, "%zu of %zu examples repeat%s an earlier one (the first: %s, as %s)", r->count, d->count,
             r->count == 1 ? "s" : "", first, of);
    return true;
}

enum err_code repeats_count_shared(size_t *count, const struct dataset *d, const struct dataset *other, struct err *e)
{
    struct table t = {0};
    *count = 0;
    if (open_table(&t, d, e))
        return e->code;
    for (size_t i = 0; i < d->count; i++)
        *find(&t, d->prints[i]) = i + 1;
    for (size_t i = 0; i < other->count; i++)
        *count += *find(&t, other->prints[i]) != 0;
    free(t.slots);
    return ERR_OK;
}
