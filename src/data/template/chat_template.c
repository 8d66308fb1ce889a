#include "data/template/chat_template.h"

#include <stdlib.h>
#include <string.h>

#include "chat_mask.h"

struct chat_template {
    struct jinja_template *jinja;
    struct chat_setup setup;
    struct chat_headers headers;
    struct str ending;
};

struct chat_renderer {
    struct jinja *jinja;
    struct chat_turns turns;
    uint8_t *shown; /* [shown_capacity] */
    size_t shown_capacity;
};

static const char *const reasoning_names[] = {"reasoning_content", "thinking", "reasoning"};

static bool is_reasoning(const char *key)
{
    for (size_t i = 0; i < sizeof reasoning_names / sizeof *reasoning_names; i++)
        if (!strcmp(key, reasoning_names[i]))
            return true;
    return false;
}

/* A role and a name stand in headers: nobody writes them as part of an answer. */
static uint32_t origin_of(const char *key, uint32_t message)
{
    if (!strcmp(key, "role") || !strcmp(key, "name"))
        return 0;
    return message + (!strcmp(key, "content") ? CHAT_CONTENT
                      : is_reasoning(key)     ? CHAT_REASONING
                                              : CHAT_OTHER);
}

static enum err_code put(struct jinja *j, struct jinja_dict *dict, const char *key,
                         const struct json_value *json, uint32_t message)
{
    struct jinja_value v = {0};
    enum err_code code = jinja_from_json(j, &v, json, origin_of(key, message));
    return code ? code : jinja_dict_put(j, dict, key, v);
}

/* A message as transformers hands it to the template. */
static enum err_code add_message(struct jinja *j, struct jinja_list *list, const struct json_value *json,
                                 size_t index, struct err *e)
{
    struct jinja_value dict = {0};
    uint32_t origin = (uint32_t)(index + 1) * CHAT_ORIGINS;
    const struct json_value *reasoning = NULL;
    if (json_kind(json) != JSON_KIND_OBJECT)
        return err_set(e, ERR_DATA, "message %zu must be an object, this is %s", index, json_kind_name(json));
    for (size_t i = 0; i < sizeof reasoning_names / sizeof *reasoning_names && json_is_absent(reasoning); i++)
        reasoning = json_get(json, reasoning_names[i]);
    enum err_code code = jinja_new_dict(j, &dict, json_count(json) + 2);
    dict.origin = origin;
    if (!code && !json_is_absent(reasoning))
        code = put(j, dict.dict, "thinking", reasoning, origin);
    for (struct json_member m = json_first(json); !code && m.key; m = json_next(m))
        if (json_kind(m.value) != JSON_KIND_NULL)
            code = put(j, dict.dict, m.key, m.value, origin);
    if (!code && !json_is_absent(reasoning))
        code = put(j, dict.dict, "reasoning_content", reasoning, origin);
    return code ? code : jinja_list_add(j, list, dict);
}

static enum err_code set_json(struct jinja *j, const char *name, const struct json_value *json)
{
    struct jinja_value v = {0};
    enum err_code code = jinja_from_json(j, &v, json, 0);
    if (!code)
        jinja_set(j, name, v);
    return code;
}

static enum err_code set_variables(struct jinja *j, const struct chat_template *t,
                                   const struct json_value *messages, const struct json_value *tools,
                                   const struct json_value *documents, bool generation_prompt, struct err *e)
{
    struct jinja_value list = {0};
    enum err_code code = jinja_new_list(j, &list, json_count(messages));
    for (size_t i = 0; !code && i < json_count(messages); i++)
        code = add_message(j, list.list, json_at(messages, i), i, e);
    if (code || set_json(j, "tools", tools) || set_json(j, "documents", documents))
        return e->code;
    jinja_set(j, "messages", list);
    jinja_set(j, "add_generation_prompt", jinja_bool(generation_prompt));
    for (struct json_member m = json_first(t->setup.variables); m.key; m = json_next(m))
        if (set_json(j, m.key, m.value))
            return e->code;
    return ERR_OK;
}

