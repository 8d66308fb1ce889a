/*
 * Renders a conversation with a model's chat template, exactly as transformers' apply_chat_template(...,
 * tokenize=False) does, and finds the bytes that the assistant wrote.
 *
 * The template gets these variables: `messages`, without members whose value is null (reasoning that a message has
 * as `reasoning_content`, `thinking` or `reasoning` is available as both `reasoning_content` and `thinking`);
 * `tools` and `documents` (None if there are none); `add_generation_prompt`; the special tokens (`bos_token`,
 * `eos_token`, ...); the user's own variables. `strftime_now`, `raise_exception` and `tojson` work as in
 * transformers.
 *
 * A *turn* is the part of an assistant's message that the model has to write: from the end of the generation
 * prompt's header (`<|im_start|>assistant\n`) up to and including the special token that ends the message, or, if
 * there is no such token, to the end of the message's content. Turns are found from the origin of each byte
 * (jinja.h). So templates need no {% generation %} tags, and may drop or reformat parts of a message; if a template
 * has such tags, they define the turns. An empty thinking block that the template adds by itself is not part of a
 * turn.
 *
 *     <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\nHello!<|im_end|>\n
 *                                                                                |--- turn --->|
 */
#ifndef MPILORA_DATA_TEMPLATE_CHAT_TEMPLATE_H
#define MPILORA_DATA_TEMPLATE_CHAT_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/err.h"
#include "data/template/jinja.h"
#include "io/json.h"

struct chat_template;
struct chat_renderer; /* working memory of one thread */

/* The same for all conversations. It must outlive the template. */
struct chat_setup {
    const struct json_value
        *variables; /* an object: the special tokens, and the user's variables, which override them; or NULL */
    struct tm now;  /* the time for strftime_now */
    /* Finds the first special token in a text; false if there is none. NULL: there are no special tokens. */
    bool (*find_special)(const void *context, const char *text, size_t length, size_t *start, size_t *end);
    const void *context;
};

/* Parses a template, and renders it once or twice to find the header of a turn. Errors as jinja_template_open(). */
enum err_code chat_template_open(struct chat_template **t, const char *source, size_t length,
                                 const char *name, const struct chat_setup *setup, struct err *e);
void chat_template_close(struct chat_template *t); /* NULL is fine */

/* The header of the generation prompt; "" if the template has none. */
const char *chat_template_header(const struct chat_template *t);

/* The text that it prints after an answer, if this looks like a token: "<|im_end|>", "</s>"; else "". */
const char *chat_template_ending(const struct chat_template *t);

struct chat_turn {
    size_t start, end; /* bytes of the text */
    size_t message;    /* index of the message; SIZE_MAX: a {% generation %} block that belongs to no message */
    bool ends;         /* it ends with a special token */
};

/* The parts of a message; its role and name are printed in headers. */
enum chat_part { CHAT_MESSAGE, CHAT_CONTENT, CHAT_REASONING, CHAT_OTHER, CHAT_ORIGINS };

struct chat_text {
    struct jinja_output output;
    const uint8_t *shown; /* [messages] bit CHAT_...: the text contains something of that part */
    const struct chat_turn *turns; /* in the order of the text */
    size_t turn_count;
};

enum err_code chat_renderer_open(struct chat_renderer **r, struct err *e);
void chat_renderer_close(struct chat_renderer *r); /* NULL is fine */

/* Does the text contain any byte of this part of the message? CHAT_OTHER: of its tool calls. */
static inline bool chat_text_shows(const struct chat_text *text, size_t message, enum chat_part part)
{
    return text->shown[message] >> part & 1;
}

/* Does the template mention this variable ("tools" or "documents")? If not, it does not print its content. */
bool chat_template_mentions(const struct chat_template *t, const char *variable);

/* Renders one conversation: an array of messages, and `tools` and `documents` (arrays, or NULL). *text belongs to
 * the renderer and is valid until the next call. ERR_DATA, with the place in the template, if it raises an
 * exception or a message is not an object. */
enum err_code chat_template_render(struct chat_text *text, struct chat_renderer *r,
                                   const struct chat_template *t, const struct json_value *messages,
                                   const struct json_value *tools, const struct json_value *documents,
                                   bool generation_prompt, struct err *e);

#endif
