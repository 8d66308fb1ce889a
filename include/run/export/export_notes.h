/*
 * What an exported adapter says of where it comes from, in its files: a PEFT folder in adapter_config.json and in the
 * __metadata__ of its tensors, a GGUF adapter in its keys. Those of ours are called alike in both.
 */
#ifndef MPILORA_RUN_EXPORT_EXPORT_NOTES_H
#define MPILORA_RUN_EXPORT_EXPORT_NOTES_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "io/store/store.h"
#include "run/prompts.h"

#define EXPORT_BASE_HASH "mpilora.base_hash"
#define EXPORT_PROMPTS   "mpilora.prompts"

struct export_notes {
    const char *name;     /* under which people know the base; of an adapter that was read NULL: not said */
    const char *hash;     /* the base's content hash (store_hash()); NULL: not said, as by other programs */
    enum prompts prompts; /* on which it was trained */
    bool no_targets;      /* of a PEFT folder that was read: it names no target_modules */
};

/* Fills in the keys of what is known but for the name; returns how many there are. */
enum { EXPORT_NOTES = 2 };
size_t export_put_notes(struct store_key keys[EXPORT_NOTES], const struct export_notes *notes);

/* Reads them; texts are in `a`. The name stays as it is. */
enum err_code export_get_notes(struct export_notes *notes, const struct store *s, struct arena *a, struct err *e);

#endif
