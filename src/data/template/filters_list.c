/* The filters of what can be gone through. */
#include "eval.h"

enum err_code jinja_get_path(struct jinja *j, struct jinja_value v, struct jinja_value path,
                             struct jinja_value otherwise, struct jinja_value *out)
{
    *out = v;
    if (!jinja_is_given(path))
        return ERR_OK;
    if (!jinja_is(path, JINJA_STRING)) {
        if (jinja_item(j, v, path, out))
            return j->e->code;
        if (jinja_is(*out, JINJA_UNDEFINED) && jinja_is_given(otherwise))
            *out = otherwise;
        return ERR_OK;
    }
    const struct jinja_text *text = path.text;
    for (size_t start = 0, end; start <= text->length; start = end + 1) {
        const char *dot = memchr(text->bytes + start, '.', text->length - start);
        end = dot ? (size_t)(dot - text->bytes) : text->length;
        struct jinja_value part, here = *out;
        struct jinja_text key = {text->bytes + start, end - start, NULL, 0};
        int64_t index;
        bool is_number = key.length > 0;
        for (size_t i = 0; i < key.length; i++)
            is_number &= key.bytes[i] >= '0' && key.bytes[i] <= '9';
        part = jinja_make(JINJA_STRING, 0);
        part.text = &key;
        if (is_number && jinja_parse_int(&key, 10, &index))
            part = jinja_int(index);
        if (jinja_item(j, here, part, out))
            return j->e->code;
        if (jinja_is(*out, JINJA_UNDEFINED) && jinja_is_given(otherwise))
            *out = otherwise;
    }
    return ERR_OK;
}

/* What is compared of a value: itself without regard to case, unless that is asked for. */
static enum err_code to_key(struct jinja *j, struct jinja_value v, bool case_sensitive,
                            struct jinja_value *out)
{
    *out = v;
    return jinja_is(v, JINJA_STRING) && !case_sensitive ? jinja_recase(j, v, JINJA_RE_LOWER, out) : ERR_OK;
}

static enum err_code f_first(JINJA_ARGS)
{
    (void)args;
    struct jinja_iterator it;
    bool more;
    if (jinja_iterate(j, a[0], &it) || jinja_next(j, &it, out, &more))
        return j->e->code;
    return more ? ERR_OK : jinja_undefined(j, out, "No first item, sequence was empty.");
}

static enum err_code f_last(JINJA_ARGS)
{
    (void)args;
    struct jinja_value list = {0};
    if (jinja_is(a[0], JINJA_ITERATOR))
        return jinja_fail(j, "'%s' object is not reversible", jinja_type_name(a[0]));
    if (jinja_to_list(j, a[0], &list))
        return j->e->code;
    if (!list.list->count)
        return jinja_undefined(j, out, "No last item, sequence was empty.");
    *out = list.list->items[list.list->count - 1];
    out->safe |= a[0].safe; /* reversed() takes the characters of Markup by their index */
    return ERR_OK;
}

static enum err_code f_length(JINJA_ARGS)
{
    (void)args;
    size_t length;
    if (jinja_length(j, a[0], &length))
        return j->e->code;
    *out = jinja_int((int64_t)length);
    return ERR_OK;
}

static enum err_code f_list(JINJA_ARGS)
{
    (void)args;
    return jinja_to_list(j, a[0], out);
}

static enum err_code f_join(JINJA_ARGS)
{
    (void)args;
    struct jinja_builder b = {0};
    struct jinja_iterator it;
    struct jinja_value item = {0}, separator = {0};
    bool more;
    if (jinja_is(a[1], JINJA_MISSING) ? jinja_from_text(j, &separator, "", 0, 0)
                                      : jinja_to_text(j, a[1], &separator))
        return j->e->code;
    if (jinja_iterate(j, a[0], &it))
        return j->e->code;
    for (size_t i = 0;; i++) {
        if (jinja_next(j, &it, &item, &more))
            return j->e->code;
        if (!more)
            return jinja_build_end(j, &b, out);
        if (jinja_get_path(j, item, a[2], jinja_none(), &item) || (i && jinja_build_text(j, &b, separator)) ||
            jinja_build_str(j, &b, item))
            return j->e->code;
    }
}

/* A merge sort, which is stable, of values by their keys. */
struct sorter {
    struct jinja_value *keys, *values, *spare_keys, *spare_values;
    bool reverse;
};

