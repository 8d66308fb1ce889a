/*
 * The specification of a tokenizer, independent of the file format. A reader for each format fills a spec;
 * tokenizer_build() makes the tokenizer from it. Only the files of the tokenizer include this.
 *
 *     tokenizer.json   read_json.c (vocabulary, added tokens), read_stages.c (the stages)  \
 *     other files      read_beside.c                                                        >  spec  ->  build.c
 *     GGUF             read_gguf.c                                                         /
 */
#ifndef MPILORA_DATA_TOKENIZER_SPEC_H
#define MPILORA_DATA_TOKENIZER_SPEC_H

#include "base/arena.h"
#include "base/file.h"
#include "data/tokenizer/added.h"
#include "data/tokenizer/decode.h"
#include "data/tokenizer/normalize.h"
#include "data/tokenizer/pretok.h"
#include "io/json.h"
#include "io/store/store.h"

#define SPEC_MAX_NAMES 64

struct spec_text {
    const char *data; /* NULL: absent */
    size_t length;
};

struct spec_merge {
    struct spec_text left, right;
};

struct spec_name {
    const char *name; /* "bos_token" */
    struct spec_text token;
};

/* Its texts belong to the open store, or are in `scratch`. */
struct spec {
    const char *where; /* file, for messages */
    struct arena scratch;
    /* The vocabulary, by id; ids may have gaps. */
    struct spec_text *vocab; /* [vocab_count] */
    size_t vocab_count;
    struct added_token *added; /* [added_capacity]; may contain tokens that are not in the vocabulary */
    size_t added_count, added_capacity;
    /* The model is byte-pair encoding, by a list of merges or by the tokens' scores. With scores, any two
     * neighbours whose joined texts are a token merge, the token with the highest score first. */
    struct spec_merge *merges; /* [merge_count] */
    size_t merge_count;
    float *scores; /* [vocab_count]; NULL: there are merges */
    bool *scored;  /* [vocab_count] may a merge produce the token? */
    bool byte_fallback, fuse_unknown, ignore_merges;
    struct spec_text unknown;
    /* The stages around it. */
    struct normalize_step normalizers[NORMALIZE_MAX_STEPS];
    size_t normalizer_count;
    struct pretok_step pretokenizers[PRETOK_MAX_STEPS];
    size_t pretokenizer_count;
    struct decode_step decoders[DECODE_MAX_STEPS];
    size_t decoder_count;
    int32_t *prefix, *suffix; /* tokens that the post-processor adds before and after a text */
    size_t prefix_count, suffix_count;
    int32_t bos, eos; /* -1: none */
    struct spec_text chat_template, tool_template; /* the latter for conversations with tools */
    const char *template_place;                     /* where they are from, for messages */
    struct spec_name names[SPEC_MAX_NAMES];         /* special tokens and their names in templates */
    size_t name_count;
    const char *warning; /* see tokenizer_warning() */
    char source_hash[FILE_HASH_SIZE]; /* of everything in the files that defines the tokenizer, but its added tokens */
};

/* Read a folder (*doc owns the texts; close it after the spec), or a GGUF file. */
enum err_code spec_read_json(struct spec *s, struct json **doc, const struct store *store, struct err *e);
enum err_code spec_read_gguf(struct spec *s, const struct store *store, struct err *e);

/* Read the stages in tokenizer.json, and the other files of the folder. */
enum err_code spec_read_stages(struct spec *s, const struct json_value *root, struct err *e);
enum err_code spec_read_beside(struct spec *s, const struct store *store, struct err *e);

/* Makes memory for `count` more added tokens, keeping the content. */
enum err_code spec_reserve_added(struct spec *s, size_t count, struct err *e);

/* Records a special token under its name in chat templates; if there is already one with this name, it stays. Texts
 * are copied. */
enum err_code spec_note_name(struct spec *s, const char *name, const char *token, size_t length, struct err *e);

/* Records where the chat template is from: a file, and which part of it. */
enum err_code spec_note_template_place(struct spec *s, const char *path, const char *part, struct err *e);

/* The id of a token, -1 if there is none. Searches the added tokens first, then the vocabulary, one by one. */
int32_t spec_find(const struct spec *s, const char *text, size_t length);

/* Splits "left right", as both file formats write a merge in one string. */
enum err_code spec_split_merge(struct spec_merge *merge, const char *text, size_t length, size_t index,
                               const char *where, struct err *e);

/* Small readers of JSON. `what` names the value in the message. */
enum err_code spec_read_id(int32_t *out, const struct spec *s, const struct json_value *v, const char *what,
                           const char *name, struct err *e);
/* Fills content and flags (not the id) of an added token from its object. */
enum err_code spec_read_added_token(struct added_token *t, const struct json_fields *f, struct err *e);
/* The "type" of a component; "nothing" for null. */
const char *spec_type_of(const struct json_value *v);
enum err_code spec_unsupported(const struct spec *s, const char *component, const struct json_value *v,
                               const char *supported, struct err *e);

#endif
