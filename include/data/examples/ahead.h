/*
 * Reads a rank's packs ahead of the step that needs them, in a thread of its own: while one pack is computed,
 * lines of the next ones are read and tokenised, beyond the end of the batch too. The thread follows the same
 * plan as the loader that takes from it, so what comes out does not depend on it. It uses no OpenMP.
 *
 * The loader's own: see data/examples/loader.h. All memory but the tokenizer's working memory is taken when it opens.
 */
#ifndef MPILORA_DATA_EXAMPLES_AHEAD_H
#define MPILORA_DATA_EXAMPLES_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/examples/batcher.h"

struct ahead;

enum err_code ahead_open(struct ahead **a, const struct dataset *d, const struct loader_options *options,
                         struct err *e);
void ahead_close(struct ahead *a); /* ends the thread; NULL is fine */

/* The batch that begins at `cursor` is the next to be taken from, and ends at `end`. The thread goes on if it
 * is on its way there, or begins anew. */
void ahead_follow(struct ahead *a, uint64_t cursor, uint64_t end);

/* Waits for the rank's own pack `number` of that batch and exchanges it with *pack; packs before it are
 * dropped. *code and `e` are what reading this pack came to. False when the thread does not come by it (any
 * more). */
bool ahead_take(struct ahead *a, size_t number, struct pack *pack, enum err_code *code, struct err *e);

#endif
