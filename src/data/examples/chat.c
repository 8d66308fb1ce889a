#include "data/examples/chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum use { USUAL, WITH_TOOLS, USES };

/* One of the model's templates. */
struct room {
    struct chat_template *template; /* NULL: there is none, or `trouble` says why it cannot be used */
    struct err trouble;
    const struct tokenizer *tokenizer;
    int32_t end;            /* the token that ends a turn, -1: none that is known */
    const char *ending;     /* its text */
    size_t ending_length;
};

struct chat {
    struct room rooms[USES];
    struct json *variables;
    bool exists;
};

static const char no_template[] =
    "this model has no chat template: give one with --chat-template FILE, or write the data as {\"prompt\", "
    "\"completion\"} with the turns spelled out";

void chat_today(char date[CHAT_DATE_SIZE])
{
    time_t now = time(NULL);
    struct tm day;
    if (!localtime_r(&now, &day) || !strftime(date, CHAT_DATE_SIZE, "%Y-%m-%d", &day))
        snprintf(date, CHAT_DATE_SIZE, "1970-01-01");
}

static enum err_code read_date(struct tm *out, const char *date, struct err *e)
{
    char today[CHAT_DATE_SIZE], again[CHAT_DATE_SIZE] = "";
    chat_today(today);
    const char *text = *date ? date : today;
    struct tm day = {0};
    const char *rest = strptime(text, "%Y-%m-%d", &day);
    time_t seconds = timegm(&day); /* with the day of the week */
    if (rest && gmtime_r(&seconds, out))
        strftime(again, sizeof again, "%Y-%m-%d", out);
    if (strcmp(again, text) != 0)
        return err_set(e, ERR_USAGE, "--chat-date %s: must be a day of the calendar, YYYY-MM-DD", text);
    return ERR_OK;
}

static enum err_code begin_member(struct str *object, const char *key, struct err *e)
{
    if (str_append(object, object->length > 1 ? ", " : "", object->length > 1 ? 2 : 0, e) ||
        json_append_string(object, key, strlen(key), e))
        return e->code;
    return str_append(object, ": ", 2, e);
}

/* Special tokens, and above them the user's own. */
static enum err_code write_variables(struct str *text, const struct tokenizer *t, const struct json_value *own,
                                     struct err *e)
{
    size_t count = 0;
    const struct tokenizer_name *names = tokenizer_names(t, &count);
    if (str_append(text, "{", 1, e))
        return e->code;
    for (size_t i = 0; i < count; i++)
        if (!json_get(own, names[i].name) &&
            (begin_member(text, names[i].name, e) ||
             json_append_string(text, names[i].token, strlen(names[i].token), e)))
            return e->code;
    for (struct json_member m = json_first(own); m.key; m = json_next(m))
        if (begin_member(text, m.key, e) || json_append_value(text, m.value, e))
            return e->code;
    return str_append(text, "}", 1, e);
}

static enum err_code check_own(const struct json_value *own, struct err *e)
{
    static const char *const reserved[] = {"messages", "tools", "documents", "add_generation_prompt"};
    if (json_kind(own) != JSON_KIND_OBJECT)
        return err_set(e, ERR_USAGE, "--chat-template-kwargs: must be a JSON object, {\"name\": value}, not %s",
                       json_kind_name(own));
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (json_get(own, reserved[i]))
            return err_set(e, ERR_USAGE, "--chat-template-kwargs: \"%s\" is the conversation's own", reserved[i]);
    return ERR_OK;
}

static enum err_code make_variables(struct json **out, const struct tokenizer *t, const char *own,
                                    struct err *e)
{
    struct json *doc = NULL;
    struct str text = {0};
    enum err_code code = ERR_OK;
    if (*own && json_open_bytes(&doc, own, strlen(own), "--chat-template-kwargs", e))
        return e->code = ERR_USAGE;
    if (*own)
        code = check_own(json_root(doc), e);
    if (!code)
        code = write_variables(&text, t, json_root(doc), e);
    if (!code)
        code = json_open_bytes(out, text.data, text.length, "variables of the chat template", e);
    json_close(doc);
    str_release(&text);
    return code;
}

/* The special tokens of the tokenizer, and what the template ends its turns with, special or not. */
static bool find_special(const void *context, const char *text, size_t length, size_t *start, size_t *end)
{
    const struct room *r = context;
    bool found = tokenizer_find_special(r->tokenizer, text, length, start, end);
    const char *ending = r->end >= 0 ? memmem(text, length, r->ending, r->ending_length) : NULL;
    if (ending && (!found || (size_t)(ending - text) < *start)) {
        *start = (size_t)(ending - text);
        *end = *start + r->ending_length;
        found = true;
    }
    return found;
}

