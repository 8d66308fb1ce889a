#include "data/tokenizer/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "data/tokenizer/strmap.h"

#define NONE     UINT32_MAX
#define NO_PAIR  UINT64_MAX
#define NO_MERGE UINT32_MAX

struct pair_slot {
    uint64_t pair; /* left id << 32 | right id */
    uint32_t rank;
    int32_t merged;
};

struct bpe {
    int32_t byte_id[256];
    struct strmap whole; /* pieces that become one token */
    struct pair_slot *pairs;
    size_t pair_mask;
    struct bpe_options options;
};

struct bpe_link {
    uint32_t prev, next;
};

struct bpe_candidate {
    uint64_t order; /* rank << 32 | place of the left symbol: what the heap is ordered by */
    int32_t merged;
};

static size_t pair_hash(uint64_t pair)
{
    pair *= 0x9E3779B97F4A7C15u;
    return (size_t)(pair ^ (pair >> 32));
}

static struct pair_slot *find_pair(const struct bpe *b, int32_t left, int32_t right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t i = pair_hash(pair) & b->pair_mask;
    while (b->pairs[i].pair != pair && b->pairs[i].pair != NO_PAIR)
        i = (i + 1) & b->pair_mask;
    return &b->pairs[i];
}

static enum err_code add_pairs(struct bpe *b, const struct bpe_merge *merges, size_t count, struct arena *a,
                               struct err *e)
{
    size_t slots = 16;
    while (slots / 2 < count && slots <= SIZE_MAX / 4)
        slots *= 2;
    b->pairs = arena_alloc(a, slots, sizeof *b->pairs, "merges", e);
    if (b->pairs == NULL)
        return e->code;
    b->pair_mask = slots - 1;
    for (size_t i = 0; i < slots; i++)
        b->pairs[i] = (struct pair_slot){.pair = NO_PAIR, .rank = NO_MERGE, .merged = -1};
    for (size_t i = 0; i < count; i++) {
        struct pair_slot *slot = find_pair(b, merges[i].left, merges[i].right);
        slot->pair = (uint64_t)(uint32_t)merges[i].left << 32 | (uint32_t)merges[i].right;
        slot->rank = (uint32_t)i;
        slot->merged = merges[i].merged;
    }
    return ERR_OK;
}

/* Most pieces of real text are tokens by themselves. Those that the merges put together again are looked up
 * as a whole instead; with ignore_merges, that is what the model asks for, of all tokens. */
static enum err_code add_whole(struct bpe *b, const struct bpe_token *tokens, size_t count, struct arena *a,
                               struct err *e)
{
    struct bpe_work work = {0};
    struct strmap whole;
    enum err_code code = strmap_init(&whole, count, a, e);
    for (size_t i = 0; code == ERR_OK && i < count; i++) {
        if (tokens[i].bytes == NULL || tokens[i].length == 0)
            continue;
        bool as_whole = b->options.ignore_merges;
        if (!as_whole) {
            code = bpe_encode(&work, b, tokens[i].bytes, tokens[i].length, e);
            as_whole = work.count == 1 && work.symbols[0].id == (int32_t)i && work.symbols[0].skipped == 0 &&
                       work.symbols[0].length == tokens[i].length;
        }
        if (as_whole)
            strmap_add(&whole, tokens[i].bytes, tokens[i].length, (int32_t)i);
    }
    bpe_work_release(&work);
    b->whole = whole;
    return code;
}

enum err_code bpe_init(struct bpe **out, const struct bpe_token *tokens, size_t count,
                       const struct bpe_merge *merges, size_t merge_count, const struct bpe_options *options,
                       struct arena *a, struct err *e)
{
    struct bpe *b = arena_alloc(a, 1, sizeof *b, "byte-pair encoder", e);
    if (b == NULL)
        return e->code;
    b->options = *options;
    for (int i = 0; i < 256; i++)
        b->byte_id[i] = -1;
    for (size_t i = 0; i < count; i++) {
        if (tokens[i].bytes != NULL && tokens[i].length == 1)
            b->byte_id[(unsigned char)tokens[i].bytes[0]] = (int32_t)i;
    }
    if (add_pairs(b, merges, merge_count, a, e) || strmap_init(&b->whole, 0, a, e) ||
        add_whole(b, tokens, count, a, e))
        return e->code;
    *out = b;
    return ERR_OK;
}

void bpe_work_release(struct bpe_work *w)
{
    free(w->symbols);
    free(w->links);
    free(w->heap);
    *w = (struct bpe_work){0};
}

