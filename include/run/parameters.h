/*
 * The parameters of the objectives of preference training: which options they are, with which objectives they act, and
 * where they lie.
 */
#ifndef MPILORA_RUN_PARAMETERS_H
#define MPILORA_RUN_PARAMETERS_H

#include <stdbool.h>
#include <stddef.h>

#include "model/objective.h"

struct parameter {
    const char *option, *label; /* "simpo-margin"; beside the name of its objective: "margin" */
    const char *needs;          /* with what it acts, for messages */
    unsigned objectives;        /* with which it acts: 1 << kind of each */
    size_t given, offset;       /* of the double in struct options, and of that in struct objective */
};

enum { PARAMETERS = 4 };
extern const struct parameter parameters[PARAMETERS];

double *parameter_of(struct objective *o, const struct parameter *p);

bool parameter_acts(const struct parameter *p, enum objective_kind kind);
/* With the objective of this name; false for sft and for a name of none. */
bool parameter_acts_with(const struct parameter *p, const char *objective);

#endif
