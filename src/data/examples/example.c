#include "data/examples/example.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "example_keys.h"
#include "io/json.h"

void example_release(struct example *ex)
{
    free(ex->tokens);
    free(ex->supervised);
    *ex = (struct example){0};
}

void example_scratch_release(struct example_scratch *s)
{
    ids_release(&s->ids);
    str_release(&s->line);
    str_release(&s->text);
    free(s->messages);
    free(s->spans);
    *s = (struct example_scratch){0};
}

/* Appends `count` tokens, all supervised or none. */
static enum err_code append(struct example *ex, const int32_t *tokens, size_t count, bool supervised,
                            struct err *e)
{
    size_t needed = ex->count + count;
    if (needed > ex->capacity) {
        size_t capacity = needed > 2 * ex->capacity ? needed : 2 * ex->capacity;
        int32_t *new_tokens = reallocarray(ex->tokens, capacity, sizeof *new_tokens);
        if (new_tokens)
            ex->tokens = new_tokens;
        uint8_t *new_supervised = realloc(ex->supervised, capacity);
        if (new_supervised)
            ex->supervised = new_supervised;
        if (!new_tokens || !new_supervised)
            return err_set(e, ERR_MEMORY, "not enough memory for an example of %zu tokens", needed);
        ex->capacity = capacity;
    }
    if (count) {
        memcpy(ex->tokens + ex->count, tokens, count * sizeof *tokens);
        memset(ex->supervised + ex->count, supervised, count);
    }
    ex->count = needed;
    return ERR_OK;
}

/* A text that begins with the BOS token's own text needs no second one from the post-processor. */
static bool drop_second_bos(struct ids *ids, const struct tokenizer *t)
{
    int32_t bos = tokenizer_bos(t);
    if (bos < 0 || ids->count < 2 || ids->id[0] != bos || ids->id[1] != bos || ids->start[0] != ids->end[0])
        return false;
    ids->count--;
    memmove(ids->id, ids->id + 1, ids->count * sizeof *ids->id);
    memmove(ids->start, ids->start + 1, ids->count * sizeof *ids->start);
    memmove(ids->end, ids->end + 1, ids->count * sizeof *ids->end);
    return true;
}

enum err_code example_encode_prompt(struct ids *ids, bool *had_bos, const struct tokenizer *t,
                                    const char *text, size_t length, struct err *e)
{
    if (tokenizer_encode_prompt(ids, t, text, length, e))
        return e->code;
    *had_bos = drop_second_bos(ids, t);
    return ERR_OK;
}

static enum err_code append_eos(struct example *ex, const struct tokenizer *t, struct err *e)
{
    int32_t eos = tokenizer_eos(t);
    if (eos < 0)
        return err_set(
            e, ERR_UNSUPPORTED,
            "the model declares no end-of-sequence token, which must end a \"text\" or \"completion\": "
            "set eos_token in tokenizer_config.json, or eos_token_id in config.json (in a GGUF: "
            "tokenizer.ggml.eos_token_id)");
    return append(ex, &eos, 1, true, e);
}

static enum err_code need_text(const char **text, size_t *length, const struct json_value *object,
                               const char *key, struct err *e)
{
    const struct json_fields f = {.object = object, .code = ERR_DATA};
    if (json_need_text(text, &f, key, e))
        return e->code;
    *length = strlen(*text);
    return ERR_OK;
}

static enum err_code parse_text(struct example *ex, struct example_scratch *s, const struct tokenizer *t,
                                const struct json_value *root, struct err *e)
{
    const char *text = NULL;
    size_t length = 0;
    if (need_text(&text, &length, root, "text", e))
        return e->code;
    if (!t)
        return ERR_OK;
    if (tokenizer_encode(&s->ids, t, text, length, true, e))
        return e->code;
    ex->had_bos = drop_second_bos(&s->ids, t);
    if (append(ex, s->ids.id, s->ids.count, true, e))
        return e->code;
    return append_eos(ex, t, e);
}

