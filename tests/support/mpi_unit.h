/*
 * CMocka on several ranks. A rank that leaves a test early would hang the others in their next collective
 * call, so a test collects its own verdict with expect(), and agree() makes it one for all ranks.
 */
#ifndef MPILORA_TESTS_MPI_UNIT_H
#define MPILORA_TESTS_MPI_UNIT_H

#include "ranks/dist.h"
#include "unit.h"

static struct dist ranks;
static uint64_t failures;

#define expect(condition)                                                                                    \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            failures++;                                                                                      \
            print_error("rank %d of %d, line %d: %s\n", ranks.rank, ranks.world, __LINE__, #condition);      \
        }                                                                                                    \
    } while (0)

static inline void agree(void)
{
    struct err e;
    uint64_t all = failures;
    failures = 0;
    assert_ok(dist_sum_u64(&ranks, &all, 1, &e), &e);
    assert_int_equal(all, 0);
}

/* Ranks of one machine as if each `per_node` of them were on a host of their own. */
static inline void pretend(struct dist *node, int per_node)
{
    struct err e;
    expect(dist_split(node, &ranks, ranks.rank / per_node, &e) == ERR_OK);
}

/* The main function: starts and stops the ranks around the tests. */
#define MPI_UNIT_MAIN(tests)                                                                                 \
    int main(int argc, char **argv)                                                                          \
    {                                                                                                        \
        struct err e;                                                                                        \
        if (dist_start(&ranks, &argc, &argv, &e)) {                                                          \
            print_error("%s\n", e.message);                                                                  \
            return 1;                                                                                        \
        }                                                                                                    \
        int failed = cmocka_run_group_tests(tests, NULL, NULL);                                              \
        dist_stop(&ranks);                                                                                   \
        return failed;                                                                                       \
    }

#endif
