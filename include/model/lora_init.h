/*
 * The initial values of A and B, by the schemes of lora_scheme.h.
 *
 * The values depend only on (seed, module path, index). For schemes that derive them from the base (changes_base),
 * they depend on the base's weights; they are computed in a second step, because only the owner of the base can do
 * so.
 */
#ifndef MPILORA_MODEL_LORA_INIT_H
#define MPILORA_MODEL_LORA_INIT_H

#include "base/err.h"
#include "model/lora.h"
#include "model/weights.h"

/* Draws the values by spec's init, init_std, init_std_b and seed; does nothing for a scheme that changes the base.
 * ERR_USAGE for a standard deviation that the scheme does not use, and for an odd rank if it needs an even one. */
enum err_code lora_init_values(struct lora *l, const struct lora_spec *spec, struct err *e);

/* For a scheme that changes the base: computes the values of modules first, first + step, ... from their matrices
 * in `w`. ERR_USAGE if a module's rank is larger than its matrix allows. */
enum err_code lora_init_from_base(struct lora *l, enum lora_init init, const struct arch *a,
                                  const struct weights *w, size_t first, size_t step, struct err *e);

/* Subtracts the adapter's start (l->start) from the base: W becomes W - scaling * B A, in memory only. The bits of
 * the result do not depend on the number of threads. weights_restore() undoes it. */
enum err_code lora_change_base(const struct lora *l, const struct arch *a, struct weights *w, struct err *e);

/* Makes an adapter that gives with the original base the same outputs as `l` with the changed one: [B, -B0] [A;
 * A0], with twice the rank and the same scaling, where A0 and B0 are l->start. The caller calls lora_release(). */
enum err_code lora_widen(struct lora *out, const struct lora *l, const struct arch *a, struct err *e);

#endif