static enum err_code parse_completion(struct example *ex, struct example_scratch *s,
                                      const struct tokenizer *t, const struct json_value *root, struct err *e)
{
    const char *prompt = NULL, *completion = NULL;
    size_t prompt_length = 0, length = 0;
    if (need_text(&prompt, &prompt_length, root, "prompt", e) ||
        need_text(&completion, &length, root, "completion", e))
        return e->code;
    if (!t)
        return ERR_OK;
    struct ids *ids = &s->ids;
    if (example_encode_prompt(ids, &ex->had_bos, t, prompt, prompt_length, e) ||
        append(ex, ids->id, ids->count, false, e) || tokenizer_encode(ids, t, completion, length, false, e) ||
        append(ex, ids->id, ids->count, true, e))
        return e->code;
    int32_t eos = tokenizer_eos(t);
    bool ends = eos >= 0 && ids->count > 0 && ids->id[ids->count - 1] == eos;
    return ends ? ERR_OK : append_eos(ex, t, e);
}

static enum err_code parse_role(enum chat_role *role, const char *name, struct err *e)
{
    static const char *const names[] = {[CHAT_SYSTEM] = "system",
                                        [CHAT_DEVELOPER] = "developer",
                                        [CHAT_USER] = "user",
                                        [CHAT_ASSISTANT] = "assistant",
                                        [CHAT_TOOL] = "tool"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(name, names[i])) {
            *role = (enum chat_role)i;
            return ERR_OK;
        }
    return err_set(e, ERR_DATA,
                   "unknown role \"%.*s\": roles are system, developer, user, assistant and tool",
                   str_utf8_cut(name, 64), name);
}

static enum err_code parse_message(struct chat_message *m, const struct json_value *v, struct err *e)
{
    const char *role = NULL;
    size_t role_length;
    if (json_kind(v) != JSON_KIND_OBJECT)
        return err_set(e, ERR_DATA, "must be an object with \"role\" and \"content\", not %s",
                       json_kind_name(v));
    if (example_check_keys(v, EXAMPLE_MESSAGES, true, e) || need_text(&role, &role_length, v, "role", e) ||
        parse_role(&m->role, role, e))
        return e->code;
    return need_text(&m->content, &m->length, v, "content", e);
}

/* Reads the messages into s->messages, and makes room for as many spans. */
static enum err_code read_messages(size_t *count, struct example_scratch *s, const struct json_value *list,
                                   struct err *e)
{
    if (json_kind(list) != JSON_KIND_ARRAY || !json_count(list))
        return err_set(e, ERR_DATA, "\"messages\" must be an array of at least one message");
    *count = json_count(list);
    if (*count > s->message_capacity) {
        free(s->messages);
        free(s->spans);
        s->messages = calloc(*count, sizeof *s->messages);
        s->spans = calloc(*count, sizeof *s->spans);
        s->message_capacity = s->messages && s->spans ? *count : 0;
        if (!s->message_capacity)
            return err_set(e, ERR_MEMORY, "not enough memory for %zu messages", *count);
    }
    for (size_t i = 0; i < *count; i++)
        if (parse_message(&s->messages[i], json_at(list, i), e))
            return err_wrap(e, "\"messages\"[%zu]", i);
    return ERR_OK;
}

static enum err_code parse_messages(struct example *ex, struct example_scratch *s, const struct tokenizer *t,
                                    const struct json_value *root, struct err *e)
{
    const struct chat_format *format;
    size_t count = 0, spans;
    if (read_messages(&count, s, json_get(root, "messages"), e))
        return e->code;
    if (!t)
        return ERR_OK;
    if (chat_find(&format, t, e) || chat_check_markers(t, &s->ids, e))
        return e->code;
    str_clear(&s->text);
    if (chat_render(&s->text, s->spans, &spans, format, s->messages, count, false, e) ||
        tokenizer_encode(&s->ids, t, s->text.data, s->text.length, false, e) ||
        append(ex, s->ids.id, s->ids.count, false, e))
        return e->code;
    size_t span = 0;
    for (size_t i = 0; i < ex->count; i++) {
        size_t start = s->ids.start[i], end = s->ids.end[i];
        while (span < spans && s->spans[span].end <= start)
            span++;
        ex->supervised[i] =
            span < spans && start < end && start >= s->spans[span].start && end <= s->spans[span].end;
    }
    return ERR_OK;
}

static const struct {
    const char *name;
    enum err_code (*parse)(struct example *, struct example_scratch *, const struct tokenizer *,
                           const struct json_value *, struct err *);
} forms[] = {
    [EXAMPLE_TEXT] = {"text", parse_text},
    [EXAMPLE_COMPLETION] = {"completion", parse_completion},
    [EXAMPLE_MESSAGES] = {"messages", parse_messages},
};

