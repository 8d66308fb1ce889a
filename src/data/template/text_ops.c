#include "eval.h"
#include "unicode.h"

static bool is_cased(uint32_t c)
{
    return jinja_is_upper(c) || jinja_is_lower(c) || jinja_is_title(c);
}

/* The small sigma at the end of a word is another one. */
static bool is_final_sigma(const struct jinja_text *text, size_t start, size_t end)
{
    if (start == 0)
        return false;
    size_t before = start, after = end;
    bool follows = jinja_is_alpha(jinja_char_before(text->bytes, &before));
    return follows &&
           (end == text->length || !jinja_is_alpha(jinja_char_next(text->bytes, text->length, &after)));
}

/* What becomes of a character. `inside`: of a word, for the ways that treat the first letter differently. */
static enum jinja_case case_of(enum jinja_recase how, uint32_t c, bool inside)
{
    switch (how) {
    case JINJA_RE_UPPER:
        return JINJA_UPPER;
    case JINJA_RE_LOWER:
        return JINJA_LOWER;
    case JINJA_RE_FOLD:
        return JINJA_FOLD;
    case JINJA_RE_SWAP:
        return jinja_is_upper(c) ? JINJA_LOWER : JINJA_UPPER;
    case JINJA_RE_WORDS:
        return inside ? JINJA_LOWER : JINJA_UPPER;
    default:
        return inside ? JINJA_LOWER : JINJA_TITLE;
    }
}

enum err_code jinja_recase(struct jinja *j, struct jinja_value v, enum jinja_recase how,
                           struct jinja_value *out)
{
    const struct jinja_text *text = v.text;
    struct jinja_builder b = {0};
    bool inside = false;
    for (size_t at = 0; at < text->length;) {
        size_t start = at;
        uint32_t to[3], c = jinja_char_next(text->bytes, text->length, &at);
        enum jinja_case change = case_of(how, c, inside);
        int count = jinja_char_case(to, c, change);
        if (c == 0x3A3 && change == JINJA_LOWER && is_final_sigma(text, start, at))
            to[0] = 0x3C2;
        uint32_t origin = jinja_origin_at(v, start);
        for (int i = 0; i < count; i++)
            if (jinja_build_char(j, &b, to[i], origin))
                return j->e->code;
        inside = how == JINJA_RE_TITLE   ? is_cased(c)
                 : how == JINJA_RE_WORDS ? !(jinja_is_space(c) || (c < 0x80 && c && strchr("-({[<", (int)c)))
                                         : true;
    }
    /* JINJA_RE_WORDS is that of a filter, which joins the words to a plain string */
    return jinja_build_end_as(j, &b, v.safe && how != JINJA_RE_WORDS, out);
}

static bool is_in(const struct jinja_text *chars, const char *bytes, size_t length)
{
    if (!chars) {
        size_t at = 0;
        return jinja_is_space(jinja_char_next(bytes, length, &at));
    }
    for (size_t at = 0; at < chars->length;) {
        size_t start = at;
        jinja_char_next(chars->bytes, chars->length, &at);
        if (at - start == length && !memcmp(chars->bytes + start, bytes, length))
            return true;
    }
    return false;
}

enum err_code jinja_strip(struct jinja *j, struct jinja_value v, const struct jinja_text *chars, bool left,
                          bool right, struct jinja_value *out)
{
    const char *bytes = v.text->bytes;
    size_t from = 0, to = v.text->length;
    while (left && from < to) {
        size_t next = from;
        jinja_char_next(bytes, to, &next);
        if (!is_in(chars, bytes + from, next - from))
            break;
        from = next;
    }
    while (right && to > from) {
        size_t before = to;
        jinja_char_before(bytes, &before);
        if (!is_in(chars, bytes + before, to - before))
            break;
        to = before;
    }
    return jinja_spend(j, (v.text->length - (to - from)) / 8) ? j->e->code : jinja_cut(j, v, from, to, out);
}

/* An empty `old` stands in front of each character and at the end. */
static enum err_code replace_nothing(struct jinja *j, struct jinja_builder *b, struct jinja_value v,
                                     struct jinja_value new, int64_t count)
{
    const struct jinja_text *text = v.text;
    for (size_t at = 0;; count--) {
        size_t start = at;
        if (count == 0)
            return jinja_build_slice(j, b, v, at, text->length);
        if (jinja_build_text(j, b, new) || jinja_spend(j, 1))
            return j->e->code;
        if (at == text->length)
            return ERR_OK;
        jinja_char_next(text->bytes, text->length, &at);
        if (jinja_build_slice(j, b, v, start, at))
            return j->e->code;
    }
}

