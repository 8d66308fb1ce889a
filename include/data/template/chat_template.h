/*
 * A model's chat template, rendered as transformers' apply_chat_template(..., tokenize=False) renders it, with the
 * bytes that an assistant wrote.
 *
 * What the template sees: `messages` without the members whose value is null, with reasoning under `reasoning_content`
 * and `thinking` whichever of `reasoning_content`, `thinking`, `reasoning` it came under; `tools` and `documents` (none
 * if there are none); `add_generation_prompt`; the special tokens (`bos_token`, `eos_token`, ...); further variables of
 * the user's; `strftime_now`, `raise_exception` and `tojson` as transformers has them.
 *
 * A *turn* is what the model is to write of an assistant's message: from the end of the generation prompt's header
 * (`<|im_start|>assistant\n`) up to and including the special token that ends it, or to the end of the message's
 * content if the template puts none there. It comes from who printed which byte (jinja.h), so templates need no
 * {% generation %} tags, and dropped or reformatted parts of a message do no harm; where a template has such tags they
 * decide. An empty thinking block that the template adds by itself is not part of a turn.
 *
 *     <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\nHello!<|im_end|>\n
 *                                                                                |--- turn --->|
 */
#ifndef MPILORA_DATA_TEMPLATE_CHAT_TEMPLATE_H
#define MPILORA_DATA_TEMPLATE_CHAT_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/err.h"
#include "data/template/jinja.h"
#include "io/json.h"

struct chat_template;
struct chat_renderer; /* memory of one thread */

/* What is the same for all conversations. Borrowed for the life of the template. */
struct chat_setup {
    const struct json_value
        *variables; /* an object: special tokens, and above them the user's own; or NULL */
    struct tm now;  /* what strftime_now sees */
    /* The range of the first special token in a text; false if there is none. NULL: there never is. */
    bool (*find_special)(const void *context, const char *text, size_t length, size_t *start, size_t *end);
    const void *context;
};

/* Parses a template, and renders it once or twice to learn its header of a turn. Errors as jinja_template_open(). */
enum err_code chat_template_open(struct chat_template **t, const char *source, size_t length,
                                 const char *name, const struct chat_setup *setup, struct err *e);
void chat_template_close(struct chat_template *t); /* NULL is fine */

/* The generation prompt's header as it was learnt; "" if the template has none. */
const char *chat_template_header(const struct chat_template *t);

/* What it prints after an answer, if that looks like a token: "<|im_end|>", "</s>"; else "". */
const char *chat_template_ending(const struct chat_template *t);

struct chat_turn {
    size_t start, end; /* bytes of the text */
    size_t message;    /* which of the messages; SIZE_MAX: a {% generation %} block outside of them */
    bool ends;         /* with a special token */
};

struct chat_text {
    struct jinja_output output;
    const struct chat_turn *turns; /* in the order of the text */
    size_t turn_count;
};

enum err_code chat_renderer_open(struct chat_renderer **r, struct err *e);
void chat_renderer_close(struct chat_renderer *r); /* NULL is fine */

/* Whether any byte of the message's content stands in the text; with `calls`, of its tool calls. */
bool chat_text_shows(const struct chat_text *text, size_t message, bool calls);

/* One conversation: an array of messages, and `tools` and `documents` (arrays, or NULL). *text is the renderer's until
 * the next call. ERR_DATA with the template's place when it raises, or a message is no object. */
enum err_code chat_template_render(struct chat_text *text, struct chat_renderer *r,
                                   const struct chat_template *t, const struct json_value *messages,
                                   const struct json_value *tools, const struct json_value *documents,
                                   bool generation_prompt, struct err *e);

#endif
