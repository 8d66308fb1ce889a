#include <string.h>

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

/* chat_template.jinja, else tokenizer_config.json's chat_template: a text, or a list of named ones
 * ("default"). */
static enum err_code read_chat_template(struct spec *s, const struct store *store, struct err *e)
{
    const struct store_file *file = store_text(store, "chat_template.jinja");
    if (file && file->map.size > LIMIT_CHAT_TEMPLATE)
        return err_set(e, ERR_FORMAT, "%s has %zu bytes, more than the %d that such a file may have",
                       file->path, file->map.size, LIMIT_CHAT_TEMPLATE);
    if (file) {
        s->chat_template = (struct spec_text){.data = file->map.data ? (const char *)file->map.data : "",
                                              .length = file->map.size};
        return ERR_OK;
    }
    const struct json_value *v =
        store->tokenizer_config ? json_get(json_root(store->tokenizer_config), "chat_template") : NULL;
    if (json_kind(v) == JSON_KIND_STRING)
        s->chat_template = text_of(v);
    for (size_t i = 0; json_kind(v) == JSON_KIND_ARRAY && i < json_count(v); i++) {
        const char *name = json_text(json_get(json_at(v, i), "name"));
        if (name != NULL && strcmp(name, "default") == 0)
            s->chat_template = text_of(json_get(json_at(v, i), "template"));
    }
    return ERR_OK;
}

enum err_code spec_read_beside(struct spec *s, const struct store *store, struct err *e)
{
    if (read_named(&s->eos, s, store, "eos_token", "eos_token_id", e) ||
        read_named(&s->bos, s, store, "bos_token", "bos_token_id", e))
        return e->code;
    return read_chat_template(s, store, e);
}
