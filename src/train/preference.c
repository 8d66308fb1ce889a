#include "train/preference.h"

#include <string.h>

#include "base/mark.h"

size_t preference_sums(enum objective_kind kind)
{
    return kind == OBJECTIVE_SFT ? 0 : PREFERENCE_SUMS;
}

static struct objective_answer answer_of(const struct preference *p, size_t example, const double *log_prob)
{
    const struct model_input *in = &p->in;
    struct objective_answer answer = {.log_prob = log_prob[example]};
    if (p->reference)
        answer.reference = p->reference[2 * p->batcher->index[p->pairs[example / 2]] + example % 2];
    for (uint32_t i = in->offsets[example]; i < in->offsets[example + 1]; i++)
        answer.tokens += in->supervised[i] == MARK_ANSWER;
    return answer;
}

/* Applies the objective to the pairs of p->in. `weights` may be NULL. */
static void apply(struct preference *p, double *weights, const double *log_prob)
{
    memset(p->sums, 0, sizeof p->sums);
    for (size_t i = 0; i + 1 < p->in.examples; i += 2) {
        const struct objective_answer chosen = answer_of(p, i, log_prob), rejected = answer_of(p, i + 1, log_prob);
        struct objective_result r;
        objective_apply(&r, &p->objective, &p->weighed, &chosen, &rejected);
        if (weights) { /* of the negative log-probabilities */
            weights[i] = -r.chosen;
            weights[i + 1] = -r.rejected;
        }
        p->sums[PREFERENCE_LOSS] += r.loss;
        p->sums[PREFERENCE_LIKELIHOOD] += chosen.log_prob;
        p->sums[PREFERENCE_CHOSEN_REWARD] += r.chosen_reward;
        p->sums[PREFERENCE_REJECTED_REWARD] += r.rejected_reward;
        p->sums[PREFERENCE_RIGHT] += r.chosen_reward > r.rejected_reward;
    }
}

static void weigh(void *preference, double *weights, const double *log_prob)
{
    apply(preference, weights, log_prob);
}

void preference_init(struct preference *p, const struct objective *objective)
{
    *p = (struct preference){.objective = *objective};
}

void preference_begin(struct preference *p, const struct batcher *b)
{
    p->batcher = b;
    p->batch = p->weighed = (struct objective_batch){.pairs = b->examples, .chosen_tokens = b->chosen};
}

static void take_pack(struct preference *p, size_t pack, const struct model_input *in)
{
    p->pairs = p->batcher->plan.order + p->batcher->plan.first[pack];
    p->in = *in;
}

struct model_input preference_input(struct preference *p, size_t pack, const struct model_input *in)
{
    struct model_input weighed = *in;
    if (p->objective.kind == OBJECTIVE_SFT)
        return weighed;
    take_pack(p, pack, in);
    p->weigher = (struct model_weigher){weigh, p};
    weighed.weigher = &p->weigher;
    weighed.likelihood = objective_likelihood(&p->objective, &p->weighed);
    return weighed;
}

const double *preference_sums_of(struct preference *p, const struct model_result *result)
{
    p->sums[PREFERENCE_LIKELIHOOD] += result->likelihood;
    return p->sums;
}

const double *preference_measure(struct preference *p, size_t pack, const struct model_input *in,
                                 const double *log_prob, const struct model_result *result)
{
    take_pack(p, pack, in);
    apply(p, NULL, log_prob);
    return preference_sums_of(p, result);
}

double preference_finish(struct metrics_rewards *rewards, const struct preference *p, const double *totals)
{
    const double pairs = (double)p->batch.pairs;
    *rewards = (struct metrics_rewards){.chosen = totals[PREFERENCE_CHOSEN_REWARD] / pairs,
                                        .rejected = totals[PREFERENCE_REJECTED_REWARD] / pairs,
                                        .accuracy = totals[PREFERENCE_RIGHT] / pairs};
    rewards->margin = rewards->chosen - rewards->rejected;
    return objective_loss(&p->objective, &p->batch, totals[PREFERENCE_LOSS], totals[PREFERENCE_LIKELIHOOD]);
}
