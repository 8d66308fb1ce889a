/*
 * Checks that all ranks have the same data: at the start the program, its options, the base, the tokenizer and the
 * data set; later the adapter. Each rank updates its own copy of the adapter with the same gradient, so the copies
 * stay bit-identical unless the memory, the processor or the libraries of a host are faulty.
 */
#ifndef MPILORA_RANKS_CONSENSUS_H
#define MPILORA_RANKS_CONSENSUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/lora.h"
#include "ranks/dist.h"

/* Collective. ERR_MISMATCH, on all ranks, if `text` is not the same on all of them. The message names a rank that
 * differs, its host, `what` the text is, and, with `quote`, the first line that differs. */
enum err_code consensus_text(struct dist *d, const char *what, const char *text, bool quote, struct err *e);

/* Collective. The same for the program file that each rank runs. */
enum err_code consensus_program(struct dist *d, struct err *e);

/* Collective. Warns if a rank computes in another way than most ranks (`text`: threads, libraries, instruction
 * set). The results are equally good, but their bits then depend on which ranks run on which hosts. */
enum err_code consensus_warn(struct dist *d, const char *text, struct err *e);

/* Collective. Compares a hash of the values over all ranks. ERR_MISMATCH, on all of them, names the rank that
 * differs from most (and its host, from hosts[world]). */
enum err_code consensus_check(struct dist *d, const struct lora *l, char (*hosts)[DIST_HOST_SIZE],
                              struct err *e);

/* Index of the first of `count` values that differs from the majority or, if there is no majority, from the first
 * value; `count` if all are equal. *certain: there is a majority. */
size_t consensus_find_odd(bool *certain, const uint64_t *values, size_t count);

#endif
