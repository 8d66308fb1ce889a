/* Packing: every example once, limits kept, nothing depends on the number of ranks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/rng.h"
#include "data/examples/pack.h"

enum { MOST = 300 };

static uint64_t sum(const uint32_t *lengths, size_t count)
{
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += lengths[i];
    return total;
}

/* All that the header promises of any plan. */
static void check_plan(const struct pack_plan *p, const uint32_t *lengths, size_t count, uint64_t limit)
{
    unsigned char seen[MOST] = {0};
    assert_int_equal(p->first[0], 0);
    assert_int_equal(p->first[p->pack_count], count);
    uint64_t largest = 0, least = UINT64_MAX;
    uint32_t longest = 0;
    for (size_t k = 0; k < p->pack_count; k++) {
        assert_true(p->first[k] < p->first[k + 1]); /* no pack is empty */
        uint64_t tokens = 0;
        for (uint32_t i = p->first[k]; i < p->first[k + 1]; i++) {
            uint32_t example = p->order[i];
            assert_true(example < count && !seen[example]++);
            assert_int_equal(p->pack_of[example], k);
            if (i > p->first[k])
                assert_true(p->order[i - 1] < example); /* batch order inside a pack */
            tokens += lengths[example];
            longest = lengths[example] > longest ? lengths[example] : longest;
        }
        assert_int_equal(tokens, p->tokens[k]);
        assert_true(tokens <= limit);
        if (k)
            assert_true(p->order[p->first[k - 1]] < p->order[p->first[k]]); /* ordered by first example */
        largest = tokens > largest ? tokens : largest;
        least = tokens < least ? tokens : least;
    }
    for (size_t i = 0; i < count; i++)
        assert_true(seen[i]);
    uint64_t needed = (sum(lengths, count) + limit - 1) / limit;
    assert_true(p->pack_count >= needed);
    /* Balance: while no pack had to be added, the fullest got its last example when it was the emptiest. */
    if (p->pack_count == needed)
        assert_true(largest - least <= longest);
}

static void test_random_batches(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e;
    struct pack_plan p;
    uint32_t lengths[MOST];
    assert_int_equal(pack_plan_init(&p, MOST, &a, &e), ERR_OK);
    for (uint64_t trial = 0; trial < 400; trial++) {
        struct rng_key key = rng_key_make(trial, RNG_SAMPLE, 0);
        size_t count = 1 + rng_word(key, 0) % MOST;
        uint64_t limit = 64 + rng_word(key, 1) % 512;
        uint32_t longest = trial % 2 ? (uint32_t)limit : (uint32_t)limit / 8;
        for (size_t i = 0; i < count; i++)
            lengths[i] = 1 + rng_word(key, 2 + i) % longest;
        assert_int_equal(pack_plan_batch(&p, lengths, count, limit, &e), ERR_OK);
        check_plan(&p, lengths, count, limit);
    }
    arena_release(&a);
}

static void test_known_plans(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e;
    struct pack_plan p;
    assert_int_equal(pack_plan_init(&p, 8, &a, &e), ERR_OK);

    /* 20 tokens, limit 10: two packs. 6 -> A, 5 -> B, 4 -> B, 3 -> A, 2 -> A fails (11), so the third pack.
     */
    const uint32_t lengths[] = {3, 6, 2, 5, 4};
    assert_int_equal(pack_plan_batch(&p, lengths, 5, 10, &e), ERR_OK);
    assert_int_equal(p.pack_count, 3);
    const uint32_t order[] = {0, 1, 2, 3, 4}, first[] = {0, 2, 3, 5};
    assert_memory_equal(p.order, order, sizeof order);
    assert_memory_equal(p.first, first, sizeof first);

    /* Fill to the brim. */
    const uint32_t full[] = {10, 1, 9, 10};
    assert_int_equal(pack_plan_batch(&p, full, 4, 10, &e), ERR_OK);
    check_plan(&p, full, 4, 10);
    assert_int_equal(p.pack_count, 3);

    /* A smaller batch after a larger one leaves nothing of it behind; no examples make no packs. */
    const uint32_t one[] = {7};
    assert_int_equal(pack_plan_batch(&p, one, 1, 10, &e), ERR_OK);
    check_plan(&p, one, 1, 10);
    assert_int_equal(pack_plan_batch(&p, one, 0, 10, &e), ERR_OK);
    assert_int_equal(p.pack_count, 0);
    arena_release(&a);
}

