#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "base/limits.h"
#include "data/tokenizer/spec.h"

static struct spec_text text_of(const struct json_value *v)
{
    return (struct spec_text){.data = json_text(v), .length = json_text_length(v)};
}

/* An id, or the first of a list of ids; -1 if there is none. */
static enum err_code read_declared(int32_t *out, const struct spec *s, const struct json *doc,
                                   const char *key, struct err *e)
{
    const struct json_value *v = doc ? json_get(json_root(doc), key) : NULL;
    if (json_kind(v) == JSON_KIND_ARRAY)
        v = json_at(v, 0);
    return json_is_absent(v) ? ERR_OK : spec_read_id(out, s, v, "token", key, e);
}

/* eos_token of tokenizer_config.json: a text or an object that holds it. */
static enum err_code read_named(int32_t *out, const struct spec *s, const struct store *store,
                                const char *name_key, const char *id_key, struct err *e)
{
    const struct json_value *v =
        store->tokenizer_config ? json_get(json_root(store->tokenizer_config), name_key) : NULL;
    if (json_kind(v) == JSON_KIND_OBJECT)
        v = json_get(v, "content");
    *out = -1;
    if (json_kind(v) == JSON_KIND_STRING) {
        *out = spec_find(s, json_text(v), json_text_length(v));
        if (*out < 0)
            return err_set(e, ERR_FORMAT, "%s/tokenizer_config.json: %s '%s' is not in the vocabulary",
                           store->path, name_key, json_text(v));
        return ERR_OK;
    }
    if (read_declared(out, s, store->generation_config, id_key, e))
        return e->code;
    return *out < 0 ? read_declared(out, s, store->config, id_key, e) : ERR_OK;
}

static enum err_code read_template(struct spec_text *out, const struct store_file *file, struct err *e)
{
    if (file->map.size > LIMIT_CHAT_TEMPLATE)
        return err_set(e, ERR_FORMAT, "%s has %zu bytes, more than the %d that such a file may have",
                       file->path, file->map.size, LIMIT_CHAT_TEMPLATE);
    *out = (struct spec_text){.data = file->map.data ? (const char *)file->map.data : "", .length = file->map.size};
    return format_expect(FORMAT_TEMPLATE, file->map.data, file->map.size, file->path, e);
}

/* chat_template.jinja, with a second file for conversations with tools; else tokenizer_config.json's chat_template: a
 * text, or a list of named ones ("default", "tool_use"). */
static enum err_code read_chat_template(struct spec *s, const struct store *store, struct err *e)
{
    const struct store_file *file = store_text(store, "chat_template.jinja");
    const struct store_file *tools = store_text(store, STORE_TOOL_TEMPLATE);
    if (tools && read_template(&s->tool_template, tools, e))
        return e->code;
    if (file)
        return read_template(&s->chat_template, file, e) ? e->code : spec_note_template_place(s, file->path, "", e);
    const struct json_value *v =
        store->tokenizer_config ? json_get(json_root(store->tokenizer_config), "chat_template") : NULL;
    if (json_kind(v) == JSON_KIND_STRING)
        s->chat_template = text_of(v);
    for (size_t i = 0; json_kind(v) == JSON_KIND_ARRAY && i < json_count(v); i++) {
        const char *name = json_text(json_get(json_at(v, i), "name"));
        if (name != NULL && strcmp(name, "default") == 0)
            s->chat_template = text_of(json_get(json_at(v, i), "template"));
        if (name != NULL && strcmp(name, "tool_use") == 0 && !tools)
            s->tool_template = text_of(json_get(json_at(v, i), "template"));
    }
    return spec_note_template_place(s, store->path, "/tokenizer_config.json: chat_template", e);
}

/* ---- tokens beside tokenizer.json, as transformers 5 adds them ---- */

/* The id that a token without one gets: after all that there are. */
static int32_t next_id(const struct spec *s)
{
    int32_t next = 0;
    for (size_t i = 0; i < s->vocab_count; i++)
        next += s->vocab[i].data != NULL;
    for (size_t i = 0; i < s->added_count; i++)
        next = s->added[i].id >= next ? s->added[i].id + 1 : next;
    return next;
}

/* A token that is there keeps its id and gets these flags, a new one the next id. */
static enum err_code add_token(struct spec *s, const struct added_token *token, struct err *e)
{
    if (token->length == 0)
        return ERR_OK;
    struct added_token added = *token;
    added.content = arena_strndup(&s->scratch, token->content, token->length, e); /* its file may be closed */
    if (added.content == NULL)
        return e->code;
    for (size_t i = 0; i < s->added_count; i++) {
        struct added_token *old = &s->added[i];
        if (old->length != token->length || memcmp(old->content, token->content, token->length) != 0)
            continue;
        added.id = old->id;
        *old = added;
        return ERR_OK;
    }
    if (s->added_count == s->added_capacity && spec_reserve_added(s, s->added_count + 16, e))
        return e->code;
    added.id = spec_find(s, token->content, token->length);
    if (added.id < 0)
        added.id = next_id(s);
    if (added.id >= LIMIT_IDS)
        return err_set(e, ERR_FORMAT, "%s: added token '%s' has no id below %d left", s->where, token->content,
                       LIMIT_IDS);
    s->added[s->added_count++] = added;
    return ERR_OK;
}