/* Each merge takes a symbol away and adds two candidates at most: 3 n candidates in all. */
static enum err_code reserve(struct bpe_work *w, size_t length, struct err *e)
{
    if (length <= w->capacity)
        return ERR_OK;
    size_t capacity = length < 64 ? 64 : length + length / 2;
    if (capacity >= NONE / 4)
        return err_set(e, ERR_DATA, "a piece of %zu bytes without a place to split is too long", length);
    bpe_work_release(w);
    w->symbols = malloc(capacity * sizeof *w->symbols);
    w->links = malloc(capacity * sizeof *w->links);
    w->heap = malloc(3 * capacity * sizeof *w->heap);
    if (w->symbols == NULL || w->links == NULL || w->heap == NULL) {
        bpe_work_release(w);
        return err_set(e, ERR_MEMORY, "no memory to tokenise a piece of %zu bytes", length);
    }
    w->capacity = capacity;
    w->heap_capacity = 3 * capacity;
    return ERR_OK;
}

static void heap_push(struct bpe_work *w, struct bpe_candidate c)
{
    size_t i = w->heap_count++;
    for (; i > 0 && c.order < w->heap[(i - 1) / 2].order; i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = c;
}

static struct bpe_candidate heap_pop(struct bpe_work *w)
{
    struct bpe_candidate top = w->heap[0], last = w->heap[--w->heap_count];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < w->heap_count) {
        if (child + 1 < w->heap_count && w->heap[child + 1].order < w->heap[child].order)
            child++;
        if (w->heap[child].order >= last.order)
            break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return top;
}

static void push_pair(struct bpe_work *w, const struct bpe *b, uint32_t left, uint32_t right)
{
    const struct pair_slot *slot = find_pair(b, w->symbols[left].id, w->symbols[right].id);
    if (slot->pair != NO_PAIR)
        heap_push(w,
                  (struct bpe_candidate){.order = (uint64_t)slot->rank << 32 | left, .merged = slot->merged});
}

static void split_bytes(struct bpe_work *w, const struct bpe *b, const char *piece, size_t length)
{
    uint32_t skipped = 0;
    bool unknown_run = false;
    w->count = 0;
    for (size_t i = 0; i < length; i++) {
        int32_t id = b->byte_id[(unsigned char)piece[i]];
        bool unknown = id < 0;
        if (unknown && b->options.unknown < 0) {
            skipped++;
        } else if (unknown && unknown_run && b->options.fuse_unknown) {
            w->symbols[w->count - 1].length++;
        } else {
            w->symbols[w->count++] =
                (struct bpe_symbol){.id = unknown ? b->options.unknown : id, .length = 1, .skipped = skipped};
            skipped = 0;
        }
        unknown_run = unknown;
    }
}

static void merge_all(struct bpe_work *w, const struct bpe *b)
{
    uint32_t count = (uint32_t)w->count;
    w->heap_count = 0;
    for (uint32_t i = 0; i < count; i++)
        w->links[i] = (struct bpe_link){.prev = i > 0 ? i - 1 : NONE, .next = i + 1 < count ? i + 1 : NONE};
    for (uint32_t i = 0; i + 1 < count; i++)
        push_pair(w, b, i, i + 1);
    while (w->heap_count > 0) {
        struct bpe_candidate top = heap_pop(w);
        uint32_t left = (uint32_t)top.order, right = w->links[left].next;
        struct bpe_symbol *l = &w->symbols[left];
        /* A candidate may be out of date: its left symbol merged away, or one of the two grown since. */
        if (l->length == 0 || right == NONE ||
            find_pair(b, l->id, w->symbols[right].id)->merged != top.merged)
            continue;
        struct bpe_symbol *r = &w->symbols[right];
        l->id = top.merged;
        l->length += r->skipped + r->length;
        r->length = 0;
        uint32_t prev = w->links[left].prev, next = w->links[right].next;
        w->links[left].next = next;
        if (prev != NONE)
            push_pair(w, b, prev, left);
        if (next != NONE) {
            w->links[next].prev = left;
            push_pair(w, b, left, next);
        }
    }
    w->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (w->symbols[i].length > 0)
            w->symbols[w->count++] = w->symbols[i];
    }
}

enum err_code bpe_encode(struct bpe_work *w, const struct bpe *b, const char *piece, size_t length,
                         struct err *e)
{
    if (reserve(w, length, e))
        return e->code;
    int32_t id = strmap_get(&b->whole, piece, length);
    if (id >= 0) {
        w->symbols[0] = (struct bpe_symbol){.id = id, .length = (uint32_t)length};
        w->count = 1;
        return ERR_OK;
    }
    split_bytes(w, b, piece, length);
    merge_all(w, b);
    return ERR_OK;
}
