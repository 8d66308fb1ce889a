/* The formulas of a plan, at their limits and by hand. */
#include "unit.h"

#include <math.h>

#include "train/plan.h"

enum { SIZE = 1 << 22 };

/* Two parts: the upper half of the array is there two seconds before the end. */
static const struct plan_part parts[] = {{SIZE / 2, SIZE / 2, 2}, {0, SIZE / 2, 0}};

static struct plan_facts facts(void)
{
    return (struct plan_facts){.adapter = SIZE,
                               .parts = parts,
                               .pack_seconds = 4,
                               .update_seconds = 0.25,
                               .base = 1e9,
                               .activations = 2e8,
                               .pack_tokens = 1000,
                               .rank_packs = 8,
                               .ranks_per_node = 1,
                               .link = {.rate = 1e9, .latency = 1e-4}};
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b));
}

static void links_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double rate, latency;
    } good[] = {{"1gbit,50us", 1e9, 50e-6},   {"2.5gbit,1ms", 2.5e9, 1e-3}, {"800mbit,0", 8e8, 0},
                {"1e9,0.00002s", 1e9, 20e-6}, {"64kbit,2s", 64e3, 2},       {"0.4tbit,900ns", 4e11, 9e-7},
                {"12bit,.5", 12, 0.5}};
    static const char *const bad[] = {"",        "1",           "gbit,1us",   "1gbit,",     ",1us",
                                      "0,1us",   "-1gbit,1us",  "1gbit,-1us", "1gb,1us",    "1gbit,1sec",
                                      "nan,1us", "inf,1us",     "1 gbit,1us", "1gbit, 1us", "1gbit,1us,2",
                                      "100gbit", "1e999bit,1s", "1gbit,1e999"};
    struct plan_link link;
    struct err e;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_ok(plan_read_link(&link, good[i].text, &e), &e);
        assert_true(near(link.rate, good[i].rate) && near(link.latency, good[i].latency));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_error(plan_read_link(&link, bad[i], &e), &e, ERR_USAGE, "--network");
    assert_ok(plan_read_link(&link, "1gbit", &e), &e);
    assert_true(link.rate > 0.94e9 && link.rate < 0.942e9 && link.latency > 0);
    struct plan_link ten;
    assert_ok(plan_read_link(&ten, "10gbit", &e), &e);
    assert_true(near(ten.rate, 10 * link.rate) && ten.latency < link.latency);
}

static void one_rank_has_no_communication(void **state)
{
    (void)state;
    struct plan_row row;
    struct plan_facts f = facts();
    for (int fast = 0; fast < 2; fast++) {
        f.fast = fast;
        plan_predict(&row, &f, 1);
        assert_true(row.sent == 0 && row.exposed_seconds == 0 && row.travel_seconds == 0 &&
                    row.messages == 0);
        assert_true(row.step_seconds == 8 * 4 + 0.25 && row.efficiency == 1 && row.packs == 8);
        assert_true(near(row.tokens_per_second, 8000 / 32.25));
        /* values, gradient, two moments; 8 packs are kept in log2(8) + 2 sums at most */
        assert_true(row.adapter == 4.0 * SIZE * (fast ? 4 : 4 + 5));
        assert_true(row.rank_memory == 1e9 + 2e8 + row.adapter && row.node_memory == row.rank_memory);
    }
}

/* Nothing but the packs, of which some ranks have more than others. */
static void without_costs_of_the_network_packs_decide(void **state)
{
    (void)state;
    struct plan_row row;
    struct plan_facts f = facts();
    f.link = (struct plan_link){.rate = INFINITY, .latency = 0};
    f.update_seconds = 0;
    for (size_t n = 1; n <= 1024; n *= 2) {
        plan_predict(&row, &f, n);
        assert_true(row.exposed_seconds == 0 && near(row.efficiency, 1) && row.packs == 8);
    }
    f.rank_packs = 0;
    f.batch_packs = 12;
    for (size_t n = 1; n <= 40; n++) {
        size_t most = (12 + n - 1) / n;
        plan_predict(&row, &f, n);
        assert_true(row.packs == most && near(row.efficiency, 12.0 / (double)(n * most)));
        assert_true(near(row.step_seconds, 4.0 * (double)most));
    }
}

