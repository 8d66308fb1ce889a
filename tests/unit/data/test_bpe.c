/* Byte-pair encoding against the definition: merge the best pair, leftmost first, until there is none. */
#include "data/tokenizer/bpe.h"
#include "unit.h"

#include <stdlib.h>

enum { LETTERS = 4, MAX_TOKENS = 400, MAX_PIECE = 600 };

static struct bpe_token tokens[MAX_TOKENS];
static struct bpe_merge merges[MAX_TOKENS];
static size_t token_count, merge_count;
static char texts[MAX_TOKENS][32];
static uint32_t seed;

static uint32_t draw(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static int32_t find_text(const char *text)
{
    for (size_t i = 0; i < token_count; i++) {
        if (strcmp(texts[i], text) == 0)
            return (int32_t)i;
    }
    return -1;
}

static int32_t add_token(const char *text)
{
    strcpy(texts[token_count], text);
    tokens[token_count] = (struct bpe_token){.bytes = texts[token_count], .length = strlen(text)};
    return (int32_t)token_count++;
}

/* Random merges over the letters a, b, c, d: several ways to the same token, some in a bad order. */
static void make_vocabulary(uint32_t number)
{
    seed = number;
    token_count = merge_count = 0;
    for (int i = 0; i < LETTERS; i++)
        add_token((char[]){(char)('a' + i), '\0'});
    while (token_count < 120) {
        int32_t left = (int32_t)draw((uint32_t)token_count), right = (int32_t)draw((uint32_t)token_count);
        char joined[64];
        snprintf(joined, sizeof joined, "%s%s", texts[left], texts[right]);
        if (strlen(joined) > 12)
            continue;
        int32_t merged = find_text(joined);
        if (merged < 0)
            merged = add_token(joined);
        merges[merge_count++] = (struct bpe_merge){.left = left, .right = right, .merged = merged};
    }
    for (size_t i = merge_count; i > 1; i--) {
        size_t k = draw((uint32_t)i);
        struct bpe_merge m = merges[i - 1];
        merges[i - 1] = merges[k];
        merges[k] = m;
    }
    for (size_t i = 0; i < merge_count; i++)
        merges[i].rank = (uint32_t)i;
}

static size_t encode_naively(int32_t *ids, const char *piece, size_t length)
{
    size_t count = length;
    for (size_t i = 0; i < length; i++)
        ids[i] = piece[i] - 'a';
    for (;;) {
        size_t best = SIZE_MAX, place = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            for (size_t k = merge_count; k-- > 0;) { /* the last of a pair's ranks counts */
                if (merges[k].left != ids[i] || merges[k].right != ids[i + 1])
                    continue;
                if (k < best) {
                    best = k;
                    place = i;
                }
                break;
            }
        }
        if (best == SIZE_MAX)
            return count;
        ids[place] = merges[best].merged;
        memmove(ids + place + 1, ids + place + 2, (count - place - 2) * sizeof *ids);
        count--;
    }
}

static void same_as_definition(void **state)
{
    (void)state;
    struct bpe_work work = {0};
    struct err e;
    for (uint32_t number = 1; number <= 40; number++) {
        struct arena arena = {0};
        struct bpe *b;
        make_vocabulary(number);
        struct bpe_options options = {.unknown = -1};
        assert_ok(bpe_init(&b, tokens, token_count, merges, merge_count, &options, &arena, &e), &e);
        for (int i = 0; i < 60; i++) {
            char piece[MAX_PIECE];
            int32_t expected[MAX_PIECE];
            size_t length = 1 + draw(i < 50 ? 24 : MAX_PIECE), total = 0;
            for (size_t k = 0; k < length; k++)
                piece[k] = (char)('a' + draw(LETTERS));
            size_t count = encode_naively(expected, piece, length);
            assert_ok(bpe_encode(&work, b, piece, length, &e), &e);
            assert_int_equal(work.count, count);
            for (size_t k = 0; k < count; k++) {
                assert_int_equal(work.symbols[k].id, expected[k]);
                assert_int_equal(work.symbols[k].skipped, 0);
                assert_int_equal(work.symbols[k].length, tokens[expected[k]].length);
                total += work.symbols[k].length;
            }
            assert_int_equal(total, length);
        }
        arena_release(&arena);
    }
    bpe_work_release(&work);
}

