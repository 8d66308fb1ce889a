#include "text.h"

#include <stdarg.h>
#include <stdio.h>

#include "eval.h"
#include "unicode.h"

/* Room for `more` bytes; the last piece of the heap grows where it lies. */
static enum err_code make_room(struct jinja *j, struct jinja_builder *b, size_t more)
{
    size_t need = b->length + more + 1;
    if (need <= b->capacity)
        return ERR_OK;
    size_t capacity = need < 64 ? 64 : need + need / 2;
    if (!jinja_heap_extend(&j->heap, b->bytes, b->capacity, capacity)) {
        char *grown = jinja_take(j, capacity, 1);
        if (!grown)
            return j->e->code;
        if (b->length)
            memcpy(grown, b->bytes, b->length);
        b->bytes = grown;
    }
    b->capacity = capacity;
    return ERR_OK;
}

static enum err_code add_mark(struct jinja *j, struct jinja_builder *b, uint32_t origin, uint32_t scope,
                              bool generation)
{
    if (b->mark_count) {
        struct jinja_mark *last = &b->marks[b->mark_count - 1];
        if (last->origin == origin && last->scope == scope && last->generation == generation) {
            last->end = b->length;
            return ERR_OK;
        }
    }
    if (b->mark_count == b->mark_capacity) {
        size_t capacity = b->mark_capacity ? 2 * b->mark_capacity : 4;
        struct jinja_mark *grown = jinja_take(j, capacity, sizeof *grown);
        if (!grown)
            return j->e->code;
        if (b->mark_count)
            memcpy(grown, b->marks, b->mark_count * sizeof *grown);
        b->marks = grown;
        b->mark_capacity = capacity;
    }
    b->marks[b->mark_count++] = (struct jinja_mark){b->length, origin, scope, generation};
    return ERR_OK;
}

static enum err_code add(struct jinja *j, struct jinja_builder *b, const char *bytes, size_t length,
                         const struct jinja_mark *mark)
{
    if (!length)
        return ERR_OK;
    if (b->is_output && b->length + length > LIMIT_TEMPLATE_OUTPUT)
        return jinja_fail(j, "more than %d bytes of output", LIMIT_TEMPLATE_OUTPUT);
    if (make_room(j, b, length) || jinja_spend(j, length / 64))
        return j->e->code;
    memcpy(b->bytes + b->length, bytes, length);
    b->length += length;
    uint32_t scope = mark->scope ? mark->scope : b->is_output ? j->scope : 0;
    return add_mark(j, b, mark->origin, scope, mark->generation || (b->is_output && j->generation));
}

enum err_code jinja_build(struct jinja *j, struct jinja_builder *b, const char *bytes, size_t length,
                          uint32_t origin)
{
    return add(j, b, bytes, length, &(struct jinja_mark){.origin = origin});
}

enum err_code jinja_build_char(struct jinja *j, struct jinja_builder *b, uint32_t c, uint32_t origin)
{
    char bytes[4];
    return jinja_build(j, b, bytes, jinja_char_put(bytes, c), origin);
}

enum err_code jinja_build_format(struct jinja *j, struct jinja_builder *b, uint32_t origin,
                                 const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return jinja_build(j, b, text, length < (int)sizeof text ? (size_t)length : sizeof text - 1, origin);
}

enum err_code jinja_build_slice(struct jinja *j, struct jinja_builder *b, struct jinja_value v, size_t from,
                                size_t to)
{
    const struct jinja_text *text = v.text;
    if (!text->marks)
        return jinja_build(j, b, text->bytes + from, to - from, v.origin);
    size_t start = 0;
    for (size_t i = 0; i < text->mark_count && start < to; i++) {
        size_t end = text->marks[i].end < to ? text->marks[i].end : to, first = start > from ? start : from;
        if (end > first && add(j, b, text->bytes + first, end - first, &text->marks[i]))
            return j->e->code;
        start = text->marks[i].end;
    }
    return ERR_OK;
}

enum err_code jinja_build_text(struct jinja *j, struct jinja_builder *b, struct jinja_value v)
{
    return jinja_build_slice(j, b, v, 0, v.text->length);
}

enum err_code jinja_build_end(struct jinja *j, struct jinja_builder *b, struct jinja_value *out)
{
    struct jinja_text *text = jinja_take(j, 1, sizeof *text);
    if (!text || make_room(j, b, 0))
        return j->e->code;
    b->bytes[b->length] = '\0';
    *text = (struct jinja_text){b->bytes, b->length, NULL, 0};
    *out = jinja_make(JINJA_STRING, 0);
    out->text = text;
    if (b->mark_count == 1 && !b->marks[0].scope && !b->marks[0].generation) {
        out->origin = b->marks[0].origin;
    } else if (b->mark_count) {
        text->marks = b->marks;
        text->mark_count = b->mark_count;
    }
    return ERR_OK;
}

enum err_code jinja_build_end_as(struct jinja *j, struct jinja_builder *b, bool markup, struct jinja_value *out)
{
    if (jinja_build_end(j, b, out))
        return j->e->code;
    out->safe = markup;
    return ERR_OK;
}

enum err_code jinja_cut(struct jinja *j, struct jinja_value v, size_t from, size_t to,
                        struct jinja_value *out)
{
    const struct jinja_text *text = v.text;
    struct jinja_text *part = jinja_take(j, 1, sizeof *part);
    if (!part)
        return j->e->code;
    *part = (struct jinja_text){text->bytes + from, to - from, NULL, 0};
    *out = v;
    out->text = part;
    if (!text->marks || from == to)
        return ERR_OK;
    size_t first = 0, last;
    while (text->marks[first].end <= from)
        first++;
    for (last = first; text->marks[last].end < to; last++)
        ;
    struct jinja_mark *marks = jinja_take(j, last - first + 1, sizeof *marks);
    if (!marks)
        return j->e->code;
    for (size_t i = first; i <= last; i++) {
        marks[i - first] = text->marks[i];
        marks[i - first].end = (text->marks[i].end < to ? text->marks[i].end : to) - from;
    }
    part->marks = marks;
    part->mark_count = last - first + 1;
    return ERR_OK;
}

uint32_t jinja_origin_at(struct jinja_value v, size_t at)
{
    if (!v.text->marks)
        return v.origin;
    for (size_t i = 0; i < v.text->mark_count; i++)
        if (at < v.text->marks[i].end)
            return v.text->marks[i].origin;
    return 0;
}

size_t jinja_find(const struct jinja_text *text, size_t from, size_t to, const struct jinja_text *part)
{
    if (from > to || part->length > to - from)
        return SIZE_MAX;
    const char *found = memmem(text->bytes + from, to - from, part->bytes, part->length);
    return found ? (size_t)(found - text->bytes) : SIZE_MAX;
}

size_t jinja_find_last(const struct jinja_text *text, size_t from, size_t to, const struct jinja_text *part)
{
    if (from > to || part->length > to - from)
        return SIZE_MAX;
    for (size_t at = to - part->length + 1; at-- > from;)
        if (!memcmp(text->bytes + at, part->bytes, part->length))
            return at;
    return SIZE_MAX;
}

const char *jinja_c_string(struct jinja *j, struct jinja_value v)
{
    char *copy = jinja_take(j, v.text->length + 1, 1);
    if (copy) {
        memcpy(copy, v.text->bytes, v.text->length);
        copy[v.text->length] = '\0';
    }
    return copy;
}