static enum err_code render(struct chat_renderer *r, const struct chat_template *t,
                            const struct json_value *messages, const struct json_value *tools,
                            const struct json_value *documents, bool generation_prompt, struct err *e)
{
    jinja_set_time(r->jinja, &t->setup.now);
    jinja_begin(r->jinja, t->jinja, e);
    if (set_variables(r->jinja, t, messages, tools, documents, generation_prompt, e))
        return e->code;
    return jinja_render(r->jinja);
}

/* What stands in the text of each message. */
static enum err_code find_shown(struct chat_renderer *r, const struct jinja_output *output, size_t messages,
                                struct err *e)
{
    if (messages > r->shown_capacity) {
        uint8_t *grown = realloc(r->shown, messages);
        if (!grown)
            return err_set(e, ERR_MEMORY, "no memory for a conversation of %zu messages", messages);
        r->shown = grown;
        r->shown_capacity = messages;
    }
    if (messages)
        memset(r->shown, 0, messages);
    for (size_t i = 0; i < output->mark_count; i++) {
        const uint32_t origin = output->marks[i].origin;
        if (origin >= CHAT_ORIGINS)
            r->shown[origin / CHAT_ORIGINS - 1] |= (uint8_t)(1U << origin % CHAT_ORIGINS);
    }
    return ERR_OK;
}

enum err_code chat_template_render(struct chat_text *text, struct chat_renderer *r,
                                   const struct chat_template *t, const struct json_value *messages,
                                   const struct json_value *tools, const struct json_value *documents,
                                   bool generation_prompt, struct err *e)
{
    if (render(r, t, messages, tools, documents, generation_prompt, e))
        return e->code;
    text->output = jinja_output(r->jinja);
    if (find_shown(r, &text->output, json_count(messages), e))
        return e->code;
    text->shown = r->shown;
    r->turns.count = 0;
    if (jinja_template_has_generation(t->jinja) && chat_turns_of_blocks(&r->turns, &text->output, e))
        return e->code;
    for (size_t i = 0; i < json_count(messages) && !jinja_template_has_generation(t->jinja); i++) {
        const char *role = json_text(json_get(json_at(messages, i), "role"));
        if (role && !strcmp(role, "assistant") &&
            chat_turn_of(&r->turns, &text->output, i, &t->headers, &t->setup, e))
            return e->code;
    }
    text->turns = r->turns.items;
    text->turn_count = r->turns.count;
    return ERR_OK;
}

bool chat_template_mentions(const struct chat_template *t, const char *variable)
{
    return jinja_template_mentions(t->jinja, variable);
}

/* The generation prompt: what a question's text is longer by. */
static enum err_code learn_prompt(struct chat_template *t, struct chat_renderer *r,
                                  const struct json_value *question, struct err *e)
{
    struct str without = {0};
    struct err ignored;
    if (render(r, t, question, NULL, NULL, false, &ignored))
        return ERR_OK;
    struct jinja_output output = jinja_output(r->jinja);
    enum err_code code = str_append(&without, output.bytes, output.length, e);
    if (!code && !render(r, t, question, NULL, NULL, true, &ignored)) {
        output = jinja_output(r->jinja);
        if (output.length > without.length && !memcmp(output.bytes, without.data, without.length))
            code = chat_headers_set(&t->headers, output.bytes + without.length, output.length - without.length, e);
    }
    str_release(&without);
    return code;
}

/* The ending begins like a token, <...> or [|...|], and has no blanks. */
static enum err_code learn_ending(struct chat_template *t, const struct jinja_output *output, size_t at,
                                  struct err *e)
{
    while (at < output->length && strchr(" \n\r\t", output->bytes[at]))
        at++;
    const char *text = output->bytes + at;
    const char *close = *text == '<' ? ">" : str_starts_with(text, "[|") ? "|]" : NULL;
    const char *end = close ? strstr(text, close) : NULL;
    size_t length = end ? (size_t)(end - text) + strlen(close) : 0;
    return length && strcspn(text, " \n\r\t") >= length ? str_append(&t->ending, text, length, e) : ERR_OK;
}

