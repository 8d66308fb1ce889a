#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"

static int compare_members(const void *a, const void *b)
{
    return strcmp(((const struct json_member *)a)->key, ((const struct json_member *)b)->key);
}

static enum err_code append_value(struct str *out, const struct json_value *v, json_enters *enters, struct err *e);

static enum err_code append_object(struct str *out, const struct json_value *v, json_enters *enters, struct err *e)
{
    size_t count = 0;
    struct json_member *members = calloc(json_count(v) + 1, sizeof *members);
    if (!members)
        return err_set(e, ERR_MEMORY, "no memory for %zu keys", json_count(v));
    for (struct json_member m = json_first(v); m.key; m = json_next(m))
        if (enters ? enters(&m) : !json_is_absent(m.value))
            members[count++] = m;
    qsort(members, count, sizeof *members, compare_members);
    enum err_code code = str_append(out, "{", 1, e);
    for (size_t i = 0; i < count && !code; i++) {
        code = json_append_string(out, members[i].key, strlen(members[i].key), e);
        if (!code)
            code = append_value(out, members[i].value, enters, e);
    }
    free(members);
    return code ? code : str_append(out, "}", 1, e);
}

/* A number as it counts: 10000 is 1e4. */
static enum err_code append_number(struct str *out, const struct json_value *v, struct err *e)
{
    double number = json_number(v, 0);
    int64_t whole = json_int(v, 0);
    if (json_kind(v) == JSON_KIND_INT && (whole > INT64_C(1) << 53 || whole < -(INT64_C(1) << 53)))
        return str_appendf(out, e, "%" PRId64 ",", whole);
    return str_appendf(out, e, "%.17g,", number);
}

static enum err_code append_value(struct str *out, const struct json_value *v, json_enters *enters, struct err *e)
{
    switch (json_kind(v)) {
    case JSON_KIND_OBJECT:
        return append_object(out, v, enters, e);
    case JSON_KIND_ARRAY:
        if (str_append(out, "[", 1, e))
            return e->code;
        for (size_t i = 0; i < json_count(v); i++)
            if (append_value(out, json_at(v, i), enters, e))
                return e->code;
        return str_append(out, "]", 1, e);
    case JSON_KIND_STRING:
        return json_append_string(out, json_text(v), json_text_length(v), e);
    case JSON_KIND_INT:
    case JSON_KIND_REAL:
        return append_number(out, v, e);
    case JSON_KIND_BOOL:
        return str_appendf(out, e, "%s", json_bool(v, false) ? "true" : "false");
    case JSON_KIND_NULL:
    case JSON_KIND_NONE:
        break;
    }
    return str_appendf(out, e, "null");
}

enum err_code json_append_canonical(struct str *out, const struct json_value *v, json_enters *enters, struct err *e)
{
    return append_value(out, v, enters, e);
}
