/*
 * Generates continuations token by token with a key/value cache: of one prompt, or of several at once. A batch
 * reads the weights only once for each step, and reading them takes most of the time.
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
    uint64_t seed;      /* token i of the prompt with number n is drawn with counter i of stream n */
    size_t vocab; /* ids from here on, which only pad the model's matrices, are never chosen; 0: no padding */
    const int32_t *stop; /* ids that end a sequence (not passed to the callback) */
    size_t stop_count;
};

struct generate_prompt {
    const int32_t *tokens; /* [count], at least one */
    size_t count;
    size_t max_new_tokens; /* overrides that of the options; 0: does not */
    uint64_t number;
    int32_t stop; /* a further id that ends this sequence; -1: none */
};

#define GENERATE_BATCH_MAX 256

/* Called with each new token of a prompt; returning false ends its sequence. */
typedef bool generate_each(size_t prompt, int32_t token, void *context);

/* Processes up to GENERATE_BATCH_MAX prompts one after the other, then generates one token at a time for all
 * sequences that have not ended. First allocates its own memory, for all positions of all prompts and new tokens;
 * it needs no model_plan_memory(). The tokens may depend on which prompts are in the batch, because products of
 * other shapes round differently. ERR_MEMORY; ERR_NUMERIC if logits are not finite. */
enum err_code generate_batch(const struct model *m, const struct generate_prompt *prompts, size_t count,
                             const struct generate_options *options, generate_each *each, void *context,
                             struct err *e);

typedef bool generate_callback(int32_t token, void *context);

/* The same for one prompt, with number 0. */
enum err_code generate_run(const struct model *m, const int32_t *prompt, size_t prompt_count,
                           const struct generate_options *options, generate_callback *callback, void *context,
                           struct err *e);

#endif
