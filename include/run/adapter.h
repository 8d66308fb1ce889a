/*
 * An adapter from disk, whatever it is kept in.
 */
#ifndef MPILORA_RUN_ADAPTER_H
#define MPILORA_RUN_ADAPTER_H

#include <stdbool.h>

#include "base/err.h"
#include "model/lora.h"
#include "ranks/dist.h"

struct adapter_check {
    const char *base_hash;      /* of the model that the adapter is for */
    const struct weights *base; /* its weights, or NULL where they are not loaded */
    bool allow_base_mismatch;
};

/* Makes `l` from a checkpoint (.h5), a run folder (its newest checkpoint that verifies) or a PEFT folder. A
 * checkpoint of another base is ERR_MISMATCH, unless allowed (then a warning). */
enum err_code adapter_load(struct lora *l, const struct arch *a, const char *path,
                           const struct adapter_check *check, struct err *e);

/* Collective. All ranks get rank 0's adapter: modules and values. */
enum err_code adapter_broadcast(struct lora *l, const struct arch *a, struct dist *d, struct err *e);

#endif
