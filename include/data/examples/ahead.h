/*
 * Reads the packs of a rank in advance, in a separate thread: while one pack is computed, the thread reads and
 * tokenises the lines of the next ones, also of the next batch. It follows the same plan as the loader, so the
 * packs are the same with and without it. The thread uses no OpenMP.
 *
 * Only the loader uses this module (data/examples/loader.h). ahead_open() allocates all memory except the
 * tokenizer's working memory.
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

/* Says that the next batch to be read starts at sample `cursor` and ends before sample `end`. If the thread is
 * already reading towards it, it continues; otherwise it starts again there. */
void ahead_follow(struct ahead *a, uint64_t cursor, uint64_t end);

/* Waits for pack `number` of that batch, which must belong to this rank, and swaps it with *pack; earlier packs are
 * dropped. *code and `e` are the result of reading this pack. Returns false if the thread will not read this pack
 * (for example because it has already passed it). */
bool ahead_take(struct ahead *a, size_t number, struct pack *pack, enum err_code *code, struct err *e);

#endif
