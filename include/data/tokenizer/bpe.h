/*
 * Byte-pair encoding (Sennrich et al. 2016): converts a piece of text to tokens by repeatedly merging the
 * neighbouring pair with the lowest rank, the leftmost one if several have the same rank. O(n log n) in the length
 * of the piece.
 *
 *     bytes        a byte-level vocabulary, as raw bytes, not in the printable alphabet of its file
 *     characters   a SentencePiece-style one; a character without a token becomes the tokens of its bytes, if the
 *                  vocabulary has one for each of them
 *
 * Text for which there is no token becomes the unknown token. If there is no unknown token, it is dropped, as in
 * the `tokenizers` library.
 *
 * SentencePiece-style text is one piece, with U+2581 for each space. If no token contains a U+2581 after the byte
 * that precedes it in the piece, no merge can cross that place: the piece is split there, and the parts are looked
 * up like words.
 */
#ifndef MPILORA_DATA_TOKENIZER_BPE_H
#define MPILORA_DATA_TOKENIZER_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct bpe; /* immutable, shared by all threads */

struct bpe_token {
    const char *bytes; /* NULL: no token, or one that no text is encoded to */
    size_t length;
};

struct bpe_merge {
    int32_t left, right, merged;
    uint32_t rank; /* the lowest rank is merged first */
};

struct bpe_options {
    bool characters;          /* symbols are characters at first, not bytes */
    const int32_t *fallback;  /* [256] the token of each byte, -1: none; NULL: no byte has a token */
    int32_t unknown;          /* -1: none */
    bool fuse_unknown;        /* a run of unknown symbols is one unknown token */
    bool ignore_merges;       /* a piece that is itself a token becomes that token, whatever the merges say */
};

/* Makes a vocabulary from tokens, whose bytes must outlive it, and merges, whose ids must be in 0..count-1. If a
 * pair is listed twice, the last one counts. Memory from `a`. */
enum err_code bpe_init(struct bpe **b, const struct bpe_token *tokens, size_t count,
                       const struct bpe_merge *merges, size_t merge_count, const struct bpe_options *options,
                       struct arena *a, struct err *e);

struct bpe_symbol {
    int32_t id;
    uint32_t length;  /* number of bytes of the piece that it stands for */
    uint32_t skipped; /* number of dropped bytes before it */
};

/* Working memory of one thread; zero-initialise it, release it with bpe_work_release(). After bpe_encode(),
 * symbols[0..count-1] are the tokens of the piece. */
struct bpe_work {
    struct bpe_symbol *symbols;
    size_t count, capacity;
    uint32_t skipped; /* number of dropped bytes since the last symbol */
    struct bpe_link *links;
    struct bpe_candidate *heap;
    size_t heap_count, heap_capacity;
    struct arena arena;        /* of `memory`, which it lays on cache lines */
    struct bpe_memory *memory; /* what short pieces came to before, NULL: nothing is remembered */
    uint64_t memory_of;        /* number of the encoder that it belongs to */
};

void bpe_work_release(struct bpe_work *w);
/* Encodes one piece. With `characters` it must be well-formed UTF-8. */
enum err_code bpe_encode(struct bpe_work *w, const struct bpe *b, const char *piece, size_t length,
                         struct err *e);

#endif
