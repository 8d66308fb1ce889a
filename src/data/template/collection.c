/* Lists, dicts, and going through values. */
#include <stdlib.h>

#include "eval.h"
#include "unicode.h"

enum err_code jinja_new_list(struct jinja *j, struct jinja_value *out, size_t capacity)
{
    struct jinja_list *list = jinja_take(j, 1, sizeof *list);
    if (!list)
        return j->e->code;
    *list = (struct jinja_list){.capacity = capacity};
    if (capacity && !(list->items = jinja_take(j, capacity, sizeof *list->items)))
        return j->e->code;
    *out = jinja_make(JINJA_LIST, 0);
    out->list = list;
    return ERR_OK;
}

enum err_code jinja_new_tuple(struct jinja *j, struct jinja_value *out, size_t count)
{
    if (jinja_new_list(j, out, count))
        return j->e->code;
    out->kind = JINJA_TUPLE;
    return ERR_OK;
}

enum err_code jinja_list_add(struct jinja *j, struct jinja_list *list, struct jinja_value item)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 8, size = sizeof *list->items;
        if (!jinja_heap_extend(&j->heap, list->items, list->capacity * size, capacity * size)) {
            struct jinja_value *grown = jinja_take(j, capacity, size);
            if (!grown)
                return j->e->code;
            if (list->count)
                memcpy(grown, list->items, list->count * size);
            list->items = grown;
        }
        list->capacity = capacity;
    }
    list->items[list->count++] = item; /* NOLINT: it has room now */
    return ERR_OK;
}

enum err_code jinja_new_dict(struct jinja *j, struct jinja_value *out, size_t capacity)
{
    struct jinja_dict *dict = jinja_take(j, 1, sizeof *dict);
    if (!dict)
        return j->e->code;
    *dict = (struct jinja_dict){.capacity = capacity};
    if (capacity && !(dict->pairs = jinja_take(j, capacity, sizeof *dict->pairs)))
        return j->e->code;
    *out = jinja_make(JINJA_DICT, 0);
    out->dict = dict;
    return ERR_OK;
}

static enum err_code dict_add(struct jinja *j, struct jinja_dict *d, struct jinja_value key,
                              struct jinja_value value)
{
    if (d->count == d->capacity) {
        size_t capacity = d->capacity ? 2 * d->capacity : 8;
        struct jinja_pair *grown = jinja_take(j, capacity, sizeof *grown);
        if (!grown)
            return j->e->code;
        if (d->count)
            memcpy(grown, d->pairs, d->count * sizeof *grown);
        d->pairs = grown;
        d->capacity = capacity;
    }
    d->pairs[d->count++] = (struct jinja_pair){key, value};
    return ERR_OK;
}

struct jinja_pair *jinja_dict_find_text(const struct jinja_dict *d, const char *key, size_t length)
{
    for (size_t i = 0; i < d->count; i++) {
        struct jinja_value k = d->pairs[i].key;
        if (jinja_is(k, JINJA_STRING) && k.text->length == length && !memcmp(k.text->bytes, key, length))
            return &d->pairs[i];
    }
    return NULL;
}

/* Whether Python could hash it. */
static enum err_code check_key(struct jinja *j, struct jinja_value key)
{
    if (jinja_is(key, JINJA_LIST) || jinja_is(key, JINJA_DICT))
        return jinja_fail(j, "unhashable type: '%s'", jinja_type_name(key));
    for (size_t i = 0; jinja_is(key, JINJA_TUPLE) && i < key.list->count; i++) {
        if (jinja_enter(j) || check_key(j, key.list->items[i]))
            return j->e->code;
        jinja_leave(j);
    }
    return ERR_OK;
}

enum err_code jinja_dict_find(struct jinja *j, const struct jinja_dict *d, struct jinja_value key,
                              struct jinja_pair **out)
{
    *out = NULL;
    if (jinja_spend(j, 1 + d->count / 8) || check_key(j, key))
        return j->e->code;
    if (jinja_is(key, JINJA_STRING)) {
        *out = jinja_dict_find_text(d, key.text->bytes, key.text->length);
        return ERR_OK;
    }
    for (size_t i = 0; i < d->count && !*out; i++) {
        bool same;
        if (jinja_equal(j, d->pairs[i].key, key, &same))
            return j->e->code;
        if (same)
            *out = &d->pairs[i];
    }
    return ERR_OK;
}

