#include "data/examples/batcher.h"

#include <assert.h>

#include "base/rng.h"

/* Index of the longest example. */
static size_t find_longest(const struct dataset *d)
{
    size_t longest = 0;
    for (size_t i = 1; i < d->count; i++)
        if (d->entries[i].tokens > d->entries[longest].tokens)
            longest = i;
    return longest;
}

static bool has_pairs(const struct batcher *b)
{
    return b->data->options.pairs == PAIRS_ALONE;
}

/* Examples that a batch has at most. */
static size_t largest_batch(const struct batcher *b)
{
    return b->options.batch_size < b->data->count ? b->options.batch_size : b->data->count;
}

static enum err_code take_memory(struct batcher *b, struct err *e)
{
    size_t most = largest_batch(b);
    b->lengths = arena_alloc(&b->arena, most, sizeof *b->lengths, "batch", e);
    b->index = arena_alloc(&b->arena, most, sizeof *b->index, "batch", e);
    if (!b->lengths || !b->index)
        return e->code;
    return pack_plan_init(&b->plan, most, &b->arena, e);
}

enum err_code batcher_open(struct batcher *b, const struct dataset *d, const struct loader_options *options,
                           struct err *e)
{
    assert(d->count > 0 && options->rank < options->world);
    *b = (struct batcher){.data = d, .options = *options};
    if (!options->batch_size)
        return err_set(e, ERR_USAGE, "--batch-size must be at least 1");
    size_t longest = find_longest(d);
    b->longest = d->entries[longest].tokens;
    b->sequence = has_pairs(b) && d->options.max_length < b->longest ? d->options.max_length : b->longest;
    if (options->pack_tokens < b->longest) {
        char place[512];
        dataset_place(place, sizeof place, d, longest);
        return err_set(
            e, ERR_USAGE,
            "%s: %s of %u tokens does not fit a pack of %llu: raise --micro-batch-tokens or lower --max-length",
            place, has_pairs(b) ? "a pair" : "an example", b->longest, (unsigned long long)options->pack_tokens);
    }
    if (take_memory(b, e)) {
        batcher_close(b);
        return e->code;
    }
    return ERR_OK;
}

void batcher_close(struct batcher *b)
{
    example_release(&b->example);
    example_scratch_release(&b->scratch);
    arena_release(&b->arena);
    *b = (struct batcher){0};
}

enum err_code batcher_make_pack(struct pack *p, const struct batcher *b, struct arena *a, struct err *e)
{
    size_t examples = largest_batch(b);
    uint64_t most = (uint64_t)examples * b->longest, limit = b->options.pack_tokens;
    return pack_init(p, (size_t)(most < limit ? most : limit), has_pairs(b) ? 2 * examples : examples, a, e);
}

enum err_code batcher_next(struct batcher *b, struct err *e)
{
    const uint64_t count = b->data->count;
    const uint64_t epoch = b->cursor / count, position = b->cursor % count;
    const struct rng_key key = rng_key_make(b->options.seed, RNG_SHUFFLE, epoch);
    uint64_t left = count - position;
    b->first = b->cursor;
    b->examples = b->options.batch_size < left ? b->options.batch_size : (size_t)left;
    b->tokens = b->supervised = b->chosen = 0;
    for (size_t i = 0; i < b->examples; i++) {
        uint64_t at = position + i;
        b->index[i] = b->options.shuffle ? rng_permute(key, at, count) : at;
        const struct dataset_entry *entry = &b->data->entries[b->index[i]];
        b->lengths[i] = entry->tokens;
        b->tokens += entry->tokens;
        b->supervised += entry->supervised;
        b->chosen += entry->chosen;
    }
    if (pack_plan_batch(&b->plan, b->lengths, b->examples, b->options.pack_tokens, e))
        return e->code;
    pack_share(&b->pack_begin, &b->pack_end, b->plan.pack_count, b->options.rank, b->options.world);
    b->cursor += b->examples;
    return ERR_OK;
}

enum err_code batcher_read(struct pack *p, struct batcher *b, size_t number, struct err *e)
{
    assert(number < b->plan.pack_count);
    pack_clear(p);
    for (uint32_t i = b->plan.first[number]; i < b->plan.first[number + 1]; i++) {
        uint32_t at = b->plan.order[i];
        const struct example *ex = &b->example;
        if (dataset_read(&b->example, &b->scratch, b->data, b->index[at], e))
            return e->code;
        if (ex->split)
            pack_add(p, ex->tokens, ex->supervised, ex->split, b->first + at);
        pack_add_after(p, ex->shared, ex->tokens + ex->split, ex->supervised + ex->split, ex->count - ex->split,
                       b->first + at);
    }
    return ERR_OK;
}
