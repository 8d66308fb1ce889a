#include "ranks/reduce.h"

#include <assert.h>
#include <string.h>

#include "base/prof.h"
#include "data/examples/pack.h"
#include "math/kern.h"

/* Floats that the buckets under way send at most. */
#define WINDOW ((size_t)1 << 22)
/* A bucket is not smaller than this, as long as the gradient is not: a message's cost is then in its bytes.
 */
#define BUCKET_LEAST ((size_t)1 << 16)
/* Into how many buckets a gradient goes if they are not too small or too large: the last one cannot hide
 * after all work. */
enum { BUCKETS_WANTED = 8 };

/* Bits of n: a range of n packs falls into at most twice as many aligned subtrees. */
static size_t bits(size_t n)
{
    size_t count = 0;
    for (; n; n >>= 1)
        count++;
    return count;
}

static size_t choose_bucket(size_t size, size_t most_subtrees)
{
    size_t largest = WINDOW / REDUCE_SLOTS / most_subtrees, wanted = size / BUCKETS_WANTED + 1;
    if (wanted < BUCKET_LEAST)
        wanted = BUCKET_LEAST;
    if (wanted > size)
        wanted = size;
    return wanted < largest ? wanted : largest;
}

static enum err_code init_pieces(struct dist_pieces *p, size_t world, struct arena *a, struct err *e)
{
    p->lengths = arena_alloc(a, world, sizeof *p->lengths, "lengths of messages", e);
    p->places = arena_alloc(a, world, sizeof *p->places, "lengths of messages", e);
    return p->lengths && p->places ? ERR_OK : e->code;
}

/* What it takes to send the gradient to other ranks. */
static enum err_code init_travel(struct reduce *r, size_t world, struct arena *a, struct err *e)
{
    size_t smallest = choose_bucket(r->layout->size, r->depth ? r->depth : 1);
    r->ready = arena_alloc(a, (r->layout->size + smallest - 1) / smallest, sizeof *r->ready, "buckets", e);
    if (!r->ready)
        return e->code;
    for (size_t i = 0; i < REDUCE_SLOTS && !r->fast; i++) {
        struct reduce_slot *s = &r->slots[i];
        size_t floats = WINDOW / REDUCE_SLOTS;
        if (init_pieces(&s->sent, world, a, e) || init_pieces(&s->got, world, a, e) ||
            init_pieces(&s->slices, world, a, e))
            return e->code;
        s->send = arena_alloc(a, floats, sizeof(float), "messages between ranks", e);
        s->received = arena_alloc(a, floats + r->all_capacity, sizeof(float), "messages between ranks", e);
        if (!s->send || !s->received)
            return e->code;
    }
    return ERR_OK;
}

/* Sums that a rank keeps at most. */
static size_t most_sums(size_t packs, size_t world)
{
    size_t most = (packs + world - 1) / world;
    size_t depth = world == 1 ? bits(packs) + 1 : 2 * bits(most) + 1;
    return depth < most ? depth : most;
}

enum err_code reduce_init(struct reduce *r, const struct lora_layout *l, struct dist *d, size_t packs,
                          bool fast, struct arena *a, struct err *e)
{
    size_t world = (size_t)d->world;
    *r = (struct reduce){.layout = l, .dist = d, .fast = fast};
    if (!(r->total = arena_alloc(a, l->size, sizeof(float), "gradient of a batch", e)))
        return e->code;
    if (!fast) {
        r->depth = most_sums(packs, world);
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
        if (!r->all_nodes || !r->owned)
            return e->code;
    }
    return world > 1 ? init_travel(r, world, a, e) : ERR_OK;
}

/* Level of the largest aligned subtree that begins packs [begin, end). */
static int first_subtree(size_t begin, size_t end)
{
    int level = 0;
    while (begin % ((size_t)2 << level) == 0 && begin + ((size_t)2 << level) <= end)
        level++;
    return level;
}

