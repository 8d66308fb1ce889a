#include "arch_source.h"

#include <stdarg.h>
#include <stdio.h>

static bool is_gguf(const struct source *s)
{
    return s->store->kind == STORE_GGUF;
}

void source_open_json(struct source *s)
{
    snprintf(s->file, sizeof s->file, "%s/config.json", s->store->path);
    s->json = (struct json_fields){.object = json_root(s->store->config), .file = s->file};
}

const char *source_key(char key[SOURCE_KEY_SIZE], const struct source *s, const char *json, const char *gguf)
{
    if (!is_gguf(s))
        return json;
    if (gguf)
        snprintf(key, SOURCE_KEY_SIZE, "%s.%s", s->family->gguf, gguf);
    return gguf ? key : NULL;
}

enum err_code source_size(size_t *out, const struct source *s, const char *json, const char *gguf,
                          size_t otherwise, struct err *e)
{
    char buffer[SOURCE_KEY_SIZE];
    const char *key = source_key(buffer, s, json, gguf);
    *out = otherwise;
    if (!key)
        return ERR_OK;
    if (!is_gguf(s))
        return json_get_size(out, &s->json, key, otherwise, e);
    uint64_t value;
    if (gguf_get_u64(&value, s->store->gguf, key, otherwise, e))
        return e->code;
    *out = (size_t)value;
    return ERR_OK;
}

enum err_code source_number(double *out, const struct source *s, const char *json, const char *gguf,
                            double otherwise, struct err *e)
{
    char buffer[SOURCE_KEY_SIZE];
    const char *key = source_key(buffer, s, json, gguf);
    *out = otherwise;
    if (!key)
        return ERR_OK;
    return is_gguf(s) ? gguf_get_f64(out, s->store->gguf, key, otherwise, e)
                      : json_get_number(out, &s->json, key, otherwise, e);
}

enum err_code source_flag(bool *out, const struct source *s, const char *json, const char *gguf,
                          bool otherwise, struct err *e)
{
    char buffer[SOURCE_KEY_SIZE];
    const char *key = source_key(buffer, s, json, gguf);
    *out = otherwise;
    if (!key)
        return ERR_OK;
    return is_gguf(s) ? gguf_get_bool(out, s->store->gguf, key, otherwise, e)
                      : json_get_flag(out, &s->json, key, otherwise, e);
}

bool source_is_missing(const struct source *s, const char *json, const char *gguf)
{
    char buffer[SOURCE_KEY_SIZE];
    const char *key = source_key(buffer, s, json, gguf);
    if (!key)
        return true;
    return is_gguf(s) ? !gguf_find(s->store->gguf, key)
                      : json_kind(json_get(s->json.object, key)) == JSON_KIND_NONE;
}

bool source_is_null(const struct source *s, const char *json)
{
    return !is_gguf(s) && json && json_kind(json_get(s->json.object, json)) == JSON_KIND_NULL;
}

enum err_code source_refuse(const struct source *s, enum err_code code, const char *key, struct err *e,
                            const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return err_set(e, code, "%s: %s%s%s: %s", s->file, s->json.part ? s->json.part : "", s->json.part ? ": " : "", key,
                   text);
}

void arch_limit_positions(struct arch *a, size_t most)
{
    if (a->most_positions == 0 || most < a->most_positions)
        a->most_positions = most;
}
