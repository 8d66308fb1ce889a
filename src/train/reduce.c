#include "train/reduce.h"

#include <assert.h>
#include <string.h>

#include "base/prof.h"
#include "data/pack.h"
#include "math/kern.h"

/* Floats of one message buffer: large enough to hide latency, small beside the gradients. */
#define WINDOW ((size_t)1 << 22)

/* Bits of n: a range of n packs falls into at most twice as many aligned subtrees. */
static size_t bits(size_t n)
{
    size_t count = 0;
    for (; n; n >>= 1)
        count++;
    return count;
}

enum err_code reduce_init(struct reduce *r, struct lora *l, const struct dist *d, size_t packs,
                          struct arena *a, struct err *e)
{
    size_t world = (size_t)d->world, most = (packs + world - 1) / world;
    *r = (struct reduce){.lora = l, .total = l->grads};
    r->depth = world == 1 ? bits(packs) + 1 : 2 * bits(most) + 1;
    if (r->depth > most)
        r->depth = most;
    r->nodes = arena_alloc(a, r->depth, sizeof *r->nodes, "subtrees of the gradient sum", e);
    r->sums = arena_alloc(a, r->depth, sizeof *r->sums, "subtrees of the gradient sum", e);
    if (!r->nodes || !r->sums)
        return e->code;
    for (size_t i = 0; i < r->depth; i++)
        if (!(r->sums[i] = arena_alloc(a, l->size, sizeof(float), "gradients of packs", e)))
            return e->code;
    r->all_capacity = world * r->depth < packs ? world * r->depth : packs;
    r->all_nodes = arena_alloc(a, r->all_capacity, sizeof *r->all_nodes, "subtrees of all ranks", e);
    r->owned = arena_alloc(a, world, sizeof *r->owned, "subtrees of all ranks", e);
    r->sent = arena_alloc(a, world, sizeof *r->sent, "lengths of messages", e);
    r->got = arena_alloc(a, world, sizeof *r->got, "lengths of messages", e);
    r->slices = arena_alloc(a, world, sizeof *r->slices, "lengths of messages", e);
    if (!r->all_nodes || !r->owned || !r->sent || !r->got || !r->slices)
        return e->code;
    if (world > 1) {
        r->send = arena_alloc(a, WINDOW, sizeof(float), "messages between ranks", e);
        r->received = arena_alloc(a, WINDOW + r->all_capacity, sizeof(float), "messages between ranks", e);
        if (!r->send || !r->received)
            return e->code;
    }
    return ERR_OK;
}

/* The aligned subtrees that packs [begin, end) fall into, appended to all_nodes. */
static size_t list_subtrees(struct reduce *r, size_t begin, size_t end)
{
    size_t before = r->all_count;
    while (begin < end) {
        int level = 0;
        while (begin % ((size_t)2 << level) == 0 && begin + ((size_t)2 << level) <= end)
            level++;
        assert(r->all_count < r->all_capacity);
        r->all_nodes[r->all_count++] = (struct reduce_node){.first = begin, .level = level};
        begin += (size_t)1 << level;
    }
    return r->all_count - before;
}

void reduce_begin(struct reduce *r, size_t pack_count)
{
    r->pack_count = pack_count;
    r->count = 0;
}

void reduce_pack_begin(struct reduce *r, size_t pack)
{
    assert(r->count < r->depth);
    enum prof_phase before = prof_enter(PROF_COMMUNICATION);
    r->nodes[r->count] = (struct reduce_node){.first = pack, .level = 0};
    memset(r->sums[r->count], 0, r->lora->size * sizeof(float));
    r->lora->grads = r->sums[r->count];
    prof_enter(before);
}

void reduce_pack_end(struct reduce *r)
{
    const struct kern *kern = kern_for(cpu_isa_best());
    enum prof_phase before = prof_enter(PROF_COMMUNICATION);
    r->count++;
    while (r->count >= 2) {
        struct reduce_node *left = &r->nodes[r->count - 2], *right = &r->nodes[r->count - 1];
        bool siblings = left->level == right->level && left->first % ((size_t)2 << left->level) == 0 &&
                        right->first == left->first + ((size_t)1 << left->level);
        if (!siblings)
            break;
        kern->axpy(r->sums[r->count - 2], 1.0f, r->sums[r->count - 1], r->lora->size);
        left->level++;
        r->count--;
    }
    prof_enter(before);
}