/* The aligned subtrees that packs [begin, end) fall into, appended to all_nodes. */
static size_t list_subtrees(struct reduce *r, size_t begin, size_t end)
{
    size_t before = r->all_count;
    while (begin < end) {
        int level = first_subtree(begin, end);
        assert(r->all_count < r->all_capacity);
        r->all_nodes[r->all_count++] = (struct reduce_node){.first = begin, .level = level};
        begin += (size_t)1 << level;
    }
    return r->all_count - before;
}

/* Who has what, and the buckets: both slots' buffers hold one, as a rank sends `most` sums of it at most and
 * gets all_count <= most * world slices. */
static void plan_travel(struct reduce *r)
{
    size_t world = (size_t)r->dist->world, most = 1;
    r->all_count = 0;
    for (size_t rank = 0; rank < world && !r->fast; rank++) {
        size_t begin, end;
        pack_share(&begin, &end, r->pack_count, rank, world);
        r->owned[rank] = list_subtrees(r, begin, end);
        if (r->owned[rank] > most)
            most = r->owned[rank];
    }
    r->bucket = choose_bucket(r->layout->size, most);
    r->buckets = (r->layout->size + r->bucket - 1) / r->bucket;
    r->started = r->added = r->finished = 0;
    memset(r->ready, 0, r->buckets * sizeof *r->ready);
}

static float *bucket_range(const struct reduce *r, size_t bucket, size_t *begin, size_t *length)
{
    size_t end = r->layout->size - bucket * r->bucket;
    *length = end < r->bucket ? end : r->bucket;
    *begin = end - *length;
    return r->total + *begin;
}

/* The last pack's part of this range is in. */
static void mark_ready(struct reduce *r, size_t begin, size_t count)
{
    size_t end = begin + count, first, length;
    for (size_t k = (r->layout->size - end) / r->bucket; k < r->buckets; k++) {
        bucket_range(r, k, &first, &length);
        size_t from = begin > first ? begin : first, to = end < first + length ? end : first + length;
        if (from >= to)
            break;
        r->ready[k] += to - from;
    }
}

