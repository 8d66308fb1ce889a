#include "data/tokenizer/mapped.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

enum err_code mapped_grow(void *array, size_t *capacity, size_t count, size_t size, struct err *e)
{
    if (count <= *capacity)
        return ERR_OK;
    size_t wanted = count + count / 2 + 64;
    void *old, *bigger;
    memcpy(&old, array, sizeof old);
    bigger = wanted <= SIZE_MAX / size ? realloc(old, wanted * size) : NULL;
    if (bigger == NULL)
        return err_set(e, ERR_MEMORY, "no memory to tokenise (%zu elements of %zu bytes)", wanted, size);
    memcpy(array, &bigger, sizeof bigger);
    *capacity = wanted;
    return ERR_OK;
}

void mapped_release(struct mapped *m)
{
    free(m->bytes);
    free(m->start);
    free(m->end);
    *m = (struct mapped){0};
}

void mapped_begin(struct mapped *m, size_t length)
{
    const size_t little = 4096, addressable = UINT32_MAX / 2 - 1;
    m->length = 0;
    m->most = length < addressable / LIMIT_TEXT_GROWTH ? length * LIMIT_TEXT_GROWTH + little : addressable;
}

static enum err_code reserve(struct mapped *m, size_t more, struct err *e)
{
    size_t length = m->length + more, starts = m->capacity, ends = m->capacity;
    if (length > m->most)
        return err_set(e, ERR_DATA, "the tokenizer's stages make more than %zu bytes of this text", m->most);
    if (mapped_grow(&m->start, &starts, length, sizeof *m->start, e) ||
        mapped_grow(&m->end, &ends, length, sizeof *m->end, e))
        return e->code;
    return mapped_grow(&m->bytes, &m->capacity, length, 1, e);
}

enum err_code mapped_append(struct mapped *m, const char *bytes, size_t count, uint32_t start, uint32_t end,
                            struct err *e)
{
    if (reserve(m, count, e))
        return e->code;
    for (size_t i = 0; i < count; i++) {
        m->bytes[m->length] = bytes[i];
        m->start[m->length] = start;
        m->end[m->length++] = end;
    }
    return ERR_OK;
}

enum err_code mapped_copy(struct mapped *m, const struct mapped_view *view, size_t from, size_t to,
                          struct err *e)
{
    size_t count = to - from;
    if (count == 0)
        return ERR_OK;
    if (reserve(m, count, e))
        return e->code;
    memcpy(m->bytes + m->length, view->text + from, count);
    if (view->start != NULL) {
        memcpy(m->start + m->length, view->start + from, count * sizeof *m->start);
        memcpy(m->end + m->length, view->end + from, count * sizeof *m->end);
    } else {
        uint32_t first = view->offset + (uint32_t)from;
        for (uint32_t i = 0; i < count; i++) {
            m->start[m->length + i] = first + i;
            m->end[m->length + i] = first + i + 1;
        }
    }
    m->length += count;
    return ERR_OK;
}

struct mapped_view mapped_view_of(const struct mapped *m)
{
    return (struct mapped_view){.text = m->bytes, .length = m->length, .start = m->start, .end = m->end};
}

struct mapped_view mapped_slice(const struct mapped_view *view, size_t from, size_t to)
{
    struct mapped_view part = {.length = to - from};
    if (view->text != NULL) /* an empty one may have none */
        part.text = view->text + from;
    if (view->start != NULL) {
        part.start = view->start + from;
        part.end = view->end + from;
    } else {
        part.offset = view->offset + (uint32_t)from;
    }
    return part;
}
