/*
 * Added tokens: strings that are cut out of the text before anything else happens to it. At each place the
 * longest one counts; what it takes with it follows the flags that tokenizer.json gives it.
 */
#ifndef MPILORA_DATA_TOKENIZER_ADDED_H
#define MPILORA_DATA_TOKENIZER_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct added_token {
    const char *content;
    size_t length;
    int32_t id;
    bool single_word;    /* not inside a word */
    bool lstrip, rstrip; /* takes the spaces to its left, right */
    bool normalized;     /* sought after normalisation, in the normalised text */
    bool special;        /* left out by decoding with skip_special */
};

struct added; /* a set of them; immutable: shared by all threads */

/* Contents are borrowed, not empty and all different. Memory from `a`. */
enum err_code added_init(struct added **set, const struct added_token *const *tokens, size_t count,
                         struct arena *a, struct err *e);

struct added_match {
    size_t start, end;
    int32_t id;
};

/* Where a search stands; `from` is where the next match is sought, `taken` the end of the last one. */
struct added_cursor {
    size_t from, taken;
};

/* The next added token in well-formed UTF-8; false if there is none. A match may begin before the end of the
 * one before it only where that one took spaces that belong to this one's content, as in the `tokenizers`
 * library. */
bool added_find(struct added_match *match, struct added_cursor *cursor, const struct added *set,
                const char *text, size_t length);

#endif
