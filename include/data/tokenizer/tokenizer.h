/*
 * Tokenizers by byte-pair encoding, byte-level or SentencePiece-style, from a Hugging Face folder
 * (tokenizer.json) or from a GGUF file's vocabulary.
 *
 * Text goes through the pipeline of the `tokenizers` library: added tokens are cut out, normalizers and
 * pre-tokenizers prepare the rest, byte-pair encoding makes tokens of each piece, the post-processor adds its
 * own; decoders make text of tokens. src/data/tokenizer/README.md has the picture. What a file asks for beyond
 * that (Unigram, WordPiece, an unknown stage, an unknown pre-tokenizer name in a GGUF) is refused by name.
 */
#ifndef MPILORA_DATA_TOKENIZER_TOKENIZER_H
#define MPILORA_DATA_TOKENIZER_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "io/store/store.h"

struct tokenizer;

/* Ids with the half-open byte range of the text that each stands for. A token inside a multi-byte character
 * still gets byte offsets. Special tokens added by the post-processor have start == end. Owned by the caller:
 * zero-initialise, ids_release(). */
struct ids {
    int32_t *id;
    uint32_t *start, *end;
    size_t count, capacity;
    struct tokenizer_work *work; /* of the tokenizer; kept from call to call */
};

void ids_release(struct ids *ids);

/* The tokenizer of a model: of the folder, or inside the GGUF file. The store may be closed afterwards. */
enum err_code tokenizer_open(struct tokenizer **t, const struct store *store, struct err *e);
void tokenizer_close(struct tokenizer *t); /* NULL is fine */

/* The model has rows for ids 0..rows-1 only: a text with another one is an error from now on, and so is a
 * tokenizer whose own vocabulary, or whose token for the end of text, goes beyond. Added tokens may: people add a
 * token for padding, which no text has. *beyond: how many do, *first: the first of them. ERR_MISMATCH. */
enum err_code tokenizer_limit(size_t *beyond, const char **first, struct tokenizer *t, size_t rows,
                              struct err *e);

/* Replaces `out` by the ids of `text`. Ill-formed UTF-8 is ERR_DATA with the byte offset. With `special`,
 * adds what the post-processor adds around a single sequence (e.g. BOS); text of special tokens inside `text`
 * always becomes those tokens, as the `tokenizers` library does it; so does a byte that the vocabulary lacks
 * vanish where there is no unknown token. Thread-safe on one tokenizer with distinct `out`. */
enum err_code tokenizer_encode(struct ids *out, const struct tokenizer *t, const char *text, size_t length,
                               bool special, struct err *e);

/* The same for a text that is to be continued: with what the post-processor puts in front, and not what it puts
 * behind. */
enum err_code tokenizer_encode_prompt(struct ids *out, const struct tokenizer *t, const char *text,
                                      size_t length, struct err *e);

/* Appends the text of the ids to `out`. Bytes that are not UTF-8 become U+FFFD, as the `tokenizers` library
 * does it. SentencePiece-style decoders take off the space that encoding puts in front. An id out of range is
 * ERR_DATA; one that the vocabulary leaves out adds nothing. */
enum err_code tokenizer_decode(struct str *out, const struct tokenizer *t, const int32_t *ids, size_t count,
                               bool skip_special, struct err *e);

int32_t tokenizer_vocab_size(const struct tokenizer *t); /* largest id + 1, added tokens included */
int32_t tokenizer_eos(const struct tokenizer *t);        /* -1 if none is declared */
int32_t tokenizer_bos(const struct tokenizer *t);
int32_t tokenizer_id(const struct tokenizer *t, const char *token); /* -1 if there is no such token */
/* As the vocabulary writes it; NULL if there is none. */
const char *tokenizer_token(const struct tokenizer *t, int32_t id);
/* The range of the first special token in well-formed UTF-8, with the spaces that it takes; false if there is none.
 * Special are the added tokens that the file calls so (decoding can leave them out), and EOS. `t`: a tokenizer. */
bool tokenizer_find_special(const void *t, const char *text, size_t length, size_t *start, size_t *end);
/* What is known to be wrong with the file and cannot be put right here, for people; NULL: nothing. */
const char *tokenizer_warning(const struct tokenizer *t);

/* Sources of the model's chat templates, NULL if it has none: the usual one, and the one that it has for conversations
 * with tools. */
const char *tokenizer_chat_template(const struct tokenizer *t);
const char *tokenizer_tool_template(const struct tokenizer *t);
const char *tokenizer_template_place(const struct tokenizer *t); /* for messages */
/* Puts another, which stands in the file `place`, in the place of both. It is part of the hash from now on. */
enum err_code tokenizer_replace_chat_template(struct tokenizer *t, const char *place, const char *source,
                                              size_t length, struct err *e);

/* Special tokens under the names that chat templates have for them. */
struct tokenizer_name {
    const char *name, *token; /* "bos_token", "<s>" */
};
const struct tokenizer_name *tokenizer_names(const struct tokenizer *t, size_t *count);

/* Hash over vocabulary, merges, added tokens, pipeline, EOS and chat templates: the same for a GGUF and
 * another file that defines the same tokenizer is not promised; the same file always gives the same hash. */
const char *tokenizer_hash(const struct tokenizer *t);

#endif
