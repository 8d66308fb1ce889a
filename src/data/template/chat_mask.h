/*
 * Finds turns from marks. The origin of a member of a message is the message's number (from 1) times CHAT_ORIGINS,
 * plus its part (enum chat_part). The origin of the message itself, which becomes the scope of the bytes printed for
 * it, has the part CHAT_MESSAGE.
 */
#ifndef MPILORA_DATA_TEMPLATE_CHAT_MASK_H
#define MPILORA_DATA_TEMPLATE_CHAT_MASK_H

#include "base/str.h"
#include "data/template/chat_template.h"

/* The headers of a turn: the texts that the template prints before an answer, the longest first. */
struct chat_headers {
    struct str text;   /* the generation prompt */
    size_t lengths[2]; /* of the whole prompt, and of its part before the thinking mark that it starts or skips */
    size_t count;      /* number of headers; 0: turns have none */
};

/* Finds the headers in the generation prompt; none if it is empty. */
enum err_code chat_headers_set(struct chat_headers *h, const char *prompt, size_t length, struct err *e);

/* A growing list. */
struct chat_turns {
    struct chat_turn *items;
    size_t count, capacity;
};

/* Appends the turn of a message, if the template printed the message. */
enum err_code chat_turn_of(struct chat_turns *turns, const struct jinja_output *text, size_t message,
                           const struct chat_headers *headers, const struct chat_setup *setup, struct err *e);

/* Appends the {% generation %} blocks. */
enum err_code chat_turns_of_blocks(struct chat_turns *turns, const struct jinja_output *text, struct err *e);

#endif
