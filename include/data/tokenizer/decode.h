/*
 * Decoders convert tokens to text. Each step changes a list that has the text of each token; the texts that remain
 * after the last step are joined. Supported are the decoders of the `tokenizers` library that language models use,
 * in any sequence.
 */
#ifndef MPILORA_DATA_TOKENIZER_DECODE_H
#define MPILORA_DATA_TOKENIZER_DECODE_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "data/tokenizer/pattern.h"

enum decode_kind {
    DECODE_BYTE_LEVEL,    /* joins all tokens as bytes; bytes that are not UTF-8 become U+FFFD */
    DECODE_BYTE_FALLBACK, /* converts a run of <0xNN> to bytes; if they are not UTF-8, each becomes U+FFFD */
    DECODE_FUSE,          /* joins all tokens to one */
    DECODE_STRIP,         /* removes up to a number of one character from the ends of each token */
    DECODE_REPLACE,       /* replaces every match in a token by a text */
    DECODE_METASPACE      /* replaces a character by a space; removes it in the first token */
};

struct decode_step {
    enum decode_kind kind;
    struct pattern_source pattern; /* REPLACE */
    const char *content;           /* REPLACE: the text; STRIP, METASPACE: the character */
    size_t content_length;
    size_t start, stop; /* STRIP: how many at the start and at the end, at most LIMIT_IDS */
    bool keep_first;    /* METASPACE: also a space in the first token */
};

#define DECODE_MAX_STEPS 16

struct decode; /* immutable, shared by all threads */

/* The steps need not outlive the call. ERR_UNSUPPORTED for patterns that have no certain equivalent (pattern.h). */
enum err_code decode_open(struct decode **d, const struct decode_step *steps, size_t count, struct err *e);
void decode_close(struct decode *d); /* NULL is fine */

/* A list of texts; zero-initialise it, release it with decode_list_release(). */
struct decode_list {
    struct str bytes;
    size_t *ends;
    size_t count, capacity;
    size_t most; /* largest number of bytes that a step may make; 0: no limit */
};
void decode_list_release(struct decode_list *l);
enum err_code decode_list_add(struct decode_list *l, const char *text, size_t length, struct err *e);

/* Appends the text of the tokens to `out`; the content of the list is lost. From well-formed UTF-8 it makes
 * well-formed UTF-8. ERR_DATA if a step would make the text longer than LIMIT_TEXT_GROWTH times its length. */
enum err_code decode_run(struct str *out, struct decode_list *tokens, const struct decode *d, struct err *e);

#endif
