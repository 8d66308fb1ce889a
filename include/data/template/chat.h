/*
 * Chat templates. A model's template is a Jinja program; this module holds renderers for the ones it knows by their
 * exact text, and refuses the others.
 */
#ifndef MPILORA_DATA_TEMPLATE_CHAT_H
#define MPILORA_DATA_TEMPLATE_CHAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "data/tokenizer/tokenizer.h"

enum chat_role { CHAT_SYSTEM, CHAT_DEVELOPER, CHAT_USER, CHAT_ASSISTANT, CHAT_TOOL };

struct chat_message {
    enum chat_role role;
    const char *content;
    size_t length;
};

struct chat_format; /* one row of the table of known templates */

/* ERR_UNSUPPORTED when the tokenizer has no template or one that is not in the table: the message says how
 * to go on (prompt/completion data). */
enum err_code chat_find(const struct chat_format **format, const struct tokenizer *t, struct err *e);

/* The token behind each turn, as the vocabulary writes it: the same in all known templates. */
#define CHAT_TURN_END "<|im_end|>"

/* ERR_UNSUPPORTED, with its name, when what begins or ends a turn is not one token of the vocabulary: it would be cut
 * into pieces, and no answer would end. `work` is overwritten. */
enum err_code chat_check_markers(const struct tokenizer *t, struct ids *work, struct err *e);

/* Byte range of rendered text that is supervised: assistant content and the end-of-turn token behind it. */
struct chat_span {
    size_t start, end;
};

/* Appends the rendered conversation to `text`. spans[] has room for `count` entries; *span_count are filled, one
 * for each assistant message. With `generation_prompt`, ends with the header of an assistant's turn. */
enum err_code chat_render(struct str *text, struct chat_span *spans, size_t *span_count,
                          const struct chat_format *format, const struct chat_message *messages, size_t count,
                          bool generation_prompt, struct err *e);

#endif
