/*
 * Tokenizers by byte-pair encoding, byte-level or SentencePiece-style, from a Hugging Face folder
 * (tokenizer.json) or from a GGUF file's vocabulary.
 *
 * Text goes through the stages of the `tokenizers` library: added tokens are cut out, normalizers and
 * pre-tokenizers prepare the rest, byte-pair encoding converts each piece to tokens, the post-processor adds
 * special tokens; decoders convert tokens to text. src/data/tokenizer/README.md draws this. Everything else that a
 * file asks for (Unigram, WordPiece, an unknown stage, an unknown pre-tokenizer name in a GGUF) is refused by name.
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

/* Ids, each with the half-open byte range of the text that it stands for; the range may start or end inside a
 * character. Special tokens added by the post-processor have start == end. Owned by the caller: zero-initialise it,
 * release it with ids_release(). */
struct ids {
    int32_t *id;
    uint32_t *start, *end;
    size_t count, capacity;
    struct tokenizer_work *work; /* working memory of the tokenizer, kept from call to call */
};

void ids_release(struct ids *ids);

/* Opens the tokenizer of a model, from the folder or from the GGUF file. The store may be closed afterwards.
 * ERR_FORMAT and ERR_UNSUPPORTED name the file and the key. */
enum err_code tokenizer_open(struct tokenizer **t, const struct store *store, struct err *e);
void tokenizer_close(struct tokenizer *t); /* NULL is fine */

/* Says that the model has embedding rows only for ids 0..rows-1. From now on a text with a larger id is an error.
 * ERR_MISMATCH if the tokenizer's own vocabulary, or its EOS token, has a larger id. Added tokens may have larger
 * ids (people add a padding token, which no text contains): *beyond is their number, *first the first of them. */
enum err_code tokenizer_limit(size_t *beyond, const char **first, struct tokenizer *t, size_t rows,
                              struct err *e);

/* Replaces the content of `out` by the ids of `text`. Ill-formed UTF-8 is ERR_DATA with the byte offset. With
 * `special`, adds the tokens that the post-processor adds to a single sequence (e.g. BOS). As in the `tokenizers`
 * library, the text of a special token inside `text` always becomes that token, and a byte that is not in the
 * vocabulary is dropped if there is no unknown token. Several threads may use one tokenizer at the same time, each
 * with its own `out`. */
enum err_code tokenizer_encode(struct ids *out, const struct tokenizer *t, const char *text, size_t length,
                               bool special, struct err *e);

/* The same for a text that will be continued: adds the tokens that the post-processor puts before a text, but not
 * those after it. */
enum err_code tokenizer_encode_prompt(struct ids *out, const struct tokenizer *t, const char *text,
                                      size_t length, struct err *e);

/* Appends the text of the ids to `out`. Bytes that are not UTF-8 become U+FFFD, as in the `tokenizers` library.
 * SentencePiece-style decoders remove the space that encoding has put before the text. An id out of range is
 * ERR_DATA; an id that the vocabulary does not use adds nothing. */
enum err_code tokenizer_decode(struct str *out, const struct tokenizer *t, const int32_t *ids, size_t count,
                               bool skip_special, struct err *e);

int32_t tokenizer_vocab_size(const struct tokenizer *t); /* largest id + 1, added tokens included */
int32_t tokenizer_eos(const struct tokenizer *t);        /* -1 if none is declared */
int32_t tokenizer_bos(const struct tokenizer *t);
int32_t tokenizer_id(const struct tokenizer *t, const char *token); /* -1 if there is no such token */
/* The text of a token as in the vocabulary; NULL if there is no such id. */
const char *tokenizer_token(const struct tokenizer *t, int32_t id);
/* The range of the first special token in well-formed UTF-8, including the spaces that it takes; false if there is
 * none. Special tokens are the added tokens that the file marks as special (decoding can omit them), and EOS. `t`
 * is a struct tokenizer. */
bool tokenizer_find_special(const void *t, const char *text, size_t length, size_t *start, size_t *end);
/* A warning for the user about a known mistake in the file that cannot be corrected here; NULL: none. */
const char *tokenizer_warning(const struct tokenizer *t);

/* The sources of the model's chat templates, NULL if it has none: the usual one, and the one for conversations with
 * tools. */
const char *tokenizer_chat_template(const struct tokenizer *t);
const char *tokenizer_tool_template(const struct tokenizer *t);
const char *tokenizer_template_place(const struct tokenizer *t); /* for messages */
/* Replaces both by another source, from the file `place`. It is part of the hash from now on. */
enum err_code tokenizer_replace_chat_template(struct tokenizer *t, const char *place, const char *source,
                                              size_t length, struct err *e);

/* The special tokens and their names in chat templates. */
struct tokenizer_name {
    const char *name, *token; /* "bos_token", "<s>" */
};
const struct tokenizer_name *tokenizer_names(const struct tokenizer *t, size_t *count);

/* Hash over vocabulary, merges, added tokens, pipeline, EOS and chat templates, and not over how their files are
 * written. A folder and a GGUF file with the same tokenizer may have different hashes. */
const char *tokenizer_hash(const struct tokenizer *t);

#endif
