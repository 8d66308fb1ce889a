/* What the ranks of a host take together. */
#include "unit.h"

#include "ranks/memory.h"

static struct memory_rank rank_on(const char *host, double shared, double own)
{
    struct memory_rank r = {.shared = shared, .own = own};
    snprintf(r.host, sizeof r.host, "%s", host);
    return r;
}

static void counts_what_is_shared_once(void **state)
{
    (void)state;
    struct memory_rank t[] = {rank_on("a", 100, 7), rank_on("b", 100, 8), rank_on("a", 100, 9)};
    assert_true(memory_of_host(t, 3, 0) == 116);
    assert_true(memory_of_host(t, 3, 2) == 116);
    assert_true(memory_of_host(t, 3, 1) == 108);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counts_what_is_shared_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
