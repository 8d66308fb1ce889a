#include "conversation.h"

#include <string.h>

#include "example_keys.h"
#include "fields.h"

enum err_code conversation_need_text(const char **text, const struct line *l, const char *key, struct err *e)
{
    const struct json_value *v = line_get(l, key);
    *text = json_text(v);
    return *text ? ERR_OK : err_set(e, ERR_DATA, "\"%s\" must be a string, not %s", key, json_kind_name(v));
}

static bool is_assistant(const struct json_value *message)
{
    const char *role = json_text(json_get(message, "role"));
    return role && !strcmp(role, "assistant");
}

enum err_code conversation_read_train(bool *train, const struct json_value *message, bool assistant, struct err *e)
{
    const struct json_value *weight = json_get(message, "weight"), *flag = json_get(message, "train");
    double number = json_number(weight, -1);
    if (!json_is_absent(weight) && number != 0 && number != 1)
        return err_set(e, ERR_DATA, "\"weight\" must be 0 or 1");
    if (!json_is_absent(flag) && json_kind(flag) != JSON_KIND_BOOL)
        return err_set(e, ERR_DATA, "\"train\" must be true or false, not %s", json_kind_name(flag));
    if (!assistant && json_bool(flag, false))
        return err_set(e, ERR_DATA, "\"train\" is true, but only an assistant's messages are trained (--train-on all: "
                                    "all of them)");
    *train = number != 0 && json_bool(flag, true);
    return ERR_OK;
}

static enum err_code check_part(const struct json_value *part, struct err *e)
{
    const char *type = json_text(json_get(part, "type"));
    if (json_kind(part) != JSON_KIND_OBJECT || !type)
        return err_set(e, ERR_DATA, "must be an object with \"type\", not %s", json_kind_name(part));
    if (strcmp(type, "text") != 0)
        return err_set(e, ERR_DATA, "is of the type \"%.*s\": text alone is supported", str_utf8_cut(type, 64), type);
    if (!json_text(json_get(part, "text")))
        return err_set(e, ERR_DATA, "\"text\" must be a string, not %s", json_kind_name(json_get(part, "text")));
    return ERR_OK;
}

static enum err_code check_content(const struct json_value *message, struct err *e)
{
    static const char *const others[] = {"tool_calls", "reasoning_content", "reasoning", "thinking"};
    const struct json_value *content = json_get(message, "content");
    if (json_kind(content) == JSON_KIND_STRING)
        return ERR_OK;
    for (size_t i = 0; i < sizeof others / sizeof *others && json_is_absent(content); i++)
        if (!json_is_absent(json_get(message, others[i])))
            return ERR_OK;
    if (json_kind(content) != JSON_KIND_ARRAY)
        return err_set(e, ERR_DATA, "\"content\" must be a string or a list of parts, not %s", json_kind_name(content));
    for (size_t i = 0; i < json_count(content); i++)
        if (check_part(json_at(content, i), e))
            return err_wrap(e, "\"content\"[%zu]", i);
    return ERR_OK;
}

static enum err_code check_list(const struct json_value *list, const char *what, struct err *e)
{
    if (!json_is_absent(list) && json_kind(list) != JSON_KIND_ARRAY)
        return err_set(e, ERR_DATA, "\"%s\" must be an array, not %s", what, json_kind_name(list));
    for (size_t i = 0; i < json_count(list); i++)
        if (json_kind(json_at(list, i)) != JSON_KIND_OBJECT)
            return err_set(e, ERR_DATA, "\"%s\"[%zu] must be an object, not %s", what, i,
                           json_kind_name(json_at(list, i)));
    return ERR_OK;
}

static enum err_code check_message(const struct json_value *message, const char *list, enum example_form form,
                                   struct err *e)
{
    bool train;
    const char *role = NULL;
    const struct line l = {.root = message};
    if (json_kind(message) != JSON_KIND_OBJECT)
        return err_set(e, ERR_DATA, "must be an object with \"role\" and \"content\", not %s",
                       json_kind_name(message));
    if (example_check_message_keys(message, form, e) || fields_check_message(message, list, form, e) ||
        conversation_need_text(&role, &l, "role", e) ||
        conversation_read_train(&train, message, is_assistant(message), e) ||
        check_list(json_get(message, "tool_calls"), "tool_calls", e))
        return e->code;
    return check_content(message, e);
}