const char *example_form_name(enum example_form form)
{
    return forms[form].name;
}

/* Which of the three forms a line has; a line must have exactly one. A table's writer may give every line all
 * of its columns, null where they do not apply. */
static enum err_code find_form(enum example_form *form, const struct json_value *root, struct err *e)
{
    static const struct {
        const char *key, *partner; /* fields that come together */
        enum example_form form;
    } fields[] = {
        {"text", NULL, EXAMPLE_TEXT},
        {"prompt", "completion", EXAMPLE_COMPLETION},
        {"completion", "prompt", EXAMPLE_COMPLETION},
        {"messages", NULL, EXAMPLE_MESSAGES},
    };
    const char *found = NULL, *null = NULL;
    const bool conversation = !json_is_absent(json_get(root, "messages"));
    if (json_kind(root) != JSON_KIND_OBJECT)
        return err_set(e, ERR_DATA, "a line must hold one JSON object, not %s", json_kind_name(root));
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const struct json_value *v = json_get(root, fields[i].key);
        if (json_kind(v) == JSON_KIND_NULL)
            null = fields[i].key;
        if (json_is_absent(v))
            continue;
        if (found && *form != fields[i].form)
            return err_set(e, ERR_DATA, "wrong fields: has both \"%s\" and \"%s\", a line must have one form",
                           found, fields[i].key);
        if (fields[i].partner && json_is_absent(json_get(root, fields[i].partner))) {
            if (conversation) /* its first message stands in a column of its own, too */
                continue;
            return err_set(e, ERR_DATA, "wrong fields: has \"%s\" but no \"%s\"", fields[i].key,
                           fields[i].partner);
        }
        found = fields[i].key;
        *form = fields[i].form;
    }
    if (!found && null)
        return err_set(e, ERR_DATA, "\"%s\" must be a string, not null", null);
    if (!found)
        return err_set(
            e, ERR_DATA,
            "wrong fields: has none of \"text\", \"prompt\" with \"completion\", and \"messages\"");
    return ERR_OK;
}

/* Cuts, lays down what is supervised, and counts it. */
static enum err_code finish(struct example *ex, const struct example_options *options, struct err *e)
{
    ex->truncated = ex->count > options->max_length;
    if (ex->truncated)
        ex->count = options->max_length;
    if (options->train_on_prompt && ex->count)
        memset(ex->supervised, 1, ex->count);
    if (ex->count)
        ex->supervised[0] = 0; /* nothing stands before it to predict it from */
    for (size_t i = 0; i < ex->count; i++)
        ex->supervised_count += ex->supervised[i];
    if (ex->supervised_count)
        return ERR_OK;
    if (ex->truncated)
        return err_set(e, ERR_DATA, "no supervised token is left after cutting to --max-length %zu",
                       options->max_length);
    return err_set(e, ERR_DATA, "no supervised token: nothing in this line could be learnt");
}

enum err_code example_parse(struct example *ex, struct example_scratch *scratch, const struct tokenizer *t,
                            const char *line, size_t length, const struct example_options *options,
                            struct err *e)
{
    struct json *doc;
    ex->count = ex->supervised_count = 0;
    ex->truncated = ex->had_bos = false;
    size_t valid = str_utf8_valid_prefix(line, length);
    if (valid < length)
        return err_set(e, ERR_DATA, "byte %zu of the line is not valid UTF-8", valid + 1);
    size_t first = 0;
    while (first < length && (line[first] == ' ' || line[first] == '\t'))
        first++;
    if (first < length && line[first] == '[')
        return err_set(e, ERR_DATA,
                       "a line must hold one JSON object, and this begins an array: jq -c '.[]' FILE writes "
                       "its elements a line each");
    if (json_open_bytes(&doc, line, length, NULL, e))
        return e->code = e->code == ERR_FORMAT ? ERR_DATA : e->code;
    enum err_code code = find_form(&ex->form, json_root(doc), e);
    if (!code)
        code = example_check_keys(json_root(doc), ex->form, false, e);
    if (!code)
        code = forms[ex->form].parse(ex, scratch, t, json_root(doc), e);
    if (!code && t)
        code = finish(ex, options, e);
    json_close(doc);
    return code;
}
