/* A step takes no memory: calls of the allocator by our own code are counted while one runs. (OpenBLAS takes
 * a table of jobs for each product that it divides among threads; that is not ours to change.) */
#include <stdatomic.h>

#include "tiny_model.h"

#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
#define COUNTING 0
#else
#define COUNTING 1

static atomic_size_t calls;
extern const char __executable_start,
    etext; /* of the program, whose code is all ours: libraries lie elsewhere */

static void count_call(const void *caller)
{
    if ((uintptr_t)caller >= (uintptr_t)&__executable_start && (uintptr_t)caller < (uintptr_t)&etext)
        atomic_fetch_add(&calls, 1);
}

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

/* Ours stand before the C library's for the whole process, libraries included. */
void *malloc(size_t size)
{
    count_call(__builtin_return_address(0));
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    count_call(__builtin_return_address(0));
    return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    count_call(__builtin_return_address(0));
    return __libc_realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    count_call(__builtin_return_address(0));
    return __libc_memalign(alignment, size);
}
#endif

static void a_step_calls_no_allocator(void **state)
{
    (void)state;
#if COUNTING
    static struct tiny t;
    struct err e;
    struct model_result result;
    tiny_open(&t, "tiny_gqa");
    t.lora.dropout = 0.1F;
    tiny_plan(&t);
    tiny_clear(&t);
    tiny_add_random(&t, 250, 1);
    tiny_add_random(&t, 140, 2);
    float *logits = malloc(t.in.n * t.model.arch.vocab * sizeof *logits);
    size_t before = 0;
    for (int turn = 0; turn < 3; turn++) { /* the first turn starts the threads */
        if (turn == 1)
            before = atomic_load(&calls);
        assert_int_equal(model_step_grad(&t.model, &t.in, 1, &t.grads, &result, NULL, &e), ERR_OK);
        assert_int_equal(model_evaluate(&t.model, &t.in, &result, NULL, &e), ERR_OK);
        assert_int_equal(model_logits(&t.model, &t.in, logits, &e), ERR_OK);
    }
    size_t after = atomic_load(&calls);
    assert_true(before > 0); /* the counter counts */
    assert_int_equal(after, before);
    free(logits);
    tiny_close(&t);
#else
    print_message("skipped: the allocator belongs to the sanitizer\n");
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_step_calls_no_allocator)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
