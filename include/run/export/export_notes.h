/*
 * What an exported adapter says of where it comes from, in its files: a PEFT folder in adapter_config.json and in the
 * __metadata__ of its tensors, a GGUF adapter in its keys. Those of ours are called alike in both.
 */
#ifndef MPILORA_RUN_EXPORT_EXPORT_NOTES_H
#define MPILORA_RUN_EXPORT_EXPORT_NOTES_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "io/store/store.h"
#include "model/objective.h"
#include "run/prompts.h"

#define EXPORT_BASE_HASH "mpilora.base_hash"
#define EXPORT_PROMPTS   "mpilora.prompts"
#define EXPORT_OBJECTIVE "mpilora.objective"
#define EXPORT_START     "mpilora.start"
/* Its value, if not the base: the same for the same adapter in any format. */
#define EXPORT_FROM_ADAPTER "adapter"

struct export_notes {
    const char *name;     /* under which people know the base; of an adapter that was read NULL: not said */
    const char *hash;     /* the base's content hash (store_hash()); NULL: not said, as by other programs */
    enum prompts prompts; /* on which it was trained */
    struct objective objective; /* for preferences; else, or if it is not known, that of supervised fine-tuning */
    bool continued;       /* its training is known to have started from another adapter */
    bool no_targets;      /* of a PEFT folder that was read: it names no target_modules */
};

/* Fills in the keys of what is known but for the name, their texts in `a`; *count is how many there are. */
enum { EXPORT_NOTES = 4 };
enum err_code export_put_notes(struct store_key keys[EXPORT_NOTES], size_t *count, const struct export_notes *notes,
                               struct arena *a, struct err *e);

/* Appends the objective with those of its parameters that act, in the form of a configuration:
 * "{objective: dpo, beta: 0.5, label-smoothing: 0, sft-weight: 0}". */
enum err_code export_objective(struct str *out, struct objective objective, struct err *e);

/* Reads them; texts are in `a`. The name stays as it is. An objective that this version does not know is none. */
enum err_code export_get_notes(struct export_notes *notes, const struct store *s, struct arena *a, struct err *e);

#endif