static enum err_code sort_range(struct jinja *j, struct sorter *s, size_t from, size_t to)
{
    if (to - from < 2)
        return ERR_OK;
    size_t middle = from + (to - from) / 2, left = from, right = middle;
    if (sort_range(j, s, from, middle) || sort_range(j, s, middle, to))
        return j->e->code;
    for (size_t i = from; i < to; i++) {
        bool take_left = right == to;
        if (left < middle && right < to) {
            int order;
            if (jinja_order(j, s->keys[right], s->keys[left], "<", &order))
                return j->e->code;
            take_left = s->reverse ? order <= 0 || order == 2 : order >= 0;
        }
        size_t from_index = take_left ? left++ : right++;
        s->spare_keys[i] = s->keys[from_index];
        s->spare_values[i] = s->values[from_index];
    }
    memcpy(s->keys + from, s->spare_keys + from, (to - from) * sizeof *s->keys);
    memcpy(s->values + from, s->spare_values + from, (to - from) * sizeof *s->values);
    return ERR_OK;
}

static enum err_code sort_by(struct jinja *j, struct jinja_value *keys, struct jinja_list *list, bool reverse)
{
    struct sorter s = {keys, list->items, jinja_take(j, list->count, sizeof *keys),
                       jinja_take(j, list->count, sizeof *keys), reverse};
    return s.spare_keys && s.spare_values ? sort_range(j, &s, 0, list->count) : j->e->code;
}

/* The key of sort: a path, or several with commas between, which are compared one after another. */
static enum err_code sort_key(struct jinja *j, struct jinja_value item, struct jinja_value paths,
                              bool case_sensitive, struct jinja_value *out)
{
    struct jinja_value key = {0};
    if (jinja_new_list(j, out, 1))
        return j->e->code;
    if (!jinja_is(paths, JINJA_STRING)) {
        if (jinja_get_path(j, item, paths, jinja_none(), &key) || to_key(j, key, case_sensitive, &key))
            return j->e->code;
        return jinja_list_add(j, out->list, key);
    }
    for (size_t start = 0, end; start <= paths.text->length; start = end + 1) {
        const char *comma = memchr(paths.text->bytes + start, ',', paths.text->length - start);
        end = comma ? (size_t)(comma - paths.text->bytes) : paths.text->length;
        struct jinja_value path = {0};
        if (jinja_cut(j, paths, start, end, &path) || jinja_get_path(j, item, path, jinja_none(), &key) ||
            to_key(j, key, case_sensitive, &key) || jinja_list_add(j, out->list, key))
            return j->e->code;
    }
    return ERR_OK;
}

static enum err_code f_sort(JINJA_ARGS)
{
    (void)args;
    if (jinja_to_list(j, a[0], out))
        return j->e->code;
    struct jinja_value *keys = jinja_take(j, out->list->count, sizeof *keys);
    if (!keys)
        return j->e->code;
    for (size_t i = 0; i < out->list->count; i++)
        if (sort_key(j, out->list->items[i], a[3], jinja_truth(a[2]), &keys[i]))
            return j->e->code;
    return sort_by(j, keys, out->list, jinja_truth(a[1]));
}

static enum err_code f_dictsort(JINJA_ARGS)
{
    (void)args;
    bool by_value = false;
    if (!jinja_is(a[0], JINJA_DICT))
        return jinja_fail(j, "filter 'dictsort' wants a dict, not '%s'", jinja_type_name(a[0]));
    if (!jinja_is(a[2], JINJA_MISSING)) {
        bool is_text = jinja_is(a[2], JINJA_STRING);
        by_value = is_text && a[2].text->length == 5 && !memcmp(a[2].text->bytes, "value", 5);
        if (!by_value && !(is_text && a[2].text->length == 3 && !memcmp(a[2].text->bytes, "key", 3)))
            return jinja_fail(j, "you can only sort by either \"key\" or \"value\"");
    }
    struct jinja_view items = {a[0].dict, JINJA_ITEMS};
    struct jinja_value view = jinja_make(JINJA_VIEW, 0);
    view.view = &items;
    if (jinja_to_list(j, view, out))
        return j->e->code;
    struct jinja_value *keys = jinja_take(j, out->list->count, sizeof *keys);
    if (!keys)
        return j->e->code;
    for (size_t i = 0; i < out->list->count; i++)
        if (to_key(j, out->list->items[i].list->items[by_value], jinja_truth(a[1]), &keys[i]))
            return j->e->code;
    return sort_by(j, keys, out->list, jinja_truth(a[3]));
}