enum err_code jinja_replace(struct jinja *j, struct jinja_value v, struct jinja_value old,
                            struct jinja_value new, int64_t count, struct jinja_value *out)
{
    struct jinja_builder b = {0};
    const struct jinja_text *text = v.text, *part = old.text;
    size_t at = 0;
    if (!part->length) {
        if (replace_nothing(j, &b, v, new, count))
            return j->e->code;
        return jinja_build_end_as(j, &b, v.safe, out);
    }
    if (jinja_find(text, 0, text->length, part) == SIZE_MAX || !count) {
        *out = v;
        return jinja_spend(j, text->length / 64);
    }
    for (; count != 0; count--) {
        size_t found = jinja_find(text, at, text->length, part);
        if (found == SIZE_MAX)
            break;
        if (jinja_build_slice(j, &b, v, at, found) || jinja_build_text(j, &b, new) || jinja_spend(j, 1))
            return j->e->code;
        at = found + part->length;
    }
    if (jinja_build_slice(j, &b, v, at, text->length))
        return j->e->code;
    return jinja_build_end_as(j, &b, v.safe, out);
}

static enum err_code fill_up(struct jinja *j, struct jinja_builder *b, struct jinja_value fill, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (jinja_build_text(j, b, fill) || jinja_spend(j, 1))
            return j->e->code;
    return ERR_OK;
}

enum err_code jinja_pad(struct jinja *j, struct jinja_value v, int64_t width, struct jinja_value fill,
                        bool left, bool right, struct jinja_value *out)
{
    int64_t length = (int64_t)jinja_char_count(v.text->bytes, v.text->length), pad = width - length;
    struct jinja_builder b = {0};
    if (pad <= 0) {
        *out = v;
        return ERR_OK;
    }
    int64_t before = !left ? 0 : !right ? pad : pad / 2 + (pad & width & 1);
    if (fill_up(j, &b, fill, before) || jinja_build_text(j, &b, v) || fill_up(j, &b, fill, pad - before))
        return j->e->code;
    return jinja_build_end_as(j, &b, v.safe, out);
}

enum err_code jinja_lines(struct jinja *j, struct jinja_value v, bool keep_ends, struct jinja_value *out)
{
    const struct jinja_text *text = v.text;
    struct jinja_value line = {0};
    if (jinja_new_list(j, out, 0))
        return j->e->code;
    for (size_t at = 0, start = 0; at < text->length;) {
        size_t end = at;
        uint32_t c = jinja_char_next(text->bytes, text->length, &at);
        bool is_end = jinja_is_line_end(c);
        if (c == '\r' && at < text->length && text->bytes[at] == '\n')
            at++;
        if (!is_end && at < text->length)
            continue;
        if (jinja_cut(j, v, start, !is_end || keep_ends ? at : end, &line) ||
            jinja_list_add(j, out->list, line) || jinja_spend(j, 1))
            return j->e->code;
        start = at;
    }
    return ERR_OK;
}

enum err_code jinja_build_part(struct jinja *j, struct jinja_builder *b, struct jinja_value v, bool markup)
{
    static const char marks[] = "&<>'\"";
    static const char *const names[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    size_t plain = 0;
    for (size_t i = 0; markup && !v.safe && i < v.text->length; i++) {
        const char *mark = v.text->bytes[i] ? strchr(marks, v.text->bytes[i]) : NULL;
        if (!mark)
            continue;
        const char *name = names[mark - marks];
        if (jinja_build_slice(j, b, v, plain, i) ||
            jinja_build(j, b, name, strlen(name), jinja_origin_at(v, i)))
            return j->e->code;
        plain = i + 1;
    }
    return jinja_build_slice(j, b, v, plain, v.text->length);
}

enum err_code jinja_escape(struct jinja *j, struct jinja_value v, struct jinja_value *out)
{
    struct jinja_builder b = {0};
    if (jinja_to_text(j, v, out))
        return j->e->code;
    if (!out->safe && (jinja_build_part(j, &b, *out, true) || jinja_build_end(j, &b, out)))
        return j->e->code;
    out->safe = true;
    return ERR_OK;
}
