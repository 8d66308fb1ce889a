/* Pairs in other forms than prompt, chosen and rejected that are all strings or all lists, written as lists. */
#include <string.h>

#include "conversation.h"
#include "pair.h"

/* Messages as {from, value}, those of sharegpt. */
static bool is_spoken(const struct json_value *message)
{
    return json_kind(message) == JSON_KIND_OBJECT && json_get(message, "from") && !json_get(message, "role");
}

static bool is_spoken_list(const struct json_value *list)
{
    return json_kind(list) == JSON_KIND_ARRAY && is_spoken(json_at(list, 0));
}

/* The key of what stands before the answers; NULL: none. */
static const char *find_prompt(const struct line *l)
{
    static const char *const keys[] = {"prompt", "conversations", "messages"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!json_is_absent(line_get(l, keys[i])))
            return keys[i];
    return NULL;
}

static bool is_other_form(const struct line *l, const char *prompt)
{
    const struct json_value *const answers[] = {line_get(l, pair_keys[0]), line_get(l, pair_keys[1])};
    bool texts = false, objects = false, lists = false, spoken = prompt && is_spoken_list(line_get(l, prompt));
    for (size_t k = 0; k < 2; k++) {
        texts |= json_kind(answers[k]) == JSON_KIND_STRING;
        objects |= json_kind(answers[k]) == JSON_KIND_OBJECT;
        lists |= json_kind(answers[k]) == JSON_KIND_ARRAY;
        spoken |= is_spoken_list(answers[k]);
    }
    if (prompt && strcmp(prompt, "prompt") != 0) /* lists have the prompt in them, or it is in the wrong place */
        return !lists;
    const bool conversation = prompt && json_kind(json_at(line_get(l, prompt), 0)) == JSON_KIND_OBJECT;
    return objects || spoken || (texts && conversation);
}

/* A list of texts may have several answers, or the words of one. */
static enum err_code check_list(const char *key, const struct json_value *list, struct err *e)
{
    if (!json_text(json_at(list, 0)))
        return ERR_OK;
    return err_set(e, ERR_DATA,
                   "\"%s\" is a list of strings, and a side of a pair has one answer: jq -c '(.chosen, .rejected) |= "
                   "if type == \"array\" then .[0] else . end' FILE > NEW takes the first of each",
                   key);
}

static enum err_code add_message(struct str *list, const char *key, const struct json_value *message, struct err *e)
{
    const bool conversations = !strcmp(key, "conversations");
    if (is_spoken(message) || (conversations && !json_get(message, "role")))
        return form_add_spoken(list, message, key, e);
    if (list->length > 1 && str_append(list, ", ", 2, e))
        return e->code;
    return json_append_value(list, message, e);
}

static enum err_code add_messages(struct str *list, const char *key, const struct json_value *v, struct err *e)
{
    if (json_text(v))
        return form_add_message(list, "assistant", json_text(v), json_text_length(v), e);
    if (json_kind(v) == JSON_KIND_OBJECT)
        return add_message(list, key, v, e) ? err_wrap(e, "\"%s\"", key) : ERR_OK;
    for (size_t i = 0; i < json_count(v); i++)
        if (add_message(list, key, json_at(v, i), e))
            return err_wrap(e, "\"%s\"[%zu]", key, i);
    return ERR_OK;
}

/* Appends the key `as` and the messages of `key`; `system`: a message before them, or "". */
static enum err_code add_key(struct str *out, const char *as, const char *key, const struct json_value *v,
                             const char *system, struct err *e)
{
    struct str list = {0};
    enum err_code code = str_append(&list, "[", 1, e);
    if (!code && *system)
        code = form_add_message(&list, "system", system, strlen(system), e);
    if (!code)
        code = add_messages(&list, key, v, e);
    if (!code)
        code = str_appendf(out, e, "%s\"%s\": %s]", out->length > 1 ? ", " : "", as, list.data);
    str_release(&list);
    return code;
}

/* Conversations of sharegpt have their system message beside them. */
static enum err_code read_system(const char **system, const struct line *l, const char *prompt, struct err *e)
{
    *system = "";
    if (!prompt || strcmp(prompt, "conversations") != 0 || json_is_absent(line_get(l, "system")))
        return ERR_OK;
    return conversation_need_text(system, l, "system", e);
}

static enum err_code write_lists(struct str *out, const struct line *l, const char *prompt, struct err *e)
{
    const struct json_value *asked = prompt ? line_get(l, prompt) : NULL;
    const bool beside = prompt && strcmp(prompt, "prompt") != 0;
    const char *system;
    if (beside && (json_kind(asked) != JSON_KIND_ARRAY || !json_count(asked)))
        return err_set(e, ERR_DATA, "\"%s\" must be an array of at least one message", prompt);
    if (read_system(&system, l, prompt, e) || str_append(out, "{", 1, e))
        return e->code;
    if (beside && str_appendf(out, e, "\"%s\": null", prompt))
        return e->code;
    if (*system && str_appendf(out, e, ", \"system\": null"))
        return e->code;
    if (json_kind(asked) == JSON_KIND_ARRAY && add_key(out, "prompt", prompt, asked, system, e))
        return e->code;
    for (size_t k = 0; k < 2; k++)
        if (add_key(out, pair_keys[k], pair_keys[k], line_get(l, pair_keys[k]), "", e))
            return e->code;
    return str_append(out, "}", 1, e);
}

/* The last message before the answers may be one that they stand beside for another purpose. */
static enum err_code check_prompt(const char *key, const struct json_value *prompt, struct err *e)
{
    const char *role = json_text(json_get(json_at(prompt, json_count(prompt) - 1), "role"));
    if (!role || strcmp(role, "assistant") != 0)
        return ERR_OK;
    return err_set(e, ERR_DATA,
                   "\"%s\" ends with an answer, and those of the pair come after it: jq -c '.%s |= .[:-1]' FILE > NEW "
                   "takes it away",
                   key, key);
}

enum err_code pair_write_lists(struct json **made, struct str *work, const struct line *l, struct err *e)
{
    const char *prompt = find_prompt(l);
    *made = NULL;
    for (size_t k = 0; k < 2; k++) {
        if (json_is_absent(line_get(l, pair_keys[k])))
            return ERR_OK;
        if (check_list(pair_keys[k], line_get(l, pair_keys[k]), e))
            return e->code;
    }
    if (!is_other_form(l, prompt))
        return ERR_OK;
    str_clear(work);
    if (write_lists(work, l, prompt, e) || json_open_bytes(made, work->data, work->length, NULL, e))
        return e->code;
    const bool beside = prompt && strcmp(prompt, "prompt") != 0;
    return beside ? check_prompt(prompt, json_get(json_root(*made), "prompt"), e) : ERR_OK;
}