static enum err_code f_groupby(JINJA_ARGS)
{
    (void)args;
    struct jinja_value sorted, otherwise = a[2];
    bool case_sensitive = jinja_truth(a[3]);
    if (jinja_to_list(j, a[0], &sorted) || jinja_new_list(j, out, 0))
        return j->e->code;
    size_t count = sorted.list->count;
    struct jinja_value *keys = jinja_take(j, count, sizeof *keys), group = jinja_none();
    if (!keys)
        return j->e->code;
    for (size_t i = 0; i < count; i++)
        if (jinja_get_path(j, sorted.list->items[i], a[1], otherwise, &keys[i]) ||
            to_key(j, keys[i], case_sensitive, &keys[i]))
            return j->e->code;
    if (sort_by(j, keys, sorted.list, false))
        return j->e->code;
    for (size_t i = 0; i < count; i++) {
        bool same = false;
        if (i && jinja_equal(j, keys[i - 1], keys[i], &same))
            return j->e->code;
        if (!same) {
            struct jinja_value grouper = {0};
            if (jinja_get_path(j, sorted.list->items[i], a[1], otherwise, &grouper) ||
                jinja_new_tuple(j, &group, 2) || jinja_new_list(j, &group.list->items[1], 0))
                return j->e->code;
            group.list->items[0] = grouper;
            group.list->count = 2;
            group.list->is_group = true;
            if (jinja_list_add(j, out->list, group))
                return j->e->code;
        }
        if (jinja_list_add(j, group.list->items[1].list, sorted.list->items[i]))
            return j->e->code;
    }
    return ERR_OK;
}

static enum err_code next_unique(struct jinja *j, struct jinja_iterator *it, struct jinja_value *out,
                                 bool *more)
{
    struct jinja_value *state = it->state, key; /* case_sensitive, attribute, seen */
    for (;;) {
        if (jinja_next(j, it->source.iterator, out, more))
            return j->e->code;
        bool seen = false;
        struct jinja_value path = state[1];
        if (!*more)
            return ERR_OK;
        if (jinja_get_path(j, *out, path, jinja_none(), &key) || to_key(j, key, jinja_truth(state[0]), &key))
            return j->e->code;
        struct jinja_pair *pair;
        if (jinja_dict_find(j, state[2].dict, key, &pair))
            return j->e->code;
        seen = pair != NULL;
        if (!seen)
            return jinja_dict_put_value(j, state[2].dict, key, jinja_none());
    }
}

static enum err_code f_unique(JINJA_ARGS)
{
    (void)args;
    struct jinja_value *state = jinja_take(j, 3, sizeof *state);
    if (!state || jinja_new_dict(j, &state[2], 0))
        return j->e->code;
    state[0] = a[1];
    state[1] = a[2];
    return jinja_iterate_over(j, a[0], next_unique, state, out);
}

/* min and max: the first of those that are equal. */
static enum err_code extreme(JINJA_ARGS, bool largest)
{
    (void)args;
    struct jinja_iterator it;
    struct jinja_value item, key, best_key = jinja_none();
    bool more, case_sensitive = jinja_truth(a[1]);
    if (jinja_iterate(j, a[0], &it) || jinja_next(j, &it, out, &more))
        return j->e->code;
    if (!more)
        return jinja_undefined(j, out, "No aggregated item, sequence was empty.");
    if (jinja_get_path(j, *out, a[2], jinja_none(), &best_key) ||
        to_key(j, best_key, case_sensitive, &best_key))
        return j->e->code;
    for (;;) {
        int order;
        if (jinja_next(j, &it, &item, &more))
            return j->e->code;
        if (!more)
            return ERR_OK;
        if (jinja_get_path(j, item, a[2], jinja_none(), &key) || to_key(j, key, case_sensitive, &key) ||
            jinja_order(j, key, best_key, largest ? ">" : "<", &order))
            return j->e->code;
        if (order != 2 && (largest ? order > 0 : order < 0)) {
            best_key = key;
            *out = item;
        }
    }
}

static enum err_code f_min(JINJA_ARGS)
{
    return extreme(j, a, args, out, false);
}

static enum err_code f_max(JINJA_ARGS)
{
    return extreme(j, a, args, out, true);
}

static enum err_code f_sum(JINJA_ARGS)
{
    (void)args;
    struct jinja_iterator it;
    struct jinja_value item = {0};
    bool more;
    *out = jinja_is(a[2], JINJA_MISSING) ? jinja_int(0) : a[2];
    if (jinja_is(*out, JINJA_STRING))
        return jinja_fail(j, "sum() can't sum strings");
    if (jinja_iterate(j, a[0], &it))
        return j->e->code;
    for (;;) {
        if (jinja_next(j, &it, &item, &more))
            return j->e->code;
        if (!more)
            return ERR_OK;
        if (jinja_get_path(j, item, a[1], jinja_none(), &item) || jinja_binary(j, JINJA_ADD, *out, item, out))
            return j->e->code;
    }
}