/* Two ranks of 8 packs have one sum each; a bucket of an eighth takes (1 + 1) / 2 of its bytes and two
 * messages. */
static void travel_hides_behind_backward(void **state)
{
    (void)state;
    struct plan_row row;
    struct plan_facts f = facts();
    double bucket = 2e-4 + 8 * 4.0 * (SIZE / 8 + 1) / 1e9,
           last = 2e-4 + 8 * 4.0 * (SIZE - 7 * (SIZE / 8 + 1)) / 1e9;
    double agreement = 1e-4 + 8 * 8 * (2 + 16) / 1e9;
    plan_predict(&row, &f, 2);
    assert_true(near(row.sent, 4.0 * SIZE));
    assert_true(near(row.travel_seconds, 7 * bucket + last));
    /* the first three buckets lie in the upper half and are gone before the end; the fourth reaches below */
    assert_true(near(row.exposed_seconds, 4 * bucket + last + agreement));
    assert_true(near(row.step_seconds, 32.25 + row.exposed_seconds));
    assert_true(near(row.efficiency, 32.25 / row.step_seconds));

    /* all is there early: only what takes longer than that is left */
    static const struct plan_part early[] = {{0, SIZE, 0.1}};
    f.parts = early;
    plan_predict(&row, &f, 2);
    assert_true(near(row.exposed_seconds, 7 * bucket + last - 0.1 + agreement));
    static const struct plan_part earlier[] = {{0, SIZE, 1}};
    f.parts = earlier;
    plan_predict(&row, &f, 2);
    assert_true(near(row.exposed_seconds, agreement));
}

/* 8 ranks: two on each of four nodes send twice as much through a link, to 6 of the 8. */
static void ranks_of_a_node_share_link_and_base(void **state)
{
    (void)state;
    struct plan_row apart, two, all;
    struct plan_facts f = facts();
    f.link.latency = 0;
    plan_predict(&apart, &f, 8);
    f.ranks_per_node = 2;
    plan_predict(&two, &f, 8);
    f.ranks_per_node = 8;
    plan_predict(&all, &f, 8);
    assert_true(apart.nodes == 8 && two.nodes == 4 && all.nodes == 1);
    assert_true(near(apart.travel_seconds, 8 * 4.0 * SIZE * 2 * 7 / 8 / 1e9));
    assert_true(near(two.travel_seconds, 8 * 4.0 * SIZE * 2 * 2 * 6 / 8 / 1e9));
    assert_true(all.travel_seconds == 0 && all.exposed_seconds == 0 && near(all.efficiency, 1));
    assert_true(apart.sent == two.sent && two.sent == all.sent);
    assert_true(near(two.node_memory - 1e9, 2 * (apart.node_memory - 1e9)));
    assert_true(near(all.node_memory - 1e9, 8 * (apart.node_memory - 1e9)));

    f.fast = true; /* a ring crosses a link once, however many ranks a node has */
    for (f.ranks_per_node = 1; f.ranks_per_node < 8; f.ranks_per_node *= 2) {
        plan_predict(&two, &f, 8);
        assert_true(near(two.travel_seconds, 8 * 4.0 * SIZE * 2 * 7 / 8 / 1e9));
        assert_true(near(two.sent, 4.0 * SIZE * 2 * 7 / 8));
    }
}

/* 5 packs on 2 ranks: the first has (0, 1) and 2, two sums. */
static void uneven_packs_send_more_sums(void **state)
{
    (void)state;
    struct plan_row row;
    struct plan_facts f = facts();
    f.rank_packs = 0;
    f.batch_packs = 5;
    plan_predict(&row, &f, 2);
    assert_true(row.packs == 3 && near(row.sent, 4.0 * SIZE * 3 / 2));
    for (size_t n = 2; n < 600; n += 7) {
        struct plan_row next;
        plan_predict(&row, &f, n);
        plan_predict(&next, &f, n + 7);
        assert_true(next.exposed_seconds > 0 && next.efficiency < row.efficiency);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_are_read),
        cmocka_unit_test(one_rank_has_no_communication),
        cmocka_unit_test(without_costs_of_the_network_packs_decide),
        cmocka_unit_test(travel_hides_behind_backward),
        cmocka_unit_test(ranks_of_a_node_share_link_and_base),
        cmocka_unit_test(uneven_packs_send_more_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
