/*
 * How A and B start: the schemes of lora_scheme.h.
 *
 * Values are functions of (seed, module path, index) alone, or of those of the base for the schemes that take
 * their start out of it (changes_base): those are made in two steps, for only the holder of the base can.
 */
#ifndef MPILORA_MODEL_LORA_INIT_H
#define MPILORA_MODEL_LORA_INIT_H

#include "base/err.h"
#include "model/lora.h"
#include "model/weights.h"

/* Draws the values as spec's init, init_std, init_std_b and seed say; nothing for a scheme that changes the
 * base. ERR_USAGE for what the scheme cannot do: a standard deviation that it has no use for, an odd rank. */
enum err_code lora_init_values(struct lora *l, const struct lora_spec *spec, struct err *e);

/* For a scheme that changes the base: the values of modules first, first + step, ... from their matrices of
 * `w`. ERR_USAGE when a module's rank is above its matrix's. */
enum err_code lora_init_from_base(struct lora *l, enum lora_init init, const struct arch *a,
                                  const struct weights *w, size_t first, size_t step, struct err *e);

/* Takes the adapter's start (l->start) out of the base: W - scaling * B A, in memory only. The same bits
 * from the same start, whatever the number of threads. weights_restore() undoes it. */
enum err_code lora_change_base(const struct lora *l, const struct arch *a, struct weights *w, struct err *e);

/* An adapter that does to the untouched base what `l` does to the changed one: [B, -B0] [A; A0], twice the
 * rank, the same scaling. Values only; the caller releases it. */
enum err_code lora_widen(struct lora *out, const struct lora *l, const struct arch *a, struct err *e);

#endif
