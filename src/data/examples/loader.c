#include "data/examples/loader.h"

#include <assert.h>

#include "base/cpu.h"
#include "base/rng.h"
#include "data/examples/ahead.h"

/* Index of the longest example. */
static size_t find_longest(const struct dataset *d)
{
    size_t longest = 0;
    for (size_t i = 1; i < d->count; i++)
        if (d->entries[i].tokens > d->entries[longest].tokens)
            longest = i;
    return longest;
}

static enum err_code take_memory(struct loader *l, struct err *e)
{
    size_t batch = l->options.batch_size < l->data->count ? l->options.batch_size : l->data->count;
    uint64_t most = (uint64_t)batch * l->longest; /* tokens that a whole batch can have */
    size_t tokens = (size_t)(most < l->options.pack_tokens ? most : l->options.pack_tokens);
    l->lengths = arena_alloc(&l->arena, batch, sizeof *l->lengths, "batch", e);
    l->batch_index = arena_alloc(&l->arena, batch, sizeof *l->batch_index, "batch", e);
    if (!l->lengths || !l->batch_index)
        return e->code;
    if (pack_plan_init(&l->plan, batch, &l->arena, e))
        return e->code;
    return pack_init(&l->pack, tokens, batch, &l->arena, e);
}

enum err_code loader_open(struct loader *l, const struct dataset *d, const struct loader_options *options,
                          struct err *e)
{
    assert(d->count > 0 && options->rank < options->world);
    *l = (struct loader){.data = d, .options = *options};
    if (!options->batch_size)
        return err_set(e, ERR_USAGE, "--batch-size must be at least 1");
    size_t longest = find_longest(d);
    l->longest = d->entries[longest].tokens;
    if (options->pack_tokens < l->longest) {
        char place[512];
        dataset_place(place, sizeof place, d, longest);
        return err_set(
            e, ERR_USAGE,
            "%s: an example of %u tokens does not fit a pack of %llu: raise --micro-batch-tokens or lower "
            "--max-length",
            place, l->longest, (unsigned long long)options->pack_tokens);
    }
    if (take_memory(l, e) || (options->read_ahead && ahead_open(&l->ahead, d, options, e))) {
        loader_close(l);
        return e->code;
    }
    return ERR_OK;
}

void loader_close(struct loader *l)
{
    ahead_close(l->ahead);
    example_release(&l->example);
    example_scratch_release(&l->scratch);
    arena_release(&l->arena);
    *l = (struct loader){0};
}

enum err_code loader_next(struct loader *l, struct err *e)
{
    const uint64_t count = l->data->count;
    const uint64_t epoch = l->cursor / count, position = l->cursor % count;
    const struct rng_key key = rng_key_make(l->options.seed, RNG_SHUFFLE, epoch);
    uint64_t left = count - position;
    l->batch_first = l->cursor;
    l->batch_examples = l->options.batch_size < left ? l->options.batch_size : (size_t)left;
    l->batch_tokens = l->batch_supervised = 0;
    l->wait_seconds = 0;
    for (size_t i = 0; i < l->batch_examples; i++) {
        uint64_t at = position + i;
        l->batch_index[i] = l->options.shuffle ? rng_permute(key, at, count) : at;
        const struct dataset_entry *entry = &l->data->entries[l->batch_index[i]];
        l->lengths[i] = entry->tokens;
        l->batch_tokens += entry->tokens;
        l->batch_supervised += entry->supervised;
    }
    if (pack_plan_batch(&l->plan, l->lengths, l->batch_examples, l->options.pack_tokens, e))
        return e->code;
    pack_share(&l->pack_begin, &l->pack_end, l->plan.pack_count, l->options.rank, l->options.world);
    l->cursor += l->batch_examples;
    if (l->ahead)
        ahead_follow(l->ahead, l->batch_first, l->cursor);
    return ERR_OK;
}

static enum err_code read_pack(struct loader *l, size_t number, struct err *e)
{
    pack_clear(&l->pack);
    for (uint32_t i = l->plan.first[number]; i < l->plan.first[number + 1]; i++) {
        uint32_t example = l->plan.order[i];
        if (dataset_read(&l->example, &l->scratch, l->data, l->batch_index[example], e))
            return e->code;
        pack_add(&l->pack, l->example.tokens, l->example.supervised, l->example.count,
                 l->batch_first + example);
    }
    return ERR_OK;
}

enum err_code loader_pack(struct loader *l, size_t number, struct err *e)
{
    assert(number < l->plan.pack_count);
    const double begun = cpu_seconds();
    const bool own = number >= l->pack_begin && number < l->pack_end;
    enum err_code code;
    if (!l->ahead || !own || !ahead_take(l->ahead, number, &l->pack, &code, e))
        code = read_pack(l, number, e);
    l->wait_seconds += cpu_seconds() - begun;
    return code;
}

uint64_t loader_batches_per_epoch(const struct loader *l)
{
    uint64_t count = l->data->count, batch = l->options.batch_size;
    return count / batch + (count % batch != 0);
}
