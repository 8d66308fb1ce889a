/*
 * A hash table from byte strings to ids, with a fixed capacity. The keys are not copied and must outlive the table.
 */
#ifndef MPILORA_DATA_TOKENIZER_STRMAP_H
#define MPILORA_DATA_TOKENIZER_STRMAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct strmap_slot {
    const char *key; /* NULL: empty */
    uint32_t length;
    uint32_t hash;
    int32_t id;
};

struct strmap {
    struct strmap_slot *slots; /* [mask + 1] */
    size_t mask;
};

/* Makes a table for up to `capacity` keys; memory from `a`. */
enum err_code strmap_init(struct strmap *m, size_t capacity, struct arena *a, struct err *e);

/* Adds a key and returns `id`; if the key already exists, returns its id and changes nothing. */
int32_t strmap_add(struct strmap *m, const char *key, size_t length, int32_t id);

/* -1 if there is no such key. */
int32_t strmap_get(const struct strmap *m, const char *key, size_t length);

/* The same for who has strmap_hash() of the key already. */
int32_t strmap_get_hashed(const struct strmap *m, const char *key, size_t length, uint32_t hash);
uint32_t strmap_hash(const char *key, size_t length);

#endif