/* A walk down the tree over one slice: the sums of subtrees that are there, in pack order. */
struct walk {
    const struct reduce_node *nodes;
    size_t next, pack_count, length;
    float *const *sums; /* one array each, or NULL: one after the other in `flat` */
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

/* Collective. Sends each rank its slice of the next bucket. */
static enum err_code start_bucket(struct reduce *r, struct err *e)
{
    struct reduce_slot *s = &r->slots[r->started % REDUCE_SLOTS];
    size_t begin, length, world = (size_t)r->dist->world, sent = 0, got = 0;
    size_t subtrees = r->fast ? 0 : r->owned[r->dist->rank];
    float *total = bucket_range(r, r->started++, &begin, &length);
    if (r->fast)
        return dist_sum_start(r->dist, &s->exchange, total, length, e);
    size_t mine = length * ((size_t)r->dist->rank + 1) / world - length * (size_t)r->dist->rank / world;
    for (size_t rank = 0; rank < world; rank++) {
        size_t from = length * rank / world, slice = length * (rank + 1) / world - from;
        s->slices.places[rank] = (int)from;
        s->slices.lengths[rank] = (int)slice;
        s->sent.places[rank] = (int)sent;
        s->sent.lengths[rank] = (int)(slice * subtrees);
        s->got.places[rank] = (int)got;
        s->got.lengths[rank] = (int)(r->owned[rank] * mine);
        for (size_t k = 0; k < subtrees; k++, sent += slice)
            memcpy(s->send + sent, r->sums[k] + begin + from, slice * sizeof(float));
        got += r->owned[rank] * mine;
    }
    return dist_exchange_start(r->dist, &s->exchange, s->received, &s->got, s->send, &s->sent, e);
}

/* Collective. Adds up this rank's slice of a bucket whose sums are here, and hands it to all. */
static enum err_code add_bucket(struct reduce *r, struct err *e)
{
    struct reduce_slot *s = &r->slots[r->added % REDUCE_SLOTS];
    size_t begin, length, mine = r->fast ? 0 : (size_t)s->slices.lengths[r->dist->rank];
    float *total = bucket_range(r, r->added++, &begin, &length);
    if (r->fast)
        return ERR_OK;
    struct walk w = {.nodes = r->all_nodes,
                     .pack_count = r->pack_count,
                     .length = mine,
                     .flat = s->received,
                     .kern = kern_for(cpu_isa_best())};
    memcpy(total + s->slices.places[r->dist->rank], add_up(&w, (int)bits(r->pack_count - 1), 0),
           mine * sizeof(float));
    return dist_share_start(r->dist, &s->share, total, &s->slices, e);
}

/* Collective, though each rank may do it whenever it likes: what can be done without waiting. */
static enum err_code advance(struct reduce *r, struct err *e)
{
    for (bool moved = true; moved;) {
        size_t begin, length = 0;
        bool done = false;
        moved = false;
        if (r->started < r->buckets)
            bucket_range(r, r->started, &begin, &length);
        if (r->started < r->buckets && r->started < r->finished + REDUCE_SLOTS &&
            r->ready[r->started] == length) {
            if (start_bucket(r, e))
                return e->code;
            moved = true;
        }
        if (r->added < r->started) {
            if (dist_test(&r->slots[r->added % REDUCE_SLOTS].exchange, &done, e) ||
                (done && add_bucket(r, e)))
                return e->code;
            moved = moved || done;
        }
        if (r->finished < r->added) {
            if (dist_test(&r->slots[r->finished % REDUCE_SLOTS].share, &done, e))
                return e->code;
            r->finished += done;
            moved = moved || done;
        }
    }
    return ERR_OK;
}

/* Advances on the way; trouble is for reduce_finish() to tell. */
static void travel(struct reduce *r)
{
    if (r->dist->world > 1 && !r->code)
        r->code = advance(r, &r->err);
}

void reduce_begin(struct reduce *r, size_t pack_count)
{
    size_t begin;
    r->pack_count = pack_count;
    r->count = 0;
    r->code = ERR_OK;
    pack_share(&begin, &r->end, pack_count, (size_t)r->dist->rank, (size_t)r->dist->world);
    if (r->fast)
        memset(r->total, 0, r->layout->size * sizeof(float));
    if (r->dist->world == 1)
        return;
    plan_travel(r);
    if (begin == r->end) { /* nothing to add: the others need not wait for this rank's word */
        mark_ready(r, 0, r->layout->size);
        travel(r);
    }
}

float *reduce_pack_begin(struct reduce *r, size_t pack)
{
    r->pack = pack;
    r->reported = 0;
    if (r->fast)
        return r->total;
    assert(r->count < r->depth);
    enum prof_phase before = prof_enter(PROF_COMMUNICATION);
    r->nodes[r->count] = (struct reduce_node){.first = pack, .level = 0};
    memset(r->sums[r->count], 0, r->layout->size * sizeof(float));
    prof_enter(before);
    return r->sums[r->count];
}

/* Is the node at `left` on the stack the left sibling of `right`? */
static bool are_siblings(const struct reduce_node *left, const struct reduce_node *right)
{
    return left->level == right->level && left->first % ((size_t)2 << left->level) == 0 &&
           right->first == left->first + ((size_t)1 << left->level);
}

/* Adds a range of the present pack's gradient to the subtrees that end with this pack. */
static void add_pack(struct reduce *r, size_t begin, size_t count)
{
    const struct kern *kern = kern_for(cpu_isa_best());
    struct reduce_node node = {.first = r->pack, .level = 0};
    for (size_t k = r->count; k > 0 && are_siblings(&r->nodes[k - 1], &node) && !r->fast; k--) {
        kern->axpy(r->sums[k - 1] + begin, 1.0f, r->sums[k] + begin, count);
        node = (struct reduce_node){.first = r->nodes[k - 1].first, .level = node.level + 1};
    }
    if (r->pack + 1 == r->end && r->dist->world > 1)
        mark_ready(r, begin, count);
}

void reduce_grads_ready(struct reduce *r, size_t begin, size_t count)
{
    enum prof_phase before = prof_enter(PROF_COMMUNICATION);
    r->reported += count;
    add_pack(r, begin, count);
    travel(r);
    prof_enter(before);
}

void reduce_layer_ready(void *reduce, size_t layer)
{
    struct reduce *r = reduce;
    size_t begin, count;
    lora_layer_range(&begin, &count, r->layout, layer);
    if (count)
        reduce_grads_ready(r, begin, count);
}

void reduce_pack_end(struct reduce *r)
{
    enum prof_phase before = prof_enter(PROF_COMMUNICATION);
    assert(r->reported == 0 || r->reported == r->layout->size);
    if (!r->reported)
        add_pack(r, 0, r->layout->size);
    if (!r->fast)
        r->count++;
    while (r->count >= 2 && are_siblings(&r->nodes[r->count - 2], &r->nodes[r->count - 1]))
        r->nodes[--r->count - 1].level++;
    travel(r);
    prof_enter(before);
}

/* Collective. Waits for the rest. */
static enum err_code arrive(struct reduce *r, struct err *e)
{
    if (r->code) {
        *e = r->err;
        return r->code;
    }
    while (r->finished < r->buckets) {
        if (advance(r, e))
            return e->code;
        struct dist_request *next = r->added < r->started ? &r->slots[r->added % REDUCE_SLOTS].exchange
                                                          : &r->slots[r->finished % REDUCE_SLOTS].share;
        if (dist_wait(next, e))
            return e->code;
    }
    return ERR_OK;
}

enum err_code reduce_finish(struct reduce *r, const float **grads, struct err *e)
{
    enum err_code code = ERR_OK;
    *grads = r->total;
    enum prof_phase before = prof_enter(PROF_COMMUNICATION);
    if (r->dist->world > 1) {
        code = arrive(r, e);
    } else if (!r->fast) {
        struct walk w = {.nodes = r->nodes,
                         .pack_count = r->pack_count,
                         .length = r->layout->size,
                         .sums = r->sums,
                         .kern = kern_for(cpu_isa_best())};
        *grads = add_up(&w, (int)bits(r->pack_count - 1), 0);
    }
    prof_enter(before);
    return code;
}

void reduce_drop(struct reduce *r)
{
    struct err ignored;
    if (r->dist->world == 1)
        return;
    for (size_t k = r->started, begin; k < r->buckets; k++)
        bucket_range(r, k, &begin, &r->ready[k]);
    arrive(r, &ignored);
}

size_t reduce_sent_bytes(const struct reduce *r)
{
    struct reduce_traffic t;
    reduce_count_traffic(&t, r->layout->size, r->pack_count, (size_t)r->dist->world, r->fast);
    return t.sent_bytes;
}

/* Each of its sums goes to the other ranks in slices, then its slice of the total to each of them. The fast
 * way is a binomial tree up and down in Open MPI, since the sum is in place: its root hands all of it to
 * log2(N) ranks. */
void reduce_count_traffic(struct reduce_traffic *t, size_t size, size_t packs, size_t world, bool fast)
{
    size_t slice = size / world;
    *t = (struct reduce_traffic){.depth = fast ? 0 : most_sums(packs, world), .subtrees = 1};
    for (size_t rank = 0; rank < world && !fast; rank++) {
        size_t begin, end, subtrees = 0;
        pack_share(&begin, &end, packs, rank, world);
        for (; begin < end; subtrees++)
            begin += (size_t)1 << first_subtree(begin, end);
        t->subtrees = subtrees > t->subtrees ? subtrees : t->subtrees;
    }
    if (world == 1)
        return;
    t->bucket = choose_bucket(size, t->subtrees);
    t->buckets = (size + t->bucket - 1) / t->bucket;
    t->sent_bytes =
        (fast ? size * bits(world - 1) : (size - slice) * t->subtrees + (world - 1) * slice) * sizeof(float);
}
