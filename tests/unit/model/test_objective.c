/* The objectives of preference training against TRL's own functions in float64 (scripts/make_golden_preference.py), and
 * where log-probabilities are extreme. */
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "model/objective.h"

static enum objective_kind kind_of(const char *name)
{
    size_t kind = OBJECTIVE_SFT + 1;
    while (kind < OBJECTIVE_COUNT && strcmp(objective_name((enum objective_kind)kind), name) != 0)
        kind++;
    assert_true(kind < OBJECTIVE_COUNT);
    return (enum objective_kind)kind;
}

static struct objective objective_of(const struct json_value *row)
{
    return (struct objective){.kind = kind_of(json_text(json_get(row, "kind"))),
                              .beta = json_number(json_get(row, "beta"), NAN),
                              .label_smoothing = json_number(json_get(row, "label_smoothing"), NAN),
                              .margin = json_number(json_get(row, "margin"), NAN),
                              .likelihood = json_number(json_get(row, "likelihood"), NAN)};
}

static struct objective_answer answer_of(const struct json_value *pair, size_t side)
{
    const struct json_value *answer = json_at(pair, side);
    return (struct objective_answer){json_number(json_at(answer, 0), NAN), json_number(json_at(answer, 1), NAN),
                                     (uint64_t)json_int(json_at(answer, 2), 0)};
}

static void check_near(double got, const struct json_value *expected, size_t row, const char *what)
{
    const double value = json_number(expected, NAN);
    if (!(fabs(got - value) <= 1e-12 * (1 + fabs(value))))
        fail_msg("row %zu, %s: %.17g, not %.17g", row, what, got, value);
}

static void check_row(const struct json_value *row, size_t number)
{
    const struct objective o = objective_of(row);
    const struct json_value *pairs = json_get(row, "pairs"), *slopes = json_get(row, "slopes"),
                            *rewards = json_get(row, "rewards");
    struct objective_batch batch = {.pairs = json_count(pairs)};
    double losses = 0, log_probs = 0;
    for (size_t i = 0; i < batch.pairs; i++)
        batch.chosen_tokens += answer_of(json_at(pairs, i), 0).tokens;
    for (size_t i = 0; i < batch.pairs; i++) {
        const struct json_value *pair = json_at(pairs, i);
        const struct objective_answer chosen = answer_of(pair, 0), rejected = answer_of(pair, 1);
        struct objective_result got;
        objective_apply(&got, &o, &batch, &chosen, &rejected);
        losses += got.loss;
        log_probs += chosen.log_prob;
        check_near(got.chosen, json_at(json_at(slopes, i), 0), number, "slope of the chosen answer");
        check_near(got.rejected, json_at(json_at(slopes, i), 1), number, "slope of the rejected answer");
        check_near(got.chosen_reward, json_at(json_at(rewards, i), 0), number, "reward of the chosen answer");
        check_near(got.rejected_reward, json_at(json_at(rewards, i), 1), number, "reward of the rejected answer");
    }
    check_near(objective_loss(&o, &batch, losses, log_probs), json_get(row, "loss"), number, "loss");
}

static void same_as_the_reference(void **state)
{
    (void)state;
    char path[4096];
    struct json *golden;
    struct err e;
    size_t seen[OBJECTIVE_COUNT] = {0};
    snprintf(path, sizeof path, "%s/preference.json", getenv("GOLDEN"));
    assert_ok(json_open_file(&golden, path, 1 << 20, &e), &e);
    const struct json_value *rows = json_root(golden);
    for (size_t i = 0; i < json_count(rows); i++) {
        check_row(json_at(rows, i), i);
        seen[objective_of(json_at(rows, i)).kind]++;
    }
    for (size_t kind = OBJECTIVE_SFT + 1; kind < OBJECTIVE_COUNT; kind++)
        assert_true(seen[kind] >= 8);
    json_close(golden);
}

static struct objective_result apply(enum objective_kind kind, double chosen, double rejected)
{
    const struct objective o = {.kind = kind, .beta = 0.1};
    const struct objective_batch batch = {1, 2};
    struct objective_result out;
    objective_apply(&out, &o, &batch, &(struct objective_answer){chosen, -3, 2},
                    &(struct objective_answer){rejected, -5, 2});
    return out;
}

/* A policy that is its reference. */
static void nothing_learnt_is_log_2(void **state)
{
    (void)state;
    const struct objective_result r = apply(OBJECTIVE_DPO, -3, -5);
    assert_true(r.loss == M_LN2 && r.chosen_reward == 0 && r.rejected_reward == 0);
    assert_true(r.chosen == -0.05 && r.rejected == 0.05);
    assert_true(apply(OBJECTIVE_IPO, -3, -5).loss == 25);
}

/* Answers of probability 1, and of one that no double holds. */
static void extremes_are_finite(void **state)
{
    (void)state;
    static const double log_probs[] = {0, -1e-300, -1e-9, -1e3, -1e6};
    const size_t count = sizeof log_probs / sizeof *log_probs;
    for (size_t kind = OBJECTIVE_SFT + 1; kind < OBJECTIVE_COUNT; kind++)
        for (size_t c = 0; c < count; c++)
            for (size_t j = 0; j < count; j++) {
                const struct objective_result r = apply((enum objective_kind)kind, log_probs[c], log_probs[j]);
                assert_true(isfinite(r.loss) && r.loss >= 0 && isfinite(r.chosen) && isfinite(r.rejected));
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_the_reference),
        cmocka_unit_test(nothing_learnt_is_log_2),
        cmocka_unit_test(extremes_are_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
