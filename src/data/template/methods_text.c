/* The methods of str. */
#include "eval.h"
#include "unicode.h"

#define RECASE(name, how)                                                                                    \
    static enum err_code name(JINJA_ARGS)                                                                          \
    {                                                                                                        \
        (void)args;                                                                                          \
        return jinja_recase(j, a[0], how, out);                                                              \
    }
RECASE(m_upper, JINJA_RE_UPPER)
RECASE(m_lower, JINJA_RE_LOWER)
RECASE(m_capitalize, JINJA_RE_CAPITALIZE)
RECASE(m_title, JINJA_RE_TITLE)
RECASE(m_swapcase, JINJA_RE_SWAP)
RECASE(m_casefold, JINJA_RE_FOLD)

static enum err_code strip(JINJA_ARGS, bool left, bool right)
{
    (void)args;
    if (jinja_is_given(a[1]) && jinja_want_text(j, a[1], "the characters to strip"))
        return j->e->code;
    return jinja_strip(j, a[0], jinja_is_given(a[1]) ? a[1].text : NULL, left, right, out);
}

static enum err_code m_strip(JINJA_ARGS)
{
    return strip(j, a, args, out, true, true);
}

static enum err_code m_lstrip(JINJA_ARGS)
{
    return strip(j, a, args, out, true, false);
}

static enum err_code m_rstrip(JINJA_ARGS)
{
    return strip(j, a, args, out, false, true);
}

static enum err_code add_part(struct jinja *j, struct jinja_value list, struct jinja_value v, size_t from,
                              size_t to)
{
    struct jinja_value part = {0};
    return jinja_spend(j, 1) || jinja_cut(j, v, from, to, &part) ? j->e->code
                                                                 : jinja_list_add(j, list.list, part);
}

static enum err_code split_spaces(struct jinja *j, struct jinja_value v, int64_t most,
                                  struct jinja_value list)
{
    const struct jinja_text *text = v.text;
    size_t at = 0;
    for (;; most--) {
        size_t start = at;
        while (at < text->length && jinja_is_space(jinja_char_next(text->bytes, text->length, &at)))
            start = at;
        if (start == text->length)
            return ERR_OK;
        if (most == 0)
            return add_part(j, list, v, start, text->length);
        size_t end = at;
        while (at < text->length && !jinja_is_space(jinja_char_next(text->bytes, text->length, &at)))
            end = at;
        if (at == text->length) {
            size_t before = at;
            end = jinja_is_space(jinja_char_before(text->bytes, &before)) ? before : at;
        }
        if (add_part(j, list, v, start, end))
            return j->e->code;
        at = end;
    }
}

static enum err_code split_on(struct jinja *j, struct jinja_value v, const struct jinja_text *separator,
                              int64_t most, struct jinja_value list)
{
    size_t at = 0;
    for (; most != 0; most--) {
        size_t found = jinja_find(v.text, at, v.text->length, separator);
        if (found == SIZE_MAX)
            break;
        if (add_part(j, list, v, at, found))
            return j->e->code;
        at = found + separator->length;
    }
    return add_part(j, list, v, at, v.text->length);
}

/* From the right, with the parts in the order of the text. */
static enum err_code split_right(struct jinja *j, struct jinja_value v, const struct jinja_text *separator,
                                 int64_t most, struct jinja_value list)
{
    size_t end = v.text->length;
    const char *bytes = v.text->bytes;
    for (;; most--) {
        size_t from = 0, next = 0;
        if (separator) {
            from = jinja_find_last(v.text, 0, end, separator);
            next = from;
            from = from == SIZE_MAX ? SIZE_MAX : from + separator->length;
        } else {
            size_t before = end;
            while (end > 0 && jinja_is_space(jinja_char_before(bytes, &before)))
                end = before;
            if (!end)
                break;
            for (from = before = end; from > 0 && !jinja_is_space(jinja_char_before(bytes, &before));)
                from = before;
            next = from;
        }
        bool last = from == SIZE_MAX || most == 0;
        if (add_part(j, list, v, last ? 0 : from, end))
            return j->e->code;
        if (last)
            break;
        end = next;
    }
    for (size_t i = 0, k = list.list->count; i + 1 < k; i++) {
        struct jinja_value first = list.list->items[i];
        list.list->items[i] = list.list->items[--k];
        list.list->items[k] = first;
    }
    return ERR_OK;
}

