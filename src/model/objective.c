#include "model/objective.h"

#include <assert.h>
#include <math.h>

/* What the functions below compute from: beta times it is an answer's reward. */
struct score {
    double chosen, rejected;
};

/* The loss of a pair and its derivatives by the scores. */
struct slope {
    double loss, chosen, rejected;
};

static double log_sigmoid(double z)
{
    return (z < 0 ? z : 0) - log1p(exp(-fabs(z)));
}

static double sigmoid(double z)
{
    return z < 0 ? exp(z) / (1 + exp(z)) : 1 / (1 + exp(-z));
}

/* -(1 - e) log sigmoid(z) - e log sigmoid(-z) for z = beta (chosen - rejected) - margin */
static struct slope compare(const struct objective *o, const struct score *s, double margin)
{
    const double e = o->label_smoothing, z = o->beta * (s->chosen - s->rejected) - margin;
    const double slope = o->beta * (e * sigmoid(z) - (1 - e) * sigmoid(-z));
    return (struct slope){-(1 - e) * log_sigmoid(z) - e * log_sigmoid(-z), slope, -slope};
}

static struct slope apply_dpo(const struct objective *o, const struct score *s)
{
    return compare(o, s, 0);
}

static struct slope apply_ipo(const struct objective *o, const struct score *s)
{
    const double distance = s->chosen - s->rejected - 1 / (2 * o->beta);
    return (struct slope){distance * distance, 2 * distance, -2 * distance};
}

/* A mean log-probability that is 0 in f32 stands for one a little below: its odds are finite. */
static double below_certainty(double mean)
{
    return fmin(mean, -0x1p-50);
}

/* log(1 - exp(x)) for x < 0, without cancellation. */
static double log_1_minus_exp(double x)
{
    return x < -M_LN2 ? log1p(-exp(x)) : log(-expm1(x));
}

static struct slope apply_orpo(const struct objective *o, const struct score *s)
{
    const double chosen = below_certainty(s->chosen), rejected = below_certainty(s->rejected);
    const double z = chosen - log_1_minus_exp(chosen) - (rejected - log_1_minus_exp(rejected));
    const double slope = -o->beta * sigmoid(-z);
    return (struct slope){-o->beta * log_sigmoid(z), slope / -expm1(chosen), -slope / -expm1(rejected)};
}

static struct slope apply_simpo(const struct objective *o, const struct score *s)
{
    return compare(o, s, o->margin);
}

static const struct {
    const char *name;
    struct slope (*apply)(const struct objective *o, const struct score *s);
    bool reference;   /* the log-probabilities of the reference are subtracted */
    bool mean;        /* sums are divided by the number of tokens */
    bool mean_reward; /* those of rewards, too */
    double likelihood;
} rows[OBJECTIVE_COUNT] = {
    [OBJECTIVE_DPO] = {"dpo", apply_dpo, .reference = true},
    [OBJECTIVE_IPO] = {"ipo", apply_ipo, .reference = true, .mean = true},
    [OBJECTIVE_ORPO] = {"orpo", apply_orpo, .mean = true, .mean_reward = true, .likelihood = 1},
    [OBJECTIVE_SIMPO] = {"simpo", apply_simpo, .mean = true, .mean_reward = true},
};

const char *objective_name(enum objective_kind kind)
{
    return rows[kind].name;
}

bool objective_needs_reference(enum objective_kind kind)
{
    return rows[kind].reference;
}

double objective_likelihood(const struct objective *o, const struct objective_batch *batch)
{
    return (rows[o->kind].likelihood + o->likelihood) / (double)batch->chosen_tokens;
}

void objective_apply(struct objective_result *out, const struct objective *o, const struct objective_batch *batch,
                     const struct objective_answer *chosen, const struct objective_answer *rejected)
{
    assert(o->beta > 0 && chosen->tokens > 0 && rejected->tokens > 0 && batch->pairs > 0);
    const bool reference = rows[o->kind].reference, mean = rows[o->kind].mean, mean_reward = rows[o->kind].mean_reward;
    const double chosen_tokens = (double)chosen->tokens, rejected_tokens = (double)rejected->tokens;
    const struct score sums = {chosen->log_prob - (reference ? chosen->reference : 0),
                               rejected->log_prob - (reference ? rejected->reference : 0)};
    const struct score means = {sums.chosen / chosen_tokens, sums.rejected / rejected_tokens};
    const struct slope slope = rows[o->kind].apply(o, mean ? &means : &sums);
    const struct score *rewards = mean_reward ? &means : &sums;
    const double pairs = (double)batch->pairs;
    *out = (struct objective_result){
        .loss = slope.loss,
        .chosen = slope.chosen / (mean ? chosen_tokens : 1) / pairs - objective_likelihood(o, batch),
        .rejected = slope.rejected / (mean ? rejected_tokens : 1) / pairs,
        .chosen_reward = o->beta * rewards->chosen,
        .rejected_reward = o->beta * rewards->rejected,
    };
}

double objective_loss(const struct objective *o, const struct objective_batch *batch, double losses,
                      double chosen_log_probs)
{
    return losses / (double)batch->pairs - objective_likelihood(o, batch) * chosen_log_probs;
}
