#include "data/examples/pack.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum err_code pack_plan_init(struct pack_plan *p, size_t examples, struct arena *a, struct err *e)
{
    if (examples >= UINT32_MAX)
        return err_set(e, ERR_USAGE, "a batch of %zu examples is too large", examples);
    *p = (struct pack_plan){.capacity = examples};
    p->pack_of = arena_alloc(a, examples, sizeof *p->pack_of, "pack plan", e);
    p->order = arena_alloc(a, examples, sizeof *p->order, "pack plan", e);
    p->first = arena_alloc(a, examples + 1, sizeof *p->first, "pack plan", e);
    p->tokens = arena_alloc(a, examples, sizeof *p->tokens, "pack plan", e);
    return p->pack_of && p->order && p->first && p->tokens ? ERR_OK : e->code;
}

/* Longest first, equal lengths in batch order: a total order, so the result is the same with any sort. */
static int compare_lengths(const void *a, const void *b, void *lengths)
{
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    uint32_t x = ((const uint32_t *)lengths)[i], y = ((const uint32_t *)lengths)[j];
    if (x != y)
        return x < y ? 1 : -1;
    return (i > j) - (i < j);
}

static size_t least_loaded(const struct pack_plan *p)
{
    size_t best = 0;
    for (size_t k = 1; k < p->pack_count; k++)
        if (p->tokens[k] < p->tokens[best])
            best = k;
    return best;
}

static void assign(struct pack_plan *p, const uint32_t *lengths, size_t count, uint64_t limit)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t example = p->order[i];
        size_t k = least_loaded(p);
        if (p->tokens[k] + lengths[example] > limit) {
            k = p->pack_count++;
            p->tokens[k] = 0;
        }
        p->tokens[k] += lengths[example];
        p->pack_of[example] = (uint32_t)k;
    }
}

/* Numbers the packs by their first example and groups the examples by pack, both in batch order. */
static void arrange(struct pack_plan *p, const uint32_t *lengths, size_t count)
{
    uint32_t *number = p->first; /* new number of each pack, until `first` gets its own content */
    memset(number, 0xFF, p->pack_count * sizeof *number);
    uint32_t named = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t *k = &number[p->pack_of[i]];
        if (*k == UINT32_MAX)
            *k = named++;
        p->pack_of[i] = *k;
    }
    assert(named == p->pack_count); /* no pack is empty */

    memset(p->tokens, 0, p->pack_count * sizeof *p->tokens);
    memset(p->first, 0, (p->pack_count + 1) * sizeof *p->first);
    for (size_t i = 0; i < count; i++) {
        p->tokens[p->pack_of[i]] += lengths[i];
        p->first[p->pack_of[i] + 1]++;
    }
    for (size_t k = 0; k < p->pack_count; k++)
        p->first[k + 1] += p->first[k];
    for (size_t i = 0; i < count; i++)
        p->order[p->first[p->pack_of[i]]++] = (uint32_t)i;
    /* Each first[k] has moved on to where pack k + 1 begins: move them back by one place. */
    memmove(p->first + 1, p->first, p->pack_count * sizeof *p->first);
    p->first[0] = 0;
}

enum err_code pack_plan_batch(struct pack_plan *p, const uint32_t *lengths, size_t count, uint64_t limit,
                              struct err *e)
{
    assert(count <= p->capacity && limit > 0);
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        assert(lengths[i] > 0);
        if (lengths[i] > limit)
            return err_set(
                e, ERR_USAGE,
                "an example of %u tokens does not fit a pack of %llu: raise --micro-batch-tokens or "
                "lower --max-length",
                lengths[i], (unsigned long long)limit);
        total += lengths[i];
        p->order[i] = (uint32_t)i;
    }
    p->pack_count = (size_t)(total / limit + (total % limit != 0));
    memset(p->tokens, 0, p->pack_count * sizeof *p->tokens);
    qsort_r(p->order, count, sizeof *p->order, compare_lengths, (void *)(uintptr_t)lengths);
    assign(p, lengths, count, limit);
    arrange(p, lengths, count);
    return ERR_OK;
}

void pack_share(size_t *begin, size_t *end, size_t pack_count, size_t rank, size_t world)
{
    assert(rank < world);
    size_t each = pack_count / world, larger = pack_count % world;
    *begin = rank * each + (rank < larger ? rank : larger);
    *end = *begin + each + (rank < larger);
}

enum err_code pack_init(struct pack *p, size_t token_capacity, size_t example_capacity, struct arena *a,
                        struct err *e)
{
    if (token_capacity > UINT32_MAX)
        return err_set(e, ERR_USAGE, "a pack of %zu tokens is too large: lower --micro-batch-tokens and --max-length",
                       token_capacity);
    *p = (struct pack){.token_capacity = token_capacity, .example_capacity = example_capacity};
    p->tokens = arena_alloc(a, token_capacity, sizeof *p->tokens, "pack", e);
    p->positions = arena_alloc(a, token_capacity, sizeof *p->positions, "pack", e);
    p->supervised = arena_alloc(a, token_capacity, sizeof *p->supervised, "pack", e);
    p->offsets = arena_alloc(a, example_capacity + 1, sizeof *p->offsets, "pack", e);
    p->prefixes = arena_alloc(a, example_capacity, sizeof *p->prefixes, "pack", e);
    p->samples = arena_alloc(a, example_capacity, sizeof *p->samples, "pack", e);
    const bool complete = p->tokens && p->positions && p->supervised && p->offsets && p->prefixes && p->samples;
    return complete ? ERR_OK : e->code;
}

void pack_clear(struct pack *p)
{
    p->token_count = p->example_count = p->supervised_count = p->repeated = 0;
    p->offsets[0] = 0;
}

void pack_add(struct pack *p, const int32_t *tokens, const uint8_t *supervised, size_t count, uint64_t sample)
{
    pack_add_after(p, 0, tokens, supervised, count, sample);
}

void pack_add_after(struct pack *p, size_t prefix, const int32_t *tokens, const uint8_t *supervised, size_t count,
                    uint64_t sample)
{
    assert(count > 0 && count <= p->token_capacity - p->token_count);
    assert(p->example_count < p->example_capacity);
    assert(prefix || !supervised[0]);
    memcpy(p->tokens + p->token_count, tokens, count * sizeof *tokens);
    memcpy(p->supervised + p->token_count, supervised, count);
    for (size_t i = 0; i < count; i++) {
        p->positions[p->token_count + i] = (int32_t)(prefix + i);
        p->supervised_count += supervised[i] != 0;
    }
    p->prefixes[p->example_count] = (uint32_t)prefix;
    p->samples[p->example_count++] = sample;
    p->repeated += prefix;
    p->token_count += count;
    p->offsets[p->example_count] = (uint32_t)p->token_count;
}
