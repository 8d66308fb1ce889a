#include "run/parameters.h"

#include <string.h>

#include "run/options.h"

#define DPO   (1U << OBJECTIVE_DPO)
#define SIMPO (1U << OBJECTIVE_SIMPO)
#define PAIRS (DPO | SIMPO | 1U << OBJECTIVE_IPO | 1U << OBJECTIVE_ORPO)

#define PLACES(given, field) offsetof(struct options, given), offsetof(struct objective, field)

const struct parameter parameters[PARAMETERS] = {
    {"beta", "beta", "an --objective for preferences", PAIRS, PLACES(beta, beta)},
    {"label-smoothing", "label smoothing", "--objective dpo or simpo", DPO | SIMPO,
     PLACES(label_smoothing, label_smoothing)},
    {"sft-weight", "SFT weight", "an --objective for preferences", PAIRS, PLACES(sft_weight, likelihood)},
    {"simpo-margin", "margin", "--objective simpo", SIMPO, PLACES(simpo_margin, margin)}};

double *parameter_of(struct objective *o, const struct parameter *p)
{
    return (double *)(void *)((char *)o + p->offset);
}

bool parameter_acts(const struct parameter *p, enum objective_kind kind)
{
    return p->objectives >> kind & 1;
}

bool parameter_acts_with(const struct parameter *p, const char *objective)
{
    for (enum objective_kind kind = OBJECTIVE_DPO; kind < OBJECTIVE_COUNT; kind++)
        if (strcmp(objective, objective_name(kind)) == 0)
            return parameter_acts(p, kind);
    return false;
}