enum err_code jinja_dict_put_value(struct jinja *j, struct jinja_dict *d, struct jinja_value key,
                                   struct jinja_value value)
{
    struct jinja_pair *pair;
    if (jinja_dict_find(j, d, key, &pair))
        return j->e->code;
    if (!pair)
        return dict_add(j, d, key, value);
    pair->value = value;
    return ERR_OK;
}

enum err_code jinja_dict_put(struct jinja *j, struct jinja_dict *d, const char *key, struct jinja_value value)
{
    struct jinja_value name = {0};
    return jinja_from_text(j, &name, key, strlen(key), 0) ? j->e->code
                                                          : jinja_dict_put_value(j, d, name, value);
}

enum err_code jinja_from_text(struct jinja *j, struct jinja_value *out, const char *bytes, size_t length,
                              uint32_t origin)
{
    struct jinja_text *text = jinja_take(j, 1, sizeof *text);
    if (!text)
        return j->e->code;
    *text = (struct jinja_text){bytes, length, NULL, 0};
    *out = jinja_make(JINJA_STRING, origin); /* NOLINT: callers hand in a value of their own */
    out->text = text;
    return ERR_OK;
}

static enum err_code from_members(struct jinja *j, struct jinja_value *out, const struct json_value *json,
                                  uint32_t origin)
{
    if (jinja_new_dict(j, out, json_count(json)))
        return j->e->code;
    struct jinja_dict *d = out->dict;
    for (struct json_member m = json_first(json); m.key; m = json_next(m)) {
        struct jinja_pair *pair = &d->pairs[d->count];
        if (jinja_from_text(j, &pair->key, m.key, strlen(m.key), origin) ||
            jinja_from_json(j, &pair->value, m.value, origin))
            return j->e->code;
        d->count++;
    }
    return ERR_OK;
}

enum err_code jinja_from_json(struct jinja *j, struct jinja_value *out, const struct json_value *json,
                              uint32_t origin)
{
    *out = jinja_none(); /* NOLINT: likewise */
    switch (json_kind(json)) {
    case JSON_KIND_NONE:
    case JSON_KIND_NULL:
        break;
    case JSON_KIND_BOOL:
        *out = jinja_bool(json_bool(json, false));
        break;
    case JSON_KIND_INT:
        *out = jinja_int(json_int(json, 0));
        break;
    case JSON_KIND_REAL:
        *out = jinja_make(JINJA_FLOAT, 0);
        out->real = json_number(json, 0);
        break;
    case JSON_KIND_STRING:
        return jinja_from_text(j, out, json_text(json), json_text_length(json), origin);
    case JSON_KIND_ARRAY:
        if (jinja_new_list(j, out, json_count(json)))
            return j->e->code;
        for (size_t i = 0; i < json_count(json); i++, out->list->count++)
            if (jinja_from_json(j, &out->list->items[i], json_at(json, i), origin))
                return j->e->code;
        break;
    case JSON_KIND_OBJECT:
        if (from_members(j, out, json, origin))
            return j->e->code;
        break;
    }
    out->origin = origin;
    return ERR_OK;
}

static enum err_code pair_tuple(struct jinja *j, const struct jinja_pair *pair, struct jinja_value *out)
{
    if (jinja_new_tuple(j, out, 2))
        return j->e->code;
    out->list->items[0] = pair->key;
    out->list->items[1] = pair->value;
    out->list->count = 2;
    return ERR_OK;
}

static enum err_code next_none(struct jinja *j, struct jinja_iterator *it, struct jinja_value *out,
                               bool *more)
{
    (void)j, (void)it, (void)out;
    *more = false;
    return ERR_OK;
}

static enum err_code next_in_list(struct jinja *j, struct jinja_iterator *it, struct jinja_value *out,
                                  bool *more)
{
    *more = it->at < it->source.list->count;
    if (*more)
        *out = it->source.list->items[it->at++];
    return jinja_spend(j, 1);
}

