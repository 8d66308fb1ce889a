/*
 * Turns, out of marks. The origin of a message's members is its number (from 1) times CHAT_ORIGINS, plus their kind;
 * that of the message itself, which becomes the scope of what is printed for it, has the kind 0.
 */
#ifndef MPILORA_DATA_TEMPLATE_CHAT_MASK_H
#define MPILORA_DATA_TEMPLATE_CHAT_MASK_H

#include "base/str.h"
#include "data/template/chat_template.h"

enum { CHAT_MESSAGE, CHAT_CONTENT, CHAT_REASONING, CHAT_OTHER, CHAT_ORIGINS };

/* A chat template's headers of a turn: what stands in front of an answer, the longest first. */
struct chat_headers {
    struct str text;   /* the generation prompt */
    size_t lengths[2]; /* of it, and of what stands in front of the thinking that it begins or leaves out */
    size_t count;      /* 0: turns have no header */
};

/* Learns the headers from the prompt; none if it is empty. */
enum err_code chat_headers_set(struct chat_headers *h, const char *prompt, size_t length, struct err *e);

/* A growing list. */
struct chat_turns {
    struct chat_turn *items;
    size_t count, capacity;
};

/* Appends the turn of a message, if the template printed it at all. */
enum err_code chat_turn_of(struct chat_turns *turns, const struct jinja_output *text, size_t message,
                           const struct chat_headers *headers, const struct chat_setup *setup, struct err *e);

/* Appends the {% generation %} blocks. */
enum err_code chat_turns_of_blocks(struct chat_turns *turns, const struct jinja_output *text, struct err *e);

#endif
