/*
 * Reads configurations in YAML, with libyaml: a flat mapping of scalars and sequences of scalars. Anything else
 * (nested mappings, anchors, tags, several documents) is refused with file and line.
 */
#ifndef MPILORA_BASE_YAML_H
#define MPILORA_BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct yaml_entry {
    const char *key;
    int line;         /* of the key, from 1 */
    bool is_sequence; /* `key: [a, b]`; else one value */
    struct yaml_value {
        const char *text; /* with quotes and escapes resolved; a null (`key:`, `~`, `null`) is "" */
        int line;
    } * values;
    size_t count;
};

struct yaml_map {
    struct yaml_entry
        *entries; /* in file order; may contain equal keys: the caller checks, as it knows which names are the
                   * same */
    size_t count;
};

/* Reads `length` bytes of UTF-8; `name` is the file in messages. All memory comes from the arena. An empty document
 * is an empty mapping. ERR_USAGE names file and line. */
enum err_code yaml_read(struct yaml_map *map, struct arena *arena, const char *name, const void *bytes,
                        size_t length, struct err *e);

/* Appends a string so that any YAML reader reads exactly this string: without quotes where that is safe, else in
 * double quotes. `text` must be well-formed UTF-8 (else ERR_USAGE). */
enum err_code yaml_append_string(struct str *out, const char *text, struct err *e);

#endif