static bool is_added(const struct spec *s, const char *content)
{
    for (size_t i = 0; i < s->added_count; i++) {
        if (s->added[i].length == strlen(content) && memcmp(s->added[i].content, content, s->added[i].length) == 0)
            return true;
    }
    return false;
}

/* A special token that a file names: a text, or an object with flags. One that is there already stays. */
static enum err_code add_named(struct spec *s, const struct json_value *v, const char *file, const char *key,
                               struct err *e)
{
    const struct json_fields f = {.object = v, .file = file, .part = key};
    struct added_token token = {0};
    if (json_kind(v) == JSON_KIND_STRING)
        token = (struct added_token){.content = json_text(v), .length = json_text_length(v)};
    else if (json_kind(v) != JSON_KIND_OBJECT)
        return ERR_OK;
    else if (spec_read_added_token(&token, &f, e))
        return e->code;
    if (json_kind(v) == JSON_KIND_OBJECT && json_is_absent(json_get(v, "normalized")))
        token.normalized = json_kind(json_get(v, "special")) != JSON_KIND_BOOL || !token.special;
    token.special = true;
    return is_added(s, token.content) ? ERR_OK : add_token(s, &token, e);
}

/* A special token as files name it: a text, or an object that holds it. */
static const struct json_value *token_text(const struct json_value *v)
{
    return json_kind(v) == JSON_KIND_OBJECT ? json_get(v, "content") : v;
}

static bool is_named_special(const struct json_value *config, const struct added_token *token)
{
    for (struct json_member m = json_first(config); m.key; m = json_next(m)) {
        const struct json_value *v = token_text(m.value);
        if (str_ends_with(m.key, "_token") && json_kind(v) == JSON_KIND_STRING &&
            strcmp(json_text(v), token->content) == 0)
            return true;
    }
    return false;
}

struct numbered_token {
    int32_t id;
    struct json_member member;
};

