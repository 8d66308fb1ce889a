/*
 * What happens to text before byte-pair encoding: NFC, and the pre-tokenizers of the `tokenizers` library
 * that byte-level models use (Split, Digits, ByteLevel, in any sequence). PCRE2 runs the patterns, utf8proc
 * knows the characters. Patterns that PCRE2 would read in another way than `tokenizers` does are refused
 * (data/tokenizer/pattern.h).
 *
 * Letters and digits are those of the Unicode version that the installed PCRE2 and utf8proc know.
 */
#ifndef MPILORA_DATA_TOKENIZER_PRETOK_H
#define MPILORA_DATA_TOKENIZER_PRETOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum pretok_kind { PRETOK_SPLIT, PRETOK_DIGITS, PRETOK_BYTE_LEVEL };

/* What becomes of a match: a piece of its own, nothing, part of a neighbour, or one piece for each run. */
enum pretok_behaviour {
    PRETOK_ISOLATED,
    PRETOK_REMOVED,
    PRETOK_MERGED_WITH_PREVIOUS,
    PRETOK_MERGED_WITH_NEXT,
    PRETOK_CONTIGUOUS
};

/* What ByteLevel splits by. */
#define PRETOK_GPT2_PATTERN                                                                                  \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

struct pretok_step {
    enum pretok_kind kind;
    /* SPLIT */
    const char *pattern;
    size_t pattern_length;
    bool literal; /* the pattern is plain text */
    bool invert;  /* what lies between the matches counts as the matches */
    enum pretok_behaviour behaviour;
    /* DIGITS */
    bool individual_digits;
    /* BYTE_LEVEL */
    bool use_regex; /* split by GPT-2's pattern */
    bool add_prefix_space;
};

#define PRETOK_MAX_STEPS 16

struct pretok; /* compiled; immutable: shared by all threads */

/* ERR_UNSUPPORTED for a sequence without ByteLevel or with two, and for patterns with no sure meaning here.
 */
enum err_code pretok_open(struct pretok **p, const struct pretok_step *steps, size_t count, struct err *e);
void pretok_close(struct pretok *p); /* NULL is fine */

/* Text made from other text: each byte with the half-open range of the original that it stands for. */
struct pretok_text {
    char *bytes;
    uint32_t *start, *end;
    size_t length, capacity;
};
void pretok_text_release(struct pretok_text *t);

struct pretok_piece {
    uint32_t start, end;
};

/* Working memory of one thread: zero-initialise, pretok_work_release(). */
struct pretok_work {
    struct pretok_piece *pieces; /* the result: non-empty, in order */
    size_t count;
    const char *text; /* that the pieces are ranges of: the input, or made.bytes where spaces were put in */
    bool is_made;
    struct pretok_text made;
    struct pretok_buffers *buffers;
};
void pretok_work_release(struct pretok_work *w);

/* Splits `length` bytes of well-formed UTF-8, fewer than 2^31. Pieces may end inside a character. */
enum err_code pretok_split(struct pretok_work *w, const struct pretok *p, const char *text, size_t length,
                           struct err *e);

/* NFC. *changed tells whether the text was not in that form; only then is `out` filled. */
enum err_code pretok_nfc(bool *changed, struct pretok_text *out, const char *text, size_t length,
                         struct err *e);

/* Character classes of the `tokenizers` library's borders of added tokens: \w and \s of Rust's regex crate.
 */
bool pretok_is_word(int32_t code_point);
bool pretok_is_space(int32_t code_point);

#endif