static enum err_code next_in_dict(struct jinja *j, struct jinja_iterator *it, struct jinja_value *out,
                                  bool *more)
{
    bool is_view = jinja_is(it->source, JINJA_VIEW);
    const struct jinja_dict *d = is_view ? it->source.view->dict : it->source.dict;
    *more = it->at < d->count;
    if (!*more || jinja_spend(j, 1))
        return *more ? j->e->code : ERR_OK;
    const struct jinja_pair *pair = &d->pairs[it->at++];
    if (is_view && it->source.view->of == JINJA_ITEMS)
        return pair_tuple(j, pair, out);
    *out = is_view && it->source.view->of == JINJA_VALUES ? pair->value : pair->key;
    return ERR_OK;
}

static enum err_code next_in_range(struct jinja *j, struct jinja_iterator *it, struct jinja_value *out,
                                   bool *more)
{
    const struct jinja_range *r = it->source.range;
    *more = it->at < (size_t)r->count;
    if (*more)
        *out = jinja_int(r->start + (int64_t)it->at++ * r->step);
    return jinja_spend(j, 1);
}

static enum err_code next_in_text(struct jinja *j, struct jinja_iterator *it, struct jinja_value *out,
                                  bool *more)
{
    const struct jinja_text *text = it->source.text;
    size_t start = it->at;
    *more = start < text->length;
    if (!*more || jinja_spend(j, 1))
        return *more ? j->e->code : ERR_OK;
    jinja_char_next(text->bytes, text->length, &it->at);
    if (jinja_cut(j, it->source, start, it->at, out))
        return j->e->code;
    out->safe = false; /* iter() of Markup gives plain strings; an index gives Markup */
    return ERR_OK;
}

static enum err_code next_in_iterator(struct jinja *j, struct jinja_iterator *it, struct jinja_value *out,
                                      bool *more)
{
    return jinja_next(j, it->source.iterator, out, more);
}

bool jinja_is_iterable(struct jinja_value v)
{
    switch ((enum jinja_kind)v.kind) {
    case JINJA_UNDEFINED:
    case JINJA_STRING:
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_DICT:
    case JINJA_VIEW:
    case JINJA_RANGE:
    case JINJA_ITERATOR:
        return true;
    default:
        return false;
    }
}

enum err_code jinja_iterate(struct jinja *j, struct jinja_value v, struct jinja_iterator *it)
{
    *it = (struct jinja_iterator){.source = v, .next = next_none};
    if (jinja_is(v, JINJA_LIST) || jinja_is(v, JINJA_TUPLE))
        it->next = next_in_list;
    else if (jinja_is(v, JINJA_DICT) || jinja_is(v, JINJA_VIEW))
        it->next = next_in_dict;
    else if (jinja_is(v, JINJA_RANGE))
        it->next = next_in_range;
    else if (jinja_is(v, JINJA_STRING))
        it->next = next_in_text;
    else if (jinja_is(v, JINJA_ITERATOR))
        it->next = next_in_iterator;
    else if (!jinja_is(v, JINJA_UNDEFINED))
        return jinja_fail(j, "'%s' object is not iterable", jinja_type_name(v));
    return ERR_OK;
}

enum err_code jinja_to_list(struct jinja *j, struct jinja_value v, struct jinja_value *out)
{
    struct jinja_iterator it;
    struct jinja_value item = {0};
    bool more;
    if (jinja_iterate(j, v, &it) || jinja_new_list(j, out, 0))
        return j->e->code;
    for (;;) {
        if (jinja_next(j, &it, &item, &more))
            return j->e->code;
        if (!more)
            return ERR_OK;
        if (jinja_list_add(j, out->list, item))
            return j->e->code;
    }
}

enum err_code jinja_new_iterator(struct jinja *j, struct jinja_value *out, const struct jinja_iterator *it)
{
    struct jinja_iterator *copy = jinja_take(j, 1, sizeof *copy);
    if (!copy)
        return j->e->code;
    *copy = *it;
    *out = jinja_make(JINJA_ITERATOR, 0);
    out->iterator = copy;
    return ERR_OK;
}

enum err_code jinja_iterate_over(struct jinja *j, struct jinja_value v,
                                 enum err_code (*next)(struct jinja *j, struct jinja_iterator *it,
                                                       struct jinja_value *out, bool *more),
                                 void *state, struct jinja_value *out)
{
    struct jinja_iterator inner, outer = {.next = next, .state = state};
    if (jinja_iterate(j, v, &inner) || jinja_new_iterator(j, &outer.source, &inner))
        return j->e->code;
    return jinja_new_iterator(j, out, &outer);
}
