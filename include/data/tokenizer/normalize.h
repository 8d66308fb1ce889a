/*
 * Normalizers change the text between added tokens before it is split into pieces. Supported are the normalizers of
 * the `tokenizers` library that language models use, in any sequence. utf8proc has the properties of characters.
 */
#ifndef MPILORA_DATA_TOKENIZER_NORMALIZE_H
#define MPILORA_DATA_TOKENIZER_NORMALIZE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "data/tokenizer/mapped.h"
#include "data/tokenizer/pattern.h"

enum normalize_kind {
    NORMALIZE_PREPEND, /* puts a text before a text that is not empty */
    NORMALIZE_REPLACE, /* replaces every match by a text */
    NORMALIZE_STRIP,   /* removes White_Space at the ends */
    NORMALIZE_LOWERCASE,
    NORMALIZE_STRIP_ACCENTS, /* removes marks */
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

struct normalize; /* immutable, shared by all threads */

/* The steps need not outlive the call. ERR_UNSUPPORTED for patterns that have no certain equivalent (pattern.h). */
enum err_code normalize_open(struct normalize **n, const struct normalize_step *steps, size_t count,
                             struct err *e);
void normalize_close(struct normalize *n); /* NULL is fine */

/* Working memory of one thread; zero-initialise it, release it with normalize_work_release(). */
struct normalize_work {
    struct mapped made[2];
    struct regex_scratch *regex;
};
void normalize_work_release(struct normalize_work *w);

/* Replaces *view by a view of the normalised text, valid until the next call. Both are well-formed UTF-8. A text
 * that no step changes is not copied. */
enum err_code normalize_run(struct mapped_view *view, struct normalize_work *w, const struct normalize *n,
                            struct err *e);

#endif
