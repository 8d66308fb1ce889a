/*
 * The internals of struct tokenizer, and how it is made from a spec. Only the files of the tokenizer include this.
 */
#ifndef MPILORA_DATA_TOKENIZER_BUILD_H
#define MPILORA_DATA_TOKENIZER_BUILD_H

#include "data/tokenizer/bpe.h"
#include "data/tokenizer/spec.h"
#include "data/tokenizer/strmap.h"
#include "data/tokenizer/tokenizer.h"

struct tokenizer_entry {
    const char *text;    /* as in the vocabulary; NULL: no such id */
    const char *decoded; /* the text for decoders: the same, or the normalised form */
    uint32_t text_length, decoded_length;
    bool special, added;
};

struct tokenizer {
    struct arena arena;
    struct tokenizer_entry *entries; /* [vocab_size] */
    int32_t vocab_size;
    int32_t limit; /* see tokenizer_limit() */
    struct strmap ids; /* by text */
    struct added *added_raw, *added_normalized; /* NULL: none */
    struct normalize *normalize;
    struct pretok *pretok;
    struct bpe *bpe;
    struct decode *decode;
    int32_t *prefix, *suffix;
    size_t prefix_count, suffix_count;
    int32_t bos, eos;
    const char *chat_template, *tool_template, *template_place;
    struct tokenizer_name *names; /* [name_count] */
    size_t name_count;
    const char *warning;
    char hash[FILE_HASH_SIZE];
};

/* The spec may be released afterwards. */
enum err_code tokenizer_build(struct tokenizer **t, struct spec *spec, struct err *e);
void tokenizer_release(struct tokenizer *t);

#endif
