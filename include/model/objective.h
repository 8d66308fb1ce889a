/*
 * Objectives of preference training: from the log-probabilities of a pair's two answers to the loss and its gradient.
 *
 * x is the sum of the log-probabilities of an answer's n supervised tokens, r the same under the reference model, and
 * a = x / n; c means the chosen answer, j the rejected one, and e is the label smoothing:
 *
 *   dpo    z = beta ((x_c - r_c) - (x_j - r_j))        loss = -(1 - e) log sigmoid(z) - e log sigmoid(-z)
 *   ipo    d = (x_c - r_c) / n_c - (x_j - r_j) / n_j   loss = (d - 1 / (2 beta))^2
 *   orpo   o = log odds(a_c) - log odds(a_j)           loss = -beta log sigmoid(o), plus the likelihood below
 *          with log odds(a) = a - log(1 - exp(a))
 *   simpo  z = beta (a_c - a_j) - margin               loss = -(1 - e) log sigmoid(z) - e log sigmoid(-z)
 *
 * The loss of a batch is the mean over its pairs, plus, with a weight, the mean negative log-probability of all
 * supervised tokens of its chosen sides (the likelihood): those of the answers, and with --train-on all, as TRL's
 * ORPOTrainer has it, of the prompts. The reward of an answer is beta (x - r) for dpo and ipo, beta a for orpo and
 * simpo. These are the losses and rewards of TRL 1.16: DPOTrainer ("sigmoid", "ipo"), ORPOTrainer, CPOTrainer
 * ("simpo", whose cpo_alpha is the weight of the likelihood), but for dpo with label smoothing: that is cDPO,
 * https://ericmitchell.ai/cdpo.pdf, while "sigmoid" ignores TRL's label_smoothing, and "robust" subtracts the second
 * term and divides by 1 - 2 e. DPO: https://arxiv.org/abs/2305.18290 (eq. 7); IPO: 2310.12036 (eq. 17); ORPO:
 * 2403.07691 (eqs. 4, 6, 7); SimPO: 2405.14734 (eq. 6).
 */
#ifndef MPILORA_MODEL_OBJECTIVE_H
#define MPILORA_MODEL_OBJECTIVE_H

#include <stdbool.h>
#include <stdint.h>

enum objective_kind {
    OBJECTIVE_SFT, /* supervised fine-tuning, without pairs: none of the functions below */
    OBJECTIVE_DPO,
    OBJECTIVE_IPO,
    OBJECTIVE_ORPO,
    OBJECTIVE_SIMPO,
    OBJECTIVE_COUNT
};

struct objective {
    enum objective_kind kind;
    double beta;            /* above 0 */
    double label_smoothing; /* e, of dpo and simpo, in [0, 1/2) */
    double margin;          /* of simpo */
    double likelihood;      /* weight of the likelihood, in orpo besides its own weight of 1 */
};

/* "dpo", ... */
const char *objective_name(enum objective_kind kind);
/* Does it compare with a reference model? Without one, answers' `reference` is not read. */
bool objective_needs_reference(enum objective_kind kind);

struct objective_answer {
    double log_prob, reference; /* sums over its supervised tokens: x and r */
    uint64_t tokens;            /* their number, n > 0 */
};

/* What the means are taken over. */
struct objective_batch {
    uint64_t pairs, chosen_tokens; /* of all ranks, or of one that steps alone; tokens: those of the likelihood */
};

struct objective_result {
    double loss;             /* of the pair, without the likelihood */
    double chosen, rejected; /* derivative of the whole batch's loss by the answer's log_prob */
    double chosen_reward, rejected_reward;
};

/* One pair of a batch. */
void objective_apply(struct objective_result *out, const struct objective *o, const struct objective_batch *batch,
                     const struct objective_answer *chosen, const struct objective_answer *rejected);

/* The weight of the likelihood of each of these tokens in the batch's loss: minus its derivative by their
 * log-probabilities. */
double objective_likelihood(const struct objective *o, const struct objective_batch *batch);

/* The loss of a batch, from the sum of its pairs' losses and that of the log-probabilities of its chosen tokens. */
double objective_loss(const struct objective *o, const struct objective_batch *batch, double losses,
                      double chosen_log_probs);

#endif
