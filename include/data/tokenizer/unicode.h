/*
 * Characters of well-formed UTF-8, the character classes that the `tokenizers` library uses (those of Rust's
 * standard library and of its regex crate), and Unicode's normalisation forms. The classes are those of the Unicode
 * version of the installed utf8proc.
 */
#ifndef MPILORA_DATA_TOKENIZER_UNICODE_H
#define MPILORA_DATA_TOKENIZER_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/tokenizer/mapped.h"

/* Returns the character at text[*at] and moves *at to the next one. */
int32_t unicode_next(const char *text, size_t *at);

/* The start of the character before text[at]; at > 0. */
size_t unicode_previous(const char *text, size_t at);

/* The end of the character that begins at text[at]. */
size_t unicode_end(const char *text, size_t at);

/* Writes the character in UTF-8; returns its number of bytes. */
size_t unicode_encode(char out[4], int32_t c);

bool unicode_is_space(int32_t c);       /* White_Space: char::is_whitespace, \s */
bool unicode_is_word(int32_t c);        /* \w */
bool unicode_is_number(int32_t c);      /* char::is_numeric: Nd, Nl, No */
bool unicode_is_punctuation(int32_t c); /* P*, and the symbols of ASCII */
bool unicode_is_mark(int32_t c);        /* M* */

/* Columns of a terminal that the character takes: 2 for wide ones (East Asian, emoji), 0 for marks and other
 * characters that are not seen by themselves. */
size_t unicode_width(int32_t c);

/* The lower-case form, always one character: 'i' for U+0130. */
int32_t unicode_lower(int32_t c);

struct unicode_form {
    bool compose;       /* NFC, NFKC */
    bool compatibility; /* NFKC, NFKD */
};

/* *changed says whether the text is not yet in that form; only then `out` is filled. If several characters become
 * one, or one becomes several, each new character has the range of all the old ones. */
enum err_code unicode_normalize(bool *changed, struct mapped *out, const struct mapped_view *view,
                                struct unicode_form form, struct err *e);

#endif
