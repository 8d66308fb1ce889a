/* The formulas of a plan, at their limits and by hand. */
#include "unit.h"

#include <math.h>

#include "bench/plan.h"

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
        assert_ok(plan_read_link(&link, &(struct opt_text){OPT_NO_WORD, good[i].text}, &e), &e);
        assert_true(near(link.rate, good[i].rate) && near(link.latency, good[i].latency));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_error(plan_read_link(&link, &(struct opt_text){OPT_NO_WORD, bad[i]}, &e), &e, ERR_USAGE,
                     "--network");
    assert_ok(plan_read_link(&link, &(struct opt_text){NETWORK_1GBIT, "1gbit"}, &e), &e);
    assert_true(link.rate > 0.94e9 && link.rate < 0.942e9 && link.latency > 0);
    struct plan_link ten;
    assert_ok(plan_read_link(&ten, &(struct opt_text){NETWORK_10GBIT, "10gbit"}, &e), &e);
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
        f.copies = 2;
        plan_predict(&row, &f, 1);
        assert_true(row.adapter == 4.0 * SIZE * (fast ? 6 : 6 + 5));
        f.copies = 0;
    }
}

/* Its packs, and an agreement of the ranks. */
static void the_reference_is_apart_from_the_steps(void **state)
{
    (void)state;
    struct plan_row without, with;
    struct plan_facts f = facts();
    f.batch_packs = 8;
    for (size_t ranks = 1; ranks <= 4; ranks *= 2) {
        f.reference_seconds = 0;
        plan_predict(&without, &f, ranks);
        assert_true(without.reference_seconds == 0);
        f.reference_seconds = 1.5;
        plan_predict(&with, &f, ranks);
        assert_true(with.step_seconds == without.step_seconds && with.rank_memory == without.rank_memory);
        const double packs = 8.0 / (double)ranks, agreement = with.reference_seconds - packs * 1.5;
        assert_true(ranks == 1 ? agreement == 0 : agreement > 0 && agreement < 1e-3);
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

enum { BUCKET = SIZE / 8 + 1, LAST = SIZE - 7 * BUCKET };

/* Of two ranks, whose 8 packs make one sum each: half of a bucket in one message. */
static double stage(const struct plan_facts *f, double floats)
{
    return f->link.latency + 8 * 4 * floats / 2 / f->link.rate;
}

/* Three buckets lie in the upper half, which is there four seconds before the end; all others end with the
 * pack.
 */
static void travel_moves_at_looks_only(void **state)
{
    (void)state;
    struct plan_row row;
    struct plan_facts f = facts();
    static const struct plan_part looks[] = {{SIZE / 2, SIZE / 2, 4},
                                             {SIZE / 2 - 1, 1, 3},
                                             {SIZE / 2 - 2, 1, 2},
                                             {SIZE / 2 - 3, 1, 1},
                                             {0, SIZE / 2 - 3, 0}};
    static const struct plan_part three[] = {{SIZE / 2, SIZE / 2, 4}, {8, SIZE / 2 - 8, 2}, {0, 8, 0}};
    double agreement = 1e-4 + 8 * 8 * (2 + 16) / 1e9;
    double whole = stage(&f, BUCKET), last = stage(&f, LAST), five = 8 * whole + 2 * last;

    /* announced at -4, sent at -3, totals announced at -2 and sent at -1 */
    f.parts = looks;
    plan_predict(&row, &f, 2);
    assert_true(near(row.sent, 4.0 * SIZE));
    assert_true(near(row.travel_seconds, 14 * whole + 2 * last));
    assert_true(near(row.exposed_seconds, five + agreement));
    assert_true(near(row.step_seconds, 32.25 + row.exposed_seconds));
    assert_true(near(row.efficiency, 32.25 / row.step_seconds));

    /* the same, where one stage takes half a look: the third bucket's totals have to wait for the last look
     */
    f.link = (struct plan_link){8 * 4 * BUCKET / 2.0 / 0.45, 0};
    plan_predict(&row, &f, 2);
    agreement = 8 * 8 * (2 + 16) / f.link.rate;
    assert_true(near(row.exposed_seconds, 9 * 0.45 + 2 * stage(&f, LAST) + agreement));

    /* one look in between: slices have arrived by the end, totals have not set out */
    f = facts();
    f.parts = three;
    plan_predict(&row, &f, 2);
    agreement = 1e-4 + 8 * 8 * (2 + 16) / 1e9;
    assert_true(near(row.exposed_seconds, 3 * whole + five + agreement));

    /* none: nothing is hidden, however early it was there */
    f.parts = parts;
    plan_predict(&row, &f, 2);
    assert_true(near(row.exposed_seconds, 14 * whole + 2 * last + agreement));
    static const struct plan_part early[] = {{0, SIZE, 1}};
    f.parts = early;
    plan_predict(&row, &f, 2);
    assert_true(near(row.exposed_seconds, 14 * whole + 2 * last + agreement));
}

/* A tree: all of a bucket to the root and back, log2(nodes) messages each way. */
static void fast_way_is_a_tree(void **state)
{
    (void)state;
    struct plan_row row;
    struct plan_facts f = facts();
    f.fast = true;
    static const size_t rounds[] = {0, 0, 1, 2, 2, 3, 3, 3, 3, 4};
    for (size_t n = 2; n <= 9; n++) {
        double bytes = 2.0 * (double)rounds[n] * 4 * SIZE, messages = 2.0 * (double)rounds[n] * 8;
        plan_predict(&row, &f, n);
        assert_true(near(row.sent, (double)rounds[n] * 4 * SIZE));
        assert_true(near(row.travel_seconds, messages * 1e-4 + 8 * bytes / 1e9));
        /* all is exposed; of two: all ups without a pause, then the last but one down, then the last */
        double agreement = (double)rounds[n] * (1e-4 + 8 * 8 * 9 * (double)n / 1e9);
        double exposed = row.exposed_seconds - agreement, whole = 1e-4 + 8 * 4.0 * BUCKET / 1e9;
        assert_true(n == 2 ? near(exposed, row.travel_seconds / 2 + whole)
                           : exposed > row.travel_seconds / 2 + whole && exposed <= row.travel_seconds);
    }
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

    f.fast = true; /* a tree over the nodes, however many ranks they have */
    for (f.ranks_per_node = 1; f.ranks_per_node < 8; f.ranks_per_node *= 2) {
        plan_predict(&two, &f, 8);
        assert_true(
            near(two.travel_seconds, 8 * 4.0 * SIZE * 2 * log2(8.0 / (double)f.ranks_per_node) / 1e9));
        assert_true(near(two.sent, 4.0 * SIZE * 3));
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
        cmocka_unit_test(the_reference_is_apart_from_the_steps),
        cmocka_unit_test(without_costs_of_the_network_packs_decide),
        cmocka_unit_test(travel_moves_at_looks_only),
        cmocka_unit_test(fast_way_is_a_tree),
        cmocka_unit_test(ranks_of_a_node_share_link_and_base),
        cmocka_unit_test(uneven_packs_send_more_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
