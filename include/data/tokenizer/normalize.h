/*
 * Normalizers: what happens to the text between raw added tokens before it is split. Those of the `tokenizers`
 * library that tokenizers of decoders use, in any sequence; utf8proc knows the characters.
 */
#ifndef MPILORA_DATA_TOKENIZER_NORMALIZE_H
#define MPILORA_DATA_TOKENIZER_NORMALIZE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "data/tokenizer/mapped.h"
#include "data/tokenizer/pattern.h"

enum normalize_kind {
    NORMALIZE_PREPEND, /* a text in front of one that is not empty */
    NORMALIZE_REPLACE, /* every match by a text */
    NORMALIZE_STRIP,   /* White_Space at the ends taken off */
    NORMALIZE_LOWERCASE,
    NORMALIZE_STRIP_ACCENTS, /* marks taken out */
    NORMALIZE_NFC,
    NORMALIZE_NFD,
    NORMALIZE_NFKC,
    NORMALIZE_NFKD
};

struct normalize_step {
    enum normalize_kind kind;
    const char *content; /* PREPEND, REPLACE */
    size_t content_length;
    struct pattern_source pattern; /* REPLACE */
    bool left, right;              /* STRIP */
};

#define NORMALIZE_MAX_STEPS 16

struct normalize; /* immutable: shared by all threads */

/* The steps are borrowed for the call only. ERR_UNSUPPORTED for patterns with no sure meaning here. */
enum err_code normalize_open(struct normalize **n, const struct normalize_step *steps, size_t count,
                             struct err *e);
void normalize_close(struct normalize *n); /* NULL is fine */

/* Working memory of one thread: zero-initialise, normalize_work_release(). */
struct normalize_work {
    struct mapped made[2];
    struct regex_scratch *regex;
};
void normalize_work_release(struct normalize_work *w);

/* Puts the normalised text in the place of *view: well-formed UTF-8 both, valid until the next call. What no
 * step changes stays where it is. */
enum err_code normalize_run(struct mapped_view *view, struct normalize_work *w, const struct normalize *n,
                            struct err *e);

#endif
