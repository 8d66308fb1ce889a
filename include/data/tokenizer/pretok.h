/*
 * Pre-tokenizers: how text is cut into the pieces that byte-pair encoding works on. Those of the `tokenizers`
 * library that tokenizers of decoders use, in any sequence:
 *
 *     Split, Digits, Punctuation, Whitespace, WhitespaceSplit    cut
 *     Metaspace                                                  writes spaces as "_" (U+2581), cuts there
 *     ByteLevel                                                  cuts; from here on a piece is bytes
 *
 * ByteLevel writes a piece in its printable alphabet. Here the piece keeps its own bytes, and so does the
 * vocabulary; only a step after ByteLevel sees the alphabet.
 */
#ifndef MPILORA_DATA_TOKENIZER_PRETOK_H
#define MPILORA_DATA_TOKENIZER_PRETOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/tokenizer/mapped.h"
#include "data/tokenizer/pattern.h"

enum pretok_kind {
    PRETOK_SPLIT,
    PRETOK_DIGITS,
    PRETOK_PUNCTUATION,
    PRETOK_WHITESPACE, /* runs of word characters and runs of others; spaces are dropped */
    PRETOK_WHITESPACE_SPLIT,
    PRETOK_METASPACE,
    PRETOK_BYTE_LEVEL
};

/* What becomes of a match: a piece of its own, nothing, part of a neighbour, or one piece for each run. */
enum pretok_behaviour {
    PRETOK_ISOLATED,
    PRETOK_REMOVED,
    PRETOK_MERGED_WITH_PREVIOUS,
    PRETOK_MERGED_WITH_NEXT,
    PRETOK_CONTIGUOUS
};

/* Which pieces get the replacement in front that do not begin with it: all, the one at the very beginning of
 * the caller's text, none. */
enum pretok_prepend { PRETOK_ALWAYS, PRETOK_FIRST, PRETOK_NEVER };

/* What ByteLevel splits by. */
#define PRETOK_GPT2_PATTERN                                                                                  \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

struct pretok_step {
    enum pretok_kind kind;
    enum pretok_behaviour behaviour; /* SPLIT, PUNCTUATION */
    /* SPLIT */
    struct pattern_source pattern;
    bool invert; /* what lies between the matches counts as the matches */
    /* DIGITS */
    bool individual_digits;
    /* METASPACE */
    const char *replacement; /* one character */
    enum pretok_prepend prepend;
    bool split; /* before each replacement */
    /* BYTE_LEVEL */
    bool use_regex; /* split by GPT-2's pattern */
    bool add_prefix_space;
};

#define PRETOK_MAX_STEPS 16

struct pretok; /* compiled; immutable: shared by all threads */

/* No steps: a text is one piece. ERR_UNSUPPORTED for a sequence with two ByteLevel or with Metaspace after it,
 * and for patterns with no sure meaning here. The steps are borrowed for the call only. */
enum err_code pretok_open(struct pretok **p, const struct pretok_step *steps, size_t count, struct err *e);
void pretok_close(struct pretok *p); /* NULL is fine */

struct pretok_piece {
    uint32_t start, end;
};

/* Working memory of one thread: zero-initialise, pretok_work_release(). */
struct pretok_work {
    struct pretok_piece *pieces; /* the result: non-empty, in order */
    size_t count;
    struct mapped_view view; /* that the pieces are ranges of: the input, or what was made of it */
    size_t length; /* of the input */
    struct pretok_buffers *buffers;
};
void pretok_work_release(struct pretok_work *w);

/* Splits well-formed UTF-8. Pieces may end inside a character. */
enum err_code pretok_split(struct pretok_work *w, const struct pretok *p, const struct mapped_view *view,
                           struct err *e);

#endif
