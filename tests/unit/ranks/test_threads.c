/* Threads of ranks, for launchers that bind and that do not. */
#include "unit.h"

#include <stdlib.h>

#include "base/file.h"
#include "ranks/threads.h"
#include "scratch.h"

static struct threads_rank rank_on(const char *host, uint64_t cpus)
{
    struct threads_rank r = {.cpus = {cpus}, .job = __builtin_popcountll(cpus)};
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

static void slurm_grants_less_than_there_is(void **state)
{
    (void)state;
    struct threads_rank t[] = {rank_on("a", 0xff), rank_on("a", 0xff)};
    t[0].granted = t[1].granted = 3;
    assert_int_equal(threads_choose(t, 2, 1), 3);
    t[1].granted = 6;
    assert_int_equal(threads_choose(t, 2, 1), 4); /* no more than its share of what it may run on */
    t[1].quota = t[0].quota = 4;
    assert_int_equal(threads_choose(t, 2, 0), 2);
    t[0].wanted = 7;
    assert_int_equal(threads_choose(t, 2, 0), 7);

    struct dist d = {.world = 1, .host = "here"};
    static const struct {
        const char *text;
        int granted;
    } cases[] = {{"5", 5}, {"", 0}, {"0", 0}, {"-2", 0}, {"4x", 0}, {"99999999999", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("SLURM_CPUS_PER_TASK", cases[i].text, 1);
        threads_describe(&t[0], &d, 0);
        assert_int_equal(t[0].granted, cases[i].granted);
    }
    unsetenv("SLURM_CPUS_PER_TASK");
    threads_describe(&t[0], &d, 0);
    assert_int_equal(t[0].granted, 0);
}

static void the_environment_is_an_upper_bound(void **state)
{
    (void)state;
    struct threads_rank t[] = {rank_on("a", 0xff), rank_on("a", 0xff)};
    t[0].limit = t[1].limit = 3;
    assert_int_equal(threads_choose(t, 2, 0), 3);
    t[0].limit = 5;
    assert_int_equal(threads_choose(t, 2, 0), 4); /* its share */
    t[0].granted = 2;
    assert_int_equal(threads_choose(t, 2, 0), 2);
    t[1].wanted = 6;
    assert_int_equal(threads_choose(t, 2, 1), 6);

    struct dist d = {.world = 1, .host = "here"};
    static const struct {
        const char *text;
        int limit;
    } cases[] = {{"5", 5}, {"4,2", 4}, {"", 0}, {"0", 0}, {"-2", 0}, {"4x", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("OMP_NUM_THREADS", cases[i].text, 1);
        threads_describe(&t[0], &d, 0);
        assert_int_equal(t[0].limit, cases[i].limit);
    }
    unsetenv("OMP_NUM_THREADS");
}

static void idle_cores_are_named_with_what_gives_them(void **state)
{
    (void)state;
    struct err e;
    static const struct {
        int ranks;
        uint64_t cpus[2];
        int job, wanted, limit, granted;
        const char *warning;
    } cases[] = {
        {1, {0xff}, 8, 0, 0, 0, ""},
        {2, {0xff, 0xff}, 8, 0, 0, 0, ""},
        {1, {0xff}, 8, 3, 0, 0, ""}, /* as --threads says */
        {1,
         {0x1},
         8,
         0,
         0,
         0,
         "1 rank of a may use 1 of the 8 cores that the job has there: start mpirun with --bind-to none\n"},
        {1,
         {0x1},
         8,
         8,
         0,
         0,
         "1 rank of a may use 1 of the 8 cores that the job has there: start mpirun with --bind-to none\n"},
        {2,
         {0x1, 0x2},
         8,
         0,
         0,
         0,
         "2 ranks of a may use 2 of the 8 cores that the job has there: start mpirun with --bind-to none\n"},
        {2,
         {0x1, 0x1},
         1,
         0,
         0,
         0,
         "all 2 ranks of a may use one core only: start mpirun with --bind-to none, or ask for more cores\n"},
        {1,
         {0x3},
         2,
         4,
         0,
         0,
         "1 rank with 4 threads in all has 2 cores of a: fewer --threads or fewer ranks are faster\n"},
        {2,
         {0xff, 0xff},
         8,
         0,
         1,
         0,
         "OMP_NUM_THREADS=1 leaves 6 of the 8 cores of a idle: unset it, or give --threads 4\n"},
        {1, {0xff}, 8, 0, 8, 0, ""},
        {1, {0xff}, 8, 0, 2, 2, ""}, /* Slurm gave no more */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct threads_rank t[2];
        struct str lines = {0};
        for (int r = 0; r < cases[i].ranks; r++) {
            t[r] = rank_on("a", cases[i].cpus[r]);
            t[r].job = cases[i].job;
            t[r].wanted = cases[i].wanted;
            t[r].limit = cases[i].limit;
            t[r].granted = cases[i].granted;
        }
        assert_ok(threads_warnings(&lines, t, (size_t)cases[i].ranks, &e), &e);
        assert_string_equal(lines.length ? lines.data : "", cases[i].warning);
        str_release(&lines);
    }
}

static void the_map_has_a_line_for_each_host(void **state)
{
    (void)state;
    struct err e;
    struct str map = {0};
    struct threads_rank t[] = {rank_on("a", 0x3), rank_on("a", 0x3),  rank_on("b", 0x1), rank_on("b", 0xf2),
                               rank_on("a", 0x4), rank_on("c", 0x80), rank_on("c", 0x80)};
    t[6].wanted = 2;
    assert_ok(threads_map(&map, t, 7, &e), &e);
    assert_string_equal(map.data,
                        "a: ranks 0-1 with 1 thread each on cores 0-1, rank 4 with 1 thread on cores 2\n"
                        "b: rank 2 with 1 thread on cores 0, rank 3 with 5 threads on cores 1,4-7\n"
                        "c: rank 5 with 1 thread on cores 7, rank 6 with 2 threads on cores 7\n");
    t[3].job = 16;
    str_clear(&map);
    assert_ok(threads_map(&map, t, 7, &e), &e);
    assert_non_null(strstr(map.data, "rank 3 with 5 threads on cores 1,4-7, of 16 that the job has\n"));
    str_release(&map);
}

static void never_less_than_one(void **state)
{
    (void)state;
    struct threads_rank t[] = {rank_on("a", 1), rank_on("a", 1), rank_on("a", 1)};
    assert_int_equal(threads_choose(t, 3, 2), 1);
}

/* As of two cores with two threads each, numbered as Intel and Linux do: 0 and 2, 1 and 3. Processor 4 does not say. */
static void threads_of_a_core_are_counted_once(void **state)
{
    (void)state;
    struct scratch devices;
    struct err e;
    static const char *const siblings[] = {"0,2\n", "1,3\n", "0,2\n", "1,3\n"};
    assert_true(scratch_open(&devices));
    for (size_t cpu = 0; cpu < sizeof siblings / sizeof *siblings; cpu++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/cpu%zu/topology", devices.folder, cpu);
        assert_ok(file_make_folders(path, &e), &e);
        strcat(path, "/thread_siblings_list");
        assert_ok(file_write_atomic(path, siblings[cpu], strlen(siblings[cpu]), &e), &e);
    }
    static const struct {
        uint64_t cpus;
        int cores;
    } cases[] = {{0x0, 0}, {0x1, 1}, {0x5, 1}, {0x4, 1}, {0x3, 2}, {0xc, 2}, {0xf, 2}, {0x1f, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct threads_rank r = rank_on("a", cases[i].cpus);
        assert_int_equal(threads_count_cores(&r, devices.folder), cases[i].cores);
    }
    scratch_close(&devices);
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
        cmocka_unit_test(slurm_grants_less_than_there_is),
        cmocka_unit_test(the_environment_is_an_upper_bound),
        cmocka_unit_test(idle_cores_are_named_with_what_gives_them),
        cmocka_unit_test(the_map_has_a_line_for_each_host),
        cmocka_unit_test(never_less_than_one),
        cmocka_unit_test(threads_of_a_core_are_counted_once),
        cmocka_unit_test(this_process_can_be_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
