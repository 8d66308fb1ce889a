/*
 * Byte-pair encoding: a piece of text becomes tokens by merging the neighbouring pair of the lowest rank, time
 * after time, leftmost first among equals. O(n log n) in the length of the piece.
 *
 *     bytes        a byte-level vocabulary, in raw bytes, not in the printable alphabet of its file
 *     characters   a SentencePiece-style one; a character without a token becomes tokens of its bytes, if the
 *                  vocabulary has one for each of them
 *
 * What has no token at all becomes the unknown token or, without one, vanishes, as in the `tokenizers` library.
 *
 * SentencePiece-style text comes as one piece, with U+2581 for each space. Where no token goes over the place
 * before a U+2581, no merge does: the piece falls apart there, and the parts are looked up like words.
 */
#ifndef MPILORA_DATA_TOKENIZER_BPE_H
#define MPILORA_DATA_TOKENIZER_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct bpe; /* immutable: shared by all threads */

struct bpe_token {
    const char *bytes; /* NULL: no token, or one that text cannot turn into */
    size_t length;
};

struct bpe_merge {
    int32_t left, right, merged;
    uint32_t rank; /* the lowest comes first */
};

struct bpe_options {
    bool characters;          /* text begins as characters, not as bytes */
    const int32_t *fallback;  /* [256] the token of each byte, -1: none; NULL: no such tokens */
    int32_t unknown;          /* -1: none */
    bool fuse_unknown;        /* a run of unknown ones is one unknown token */
    bool ignore_merges;       /* a piece that is a token becomes that token, whatever the merges say */
};

/* Tokens (their bytes are borrowed) and merges, whose ids must lie in 0..count-1. Of a pair that is listed
 * twice, the last one counts. Memory from `a`. */
enum err_code bpe_init(struct bpe **b, const struct bpe_token *tokens, size_t count,
                       const struct bpe_merge *merges, size_t merge_count, const struct bpe_options *options,
                       struct arena *a, struct err *e);

struct bpe_symbol {
    int32_t id;
    uint32_t length;  /* bytes of the piece that it stands for */
    uint32_t skipped; /* bytes before it that vanished */
};

/* Working memory of one thread: zero-initialise, bpe_work_release(). After bpe_encode(), symbols[0..count-1]
 * are the tokens of the piece. */
struct bpe_work {
    struct bpe_symbol *symbols;
    size_t count, capacity;
    uint32_t skipped; /* bytes that vanished since the last symbol */
    struct bpe_link *links;
    struct bpe_candidate *heap;
    size_t heap_count, heap_capacity;
};

void bpe_work_release(struct bpe_work *w);
/* With characters, the piece is well-formed UTF-8. */
enum err_code bpe_encode(struct bpe_work *w, const struct bpe *b, const char *piece, size_t length,
                         struct err *e);

#endif