/* What stands around an answer: its end; and if there is no generation prompt, what stands between the start of an
 * assistant's message and its content, unless that is blank. */
static enum err_code learn_around(struct chat_template *t, struct chat_renderer *r,
                                  const struct json_value *dialogue, struct err *e)
{
    struct err ignored;
    if (render(r, t, dialogue, NULL, NULL, false, &ignored))
        return ERR_OK;
    struct jinja_output output = jinja_output(r->jinja);
    size_t start = 0, scope = SIZE_MAX, first = SIZE_MAX, last = SIZE_MAX;
    for (size_t i = 0; i < output.mark_count; start = output.marks[i++].end) {
        if (output.marks[i].scope / CHAT_ORIGINS == 2 && scope == SIZE_MAX)
            scope = start;
        if (output.marks[i].origin / CHAT_ORIGINS != 2)
            continue;
        first = first == SIZE_MAX ? start : first;
        last = output.marks[i].end;
    }
    if (first == SIZE_MAX)
        return ERR_OK;
    size_t blank = scope < first ? strspn(output.bytes + scope, " \n\r\t") : 0;
    if (!t->headers.count && scope < first && blank < first - scope &&
        chat_headers_set(&t->headers, output.bytes + scope, first - scope, e))
        return e->code;
    return learn_ending(t, &output, last, e);
}

enum err_code chat_template_open(struct chat_template **t, const char *source, size_t length,
                                 const char *name, const struct chat_setup *setup, struct err *e)
{
    static const char probe[] = "[[{\"role\": \"user\", \"content\": \"Question\"}],"
                                " [{\"role\": \"user\", \"content\": \"Question\"},"
                                " {\"role\": \"assistant\", \"content\": \"Answer\"}]]";
    struct chat_renderer *r = NULL;
    struct json *doc = NULL;
    *t = NULL;
    struct chat_template *made = calloc(1, sizeof *made);
    if (!made)
        return err_set(e, ERR_MEMORY, "%s: no memory for a chat template", name);
    made->setup = *setup;
    enum err_code code = jinja_template_open(&made->jinja, source, length, name, e);
    if (!code)
        code = chat_renderer_open(&r, e);
    if (!code)
        code = json_open_bytes(&doc, probe, sizeof probe - 1, "probe", e);
    if (r && !code)
        code = learn_prompt(made, r, json_at(json_root(doc), 0), e);
    if (r && !code)
        code = learn_around(made, r, json_at(json_root(doc), 1), e);
    json_close(doc);
    chat_renderer_close(r);
    if (code)
        chat_template_close(made);
    else
        *t = made;
    return code;
}

void chat_template_close(struct chat_template *t)
{
    if (!t)
        return;
    jinja_template_close(t->jinja);
    str_release(&t->headers.text);
    str_release(&t->ending);
    free(t);
}

const char *chat_template_header(const struct chat_template *t)
{
    return t->headers.count ? t->headers.text.data : "";
}

const char *chat_template_ending(const struct chat_template *t)
{
    return t->ending.length ? t->ending.data : "";
}

enum err_code chat_renderer_open(struct chat_renderer **r, struct err *e)
{
    *r = calloc(1, sizeof **r);
    if (!*r)
        return err_set(e, ERR_MEMORY, "no memory to render conversations");
    if (jinja_open(&(*r)->jinja, e)) {
        free(*r);
        *r = NULL;
        return e->code;
    }
    return ERR_OK;
}

void chat_renderer_close(struct chat_renderer *r)
{
    if (!r)
        return;
    jinja_close(r->jinja);
    free(r->turns.items);
    free(r->shown);
    free(r);
}