static enum err_code split(JINJA_ARGS, bool right)
{
    (void)args;
    int64_t most;
    if (jinja_want_int(j, a[2], "maxsplit", -1, &most) || jinja_new_list(j, out, 0) ||
        (jinja_is_given(a[1]) && jinja_want_text(j, a[1], "the separator")))
        return j->e->code;
    const struct jinja_text *separator = jinja_is_given(a[1]) ? a[1].text : NULL;
    if (separator && !separator->length)
        return jinja_fail(j, "empty separator");
    if (right)
        return split_right(j, a[0], separator, most, *out);
    return separator ? split_on(j, a[0], separator, most, *out) : split_spaces(j, a[0], most, *out);
}

static enum err_code m_split(JINJA_ARGS)
{
    return split(j, a, args, out, false);
}

static enum err_code m_rsplit(JINJA_ARGS)
{
    return split(j, a, args, out, true);
}

static enum err_code m_splitlines(JINJA_ARGS)
{
    (void)args;
    int64_t keep;
    return jinja_want_int(j, a[1], "keepends", 0, &keep) ? j->e->code : jinja_lines(j, a[0], keep != 0, out);
}

static enum err_code partition(JINJA_ARGS, bool right)
{
    (void)args;
    if (jinja_want_text(j, a[1], "the separator"))
        return j->e->code;
    const struct jinja_text *text = a[0].text, *separator = a[1].text;
    if (!separator->length)
        return jinja_fail(j, "empty separator");
    size_t at = right ? jinja_find_last(text, 0, text->length, separator)
                      : jinja_find(text, 0, text->length, separator);
    size_t cuts[4] = {0, at, at + separator->length, text->length};
    if (at == SIZE_MAX) {
        cuts[1] = right ? 0 : text->length;
        cuts[2] = cuts[1];
    }
    if (jinja_new_tuple(j, out, 3))
        return j->e->code;
    for (int i = 0; i < 3; i++)
        if (add_part(j, *out, a[0], cuts[i], cuts[i + 1]))
            return j->e->code;
    out->list->items[1].safe |= at != SIZE_MAX && a[1].safe; /* Python hands back the separator that was given */
    return ERR_OK;
}

static enum err_code m_partition(JINJA_ARGS)
{
    return partition(j, a, args, out, false);
}

static enum err_code m_rpartition(JINJA_ARGS)
{
    return partition(j, a, args, out, true);
}

/* The byte range of the characters start..end, as in text[start:end]. False: start is beyond the end. */
static enum err_code range_of(struct jinja *j, struct jinja_value v, struct jinja_value start,
                              struct jinja_value end, size_t *from, size_t *to, bool *valid)
{
    const struct jinja_text *text = v.text;
    struct jinja_value given[2] = {start, end};
    int64_t count = (int64_t)jinja_char_count(text->bytes, text->length), bounds[2] = {0, count};
    for (int i = 0; i < 2; i++) {
        if (!jinja_is_given(given[i]))
            continue;
        if (jinja_want_int(j, given[i], "slice indices", 0, &bounds[i]))
            return j->e->code;
        if (bounds[i] < 0)
            bounds[i] = bounds[i] + count < 0 ? 0 : bounds[i] + count;
    }
    *valid = bounds[0] <= count && bounds[0] <= (bounds[1] > count ? count : bounds[1]);
    *from = jinja_char_offset(text->bytes, text->length, (size_t)bounds[0]);
    *to = jinja_char_offset(text->bytes, text->length, (size_t)bounds[1]);
    return ERR_OK;
}

/* startswith and endswith: of one text, or of any in a tuple. */
static enum err_code affix(JINJA_ARGS, bool at_end)
{
    (void)args;
    size_t from = 0, to = 0;
    bool valid = false, holds = false, is_tuple = jinja_is(a[1], JINJA_TUPLE);
    if (range_of(j, a[0], a[2], a[3], &from, &to, &valid))
        return j->e->code;
    for (size_t i = 0; i < (is_tuple ? a[1].list->count : 1) && !holds; i++) {
        struct jinja_value part = is_tuple ? a[1].list->items[i] : a[1];
        if (jinja_want_text(j, part, at_end ? "the end" : "the start"))
            return j->e->code;
        size_t length = part.text->length;
        holds = valid && length <= to - from &&
                !memcmp(a[0].text->bytes + (at_end ? to - length : from), part.text->bytes, length);
    }
    *out = jinja_bool(holds);
    return ERR_OK;
}

static enum err_code m_startswith(JINJA_ARGS)
{
    return affix(j, a, args, out, false);
}

static enum err_code m_endswith(JINJA_ARGS)
{
    return affix(j, a, args, out, true);
}

