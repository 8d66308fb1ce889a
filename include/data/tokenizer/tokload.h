/*
 * Inside of struct tokenizer, and how it comes about: a reader for each container fills a tokload_spec,
 * tokload_build() makes the tokenizer from it. Only the tokenizer's own files include this.
 */
#ifndef MPILORA_DATA_TOKENIZER_TOKLOAD_H
#define MPILORA_DATA_TOKENIZER_TOKLOAD_H

#include "base/arena.h"
#include "data/tokenizer/added.h"
#include "data/tokenizer/bpe.h"
#include "data/tokenizer/pretok.h"
#include "data/tokenizer/strmap.h"
#include "data/tokenizer/tokenizer.h"

struct tokload_text {
    const char *data; /* NULL: absent */
    size_t length;
};

struct tokload_merge {
    struct tokload_text left, right;
};

/* What every container says about a tokenizer. Texts are borrowed from the open container. */
struct tokload_spec {
    const char *where; /* file, for messages */
    struct arena scratch;
    struct tokload_text *vocab; /* [vocab_count], by id; ids may have gaps */
    size_t vocab_count;
    struct tokload_merge *merges;
    size_t merge_count;
    struct added_token *added;
    size_t added_count;
    struct pretok_step steps[PRETOK_MAX_STEPS];
    size_t step_count;
    bool nfc;
    bool fuse_unknown, ignore_merges;
    struct tokload_text unknown;
    int32_t *prefix, *suffix; /* what the post-processor adds */
    size_t prefix_count, suffix_count;
    int32_t bos, eos; /* -1: none */
    struct tokload_text chat_template;
    char source_hash[FILE_HASH_SIZE]; /* of all of the container that defines the tokenizer */
};

/* A token as decoding writes it. */
struct tokload_entry {
    const char *text;    /* as the vocabulary writes it; NULL: no such id */
    const char *decoded; /* the bytes it stands for */
    uint32_t text_length, decoded_length;
    bool special;
};

struct tokenizer {
    struct arena arena;
    struct tokload_entry *entries; /* [vocab_size] */
    int32_t vocab_size;
    struct strmap ids; /* by text */
    struct bpe *bpe;
    struct pretok *pretok;
    bool nfc;
    struct added *added_raw, *added_normalized; /* NULL: none */
    int32_t *prefix, *suffix;
    size_t prefix_count, suffix_count;
    int32_t bos, eos;
    const char *chat_template;
    char hash[FILE_HASH_SIZE];
};

enum err_code tokload_read_json(struct tokload_spec *spec, struct json **doc, const struct store *store,
                                struct err *e);
enum err_code tokload_read_gguf(struct tokload_spec *spec, const struct store *store, struct err *e);
enum err_code tokload_build(struct tokenizer **t, struct tokload_spec *spec, struct err *e);
void tokload_release(struct tokenizer *t);

/* "left right", as both containers write merges in one string. */
enum err_code tokload_split_merge(struct tokload_merge *merge, const char *text, size_t length, size_t index,
                                  const char *where, struct err *e);

#endif
