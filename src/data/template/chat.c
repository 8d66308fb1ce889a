#include "data/template/chat.h"

#include <string.h>

#define TURN_BEGIN "<|im_start|>"

struct chat_format {
    const char *name;
    const char *default_system; /* NULL: none */
    const char *text;
};

static const struct chat_format formats[] = {
#define CHAT_TEMPLATE(name, default_system, text) {name, default_system, text},
#include "chat_templates.def"
};

static const char *const role_names[] = {[CHAT_SYSTEM] = "system",
                                         [CHAT_DEVELOPER] = "developer",
                                         [CHAT_USER] = "user",
                                         [CHAT_ASSISTANT] = "assistant",
                                         [CHAT_TOOL] = "tool"};

/* Whether two templates are the same program: a newline in a Jinja string may be written \n, and Jinja drops
 * one newline at the very end. */
static bool same_template(const char *text, const char *known)
{
    while (*known != '\0') {
        bool escaped = *known == '\n' && text[0] == '\\' && text[1] == 'n';
        if (!escaped && *text != *known)
            return false;
        text += escaped ? 2 : 1;
        known++;
    }
    return text[0] == '\0' || (text[0] == '\n' && text[1] == '\0');
}

enum err_code chat_find(const struct chat_format **format, const struct tokenizer *t, struct err *e)
{
    const char *text = tokenizer_chat_template(t);
    if (text == NULL)
        return err_set(
            e, ERR_UNSUPPORTED,
            "this model has no chat template: write the data as {\"prompt\", \"completion\"} with the turns "
            "spelled out");
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (same_template(text, formats[i].text)) {
            *format = &formats[i];
            return ERR_OK;
        }
    }
    return err_set(
        e, ERR_UNSUPPORTED,
        "this model's chat template is not one of the known ones (it begins with '%.*s'): write the data as "
        "{\"prompt\", \"completion\"} with the turns spelled out",
        str_utf8_cut(text, 60), text);
}

enum err_code chat_check_markers(const struct tokenizer *t, struct ids *work, struct err *e)
{
    static const char *const markers[] = {TURN_BEGIN, CHAT_TURN_END};
    for (size_t i = 0; i < sizeof markers / sizeof *markers; i++) {
        if (tokenizer_encode(work, t, markers[i], strlen(markers[i]), false, e))
            return e->code;
        if (work->count != 1)
            return err_set(
                e, ERR_UNSUPPORTED,
                "%s, which this model's chat template puts around each turn, is not a token of its "
                "vocabulary, "
                "but %zu: give it a tokenizer.json that has it among its added_tokens, or write the data as "
                "{\"prompt\", \"completion\"} with the turns spelled out",
                markers[i], work->count);
    }
    return ERR_OK;
}

static enum err_code append_turn(struct str *text, struct chat_span *content, const char *role,
                                 const char *bytes, size_t length, struct err *e)
{
    if (str_append(text, TURN_BEGIN, strlen(TURN_BEGIN), e) || str_append(text, role, strlen(role), e) ||
        str_append(text, "\n", 1, e))
        return e->code;
    content->start = text->length;
    if (str_append(text, bytes, length, e) || str_append(text, CHAT_TURN_END, strlen(CHAT_TURN_END), e))
        return e->code;
    content->end = text->length;
    return str_append(text, "\n", 1, e);
}

enum err_code chat_render(struct str *text, struct chat_span *spans, size_t *span_count,
                          const struct chat_format *format, const struct chat_message *messages, size_t count,
                          bool generation_prompt, struct err *e)
{
    struct chat_span span;
    const char *system = format->default_system;
    *span_count = 0;
    if (count > 0 && messages[0].role != CHAT_SYSTEM && system != NULL &&
        append_turn(text, &span, role_names[CHAT_SYSTEM], system, strlen(system), e))
        return e->code;
    for (size_t i = 0; i < count; i++) {
        const struct chat_message *m = &messages[i];
        if (append_turn(text, &span, role_names[m->role], m->content, m->length, e))
            return e->code;
        if (m->role == CHAT_ASSISTANT)
            spans[(*span_count)++] = span;
    }
    if (generation_prompt)
        return str_appendf(text, e, "%s%s\n", TURN_BEGIN, role_names[CHAT_ASSISTANT]);
    return ERR_OK;
}
