/*
 * The chat templates of a model, ready to render: parsed once, with the model's special tokens and the user's own
 * variables, and with what the tokenizer knows of where a turn ends. Constant; threads share it.
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
    const char *variables; /* a JSON object: what templates see beside the conversation; "" is none */
    const char *date;      /* what strftime_now() sees, YYYY-MM-DD; "" is today */
};

#define CHAT_DATE_SIZE 16
/* The day on this host. */
void chat_today(char date[CHAT_DATE_SIZE]);

/* The templates that the tokenizer brings along; it must outlive the chat. A template that cannot be used is no error
 * here but in chat_template_of(), since texts need none. ERR_USAGE: the options are wrong. */
enum err_code chat_open(struct chat **c, const struct tokenizer *t, const struct chat_options *options,
                        struct err *e);
void chat_close(struct chat *c); /* NULL is fine */

/* Whether the model has a template at all, be it one that cannot be used. NULL has none. */
bool chat_exists(const struct chat *c);

/* The template for a conversation, with tools or without. ERR_FORMAT, ERR_UNSUPPORTED: there is none that can be used
 * (file, line and column of a mistake in it), or what ends its turns is no single token. */
enum err_code chat_template_of(const struct chat_template **t, const struct chat *c, bool tools, struct err *e);

/* The ids of a question: a user's message with the assistant's turn begun, as the model is to go on from it. */
enum err_code chat_encode_question(struct ids *ids, const struct chat *c, const struct tokenizer *t,
                                   const char *question, size_t length, struct err *e);

/* The token that ends a turn; -1 if the template has none, or none that can be used. */
int32_t chat_turn_end(const struct chat *c);

#endif
