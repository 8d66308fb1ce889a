/*
 * Decoders: how tokens become text. The tokens go through the steps as a list of texts; what is left of it is
 * joined. Those of the `tokenizers` library that tokenizers of decoders use, in any sequence.
 */
#ifndef MPILORA_DATA_TOKENIZER_DECODE_H
#define MPILORA_DATA_TOKENIZER_DECODE_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "data/tokenizer/pattern.h"

enum decode_kind {
    DECODE_BYTE_LEVEL,    /* all tokens are one text of bytes; what is not UTF-8 becomes U+FFFD */
    DECODE_BYTE_FALLBACK, /* a run of <0xNN> is those bytes; U+FFFD for each, if they are not UTF-8 */
    DECODE_FUSE,          /* all tokens are one */
    DECODE_STRIP,         /* takes up to so many of a character off each token's ends */
    DECODE_REPLACE,       /* every match in a token by a text */
    DECODE_METASPACE      /* a character becomes a space; in the first token it vanishes */
};

struct decode_step {
    enum decode_kind kind;
    struct pattern_source pattern; /* REPLACE */
    const char *content;           /* REPLACE: the text; STRIP, METASPACE: the character */
    size_t content_length;
    size_t start, stop; /* STRIP: how many, at most LIMIT_IDS */
    bool keep_first;    /* METASPACE: nothing vanishes */
};

#define DECODE_MAX_STEPS 16

struct decode; /* immutable: shared by all threads */

/* The steps are borrowed for the call only. ERR_UNSUPPORTED for patterns with no sure meaning here. */
enum err_code decode_open(struct decode **d, const struct decode_step *steps, size_t count, struct err *e);
void decode_close(struct decode *d); /* NULL is fine */

/* Texts one after the other; zero-initialise, decode_list_release(). */
struct decode_list {
    struct str bytes;
    size_t *ends;
    size_t count, capacity;
    size_t most; /* bytes that a step may make; 0: any number */
};
void decode_list_release(struct decode_list *l);
enum err_code decode_list_add(struct decode_list *l, const char *text, size_t length, struct err *e);

/* Appends the text of the tokens to `out`; the list is used up. Well-formed UTF-8 in, well-formed UTF-8 out.
 * ERR_DATA when the steps make more than LIMIT_TEXT_GROWTH times as much of them. */
enum err_code decode_run(struct str *out, struct decode_list *tokens, const struct decode *d, struct err *e);

#endif