static int by_id(const void *a, const void *b)
{
    const struct numbered_token *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

/* added_tokens_decoder: {"id": {content and flags}}. Its tokens come in the order of their ids, which they get
 * only if they are the next ones. */
static enum err_code add_decoder(struct spec *s, const struct json_value *config, const char *file,
                                 const struct json_value *decoder, struct err *e)
{
    size_t count = 0;
    struct numbered_token *tokens =
        arena_alloc(&s->scratch, json_count(decoder), sizeof *tokens, "added tokens", e);
    if (tokens == NULL)
        return e->code;
    for (struct json_member m = json_first(decoder); m.key; m = json_next(m)) {
        char *end;
        long id = strtol(m.key, &end, 10);
        if (end == m.key || *end != '\0' || id < 0 || id >= LIMIT_IDS)
            return err_set(e, ERR_FORMAT, "%s: added_tokens_decoder: \"%s\" is no id from 0 to %d", file, m.key,
                           LIMIT_IDS - 1);
        tokens[count++] = (struct numbered_token){.id = (int32_t)id, .member = m};
    }
    qsort(tokens, count, sizeof *tokens, by_id);
    for (size_t i = 0; i < count; i++) {
        const struct json_fields f = {
            .object = tokens[i].member.value, .file = file, .part = tokens[i].member.key};
        struct added_token token = {0};
        if (spec_read_added_token(&token, &f, e))
            return e->code;
        token.special |= is_named_special(config, &token);
        if (add_token(s, &token, e))
            return e->code;
    }
    return ERR_OK;
}

/* Named tokens (bos_token, ..., and any other *_token), then extra_special_tokens, which were once called
 * additional_special_tokens: a list, or an object of named ones. What `over` has as well, it decides. */
static enum err_code add_special(struct spec *s, const struct json_value *config, const struct json_value *over,
                                 const char *file, struct err *e)
{
    static const char *const first[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};
    const size_t count = sizeof first / sizeof *first;
    for (size_t i = 0; i < count; i++) {
        if (json_get(over, first[i]) == NULL && add_named(s, json_get(config, first[i]), file, first[i], e))
            return e->code;
    }
    for (struct json_member m = json_first(config); m.key; m = json_next(m)) {
        size_t i = 0;
        while (i < count && strcmp(m.key, first[i]) != 0)
            i++;
        if (i == count && str_ends_with(m.key, "_token") && json_kind(m.value) == JSON_KIND_STRING &&
            json_get(over, m.key) == NULL && add_named(s, m.value, file, m.key, e))
            return e->code;
    }
    const struct json_value *extra = json_get(config, "extra_special_tokens");
    if (json_count(extra) == 0)
        extra = json_get(config, "additional_special_tokens");
    for (struct json_member m = json_first(extra); m.key; m = json_next(m)) {
        if (add_named(s, m.value, file, m.key, e))
            return e->code;
    }
    for (size_t i = 0; json_kind(extra) == JSON_KIND_ARRAY && i < json_count(extra); i++) {
        if (add_named(s, json_at(extra, i), file, "extra_special_tokens", e))
            return e->code;
    }
    return ERR_OK;
}

/* Which special tokens templates know by name: bos_token, ..., and those of extra_special_tokens. */
static enum err_code note_names(struct spec *s, const struct json_value *object, bool all,
                                const struct json_value *over, struct err *e)
{
    for (struct json_member m = json_first(object); m.key; m = json_next(m)) {
        const struct json_value *v = token_text(m.value);
        if ((all || str_ends_with(m.key, "_token")) && json_kind(v) == JSON_KIND_STRING &&
            json_get(over, m.key) == NULL && spec_note_name(s, m.key, json_text(v), json_text_length(v), e))
            return e->code;
    }
    return ERR_OK;
}

/* added_tokens.json, as older files have it: {"content": id}. */
static enum err_code add_legacy(struct spec *s, const struct json_value *list, const struct json_value *config,
                                struct err *e)
{
    for (struct json_member m = json_first(list); m.key; m = json_next(m)) {
        struct added_token token = {.content = m.key, .length = strlen(m.key)};
        token.special = is_named_special(config, &token);
        token.normalized = !token.special;
        if (!is_added(s, m.key) && add_token(s, &token, e))
            return e->code;
    }
    return ERR_OK;
}

/* A JSON file of the folder; *doc NULL: it does not have it. */
static enum err_code open_text(struct json **doc, const struct store *store, const char *name, struct err *e)
{
    const struct store_file *file = store_text(store, name);
    *doc = NULL;
    return file ? json_open_map(doc, &file->map, file->path, LIMIT_MODEL_JSON, e) : ERR_OK;
}

static enum err_code add_beside(struct spec *s, const struct store *store, struct err *e)
{
    const struct json_value *config = store->tokenizer_config ? json_root(store->tokenizer_config) : NULL;
    const struct store_file *file = store_text(store, "tokenizer_config.json");
    const char *path = file ? file->path : "tokenizer_config.json";
    const struct json_fields f = {.object = config, .file = path};
    const struct json_value *decoder, *over = NULL;
    struct json *map = NULL, *added = NULL;
    enum err_code code = json_get_value(&decoder, &f, "added_tokens_decoder", JSON_KIND_OBJECT, e);
    if (!code && decoder != NULL) {
        code = add_decoder(s, config, path, decoder, e);
    } else if (!code) { /* only then do transformers read the two older files */
        code = open_text(&map, store, "special_tokens_map.json", e);
        if (!code)
            code = open_text(&added, store, "added_tokens.json", e);
        over = !code && map ? json_root(map) : NULL;
        if (!code && added)
            code = add_legacy(s, json_root(added), over ? over : config, e);
        if (!code && over)
            code = add_special(s, over, NULL, store_text(store, "special_tokens_map.json")->path, e);
    }
    if (!code && config != NULL)
        code = add_special(s, config, over, path, e);
    if (!code)
        code = note_names(s, over, false, NULL, e);
    if (!code)
        code = note_names(s, config, false, over, e);
    if (!code)
        code = note_names(s, json_get(config, "extra_special_tokens"), true, NULL, e);
    json_close(map);
    json_close(added);
    return code;
}

/* Switches that would give other ids. What tokenizer.json puts around a text counts, as in transformers 5; before, the
 * second key did. */
static enum err_code check_switches(struct spec *s, const struct store *store, struct err *e)
{
    const struct store_file *file = store_text(store, "tokenizer_config.json");
    const struct json_fields f = {.object = store->tokenizer_config ? json_root(store->tokenizer_config) : NULL,
                                  .file = file ? file->path : "tokenizer_config.json"};
    bool splits, begins;
    if (json_get_flag(&splits, &f, "split_special_tokens", false, e) ||
        json_get_flag(&begins, &f, "add_bos_token", false, e))
        return e->code;
    if (splits)
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: \"split_special_tokens\" is true, which is not supported: special tokens in a text are one "
                       "token each here; set it to false",
                       f.file);
    if (begins && s->prefix_count == 0 && !s->warning)
        s->warning = "tokenizer_config.json has \"add_bos_token\", but tokenizer.json, which decides as in "
                     "transformers 5, puts no begin token in front of a text: texts and prompts begin without one";
    return ERR_OK;
}

enum err_code spec_read_beside(struct spec *s, const struct store *store, struct err *e)
{
    if (check_switches(s, store, e) || add_beside(s, store, e) ||
        read_named(&s->eos, s, store, "eos_token", "eos_token_id", e) ||
        read_named(&s->bos, s, store, "bos_token", "bos_token_id", e))
        return e->code;
    return read_chat_template(s, store, e);
}
