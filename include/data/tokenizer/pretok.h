/*
 * Pre-tokenizers split text into the pieces that byte-pair encoding works on. Supported are these pre-tokenizers of
 * the `tokenizers` library, in any sequence:
 *
 *     Split, Digits, Punctuation, Whitespace, WhitespaceSplit    split
 *     Metaspace                                                  writes spaces as "_" (U+2581), splits there
 *     ByteLevel                                                  splits; after it a piece consists of bytes
 *
 * In the library, ByteLevel converts a piece to its printable alphabet. Here the piece and the vocabulary keep raw
 * bytes; only steps after ByteLevel see the alphabet.
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

/* What happens to a match: it is a piece, is removed, belongs to a neighbour, or forms one piece with adjacent
 * matches. */
enum pretok_behaviour {
    PRETOK_ISOLATED,
    PRETOK_REMOVED,
    PRETOK_MERGED_WITH_PREVIOUS,
    PRETOK_MERGED_WITH_NEXT,
    PRETOK_CONTIGUOUS
};

/* Which pieces that do not begin with the replacement get it prepended: all, only the one at the start of the
 * caller's text, none. */
enum pretok_prepend { PRETOK_ALWAYS, PRETOK_FIRST, PRETOK_NEVER };

struct pretok_step {
    enum pretok_kind kind;
    enum pretok_behaviour behaviour; /* SPLIT, PUNCTUATION */
    /* SPLIT */
    struct pattern_source pattern;
    bool invert; /* the text between the matches counts as the matches */
    /* DIGITS */
    bool individual_digits;
    /* METASPACE */
    const char *replacement; /* one character */
    enum pretok_prepend prepend;
    bool split; /* split before each replacement */
    /* BYTE_LEVEL */
    bool use_regex; /* split by GPT-2's pattern */
    bool add_prefix_space;
};

#define PRETOK_MAX_STEPS 16

struct pretok; /* immutable, shared by all threads */

/* Without steps a text is one piece. ERR_UNSUPPORTED for a sequence with two ByteLevel or with Metaspace after
 * ByteLevel, and for patterns that have no certain equivalent (pattern.h). The steps need not outlive the call. */
enum err_code pretok_open(struct pretok **p, const struct pretok_step *steps, size_t count, struct err *e);
void pretok_close(struct pretok *p); /* NULL is fine */

struct pretok_piece {
    uint32_t start, end;
};

/* Working memory of one thread; zero-initialise it, release it with pretok_work_release(). */
struct pretok_work {
    struct pretok_piece *pieces; /* the result: non-empty, in order */
    size_t count;
    struct mapped_view view; /* the text that the pieces are ranges of: the input, or a text made from it */
    size_t length; /* of the input */
    struct pretok_buffers *buffers;
};
void pretok_work_release(struct pretok_work *w);

/* Splits well-formed UTF-8. Pieces may end inside a character. */
enum err_code pretok_split(struct pretok_work *w, const struct pretok *p, const struct mapped_view *view,
                           struct err *e);

#endif
