#include "data/examples/columns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void columns_release(struct columns *c)
{
    free(c->text);
    *c = (struct columns){0};
}

/* No form reads it, so that it may be the name of several keys. */
static bool is_unused(const char *name)
{
    return !strcmp(name, "unused");
}

enum err_code columns_parse(struct columns *c, const char *text, struct err *e)
{
    *c = (struct columns){0};
    if (!*text)
        return ERR_OK;
    c->text = strdup(text);
    if (!c->text)
        return err_set(e, ERR_MEMORY, "no memory for --columns");
    for (char *at = c->text, *next = NULL; at; at = next) {
        next = strchr(at, ',');
        if (next)
            *next++ = '\0';
        char *old = strchr(at, '=');
        if (old)
            *old++ = '\0';
        if (!old || !*old || !*at || strchr(old, '=') || c->count == COLUMNS_MAX) {
            columns_release(c);
            return err_set(e, ERR_USAGE, "--columns %s: must be NEW=OLD,..., at most %d of them, as in %s", text,
                           COLUMNS_MAX, "prompt=question,completion=answer");
        }
        for (size_t i = 0; i < c->count; i++)
            if ((!strcmp(c->item[i].name, at) && !is_unused(at)) || !strcmp(c->item[i].old, old)) {
                bool twice = strcmp(c->item[i].old, old) != 0;
                err_set(e, ERR_USAGE, "--columns %s: \"%s\" is given twice", text, twice ? at : old);
                columns_release(c);
                return e->code;
            }
        c->item[c->count++] = (struct column){.name = at, .old = old};
    }
    return ERR_OK;
}

void columns_add(char *text, size_t size, const struct columns *c, const char *more)
{
    size_t length = 0;
    *text = '\0';
    for (size_t i = 0; c && i < c->count && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s=%s,", c->item[i].name, c->item[i].old);
    if (length < size)
        snprintf(text + length, size - length, "%s", more);
}

const struct json_value *line_get(const struct line *l, const char *key)
{
    bool renamed = false;
    const struct json_value *instead = json_get(l->instead, key);
    if (instead)
        return instead;
    for (size_t i = 0; l->columns && i < l->columns->count; i++) {
        const struct column *c = &l->columns->item[i];
        const struct json_value *v = strcmp(c->name, key) == 0 ? json_get(l->root, c->old) : NULL;
        if (v)
            return v;
        renamed |= strcmp(c->old, key) == 0;
    }
    return renamed ? NULL : json_get(l->root, key);
}

/* What people write in the place of JSON. */
static const char *advice(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length && strchr(" \t", text[at]))
        at++;
    if (at < length && text[at] == '{')
        at++;
    else
        return "; a line holds one JSON object, {...}: jq -Rc '{text: .}' FILE > NEW makes one of each line of plain "
               "text";
    while (at < length && strchr(" \t", text[at]))
        at++;
    if (at == length)
        return "; an object may not go on in the next line: jq -c . FILE writes each on one";
    if (text[at] == '\'')
        return "; JSON has double quotes: json.dumps writes a Python object so";
    while (length && strchr(" \t\r", text[length - 1]))
        length--;
    if (length && text[length - 1] == ',')
        return "; a line has no comma at its end: sed 's/,[[:space:]]*$//' FILE > NEW takes them away";
    if (memmem(text, length, "}{", 2) || memmem(text, length, "} {", 3))
        return "; jq -c . FILE > NEW writes each object on a line of its own";
    return memmem(text, length, "NaN", 3) ? "; JSON has no NaN: write null" : "";
}

enum err_code line_open_json(struct json **doc, const char *text, size_t length, struct err *e)
{
    if (json_open_bytes(doc, text, length, NULL, e) == ERR_OK)
        return ERR_OK;
    const struct err parsed = *e;
    return parsed.code == ERR_FORMAT ? err_set(e, ERR_DATA, "%s%s", parsed.message, advice(text, length)) : e->code;
}

static bool is_renamed(const struct columns *columns, const char *key)
{
    for (size_t i = 0; i < columns->count; i++)
        if (!strcmp(columns->item[i].old, key))
            return true;
    return false;
}

enum err_code line_check_columns(const struct line *l, uint32_t *found, struct err *e)
{
    for (size_t i = 0; l->columns && i < l->columns->count; i++)
        *found |= (uint32_t)(json_get(l->root, l->columns->item[i].old) != NULL) << i;
    for (size_t i = 0; l->columns && i < l->columns->count; i++) {
        const struct column *c = &l->columns->item[i];
        if (!json_is_absent(json_get(l->root, c->old)) && !json_is_absent(json_get(l->root, c->name)) &&
            !is_renamed(l->columns, c->name) && !is_unused(c->name))
            return err_set(e, ERR_DATA, "has \"%s\", and \"%s\", which --columns gives the same name", c->name,
                           c->old);
    }
    return ERR_OK;
}
