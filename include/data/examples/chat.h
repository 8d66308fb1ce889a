/*
 * The chat templates of a model, parsed and ready to render: with the model's special tokens, the user's variables,
 * and the special token that ends a turn. Constant after chat_open(); threads share it.
 */
#ifndef MPILORA_DATA_EXAMPLES_CHAT_H
#define MPILORA_DATA_EXAMPLES_CHAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "data/template/chat_template.h"
#include "data/tokenizer/tokenizer.h"

struct chat;

struct chat_options {
    const char *variables; /* a JSON object: further variables for templates; "": none */
    const char *date;      /* the date for strftime_now(), YYYY-MM-DD; "": today */
};

#define CHAT_DATE_SIZE 16
/* Today's date on this host, YYYY-MM-DD. */
void chat_today(char date[CHAT_DATE_SIZE]);

/* Opens the templates that the tokenizer has; the tokenizer must outlive the chat. A template that cannot be used
 * is not an error here but in chat_template_of(), because data that are not conversations need no template.
 * ERR_USAGE: the options are wrong. */
enum err_code chat_open(struct chat **c, const struct tokenizer *t, const struct chat_options *options,
                        struct err *e);
void chat_close(struct chat *c); /* NULL is fine */

/* Does the model have a template, even if it cannot be used? false if `c` is NULL. */
bool chat_exists(const struct chat *c);

/* The template for a conversation with or without tools. ERR_FORMAT or ERR_UNSUPPORTED if there is no usable
 * template (with file, line and column of the mistake in it), or if its turns do not end with a single token. */
enum err_code chat_template_of(const struct chat_template **t, const struct chat *c, bool tools, struct err *e);

/* The ids of a question: a user's message followed by the header of the assistant's turn, so that the model writes
 * the answer. */
enum err_code chat_encode_question(struct ids *ids, const struct chat *c, const struct tokenizer *t,
                                   const char *question, size_t length, struct err *e);

/* The token that ends a turn; -1 if the template has none, or none that can be used. */
int32_t chat_turn_end(const struct chat *c);

#endif
