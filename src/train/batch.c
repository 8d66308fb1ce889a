#include "train/batch.h"

#include <stdio.h>

enum { PLACES = 4 }; /* examples that a message names at most */

void batch_plan(const struct loader *l, struct model_plan *plan)
{
    if (plan->longest < l->batch.sequence)
        plan->longest = l->batch.sequence;
    if (plan->tokens < l->pack.token_capacity)
        plan->tokens = l->pack.token_capacity;
    if (l->batch.data->options.shares && plan->repeated < l->pack.token_capacity)
        plan->repeated = l->pack.token_capacity; /* a bound: prompts are shared by two sides */
    if (plan->examples < l->pack.example_capacity)
        plan->examples = l->pack.example_capacity;
}

struct model_input batch_input(const struct pack *p)
{
    return (struct model_input){.tokens = p->tokens,
                                .positions = p->positions,
                                .supervised = p->supervised,
                                .offsets = p->offsets,
                                .prefixes = p->repeated ? p->prefixes : NULL,
                                .samples = p->samples,
                                .n = p->token_count,
                                .examples = p->example_count};
}

struct batch_share batch_count_share(const struct loader *l)
{
    const struct batcher *b = &l->batch;
    const uint32_t first = b->plan.first[b->pack_begin], end = b->plan.first[b->pack_end];
    struct batch_share share = {.examples = end - first};
    for (uint32_t i = first; i < end; i++) {
        const struct dataset_entry *entry = &b->data->entries[b->index[b->plan.order[i]]];
        share.supervised += entry->supervised;
        share.chosen += entry->chosen;
    }
    return share;
}

/* Puts the place of the culprit in front of the message, or of the pack's first examples. */
static enum err_code name_examples(const struct loader *l, size_t pack, const struct model_result *result,
                                   struct err *e)
{
    const size_t sides = l->batch.data->options.pairs == PAIRS_ALONE ? 2 : 1;
    size_t first = l->batch.plan.first[pack], end = l->batch.plan.first[pack + 1];
    size_t culprit = first + result->first_nonfinite / sides;
    char places[1200] = "";
    if (culprit < end) {
        first = culprit;
        end = culprit + 1;
    }
    for (size_t i = first, used = 0; i < end; i++) {
        char place[256];
        if (i - first == PLACES) {
            snprintf(places + used, sizeof places - used, " and %zu more", end - i);
            break;
        }
        dataset_place(place, sizeof place, l->batch.data, l->batch.index[l->batch.plan.order[i]]);
        used += (size_t)snprintf(places + used, sizeof places - used, "%s%s", i > first ? ", " : "", place);
    }
    return err_wrap(e, "%s", places);
}

enum err_code batch_run(struct loader *l, struct tally *t, batch_work *work, void *context, struct err *e)
{
    for (size_t pack = l->batch.pack_begin; pack < l->batch.pack_end; pack++) {
        if (loader_pack(l, pack, e))
            return e->code;
        t->data_seconds = l->wait_seconds;
        struct model_input in = batch_input(&l->pack);
        struct model_result result = {.first_nonfinite = in.examples};
        if (work(context, pack, &in, &result, e))
            return name_examples(l, pack, &result, e);
        tally_add(t, pack, &result);
    }
    return ERR_OK;
}
