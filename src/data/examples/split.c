/* Data sets that are parts of others. */
#include <stdlib.h>

#include "base/opt.h"
#include "base/rng.h"
#include "data/examples/dataset.h"

static void count_tokens(struct dataset *d)
{
    d->counts.tokens = d->counts.supervised = 0;
    for (size_t i = 0; i < d->count; i++) {
        d->counts.tokens += d->entries[i].tokens;
        d->counts.supervised += d->entries[i].supervised;
    }
}

void dataset_limit(struct dataset *d, size_t count)
{
    if (count >= d->count)
        return;
    d->count = count;
    count_tokens(d);
}

/* A part of the data set with room for `count` examples. */
static enum err_code open_part(struct dataset *part, const struct dataset *whole, size_t count, struct err *e)
{
    *part = *whole;
    part->is_part = true;
    part->prints = NULL;
    part->count = 0;
    part->entries = reallocarray(NULL, count, sizeof *part->entries);
    return part->entries ? ERR_OK
                         : err_set(e, ERR_MEMORY, "not enough memory for an index of %zu examples", count);
}

enum err_code dataset_split(struct dataset *rest, struct dataset *held, const struct dataset *whole,
                            double amount, uint64_t seed, struct err *e)
{
    const struct rng_key key = rng_key_make(seed, RNG_EVAL_SPLIT, 0);
    const uint64_t kept = opt_amount(amount, whole->count);
    *rest = *held = (struct dataset){0};
    if (!kept || kept >= whole->count)
        return err_set(
            e, ERR_USAGE,
            "--eval-split %g: %llu of the %zu examples of --data would be kept from training; both parts "
            "need some",
            amount, (unsigned long long)kept, whole->count);
    if (open_part(rest, whole, whole->count - kept, e) || open_part(held, whole, kept, e)) {
        free(rest->entries);
        return e->code;
    }
    for (size_t i = 0; i < whole->count; i++) {
        struct dataset *part = rng_permute(key, i, whole->count) < kept ? held : rest;
        part->entries[part->count++] = whole->entries[i];
    }
    count_tokens(rest);
    count_tokens(held);
    held->counts.truncated = held->counts.bad_lines = held->counts.had_bos = 0;
    return ERR_OK;
}
