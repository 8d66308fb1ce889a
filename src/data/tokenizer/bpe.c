#include "data/tokenizer/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "data/tokenizer/strmap.h"
#include "data/tokenizer/unicode.h"

#define NONE     UINT32_MAX
#define NO_PAIR  UINT64_MAX
#define NO_MERGE UINT32_MAX

#define MEMORY_SLOTS  32768 /* a power of two: two megabytes a thread */
#define MEMORY_PIECE  32    /* longer pieces are not remembered */
#define MEMORY_TOKENS 5     /* nor are those of more tokens */

#define SPACE_MARK        "\u2581" /* what SentencePiece writes for a space */
#define SPACE_MARK_LENGTH 3

struct pair_slot {
    uint64_t pair; /* left id << 32 | right id */
    uint32_t rank;
    int32_t merged;
};

/* What a piece came to, for a thread that meets it again: most words of a text are the same few. One cache line. */
struct bpe_memory {
    uint32_t hash;
    uint8_t length, count; /* of the piece, 0: nothing is remembered; of its tokens */
    uint8_t lengths[MEMORY_TOKENS];
    char piece[MEMORY_PIECE];
    int32_t ids[MEMORY_TOKENS];
};
_Static_assert(sizeof(struct bpe_memory) == 64, "a cache line");

struct bpe {
    uint64_t number; /* no other one has it */
    struct strmap singles; /* tokens of one symbol: a byte, or a character */
    int32_t byte_id[256];  /* those of one byte */
    int32_t fallback[256];
    struct strmap whole; /* pieces that become one token */
    struct pair_slot *pairs;
    size_t pair_mask;
    bool parts;            /* a piece may fall apart before SPACE_MARK */
    bool before_mark[256]; /* bytes that stand before it inside some token: not after these */
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
        slot->rank = merges[i].rank;
        slot->merged = merges[i].merged;
    }
    return ERR_OK;
}

/* Most pieces of real text are tokens by themselves. Those that the merges put together again are looked up
 * as a whole instead; with ignore_merges, that is what the model asks for, of all tokens. */
static enum err_code add_whole(struct bpe *b, const struct bpe_token *tokens, size_t count, struct arena *a,
                               struct err *e)
{
    struct bpe_work work = {.memory_of = b->number}; /* without memory: each token comes once */
    struct strmap whole;
    enum err_code code = strmap_init(&whole, count, a, e);
    for (size_t i = 0; code == ERR_OK && i < count; i++) {
        if (tokens[i].bytes == NULL || tokens[i].length == 0)
            continue;
        bool as_whole = b->options.ignore_merges;
        if (!as_whole) {
            code = bpe_encode(&work, b, tokens[i].bytes, tokens[i].length, e);
            as_whole = code == ERR_OK && work.count == 1 && work.symbols[0].id == (int32_t)i &&
                       work.symbols[0].skipped == 0 && work.symbols[0].length == tokens[i].length;
        }
        if (as_whole)
            strmap_add(&whole, tokens[i].bytes, tokens[i].length, (int32_t)i);
    }
    bpe_work_release(&work);
    b->whole = whole;
    return code;
}

static enum err_code add_singles(struct bpe *b, const struct bpe_token *tokens, size_t count, struct arena *a,
                                 struct err *e)
{
    size_t singles = 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && strmap_init(&b->singles, singles, a, e))
            return e->code;
        for (size_t i = 0; i < count; i++) {
            if (tokens[i].bytes == NULL || tokens[i].length == 0 ||
                tokens[i].length != (b->options.characters ? unicode_end(tokens[i].bytes, 0) : 1))
                continue;
            singles++;
            if (pass == 1)
                strmap_add(&b->singles, tokens[i].bytes, tokens[i].length, (int32_t)i);
            if (tokens[i].length == 1)
                b->byte_id[(unsigned char)tokens[i].bytes[0]] = (int32_t)i;
        }
    }
    return ERR_OK;
}

/* Whether the token stands for other text than its own: a byte's, or what is unknown. */
static bool is_substitute(const struct bpe *b, const struct bpe_token *tokens, int32_t id)
{
    bool is = id == b->options.unknown || tokens[id].bytes == NULL;
    if (is || tokens[id].length != strlen("<0x00>") || tokens[id].bytes[0] != '<')
        return is;
    for (int i = 0; i < 256; i++)
        is |= b->fallback[i] == id;
    return is;
}

/* A piece falls apart before a space mark where no token that merges make goes over that place. The mark must
 * be a token, so that a run of unknown characters ends before it. */
static void find_parts(struct bpe *b, const struct bpe_token *tokens, const struct bpe_merge *merges,
                       size_t merge_count)
{
    b->parts = b->options.characters && !b->options.ignore_merges &&
               strmap_get(&b->singles, SPACE_MARK, SPACE_MARK_LENGTH) >= 0;
    for (size_t i = 0; b->parts && i < merge_count; i++) {
        const struct bpe_token *token = &tokens[merges[i].merged];
        b->parts = token->bytes != NULL && !is_substitute(b, tokens, merges[i].left) &&
                   !is_substitute(b, tokens, merges[i].right);
        for (size_t at = 1; b->parts && at + SPACE_MARK_LENGTH <= token->length; at++) {
            if (memcmp(token->bytes + at, SPACE_MARK, SPACE_MARK_LENGTH) == 0)
                b->before_mark[(unsigned char)token->bytes[at - 1]] = true;
        }
    }
}

