/*
 * Added tokens: strings that are cut out of a text before all other stages. If several match at one place, the
 * longest one counts. Flags in tokenizer.json say whether a token also takes the spaces around it.
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
    bool lstrip, rstrip; /* takes the spaces before it, after it */
    bool normalized;     /* searched for in the normalised text */
    bool special;        /* decoding with skip_special omits it */
};

struct added; /* a set of added tokens; immutable, shared by all threads */

/* The contents must be distinct, not empty, and outlive the set. Memory from `a`. */
enum err_code added_init(struct added **set, const struct added_token *const *tokens, size_t count,
                         struct arena *a, struct err *e);

struct added_match {
    size_t start, end;
    int32_t id;
};

/* The position of a search: the next match is searched from `from` on; `taken` is the end of the last match. */
struct added_cursor {
    size_t from, taken;
};

/* Finds the next added token in well-formed UTF-8; false if there is none. As in the `tokenizers` library, a match
 * may begin before the end of the previous one only if that one took spaces that belong to the content of the new
 * one. */
bool added_find(struct added_match *match, struct added_cursor *cursor, const struct added *set,
                const char *text, size_t length);

#endif
