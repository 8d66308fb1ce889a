/*
 * Generates the continuation of one sequence, token by token, with a key/value cache.
 */
#ifndef MPILORA_MODEL_GENERATE_H
#define MPILORA_MODEL_GENERATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/model.h"

struct generate_options {
    size_t max_new_tokens;
    double temperature; /* 0: greedy, ties to the smallest id */
    double top_p;       /* in (0, 1]: sample from the most likely tokens whose total probability reaches this */
    uint64_t seed;      /* token i is drawn with counter i */
    size_t vocab; /* ids from here on, which only pad the model's matrices, are never chosen; 0: no padding */
    const int32_t *stop; /* ids that end the sequence (not passed to the callback) */
    size_t stop_count;
};

/* Called with each new token; returning false ends generation. */
typedef bool generate_callback(int32_t token, void *context);

/* Processes the prompt (at least one token), then generates. First allocates its own memory, for prompt_count +
 * max_new_tokens positions; it needs no model_plan_memory(). ERR_MEMORY; ERR_NUMERIC if logits are not finite. */
enum err_code generate_run(struct model *m, const int32_t *prompt, size_t prompt_count,
                           const struct generate_options *options, generate_callback *callback, void *context,
                           struct err *e);

#endif