enum err_code bpe_init(struct bpe **out, const struct bpe_token *tokens, size_t count,
                       const struct bpe_merge *merges, size_t merge_count, const struct bpe_options *options,
                       struct arena *a, struct err *e)
{
    struct bpe *b = arena_alloc(a, 1, sizeof *b, "byte-pair encoder", e);
    if (b == NULL)
        return e->code;
    static uint64_t numbers;
    b->number = __atomic_add_fetch(&numbers, 1, __ATOMIC_RELAXED);
    b->options = *options;
    for (int i = 0; i < 256; i++) {
        b->byte_id[i] = -1;
        b->fallback[i] = options->fallback ? options->fallback[i] : -1;
    }
    b->options.fallback = NULL; /* the caller's */
    if (add_singles(b, tokens, count, a, e) || add_pairs(b, merges, merge_count, a, e) ||
        strmap_init(&b->whole, 0, a, e))
        return e->code;
    find_parts(b, tokens, merges, merge_count);
    if (add_whole(b, tokens, count, a, e))
        return e->code;
    *out = b;
    return ERR_OK;
}

static void release_symbols(struct bpe_work *w)
{
    free(w->symbols);
    free(w->links);
    free(w->heap);
    w->symbols = NULL;
    w->links = NULL;
    w->heap = NULL;
    w->capacity = w->heap_capacity = 0;
}