static void check(struct bpe_options options, const char *piece, size_t count,
                  const struct bpe_symbol *expected)
{
    static const struct bpe_token vocabulary[] = {{"a", 1},   {"b", 1},  {"ab", 2},
                                                  {"abc", 3}, {NULL, 0}, {"?", 1}};
    static const struct bpe_merge list[] = {{.left = 0, .right = 1, .merged = 2}};
    struct bpe_work work = {0};
    struct arena arena = {0};
    struct bpe *b;
    struct err e;
    assert_ok(bpe_init(&b, vocabulary, 6, list, 1, &options, &arena, &e), &e);
    assert_ok(bpe_encode(&work, b, piece, strlen(piece), &e), &e);
    assert_int_equal(work.count, count);
    for (size_t i = 0; i < count; i++)
        assert_memory_equal(&work.symbols[i], &expected[i], sizeof *expected);
    bpe_work_release(&work);
    arena_release(&arena);
}

static void bytes_without_token(void **state)
{
    (void)state;
    struct bpe_options none = {.unknown = -1}, unknown = {.unknown = 5},
                       fused = {.unknown = 5, .fuse_unknown = true};
    check(none, "xa", 1, (struct bpe_symbol[]){{.id = 0, .length = 1, .skipped = 1}});
    check(none, "axyb", 1, (struct bpe_symbol[]){{.id = 2, .length = 4}});
    check(none, "xyz", 0, NULL);
    check(
        unknown, "axyb", 4,
        (struct bpe_symbol[]){
            {.id = 0, .length = 1}, {.id = 5, .length = 1}, {.id = 5, .length = 1}, {.id = 1, .length = 1}});
    check(fused, "axyb", 3,
          (struct bpe_symbol[]){{.id = 0, .length = 1}, {.id = 5, .length = 2}, {.id = 1, .length = 1}});
}

static void whole_pieces(void **state)
{
    (void)state;
    struct bpe_options merging = {.unknown = 5}, ignoring = {.unknown = 5, .ignore_merges = true};
    check(merging, "abc", 2, (struct bpe_symbol[]){{.id = 2, .length = 2}, {.id = 5, .length = 1}});
    check(ignoring, "abc", 1, (struct bpe_symbol[]){{.id = 3, .length = 3}});
    check(ignoring, "abcab", 3,
          (struct bpe_symbol[]){{.id = 2, .length = 2}, {.id = 5, .length = 1}, {.id = 2, .length = 2}});
    check(merging, "", 0, NULL);
}

/* Pieces fall apart before U+2581, but not where a token goes over that place. */
static void parts_of_a_piece(void **state)
{
    (void)state;
    static const struct bpe_token vocabulary[] = {
        {"a", 1}, {"b", 1}, {"\u2581", 3}, {"\u2581b", 4}, {"a\u2581b", 5}, {"<0x63>", 6}, {"?", 1}};
    static const struct bpe_merge list[] = {{.left = 2, .right = 1, .merged = 3, .rank = 0},
                                            {.left = 0, .right = 3, .merged = 4, .rank = 1}};
    int32_t fallback[256];
    for (int i = 0; i < 256; i++)
        fallback[i] = i == 'c' ? 5 : -1;
    const struct bpe_options options = {
        .characters = true, .fallback = fallback, .unknown = 6, .fuse_unknown = true};
    struct {
        const char *piece;
        size_t count;
        int32_t ids[4];
    } cases[] = {{"a\u2581b", 1, {4}},
                 {"b\u2581b", 2, {1, 3}},
                 {"b\u2581b\u2581ba\u2581b", 4, {1, 3, 3, 4}},
                 {"c\u2581b", 2, {5, 3}},
                 {"\u6f22\u6f22\u2581b", 2, {6, 3}},
                 {"\u6f22c\u2581", 3, {5, 6, 2}}, /* a byte's token passes what is unknown by, as in the library */
                 {"\u2581\u2581b", 2, {2, 3}}};
    struct bpe_work work = {0};
    struct arena arena = {0};
    struct bpe *b;
    struct err e;
    assert_ok(bpe_init(&b, vocabulary, 7, list, 2, &options, &arena, &e), &e);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t total = 0;
        assert_ok(bpe_encode(&work, b, cases[i].piece, strlen(cases[i].piece), &e), &e);
        assert_int_equal(work.count, cases[i].count);
        for (size_t k = 0; k < work.count; k++) {
            assert_int_equal(work.symbols[k].id, cases[i].ids[k]);
            total += work.symbols[k].length + work.symbols[k].skipped;
        }
        assert_int_equal(total, strlen(cases[i].piece));
    }
    bpe_work_release(&work);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_definition),
        cmocka_unit_test(bytes_without_token),
        cmocka_unit_test(whole_pieces),
        cmocka_unit_test(parts_of_a_piece),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
