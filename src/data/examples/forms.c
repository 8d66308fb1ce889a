/* The forms that are not `messages`, written as such. */
#include <string.h>

#include "conversation.h"
#include "example_keys.h"
#include "fields.h"

/* Begins a message: {"role": ROLE; further members follow. */
static enum err_code begin_message(struct str *out, const char *role, struct err *e)
{
    if (str_appendf(out, e, "%s{\"role\": ", out->length > 1 ? ", " : ""))
        return e->code;
    return json_append_string(out, role, strlen(role), e);
}

enum err_code form_add_message(struct str *out, const char *role, const char *content, size_t length, struct err *e)
{
    if (begin_message(out, role, e) || str_appendf(out, e, ", \"content\": ") ||
        json_append_string(out, content, length, e))
        return e->code;
    return str_append(out, "}", 1, e);
}

/* ---- alpaca ---- */

/* A text that may be left out; "" then. */
static enum err_code get_text(const char **text, const struct line *l, const char *key, struct err *e)
{
    *text = "";
    return json_is_absent(line_get(l, key)) ? ERR_OK : conversation_need_text(text, l, key, e);
}

enum err_code form_join_alpaca(struct str *question, const struct line *l, struct err *e)
{
    const char *instruction = NULL, *input = NULL;
    if (conversation_need_text(&instruction, l, "instruction", e) || get_text(&input, l, "input", e))
        return e->code;
    return str_appendf(question, e, "%s%s%s", instruction, *input ? "\n" : "", input);
}

static enum err_code add_history(struct str *out, const struct json_value *history, struct err *e)
{
    if (!json_is_absent(history) && json_kind(history) != JSON_KIND_ARRAY)
        return err_set(e, ERR_DATA, "\"history\" must be a list of [instruction, output], not %s",
                       json_kind_name(history));
    for (size_t i = 0; i < json_count(history); i++) {
        const struct json_value *turn = json_at(history, i), *asked = json_at(turn, 0), *answer = json_at(turn, 1);
        if (json_kind(turn) != JSON_KIND_ARRAY || json_count(turn) != 2 || !json_text(asked) || !json_text(answer))
            return err_set(e, ERR_DATA, "\"history\"[%zu] must be [instruction, output], two strings", i);
        if (form_add_message(out, "user", json_text(asked), json_text_length(asked), e) ||
            form_add_message(out, "assistant", json_text(answer), json_text_length(answer), e))
            return e->code;
    }
    return ERR_OK;
}

static enum err_code write_alpaca(struct str *out, const struct str *question, const struct line *l, struct err *e)
{
    const char *system = NULL, *output = NULL;
    const bool asks = l->asks && json_is_absent(line_get(l, "output"));
    if (get_text(&system, l, "system", e) || (!asks && conversation_need_text(&output, l, "output", e)) ||
        str_append(out, "[", 1, e) || (*system && form_add_message(out, "system", system, strlen(system), e)) ||
        add_history(out, line_get(l, "history"), e) ||
        form_add_message(out, "user", question->data, question->length, e) ||
        (!asks && form_add_message(out, "assistant", output, strlen(output), e)))
        return e->code;
    return str_append(out, "]", 1, e);
}

enum err_code form_read_alpaca(struct conversation *c, struct str *work, const struct line *l, struct err *e)
{
    (void)c;
    struct str question = {0};
    enum err_code code = form_join_alpaca(&question, l, e);
    if (!code)
        code = write_alpaca(work, &question, l, e);
    str_release(&question);
    return code;
}

/* ---- sharegpt ---- */

static const struct speaker {
    const char *from, *role; /* NULL: a tool's call */
} speakers[] = {{"system", "system"},       {"human", "user"},      {"user", "user"},
                {"gpt", "assistant"},       {"assistant", "assistant"}, {"model", "assistant"},
                {"tool", "tool"},           {"observation", "tool"}, {"function_call", NULL}};

static enum err_code add_call(struct str *out, const struct json_value *call, struct err *e)
{
    const char *name = json_text(json_get(call, "name"));
    const struct json_value *arguments = json_get(call, "arguments");
    enum json_kind kind = json_kind(arguments);
    if (!name || json_count(call) != 2 || (kind != JSON_KIND_OBJECT && kind != JSON_KIND_STRING))
        return err_set(e, ERR_DATA,
                       "a function call must be {\"name\", \"arguments\"}, a string and an object, or a list of them");
    if (str_appendf(out, e, "{\"type\": \"function\", \"function\": {\"name\": ") ||
        json_append_string(out, name, strlen(name), e) || str_appendf(out, e, ", \"arguments\": ") ||
        json_append_value(out, arguments, e))
        return e->code;
    return str_appendf(out, e, "}}");
}