static enum err_code find(JINJA_ARGS, bool last, bool must)
{
    (void)args;
    size_t from = 0, to = 0, at = SIZE_MAX;
    bool valid = false;
    if (jinja_want_text(j, a[1], "the substring") || range_of(j, a[0], a[2], a[3], &from, &to, &valid) ||
        jinja_spend(j, a[0].text->length / 64))
        return j->e->code;
    if (valid)
        at = last ? jinja_find_last(a[0].text, from, to, a[1].text)
                  : jinja_find(a[0].text, from, to, a[1].text);
    if (at == SIZE_MAX && must)
        return jinja_fail(j, "substring not found");
    *out = jinja_int(at == SIZE_MAX ? -1 : (int64_t)jinja_char_count(a[0].text->bytes, at));
    return ERR_OK;
}

static enum err_code m_find(JINJA_ARGS)
{
    return find(j, a, args, out, false, false);
}

static enum err_code m_rfind(JINJA_ARGS)
{
    return find(j, a, args, out, true, false);
}

static enum err_code m_index(JINJA_ARGS)
{
    return find(j, a, args, out, false, true);
}

static enum err_code m_rindex(JINJA_ARGS)
{
    return find(j, a, args, out, true, true);
}

static enum err_code m_count(JINJA_ARGS)
{
    (void)args;
    size_t from = 0, to = 0;
    int64_t count = 0;
    bool valid = false;
    if (jinja_want_text(j, a[1], "the substring") || range_of(j, a[0], a[2], a[3], &from, &to, &valid) ||
        jinja_spend(j, a[0].text->length / 8))
        return j->e->code;
    const struct jinja_text *part = a[1].text;
    if (valid && !part->length)
        count = (int64_t)jinja_char_count(a[0].text->bytes + from, to - from) + 1;
    while (valid && part->length && (from = jinja_find(a[0].text, from, to, part)) != SIZE_MAX) {
        from += part->length;
        count++;
    }
    *out = jinja_int(count);
    return ERR_OK;
}

static enum err_code m_replace(JINJA_ARGS)
{
    (void)args;
    int64_t count;
    struct jinja_value new = a[2];
    if ((a[0].safe && jinja_escape(j, new, &new)) || jinja_want_text(j, a[1], "the old text") ||
        jinja_want_text(j, new, "the new text") || jinja_want_int(j, a[3], "the count", -1, &count))
        return j->e->code;
    return jinja_replace(j, a[0], a[1], new, count, out);
}

static enum err_code m_join(JINJA_ARGS)
{
    (void)args;
    struct jinja_builder b = {0};
    struct jinja_iterator it;
    struct jinja_value item = {0};
    bool more;
    if (jinja_iterate(j, a[1], &it))
        return j->e->code;
    for (size_t i = 0;; i++) {
        if (jinja_next(j, &it, &item, &more))
            return j->e->code;
        if (!more)
            break;
        if ((a[0].safe && jinja_escape(j, item, &item)) || jinja_want_text(j, item, "what is joined") ||
            (i && jinja_build_text(j, &b, a[0])) || jinja_build_text(j, &b, item))
            return j->e->code;
    }
    return jinja_build_end_as(j, &b, a[0].safe, out);
}

const struct jinja_function jinja_text_methods[] = {
    {"upper", "/self", 1, m_upper},
    {"lower", "/self", 1, m_lower},
    {"capitalize", "/self", 1, m_capitalize},
    {"title", "/self", 1, m_title},
    {"swapcase", "/self", 1, m_swapcase},
    {"casefold", "/self", 1, m_casefold},
    {"strip", "/self chars", 1, m_strip},
    {"lstrip", "/self chars", 1, m_lstrip},
    {"rstrip", "/self chars", 1, m_rstrip},
    {"split", "self sep maxsplit", 1, m_split},
    {"rsplit", "self sep maxsplit", 1, m_rsplit},
    {"splitlines", "self keepends", 1, m_splitlines},
    {"partition", "/self sep", 2, m_partition},
    {"rpartition", "/self sep", 2, m_rpartition},
    {"startswith", "/self prefix start end", 2, m_startswith},
    {"endswith", "/self suffix start end", 2, m_endswith},
    {"find", "/self sub start end", 2, m_find},
    {"rfind", "/self sub start end", 2, m_rfind},
    {"index", "/self sub start end", 2, m_index},
    {"rindex", "/self sub start end", 2, m_rindex},
    {"count", "/self sub start end", 2, m_count},
    {"replace", "/self old new count", 3, m_replace},
    {"join", "/self iterable", 2, m_join},
    {NULL, NULL, 0, NULL},
};