static void test_too_long(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e;
    struct pack_plan p;
    const uint32_t lengths[] = {5, 11};
    assert_int_equal(pack_plan_init(&p, 2, &a, &e), ERR_OK);
    assert_int_equal(pack_plan_batch(&p, lengths, 2, 10, &e), ERR_USAGE);
    assert_non_null(strstr(e.message, "11 tokens"));
    assert_non_null(strstr(e.message, "--micro-batch-tokens"));
    arena_release(&a);
}

static void test_share(void **state)
{
    (void)state;
    for (size_t packs = 0; packs < 40; packs++)
        for (size_t world = 1; world < 12; world++) {
            size_t next = 0;
            for (size_t rank = 0; rank < world; rank++) {
                size_t begin, end;
                pack_share(&begin, &end, packs, rank, world);
                assert_int_equal(begin, next);
                assert_in_range(end - begin, packs / world, packs / world + (packs % world != 0));
                next = end;
            }
            assert_int_equal(next, packs);
        }
}

static void test_fill(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e;
    struct pack p;
    assert_int_equal(pack_init(&p, 5, 2, &a, &e), ERR_OK);
    const int32_t x[] = {11, 12, 13}, y[] = {21, 22};
    const uint8_t sx[] = {0, 0, 1}, sy[] = {0, 1};
    for (int round = 0; round < 2; round++) {
        pack_clear(&p);
        assert_int_equal(p.token_count + p.example_count + p.supervised_count, 0);
        pack_add(&p, x, sx, 3, 70);
        pack_add(&p, y, sy, 2, UINT64_MAX);
    }
    assert_int_equal(p.token_count, 5);
    assert_int_equal(p.example_count, 2);
    assert_int_equal(p.supervised_count, 2);
    assert_memory_equal(p.tokens, ((const int32_t[]){11, 12, 13, 21, 22}), 5 * sizeof(int32_t));
    assert_memory_equal(p.positions, ((const int32_t[]){0, 1, 2, 0, 1}), 5 * sizeof(int32_t));
    assert_memory_equal(p.supervised, ((const uint8_t[]){0, 0, 1, 0, 1}), 5);
    assert_memory_equal(p.offsets, ((const uint32_t[]){0, 3, 5}), 3 * sizeof(uint32_t));
    assert_true(p.samples[0] == 70 && p.samples[1] == UINT64_MAX);
    arena_release(&a);
}

/* Only what an example has of its own is laid down after a prefix. */
static void test_prefixes(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e;
    struct pack p;
    assert_int_equal(pack_init(&p, 9, 4, &a, &e), ERR_OK);
    const int32_t x[] = {11, 12, 13}, y[] = {21, 22};
    const uint8_t sx[] = {0, 0, 1}, sy[] = {1, 1};
    for (int round = 0; round < 2; round++) {
        pack_clear(&p);
        assert_int_equal(p.repeated, 0);
        pack_add(&p, x, sx, 3, 70);
        pack_add_after(&p, 2, y, sy, 2, 70);
        pack_add_after(&p, 0, x, sx, 3, 71);
        pack_add_after(&p, 1, y + 1, sy, 1, 71);
    }
    assert_int_equal(p.token_count, 9);
    assert_int_equal(p.repeated, 3);
    assert_int_equal(p.supervised_count, 5);
    assert_memory_equal(p.tokens, ((const int32_t[]){11, 12, 13, 21, 22, 11, 12, 13, 22}), 9 * sizeof(int32_t));
    assert_memory_equal(p.positions, ((const int32_t[]){0, 1, 2, 2, 3, 0, 1, 2, 1}), 9 * sizeof(int32_t));
    assert_memory_equal(p.offsets, ((const uint32_t[]){0, 3, 5, 8, 9}), 5 * sizeof(uint32_t));
    assert_memory_equal(p.prefixes, ((const uint32_t[]){0, 2, 0, 1}), 4 * sizeof(uint32_t));
    arena_release(&a);
}

static void test_impossible_sizes(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e;
    struct pack p;
    struct pack_plan plan;
    assert_int_equal(pack_init(&p, (size_t)UINT32_MAX + 1, 1, &a, &e), ERR_USAGE);
    assert_int_equal(pack_plan_init(&plan, UINT32_MAX, &a, &e), ERR_USAGE);
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_batches), cmocka_unit_test(test_known_plans),
        cmocka_unit_test(test_too_long),       cmocka_unit_test(test_share),
        cmocka_unit_test(test_fill),           cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_impossible_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