/* A walk down the tree over one slice: the sums of subtrees that are there, in pack order. */
struct walk {
    const struct reduce_node *nodes;
    size_t next, pack_count, length;
    float *const *sums; /* one array each, or NULL: one behind the other in `flat` */
    float *flat;
    const struct kern *kern;
};

/* Sum of node (level, first), in the place of its leftmost part; NULL when it lies beyond the last pack. */
static float *add_up(struct walk *w, int level, size_t first)
{
    if (first >= w->pack_count)
        return NULL;
    const struct reduce_node *node = &w->nodes[w->next];
    if (node->first == first && node->level == level) {
        size_t i = w->next++;
        return w->sums ? w->sums[i] : w->flat + i * w->length;
    }
    assert(level > 0);
    float *left = add_up(w, level - 1, first);
    const float *right = add_up(w, level - 1, first + ((size_t)1 << (level - 1)));
    if (right)
        w->kern->axpy(left, 1.0f, right, w->length);
    return left;
}

/* One window of the gradient: exchange slices, add up this rank's, share the result. */
static enum err_code reduce_window(struct reduce *r, struct dist *d, size_t begin, size_t length,
                                   struct err *e)
{
    size_t world = (size_t)d->world, place = 0;
    for (size_t rank = 0; rank < world; rank++) {
        size_t from = length * rank / world, to = length * (rank + 1) / world;
        r->slices[rank] = (int)(to - from);
        r->sent[rank] = (int)((to - from) * r->count);
        for (size_t k = 0; k < r->count; k++, place += to - from)
            memcpy(r->send + place, r->sums[k] + begin + from, (to - from) * sizeof(float));
    }
    size_t mine = (size_t)r->slices[d->rank];
    for (size_t rank = 0; rank < world; rank++)
        r->got[rank] = (int)(r->owned[rank] * mine);
    if (dist_exchange_f32(d, r->received, r->got, r->send, r->sent, e))
        return e->code;
    struct walk w = {.nodes = r->all_nodes,
                     .pack_count = r->pack_count,
                     .length = mine,
                     .flat = r->received,
                     .kern = kern_for(cpu_isa_best())};
    size_t offset = length * (size_t)d->rank / world;
    memcpy(r->total + begin + offset, add_up(&w, (int)bits(r->pack_count - 1), 0), mine * sizeof(float));
    return dist_share_f32(d, r->total + begin, r->slices, e);
}

static enum err_code add_up_ranks(struct reduce *r, struct dist *d, struct err *e)
{
    if (d->world == 1) {
        struct walk w = {.nodes = r->nodes,
                         .pack_count = r->pack_count,
                         .length = r->lora->size,
                         .sums = r->sums,
                         .kern = kern_for(cpu_isa_best())};
        r->lora->grads = add_up(&w, (int)bits(r->pack_count - 1), 0);
        return ERR_OK;
    }
    size_t world = (size_t)d->world, most = 1;
    r->all_count = 0;
    for (size_t rank = 0; rank < world; rank++) {
        size_t begin, end;
        pack_share(&begin, &end, r->pack_count, rank, world);
        r->owned[rank] = list_subtrees(r, begin, end);
        if (r->owned[rank] > most)
            most = r->owned[rank];
    }
    /* Both buffers hold a window: a rank sends `most` sums at most, and gets all_count <= most * world
     * slices. */
    size_t window = WINDOW / most;
    for (size_t begin = 0; begin < r->lora->size; begin += window) {
        size_t left = r->lora->size - begin;
        if (reduce_window(r, d, begin, left < window ? left : window, e))
            return e->code;
    }
    r->lora->grads = r->total;
    return ERR_OK;
}

enum err_code reduce_finish(struct reduce *r, struct dist *d, struct err *e)
{
    enum prof_phase before = prof_enter(PROF_COMMUNICATION);
    enum err_code code = add_up_ranks(r, d, e);
    prof_enter(before);
    return code;
}
