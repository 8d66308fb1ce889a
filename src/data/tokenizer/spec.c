#include "data/tokenizer/spec.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"

enum err_code spec_read_id(int32_t *out, const struct spec *s, const struct json_value *v, const char *what,
                           const char *name, struct err *e)
{
    int64_t id = json_int(v, -1);
    if (json_kind(v) != JSON_KIND_INT || id < 0 || id >= LIMIT_IDS)
        return err_set(e, ERR_FORMAT, "%s: the id of %s '%s' must be an integer from 0 to %d", s->where, what,
                       name, LIMIT_IDS - 1);
    *out = (int32_t)id;
    return ERR_OK;
}

enum err_code spec_read_added_token(struct added_token *t, const struct json_fields *f, struct err *e)
{
    if (json_need_text(&t->content, f, "content", e))
        return e->code;
    t->length = strlen(t->content);
    if (json_get_flag(&t->single_word, f, "single_word", false, e) ||
        json_get_flag(&t->lstrip, f, "lstrip", false, e) ||
        json_get_flag(&t->rstrip, f, "rstrip", false, e) ||
        json_get_flag(&t->special, f, "special", false, e))
        return e->code;
    return json_get_flag(&t->normalized, f, "normalized", !t->special, e);
}

const char *spec_type_of(const struct json_value *v)
{
    const char *type = json_text(json_get(v, "type"));
    return json_is_absent(v) ? "nothing" : type ? type : "something without a type";
}

enum err_code spec_unsupported(const struct spec *s, const char *component, const struct json_value *v,
                               const char *supported, struct err *e)
{
    return err_set(e, ERR_UNSUPPORTED, "%s: %s '%s' is not supported, only %s", s->where, component,
                   spec_type_of(v), supported);
}

enum err_code spec_reserve_added(struct spec *s, size_t count, struct err *e)
{
    if (s->added_count + count <= s->added_capacity)
        return ERR_OK;
    size_t capacity = s->added_count + count;
    struct added_token *bigger = arena_alloc(&s->scratch, capacity, sizeof *bigger, "added tokens", e);
    if (bigger == NULL)
        return e->code;
    if (s->added_count > 0)
        memcpy(bigger, s->added, s->added_count * sizeof *bigger);
    s->added = bigger;
    s->added_capacity = capacity;
    return ERR_OK;
}

int32_t spec_find(const struct spec *s, const char *text, size_t length)
{
    for (size_t i = 0; i < s->added_count; i++) {
        if (s->added[i].length == length && memcmp(s->added[i].content, text, length) == 0)
            return s->added[i].id;
    }
    for (size_t i = 0; i < s->vocab_count; i++) {
        if (s->vocab[i].data != NULL && s->vocab[i].length == length &&
            memcmp(s->vocab[i].data, text, length) == 0)
            return (int32_t)i;
    }
    return -1;
}

enum err_code spec_split_merge(struct spec_merge *merge, const char *text, size_t length, size_t index,
                               const char *where, struct err *e)
{
    const char *space = length > 0 ? memchr(text, ' ', length) : NULL;
    size_t left = space ? (size_t)(space - text) : 0;
    if (left == 0 || left + 1 == length || memchr(space + 1, ' ', length - left - 1) != NULL)
        return err_set(e, ERR_FORMAT, "%s: merge %zu '%.*s' is not two tokens with a space between", where,
                       index, (int)(length < 64 ? length : 64), text);
    merge->left = (struct spec_text){.data = text, .length = left};
    merge->right = (struct spec_text){.data = space + 1, .length = length - left - 1};
    return ERR_OK;
}

enum err_code spec_note_name(struct spec *s, const char *name, const char *token, size_t length, struct err *e)
{
    for (size_t i = 0; i < s->name_count; i++) {
        if (strcmp(s->names[i].name, name) == 0)
            return ERR_OK;
    }
    if (s->name_count == SPEC_MAX_NAMES)
        return err_set(e, ERR_FORMAT, "%s: more than %d special tokens have names", s->where, SPEC_MAX_NAMES);
    struct spec_name *named = &s->names[s->name_count];
    named->name = arena_strndup(&s->scratch, name, strlen(name), e);
    named->token =
        (struct spec_text){.data = arena_strndup(&s->scratch, token, length, e), .length = length};
    if (named->name == NULL || named->token.data == NULL)
        return e->code;
    s->name_count++;
    return ERR_OK;
}

enum err_code spec_note_template_place(struct spec *s, const char *path, const char *part, struct err *e)
{
    char text[PATH_MAX + 64];
    snprintf(text, sizeof text, "%s%s", path, part);
    s->template_place = arena_strndup(&s->scratch, text, strlen(text), e);
    return s->template_place ? ERR_OK : e->code;
}