/* What ends a turn must be one token: cut into pieces, no answer would end. */
static enum err_code check_ending(struct room *r, const char *place, struct err *e)
{
    struct ids ids = {0};
    const char *ending = chat_template_ending(r->template);
    if (!*ending)
        return ERR_OK;
    enum err_code code = tokenizer_encode(&ids, r->tokenizer, ending, strlen(ending), false, e);
    if (!code && ids.count != 1)
        code = err_set(e, ERR_UNSUPPORTED,
                       "%s: %s, which the chat template puts after each answer, is not a token of the vocabulary, but "
                       "%zu: give the model a tokenizer.json that has it among its added_tokens, or another "
                       "--chat-template, or write the data as {\"prompt\", \"completion\"} with the turns spelled out",
                       place, ending, ids.count);
    if (!code) {
        r->ending = ending;
        r->ending_length = strlen(ending);
        r->end = ids.id[0];
    }
    ids_release(&ids);
    return code;
}

/* A template that cannot be used leaves its trouble in the room. */
static void open_room(struct room *r, const struct tokenizer *t, const char *source, const char *name,
                      struct chat_setup *setup)
{
    *r = (struct room){.tokenizer = t, .end = -1};
    setup->find_special = find_special;
    setup->context = r;
    if (chat_template_open(&r->template, source, strlen(source), name, setup, &r->trouble) == ERR_OK &&
        check_ending(r, name, &r->trouble) != ERR_OK) {
        chat_template_close(r->template);
        r->template = NULL;
    }
}

enum err_code chat_open(struct chat **c, const struct tokenizer *t, const struct chat_options *options,
                        struct err *e)
{
    const char *const sources[] = {[USUAL] = tokenizer_chat_template(t), [WITH_TOOLS] = tokenizer_tool_template(t)};
    const char *place = tokenizer_template_place(t) ? tokenizer_template_place(t) : "chat template";
    struct chat_setup setup = {0};
    *c = NULL;
    struct chat *made = calloc(1, sizeof *made);
    if (!made)
        return err_set(e, ERR_MEMORY, "no memory for chat templates");
    enum err_code code = read_date(&setup.now, options->date, e);
    if (!code)
        code = make_variables(&made->variables, t, options->variables, e);
    if (code) {
        chat_close(made);
        return code;
    }
    setup.variables = json_root(made->variables);
    for (size_t i = 0; i < USES; i++) {
        struct room *r = &made->rooms[i];
        *r = (struct room){.end = -1};
        err_set(&r->trouble, ERR_UNSUPPORTED, no_template);
        if (sources[i])
            open_room(r, t, sources[i], place, &setup);
        made->exists |= sources[i] != NULL;
    }
    if (!sources[WITH_TOOLS])
        made->rooms[WITH_TOOLS].trouble.code = ERR_OK; /* the usual one serves */
    *c = made;
    return ERR_OK;
}

void chat_close(struct chat *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < USES; i++)
        chat_template_close(c->rooms[i].template);
    json_close(c->variables);
    free(c);
}

bool chat_exists(const struct chat *c)
{
    return c && c->exists;
}

enum err_code chat_template_of(const struct chat_template **t, const struct chat *c, bool tools, struct err *e)
{
    *t = NULL;
    if (!c)
        return err_set(e, ERR_UNSUPPORTED, no_template);
    const struct room *r = &c->rooms[tools ? WITH_TOOLS : USUAL];
    if (!r->template && !r->trouble.code)
        r = &c->rooms[USUAL];
    *t = r->template;
    if (*t)
        return ERR_OK;
    *e = r->trouble;
    return e->code;
}

enum err_code chat_encode_question(struct ids *ids, const struct chat *c, const struct tokenizer *t,
                                   const char *question, size_t length, struct err *e)
{
    const struct chat_template *template = NULL;
    struct chat_renderer *renderer = NULL;
    struct chat_text text = {0};
    struct json *messages = NULL;
    struct str json = {0};
    enum err_code code = chat_template_of(&template, c, false, e);
    if (!code)
        code = str_appendf(&json, e, "[{\"role\": \"user\", \"content\": ");
    if (!code)
        code = json_append_string(&json, question, length, e);
    if (!code)
        code = str_appendf(&json, e, "}]");
    if (!code)
        code = json_open_bytes(&messages, json.data, json.length, "question", e);
    if (!code)
        code = chat_renderer_open(&renderer, e);
    if (!code)
        code = chat_template_render(&text, renderer, template, json_root(messages), NULL, NULL, true, e);
    if (!code)
        code = tokenizer_encode(ids, t, text.output.bytes, text.output.length, false, e);
    chat_renderer_close(renderer);
    json_close(messages);
    str_release(&json);
    return code;
}

int32_t chat_turn_end(const struct chat *c)
{
    return c->rooms[USUAL].end;
}
