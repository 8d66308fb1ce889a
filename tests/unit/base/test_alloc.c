#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/str.h"

static void each_call_counts(void **state)
{
    (void)state;
    uint64_t before = alloc_count();
    void *volatile a = malloc(10), *volatile b = calloc(2, 5), *volatile c = aligned_alloc(64, 128);
    assert_int_equal(alloc_count() - before, 3);
    void *volatile grown = realloc(a, 1000);
    assert_int_equal(alloc_count() - before, 4);
    free(grown);
    free(b);
    free(c);
    assert_int_equal(alloc_count() - before, 4);
}

static void what_our_modules_allocate_counts(void **state)
{
    (void)state;
    struct str text = {0};
    struct err e;
    uint64_t before = alloc_count();
    assert_int_equal(str_appendf(&text, &e, "%d", 1), ERR_OK);
    assert_true(alloc_count() > before);
    str_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_counts),
        cmocka_unit_test(what_our_modules_allocate_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