/* The value is JSON: a call or a list of calls. */
static enum err_code add_calls(struct str *out, const char *value, size_t length, struct err *e)
{
    struct json *doc = NULL;
    if (line_open_json(&doc, value, length, e))
        return err_wrap(e, "a function call must be JSON");
    const struct json_value *calls = json_root(doc);
    const bool list = json_kind(calls) == JSON_KIND_ARRAY;
    enum err_code code = str_appendf(out, e, ", \"tool_calls\": [");
    if (!code && list && !json_count(calls))
        code = add_call(out, NULL, e);
    for (size_t i = 0; !code && i < (list ? json_count(calls) : 1); i++) {
        code = i ? str_append(out, ", ", 2, e) : ERR_OK;
        if (!code)
            code = add_call(out, list ? json_at(calls, i) : calls, e);
    }
    json_close(doc);
    return code ? code : str_append(out, "]", 1, e);
}

enum err_code form_add_spoken(struct str *out, const struct json_value *spoken, const char *list, struct err *e)
{
    const struct line l = {.root = spoken};
    const struct speaker *speaker = NULL;
    const char *from = NULL, *value = NULL;
    bool train = true;
    if (json_kind(spoken) != JSON_KIND_OBJECT)
        return err_set(e, ERR_DATA, "must be an object with \"from\" and \"value\", not %s", json_kind_name(spoken));
    if (example_check_message_keys(spoken, EXAMPLE_SHAREGPT, e) ||
        fields_check_message(spoken, list, EXAMPLE_SHAREGPT, e) ||
        conversation_need_text(&from, &l, "from", e) || conversation_need_text(&value, &l, "value", e))
        return e->code;
    for (size_t i = 0; i < sizeof speakers / sizeof *speakers && !speaker; i++)
        if (!strcmp(speakers[i].from, from))
            speaker = &speakers[i];
    if (!speaker)
        return err_set(e, ERR_DATA,
                       "\"from\" is \"%.*s\": it must be system, human, user, gpt, assistant, model, tool, "
                       "observation or function_call",
                       str_utf8_cut(from, 64), from);
    const char *role = speaker->role ? speaker->role : "assistant";
    size_t length = strlen(value);
    if (conversation_read_train(&train, spoken, !strcmp(role, "assistant"), e) || begin_message(out, role, e))
        return e->code;
    if (speaker->role ? str_appendf(out, e, ", \"content\": ") || json_append_string(out, value, length, e)
                      : add_calls(out, value, length, e))
        return e->code;
    return str_appendf(out, e, train ? "}" : ", \"train\": false}");
}

enum err_code form_read_sharegpt(struct conversation *c, struct str *work, const struct line *l, struct err *e)
{
    (void)c;
    const struct json_value *list = line_get(l, "conversations");
    const char *system = NULL;
    if (json_kind(list) != JSON_KIND_ARRAY || !json_count(list))
        return err_set(e, ERR_DATA, "\"conversations\" must be an array of at least one {\"from\", \"value\"}");
    if (get_text(&system, l, "system", e) || str_append(work, "[", 1, e) ||
        (*system && form_add_message(work, "system", system, strlen(system), e)))
        return e->code;
    for (size_t i = 0; i < json_count(list); i++)
        if (form_add_spoken(work, json_at(list, i), "conversations", e))
            return err_wrap(e, "\"conversations\"[%zu]", i);
    return str_append(work, "]", 1, e);
}

/* ---- prompt and completion, lists of messages ---- */

enum err_code form_read_prompt_messages(struct conversation *c, struct str *work, const struct line *l,
                                        struct err *e)
{
    const struct json_value *const lists[] = {line_get(l, "prompt"), line_get(l, l->answer)};
    const bool asks = l->asks && json_is_absent(lists[1]) && json_count(lists[0]);
    if (!json_count(lists[1]) && !asks)
        return err_set(e, ERR_DATA, "\"%s\" must have at least one message", l->answer);
    if (str_append(work, "[", 1, e))
        return e->code;
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < json_count(lists[k]); i++)
            if ((work->length > 1 && str_append(work, ", ", 2, e)) ||
                json_append_value(work, json_at(lists[k], i), e))
                return e->code;
    c->first = json_count(lists[0]) + l->shared;
    return str_append(work, "]", 1, e);
}
