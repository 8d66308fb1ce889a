#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "attention_fixture.h"

/* Prefixes inside of a block, of whole blocks, of a whole example and of more than a segment; an example without one of
 * its own between them; three that share one. */
static const uint32_t shared_offsets[] = {0, 150, 170, 300, 301, 365, 365, 965, 975, 1605};
static const uint32_t shared_prefixes[] = {0, 90, 128, 150, 0, 0, 0, 600, 520};
enum { SHARED = sizeof shared_prefixes / sizeof *shared_prefixes };

static void check_shared(enum dtype type, const struct kern *kern, const size_t shape[3], size_t window, float cap)
{
    struct fixture f;
    fixture_init(&f, type, shape[0], shape[1], shape[2], shared_offsets, SHARED);
    set_prefixes(&f, shared_prefixes);
    f.shape.kern = kern;
    f.shape.window = window;
    f.shape.cap = cap;
    check_against_reference(&f);
    fixture_release(&f);
}

static void test_shared_prefixes_match_reference(void **state)
{
    (void)state;
    static const size_t narrow[] = {2, 1, 4}, wide[] = {2, 1, 32};
    FOR_EACH_TYPE(type)
    {
        check_shared(*type, NULL, narrow, 0, 0);
        check_shared(*type, NULL, narrow, 100, 2);
        check_shared(*type, NULL, wide, 0, 0); /* by the processor's own kernels of tiles */
    }
    check_shared(DTYPE_F32, &kern_reference, wide, 300, 0); /* by the tiles' own plain kernels */
}

/* Against the same examples with the prefix's tokens of their own: forward has the same bits; the gradient of a shared
 * token is the sum of those of its copies. */
static void check_equals_copies(enum dtype type, size_t window)
{
    enum { PROMPT = 70, CHOSEN = 150, REJECTED = 100, ALL = CHOSEN + REJECTED - PROMPT };
    static const uint32_t once[] = {0, CHOSEN, ALL}, prefixes[] = {0, PROMPT},
                          twice[] = {0, CHOSEN, CHOSEN + REJECTED};
    struct fixture f, copies;
    fixture_init(&f, type, 6, 2, 64, once, 2);
    fixture_init(&copies, type, 6, 2, 64, twice, 2);
    set_prefixes(&f, prefixes);
    f.shape.window = copies.shape.window = window;
    for (size_t token = 0; token < copies.n; token++) {
        size_t from = token < CHOSEN ? token : token < CHOSEN + PROMPT ? token - CHOSEN : token - PROMPT;
        memcpy(copies.qkv + token * f.ld, f.qkv + from * f.ld, f.ld * sizeof(float));
        memcpy(copies.dout + token * f.width, f.dout + from * f.width, f.width * sizeof(float));
    }
    memset(copies.dout + CHOSEN * f.width, 0, PROMPT * f.width * sizeof(float));
    run(&f);
    run(&copies);
    assert_memory_equal(f.out, copies.out, CHOSEN * f.width * sizeof(float));
    assert_memory_equal(f.out + CHOSEN * f.width, copies.out + (CHOSEN + PROMPT) * f.width,
                        (REJECTED - PROMPT) * f.width * sizeof(float));
    for (size_t i = 0; i < PROMPT * f.ld; i++)
        if (i % f.ld < f.ld - 3)
            copies.dqkv[i] += copies.dqkv[CHOSEN * f.ld + i];
    memmove(copies.dqkv + CHOSEN * f.ld, copies.dqkv + (CHOSEN + PROMPT) * f.ld,
            (REJECTED - PROMPT) * f.ld * sizeof(float));
    double error = rows_distance(f.dqkv, copies.dqkv, f.n, f.ld - 3, f.ld);
    if (!(error < (type == DTYPE_F32 ? 1e-6 : 2 * 0x1p-8)))
        fail_msg("%s: error %g of dqkv", dtype_info(type)->name, error);
    fixture_release(&f);
    fixture_release(&copies);
}

static void test_shared_prefixes_equal_copies(void **state)
{
    (void)state;
    FOR_EACH_TYPE(type)
    {
        check_equals_copies(*type, 0);
        check_equals_copies(*type, 40);
    }
}

static void test_gradient_of_shared_prefixes_by_differences(void **state)
{
    (void)state;
    static const uint32_t prefixes[] = {0, 2};
    check_gradient_by_differences(0, 0, prefixes);
    check_gradient_by_differences(4, 1, prefixes);
}

static void test_threads_do_not_matter(void **state)
{
    (void)state;
    check_threads(DTYPE_F32, shared_offsets, shared_prefixes, SHARED, 200);
    if (!bf16_is_plain())
        check_threads(DTYPE_BF16, shared_offsets, shared_prefixes, SHARED, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_prefixes_match_reference),
        cmocka_unit_test(test_shared_prefixes_equal_copies),
        cmocka_unit_test(test_gradient_of_shared_prefixes_by_differences),
        cmocka_unit_test(test_threads_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
