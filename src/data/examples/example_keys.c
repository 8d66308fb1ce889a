#include "example_keys.h"

#include <stdio.h>

#define IN(form)     (1U << EXAMPLE_##form)
#define PLAIN        (IN(TEXT) | IN(COMPLETION))
#define MESSAGES     (IN(MESSAGES) | IN(PROMPT_MESSAGES))
#define CHATS        (MESSAGES | IN(SHAREGPT))
#define SINGLE       (PLAIN | CHATS | IN(ALPACA))
#define PAIRS        (IN(PREFERENCE) | IN(PREFERENCE_MESSAGES))
#define ANY          (SINGLE | PAIRS)

/* The value that says the same as no key at all: none but null and what is empty, or 1 (true), or 0. */
enum neutral { EMPTY, ONE, ZERO };

struct row {
    const char *key;
    unsigned forms; /* that it would change and that do not take it */
    enum neutral neutral;
    const char *what; /* is not supported there */
};

static const struct row of_lines[] = {
    {"weight", ANY, ONE, "weights of examples"},
    {"train", ANY, ONE, "leaving examples out"},
    {"chosen", SINGLE, EMPTY, "preference data"},
    {"rejected", SINGLE, EMPTY, "preference data"},
    {"ref_chosen_logps", PAIRS, EMPTY, "log-probabilities of a reference that were computed before"},
    {"ref_rejected_logps", PAIRS, EMPTY, "log-probabilities of a reference that were computed before"},
    {"margin", PAIRS, ZERO, "margins of single pairs"},
    {"input", PAIRS, EMPTY, "inputs outside of the prompt"},
    {"label", ANY & ~IN(TEXT), EMPTY, "preference data"}, /* beside a text: a class of it */
    {"tools", PLAIN | IN(ALPACA) | IN(PREFERENCE), EMPTY, "tools outside of conversations"},
    {"functions", ANY, EMPTY, "tools under this name"},
    {"tool_calls", ANY, EMPTY, "tool calls outside of messages"},
    {"function_call", ANY, EMPTY, "tool calls outside of messages"},
    {"documents", PLAIN | IN(ALPACA) | IN(PREFERENCE), EMPTY, "documents outside of conversations"},
    {"system", IN(COMPLETION) | MESSAGES | PAIRS, EMPTY, "system messages outside of the prompt or the messages"},
    {"history", IN(COMPLETION) | CHATS | PAIRS, EMPTY, "earlier turns outside of the prompt or the messages"},
    {"chat_template_kwargs", ANY, EMPTY, "variables of the chat template for one example (--chat-template-kwargs)"},
    {"images", ANY, EMPTY, "anything but text"},
    {"image", ANY, EMPTY, "anything but text"},
    {"videos", ANY, EMPTY, "anything but text"},
    {"video", ANY, EMPTY, "anything but text"},
    {"audios", ANY, EMPTY, "anything but text"},
    {"audio", ANY, EMPTY, "anything but text"},
};

static const struct row of_messages[] = {
    {"loss", CHATS, ONE, "messages left out under this name (\"train\")"},
    {"function_call", CHATS, EMPTY, "tool calls under this name (\"tool_calls\")"},
    {"tool_calls", IN(SHAREGPT), EMPTY, "tool calls under this name (\"from\": \"function_call\")"},
    {"reasoning_content", IN(SHAREGPT), EMPTY, "reasoning in this form (\"messages\")"},
    {"reasoning", IN(SHAREGPT), EMPTY, "reasoning in this form (\"messages\")"},
    {"thinking", IN(SHAREGPT), EMPTY, "reasoning in this form (\"messages\")"},
    {"images", CHATS, EMPTY, "anything but text"},
    {"image", CHATS, EMPTY, "anything but text"},
    {"videos", CHATS, EMPTY, "anything but text"},
    {"audios", CHATS, EMPTY, "anything but text"},
    {"audio", CHATS, EMPTY, "anything but text"},
};

static bool says_nothing(const struct json_value *v, enum neutral neutral)
{
    switch (json_kind(v)) {
    case JSON_KIND_ARRAY:
    case JSON_KIND_OBJECT:
        return json_count(v) == 0;
    case JSON_KIND_STRING:
        return json_text(v)[0] == '\0';
    case JSON_KIND_BOOL:
        return neutral == ONE && json_bool(v, false);
    case JSON_KIND_INT:
    case JSON_KIND_REAL:
        return (neutral == ONE && json_number(v, 0) == 1) || (neutral == ZERO && json_number(v, 1) == 0);
    default:
        return json_is_absent(v);
    }
}

/* The first row of which the line, or the message, has something to say; NULL: none. */
static const struct row *find(const struct row *rows, size_t count, const struct line *l, enum example_form form)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].forms & 1U << form && !says_nothing(line_get(l, rows[i].key), rows[i].neutral))
            return &rows[i];
    return NULL;
}

enum err_code example_check_line_keys(const struct line *l, enum example_form form, struct err *e)
{
    char more[64], columns[512];
    const struct row *r = find(of_lines, sizeof of_lines / sizeof *of_lines, l, form);
    if (!r)
        return ERR_OK;
    snprintf(more, sizeof more, "unused=%s", r->key);
    columns_add(columns, sizeof columns, l->columns, more);
    return err_set(e, ERR_DATA,
                   "has \"%s\", which would change what is trained, and %s are not supported (--columns %s ignores "
                   "them)",
                   r->key, r->what, columns);
}

enum err_code example_check_message_keys(const struct json_value *message, enum example_form form, struct err *e)
{
    const struct line l = {.root = message};
    const struct row *r = find(of_messages, sizeof of_messages / sizeof *of_messages, &l, form);
    return r ? err_set(e, ERR_DATA, "has \"%s\", which would change what is trained, and %s are not supported", r->key,
                       r->what)
             : ERR_OK;
}