void bpe_work_release(struct bpe_work *w)
{
    release_symbols(w);
    arena_release(&w->arena);
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
    release_symbols(w);
    w->symbols = malloc(capacity * sizeof *w->symbols);
    w->links = malloc(capacity * sizeof *w->links);
    w->heap = malloc(3 * capacity * sizeof *w->heap);
    if (w->symbols == NULL || w->links == NULL || w->heap == NULL) {
        release_symbols(w);
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

static void push_pair(struct bpe_work *w, const struct bpe *b, const struct bpe_symbol *symbols,
                      uint32_t left, uint32_t right)
{
    const struct pair_slot *slot = find_pair(b, symbols[left].id, symbols[right].id);
    if (slot->pair != NO_PAIR)
        heap_push(w,
                  (struct bpe_candidate){.order = (uint64_t)slot->rank << 32 | left, .merged = slot->merged});
}

/* ---- a piece as symbols ---- */

static void add_symbol(struct bpe_work *w, int32_t id, size_t length)
{
    w->symbols[w->count++] =
        (struct bpe_symbol){.id = id, .length = (uint32_t)length, .skipped = w->skipped};
    w->skipped = 0;
}

/* Unknown symbols wait until a known one comes (bytes of a character pass them by, as in the library), so
 * that a run of them can become one. */
struct unknown_run {
    size_t length; /* 0: none waits */
};

static void flush_unknown(struct bpe_work *w, const struct bpe *b, struct unknown_run *run)
{
    if (run->length > 0)
        add_symbol(w, b->options.unknown, run->length);
    run->length = 0;
}

static void add_unknown(struct bpe_work *w, const struct bpe *b, struct unknown_run *run, size_t length)
{
    if (b->options.unknown < 0) {
        w->skipped += (uint32_t)length;
        return;
    }
    if (!b->options.fuse_unknown)
        flush_unknown(w, b, run);
    run->length += length;
}

static void split_bytes(struct bpe_work *w, const struct bpe *b, const char *piece, size_t length)
{
    struct unknown_run run = {0};
    for (size_t i = 0; i < length; i++) {
        int32_t id = b->byte_id[(unsigned char)piece[i]];
        if (id < 0) {
            add_unknown(w, b, &run, 1);
            continue;
        }
        flush_unknown(w, b, &run);
        add_symbol(w, id, 1);
    }
    flush_unknown(w, b, &run);
}

static bool add_fallback(struct bpe_work *w, const struct bpe *b, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (b->fallback[(unsigned char)bytes[i]] < 0)
            return false;
    }
    for (size_t i = 0; i < length; i++)
        add_symbol(w, b->fallback[(unsigned char)bytes[i]], 1);
    return true;
}

static void split_characters(struct bpe_work *w, const struct bpe *b, const char *piece, size_t length)
{
    struct unknown_run run = {0};
    for (size_t at = 0, end; at < length; at = end) {
        end = unicode_end(piece, at);
        int32_t id = end == at + 1 ? b->byte_id[(unsigned char)piece[at]]
                                   : strmap_get(&b->singles, piece + at, end - at);
        if (id >= 0) {
            flush_unknown(w, b, &run);
            add_symbol(w, id, end - at);
        } else if (!add_fallback(w, b, piece + at, end - at)) {
            add_unknown(w, b, &run, end - at);
        }
    }
    flush_unknown(w, b, &run);
}

/* ---- merging ---- */

/* Merges symbols first..count-1. */
static void merge_all(struct bpe_work *w, const struct bpe *b, size_t first)
{
    struct bpe_symbol *symbols = w->symbols + first;
    uint32_t count = (uint32_t)(w->count - first);
    w->heap_count = 0;
    for (uint32_t i = 0; i < count; i++)
        w->links[i] = (struct bpe_link){.prev = i > 0 ? i - 1 : NONE, .next = i + 1 < count ? i + 1 : NONE};
    for (uint32_t i = 0; i + 1 < count; i++)
        push_pair(w, b, symbols, i, i + 1);
    while (w->heap_count > 0) {
        struct bpe_candidate top = heap_pop(w);
        uint32_t left = (uint32_t)top.order;
        uint32_t right = w->links[left].next; /* NOLINT: left is below count, and the links of all those are set */
        struct bpe_symbol *l = &symbols[left];
        /* A candidate may be out of date: its left symbol merged away, or one of the two grown since. */
        if (l->length == 0 || right == NONE ||
            find_pair(b, l->id, symbols[right].id)->merged != top.merged)
            continue;
        struct bpe_symbol *r = &symbols[right];
        l->id = top.merged;
        l->length += r->skipped + r->length;
        r->length = 0;
        uint32_t prev = w->links[left].prev, next = w->links[right].next;
        w->links[left].next = next;
        if (prev != NONE)
            push_pair(w, b, symbols, prev, left);
        if (next != NONE) {
            w->links[next].prev = left;
            push_pair(w, b, symbols, left, next);
        }
    }
    w->count = first;
    for (uint32_t i = 0; i < count; i++) {
        if (symbols[i].length > 0)
            w->symbols[w->count++] = symbols[i];
    }
}

/* The end of the part that begins at `at`. */
static size_t part_end(const struct bpe *b, const char *piece, size_t length, size_t at)
{
    if (!b->parts)
        return length;
    for (const char *p = piece + at + 1, *end = piece + length;; p++) {
        p = p < end ? memchr(p, SPACE_MARK[0], (size_t)(end - p)) : NULL;
        if (p == NULL || end - p < SPACE_MARK_LENGTH)
            return length;
        if (memcmp(p, SPACE_MARK, SPACE_MARK_LENGTH) == 0 && !b->before_mark[(unsigned char)p[-1]])
            return (size_t)(p - piece);
    }
}

/* ---- what a thread remembers ---- */

/* Memory for this encoder, empty at first; without any, all is worked out each time. */
static void open_memory(struct bpe_work *w, const struct bpe *b)
{
    struct err ignored;
    if (w->memory_of == b->number)
        return;
    arena_release(&w->arena);
    w->memory = arena_alloc(&w->arena, MEMORY_SLOTS, sizeof *w->memory, "words", &ignored);
    w->memory_of = b->number;
}

static bool recall(struct bpe_work *w, const struct bpe_memory *m, const char *part, size_t length, uint32_t hash)
{
    if (m->length != length || m->hash != hash || memcmp(m->piece, part, length) != 0)
        return false;
    for (size_t i = 0; i < m->count; i++)
        add_symbol(w, m->ids[i], m->lengths[i]);
    return true;
}

/* Symbols first..count-1 are what the part came to. Where bytes vanished, they are not all. */
static void remember(struct bpe_memory *m, const struct bpe_work *w, size_t first, const char *part, size_t length,
                     uint32_t hash)
{
    size_t told = 0;
    if (w->count - first > MEMORY_TOKENS)
        return;
    for (size_t i = first; i < w->count; i++)
        told += w->symbols[i].length;
    if (told != length)
        return;
    *m = (struct bpe_memory){.hash = hash, .length = (uint8_t)length, .count = (uint8_t)(w->count - first)};
    memcpy(m->piece, part, length);
    for (size_t i = 0; i < m->count; i++) {
        m->ids[i] = w->symbols[first + i].id;
        m->lengths[i] = (uint8_t)w->symbols[first + i].length;
    }
}

static void encode_part(struct bpe_work *w, const struct bpe *b, const char *part, size_t length)
{
    const uint32_t hash = strmap_hash(part, length);
    const size_t first = w->count;
    struct bpe_memory *m = w->memory && length <= MEMORY_PIECE ? &w->memory[hash % MEMORY_SLOTS] : NULL;
    if (m && recall(w, m, part, length, hash))
        return;
    const int32_t id = strmap_get_hashed(&b->whole, part, length, hash);
    if (id >= 0) {
        add_symbol(w, id, length);
    } else {
        if (b->options.characters)
            split_characters(w, b, part, length);
        else
            split_bytes(w, b, part, length);
        merge_all(w, b, first);
    }
    if (m)
        remember(m, w, first, part, length, hash);
}

enum err_code bpe_encode(struct bpe_work *w, const struct bpe *b, const char *piece, size_t length,
                         struct err *e)
{
    if (reserve(w, length, e))
        return e->code;
    open_memory(w, b);
    w->count = 0;
    w->skipped = 0;
    for (size_t at = 0, end; at < length; at = end) {
        end = part_end(b, piece, length, at);
        encode_part(w, b, piece + at, end - at);
    }
    return ERR_OK;
}
