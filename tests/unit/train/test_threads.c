/* Threads of ranks, for launchers that bind and that do not. */
#include "unit.h"

#include "train/threads.h"

static struct threads_rank rank_on(const char *host, uint64_t cpus)
{
    struct threads_rank r = {.cpus = {cpus}};
    snprintf(r.host, sizeof r.host, "%s", host);
    return r;
}

static void one_rank_gets_all(void **state)
{
    (void)state;
    struct threads_rank t[] = {rank_on("a", 0xff)};
    assert_int_equal(threads_choose(t, 1, 0), 8);
    t[0].quota = 3;
    assert_int_equal(threads_choose(t, 1, 0), 3);
    t[0].wanted = 5;
    assert_int_equal(threads_choose(t, 1, 0), 5);
}

static void unbound_ranks_share(void **state)
{
    (void)state;
    struct threads_rank t[] = {rank_on("a", 0xff), rank_on("a", 0xff), rank_on("a", 0xff),
                               rank_on("b", 0xff)};
    assert_int_equal(threads_choose(t, 4, 0), 2); /* 8 / 3 */
    assert_int_equal(threads_choose(t, 4, 3), 8); /* alone on its host */
    t[0].quota = t[1].quota = t[2].quota = 3;
    assert_int_equal(threads_choose(t, 4, 1), 1);
}

static void bound_ranks_keep_their_cores(void **state)
{
    (void)state;
    struct threads_rank t[] = {rank_on("a", 0x0f), rank_on("a", 0x30), rank_on("a", 0xc0)};
    assert_int_equal(threads_choose(t, 3, 0), 4);
    assert_int_equal(threads_choose(t, 3, 1), 2);
    assert_int_equal(threads_choose(t, 3, 2), 2);
}

static void thirds_make_whole_cores(void **state)
{
    (void)state;
    struct threads_rank t[] = {rank_on("a", 7), rank_on("a", 7), rank_on("a", 7)};
    assert_int_equal(threads_choose(t, 3, 0), 1);
}

static void never_less_than_one(void **state)
{
    (void)state;
    struct threads_rank t[] = {rank_on("a", 1), rank_on("a", 1), rank_on("a", 1)};
    assert_int_equal(threads_choose(t, 3, 2), 1);
}

static void this_process_can_be_described(void **state)
{
    (void)state;
    struct dist d = {.world = 1, .host = "here"};
    struct threads_rank r;
    threads_describe(&r, &d, 0);
    assert_string_equal(r.host, "here");
    assert_true(threads_choose(&r, 1, 0) >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_rank_gets_all),
        cmocka_unit_test(unbound_ranks_share),
        cmocka_unit_test(bound_ranks_keep_their_cores),
        cmocka_unit_test(thirds_make_whole_cores),
        cmocka_unit_test(never_less_than_one),
        cmocka_unit_test(this_process_can_be_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
