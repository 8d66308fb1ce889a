/*
 * Characters of well-formed UTF-8, the classes of them that the `tokenizers` library asks for (those of Rust's
 * standard library and of its regex crate), and Unicode's normalisation forms. Letters and digits are those of
 * the Unicode version that the installed utf8proc knows.
 */
#ifndef MPILORA_DATA_TOKENIZER_UNICODE_H
#define MPILORA_DATA_TOKENIZER_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/tokenizer/mapped.h"

/* The character at text[*at]; moves *at to the next one. */
int32_t unicode_next(const char *text, size_t *at);

/* Where the character before text[at] begins; at > 0. */
size_t unicode_previous(const char *text, size_t at);

/* The end of the character that begins at text[at]. */
size_t unicode_end(const char *text, size_t at);

/* The character's UTF-8 into out; its number of bytes. */
size_t unicode_encode(char out[4], int32_t c);

bool unicode_is_space(int32_t c);       /* White_Space: char::is_whitespace, \s */
bool unicode_is_word(int32_t c);        /* \w */
bool unicode_is_number(int32_t c);      /* char::is_numeric: Nd, Nl, No */
bool unicode_is_punctuation(int32_t c); /* P*, and the symbols of ASCII */
bool unicode_is_mark(int32_t c);        /* M* */

/* The small letter: one character, so 'i' for U+0130. */
int32_t unicode_lower(int32_t c);

struct unicode_form {
    bool compose;       /* NFC, NFKC */
    bool compatibility; /* NFKC, NFKD */
};

/* *changed tells whether the text is not in that form; only then is `out` filled. A character that is made from
 * several, or one of several that are made from one, stands for all of them. */
enum err_code unicode_normalize(bool *changed, struct mapped *out, const struct mapped_view *view,
                                struct unicode_form form, struct err *e);

#endif