/* `tools` may be a string that holds them: a table of one type a column has no other way. */
static enum err_code read_tools(struct conversation *c, const struct line *l, struct err *e)
{
    const struct json_value *tools = line_get(l, "tools"), *documents = line_get(l, "documents");
    const char *text = json_text(tools);
    if (text && !*text)
        tools = NULL;
    else if (text && line_open_json(&c->tools_made, text, json_text_length(tools), e))
        return err_wrap(e, "\"tools\"");
    else if (text)
        tools = json_root(c->tools_made);
    if (check_list(tools, "tools", e) || check_list(documents, "documents", e))
        return e->code;
    c->tools = json_count(tools) ? tools : NULL;
    c->documents = json_count(documents) ? documents : NULL;
    return ERR_OK;
}

static enum err_code read_messages(struct conversation *c, struct str *work, const struct line *l, struct err *e)
{
    (void)work;
    c->messages = line_get(l, "messages");
    if (json_text(c->messages))
        return err_set(e, ERR_DATA, "\"messages\" must be an array, not a string: jq -c '.messages |= fromjson' FILE > "
                                    "NEW makes one of it");
    if (json_kind(c->messages) != JSON_KIND_ARRAY || !json_count(c->messages))
        return err_set(e, ERR_DATA, "\"messages\" must be an array of at least one message");
    for (size_t i = 0; i < json_count(c->messages); i++)
        if (check_message(json_at(c->messages, i), "messages", EXAMPLE_MESSAGES, e))
            return err_wrap(e, "\"messages\"[%zu]", i);
    return ERR_OK;
}

static enum err_code check_prompt_messages(const struct line *l, const char *key, struct err *e)
{
    const struct json_value *list = line_get(l, key);
    if ((l->asks || l->shared) && json_is_absent(list))
        return ERR_OK;
    if (json_kind(list) != JSON_KIND_ARRAY)
        return err_set(e, ERR_DATA, "\"%s\" must be a list of messages as the other one is, not %s", key,
                       json_kind_name(list));
    for (size_t i = 0; i < json_count(list); i++)
        if (check_message(json_at(list, i), key, EXAMPLE_PROMPT_MESSAGES, e))
            return err_wrap(e, "\"%s\"[%zu]", key, i);
    return ERR_OK;
}

static enum err_code read_prompt_messages(struct conversation *c, struct str *work, const struct line *l,
                                          struct err *e)
{
    if (check_prompt_messages(l, "prompt", e) || check_prompt_messages(l, l->answer, e))
        return e->code;
    return form_read_prompt_messages(c, work, l, e);
}

enum err_code conversation_read(struct conversation *c, struct str *work, const struct line *l,
                                enum example_form form, struct err *e)
{
    static enum err_code (*const readers[])(struct conversation *, struct str *, const struct line *,
                                            struct err *) = {
        [EXAMPLE_MESSAGES] = read_messages,
        [EXAMPLE_PROMPT_MESSAGES] = read_prompt_messages,
        [EXAMPLE_ALPACA] = form_read_alpaca,
        [EXAMPLE_SHAREGPT] = form_read_sharegpt,
    };
    *c = (struct conversation){0};
    str_clear(work);
    if (form != EXAMPLE_ALPACA && read_tools(c, l, e))
        return e->code;
    enum err_code code = readers[form](c, work, l, e);
    if (code || c->messages)
        return code;
    /* The form wrote them. */
    code = json_open_bytes(&c->made, work->data, work->length, NULL, e);
    c->messages = json_root(c->made);
    return code;
}

void conversation_release(struct conversation *c)
{
    json_close(c->made);
    json_close(c->tools_made);
    *c = (struct conversation){0};
}

bool conversation_is_answered(const struct conversation *c)
{
    return is_assistant(json_at(c->messages, json_count(c->messages) - 1));
}

static bool is_left_out(const struct json_value *message)
{
    bool train = true;
    struct err ignored;
    return conversation_read_train(&train, message, true, &ignored) || !train;
}

static size_t last_answer(const struct conversation *c)
{
    size_t i = json_count(c->messages);
    while (i > c->first && !is_assistant(json_at(c->messages, i - 1)))
        i--;
    return i > c->first ? i - 1 : SIZE_MAX;
}

bool conversation_has_assistant(const struct conversation *c)
{
    for (size_t i = 0; i < json_count(c->messages); i++)
        if (is_assistant(json_at(c->messages, i)))
            return true;
    return false;
}

bool conversation_trains(const struct conversation *c, enum example_train_on train_on, size_t message)
{
    if (message < c->first || (train_on == TRAIN_ON_LAST && message != last_answer(c)))
        return false;
    return !is_left_out(json_at(c->messages, message));
}

bool conversation_selects(const struct conversation *c, enum example_train_on train_on)
{
    for (size_t i = 0; i < json_count(c->messages); i++)
        if (is_assistant(json_at(c->messages, i)) && !conversation_trains(c, train_on, i))
            return true;
    return false;
}