static enum err_code f_reverse(JINJA_ARGS)
{
    (void)args;
    static const struct jinja_value backwards[3] = {
        {.kind = JINJA_NONE}, {.kind = JINJA_NONE}, {.kind = JINJA_INT, .integer = -1}};
    struct jinja_value list = {0};
    struct jinja_iterator it;
    if (jinja_is(a[0], JINJA_STRING))
        return jinja_slice(j, a[0], backwards, out);
    if (jinja_to_list(j, a[0], &list) || jinja_slice(j, list, backwards, &list))
        return j->e->code;
    *out = list;
    if (jinja_is(a[0], JINJA_ITERATOR)) /* Python has no other way than a list */
        return ERR_OK;
    return jinja_iterate(j, list, &it) ? j->e->code : jinja_new_iterator(j, out, &it);
}

static enum err_code f_items(JINJA_ARGS)
{
    (void)args;
    struct jinja_iterator it;
    struct jinja_view *view = jinja_take(j, 1, sizeof *view);
    struct jinja_value pairs = a[0];
    if (!view)
        return j->e->code;
    if (jinja_is(a[0], JINJA_DICT)) {
        *view = (struct jinja_view){a[0].dict, JINJA_ITEMS};
        pairs = jinja_make(JINJA_VIEW, a[0].origin);
        pairs.view = view;
    } else if (!jinja_is(a[0], JINJA_UNDEFINED)) {
        return jinja_fail(j, "can only get item pairs from a mapping, not '%s'", jinja_type_name(a[0]));
    }
    return jinja_iterate(j, pairs, &it) ? j->e->code : jinja_new_iterator(j, out, &it);
}

/* batch and slice: the lists of which the filter's iterator consists, made at once. */
static enum err_code f_batch(JINJA_ARGS)
{
    (void)args;
    struct jinja_value list, lists, part = jinja_none();
    struct jinja_iterator it;
    int64_t size;
    if (jinja_want_int(j, a[1], "the number of items", 0, &size) || jinja_to_list(j, a[0], &list) ||
        jinja_new_list(j, &lists, 0))
        return j->e->code;
    for (size_t i = 0; i < list.list->count; i++) {
        if (!i || (int64_t)part.list->count == size)
            if (jinja_new_list(j, &part, 0) || jinja_list_add(j, lists.list, part))
                return j->e->code;
        if (jinja_list_add(j, part.list, list.list->items[i]))
            return j->e->code;
    }
    while (list.list->count && jinja_is_given(a[2]) && (int64_t)part.list->count < size)
        if (jinja_list_add(j, part.list, a[2]) || jinja_spend(j, 1))
            return j->e->code;
    return jinja_iterate(j, lists, &it) ? j->e->code : jinja_new_iterator(j, out, &it);
}

static enum err_code f_slice(JINJA_ARGS)
{
    (void)args;
    struct jinja_value list = {0}, lists = {0}, part = {0};
    struct jinja_iterator it;
    int64_t slices;
    if (jinja_want_int(j, a[1], "the number of slices", 0, &slices) || jinja_to_list(j, a[0], &list) ||
        jinja_new_list(j, &lists, 0))
        return j->e->code;
    if (slices == 0)
        return jinja_fail(j, "division by zero");
    int64_t count = (int64_t)list.list->count, each = slices > 0 ? count / slices : 0, at = 0;
    for (int64_t i = 0; i < slices; i++) {
        bool extra = i < count % slices;
        if (jinja_new_list(j, &part, 0) || jinja_list_add(j, lists.list, part) || jinja_spend(j, 1))
            return j->e->code;
        for (int64_t k = 0; k < each + extra; k++)
            if (jinja_list_add(j, part.list, list.list->items[at++]))
                return j->e->code;
        if (jinja_is_given(a[2]) && !extra && jinja_list_add(j, part.list, a[2]))
            return j->e->code;
    }
    return jinja_iterate(j, lists, &it) ? j->e->code : jinja_new_iterator(j, out, &it);
}

const struct jinja_function jinja_list_filters[] = {
    {"first", "seq", 1, f_first},
    {"last", "seq", 1, f_last},
    {"length", "/obj", 1, f_length},
    {"count", "/obj", 1, f_length},
    {"list", "value", 1, f_list},
    {"join", "value d attribute", 1, f_join},
    {"sort", "value reverse case_sensitive attribute", 1, f_sort},
    {"dictsort", "value case_sensitive by reverse", 1, f_dictsort},
    {"groupby", "value attribute default case_sensitive", 2, f_groupby},
    {"unique", "value case_sensitive attribute", 1, f_unique},
    {"min", "value case_sensitive attribute", 1, f_min},
    {"max", "value case_sensitive attribute", 1, f_max},
    {"sum", "iterable attribute start", 1, f_sum},
    {"reverse", "value", 1, f_reverse},
    {"items", "value", 1, f_items},
    {"batch", "value linecount fill_with", 2, f_batch},
    {"slice", "value slices fill_with", 2, f_slice},
    {NULL, NULL, 0, NULL},
};
