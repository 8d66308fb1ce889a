#include "data/examples/record.h"

#include <inttypes.h>
#include <string.h>

static const char byte_order_mark[] = "\xEF\xBB\xBF";

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static uint64_t skip_space(const struct file_map *map, uint64_t at)
{
    while (at < map->size && is_space(map->data[at]))
        at++;
    return at;
}

static uint64_t after_mark(const struct file_map *map)
{
    return map->size >= 3 && !memcmp(map->data, byte_order_mark, 3) ? 3 : 0;
}

struct record_cursor record_begin(const struct file_map *map, uint64_t begin, uint64_t end)
{
    struct record_cursor c = {.map = *map, .begin = begin, .end = end < map->size ? end : map->size};
    uint64_t first = skip_space(map, after_mark(map));
    c.array = first < map->size && map->data[first] == '[';
    c.at = c.array ? first + 1 : begin;
    if (!c.array && begin > 0 && begin < c.end && map->data[begin - 1] != '\n') {
        const unsigned char *next = memchr(map->data + begin, '\n', map->size - begin);
        c.at = next ? (uint64_t)(next - map->data) + 1 : map->size;
    }
    return c;
}

static bool is_blank(const unsigned char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!is_space(text[i]))
            return false;
    return true;
}

static bool next_line(struct record *r, struct record_cursor *c)
{
    const struct file_map *map = &c->map;
    while (c->at < c->end) {
        const unsigned char *text = map->data + c->at, *stop = map->data + map->size;
        const unsigned char *end = memchr(text, '\n', (size_t)(stop - text));
        uint64_t next = (uint64_t)((end ? end + 1 : stop) - map->data);
        if (!end)
            end = stop;
        if (c->at == 0)
            text += after_mark(map);
        if (end > text && end[-1] == '\r')
            end--;
        c->at = next;
        if (is_blank(text, (size_t)(end - text)))
            continue;
        *r = (struct record){.offset = (uint64_t)(text - map->data), .length = (uint64_t)(end - text)};
        return true;
    }
    return false;
}

/* The byte after a string, whose first is at `at`; the size of the file if it does not end. */
static uint64_t skip_string(const struct file_map *map, uint64_t at)
{
    for (at++; at < map->size; at++) {
        if (map->data[at] == '\\')
            at++;
        else if (map->data[at] == '"')
            return at + 1;
    }
    return map->size;
}

/* The first of these bytes that ends the value at `at`, outside of all brackets of its own; the size of the file if
 * there is none. */
static uint64_t find_end(const struct file_map *map, uint64_t at, const char *ends)
{
    for (uint64_t depth = 0; at < map->size;) {
        unsigned char c = map->data[at];
        if (c == '"') {
            at = skip_string(map, at);
            continue;
        }
        if (!depth && c && strchr(ends, c))
            return at;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && depth)
            depth--;
        at++;
    }
    return map->size;
}

/* After the element that ended at byte `end`. */
static enum err_code pass_end(struct record_cursor *c, uint64_t end, struct err *e)
{
    c->closed = c->map.data[end] == ']';
    c->at = end + 1;
    if (c->closed && skip_space(&c->map, c->at) < c->map.size)
        return err_set(e, ERR_FORMAT, "something follows the ] of the array, at byte %" PRIu64,
                       skip_space(&c->map, c->at));
    return ERR_OK;
}

static enum err_code next_element(struct record *r, bool *found, struct record_cursor *c, struct err *e)
{
    while (!c->closed && c->begin < c->end) {
        const struct file_map *map = &c->map;
        uint64_t first = skip_space(map, c->at), end = find_end(map, first, ",]"), last = end;
        if (first >= c->end && c->end < map->size) /* a later part's */
            return ERR_OK;
        if (end == map->size)
            return err_set(e, ERR_FORMAT,
                           "element %" PRIu64 ": the file ends without the ] of its array: it is cut off",
                           c->number + 1);
        while (last > first && is_space(map->data[last - 1]))
            last--;
        if (pass_end(c, end, e))
            return e->code;
        if (last == first && c->closed && !c->number) /* [] */
            return ERR_OK;
        c->number++;
        if (last == first)
            return err_set(e, ERR_FORMAT, "element %" PRIu64 " is empty: there is a comma too many", c->number);
        *r = (struct record){.offset = first, .length = last - first};
        *found = first >= c->begin;
        if (*found)
            return ERR_OK;
    }
    return ERR_OK;
}

enum err_code record_next(struct record *r, bool *found, struct record_cursor *c, struct err *e)
{
    *found = false;
    if (c->array)
        return next_element(r, found, c, e);
    *found = next_line(r, c);
    return ERR_OK;
}

uint64_t record_number(const struct file_map *map, uint64_t offset)
{
    struct record_cursor c = record_begin(map, 0, map->size);
    struct record r;
    struct err ignored;
    bool found = c.array;
    while (found && !record_next(&r, &found, &c, &ignored) && found && r.offset < offset)
        continue;
    return c.number;
}

/* A list of objects begins here. */
static bool begins_list(const struct file_map *map, uint64_t at)
{
    if (at >= map->size || map->data[at] != '[')
        return false;
    at = skip_space(map, at + 1);
    return at < map->size && map->data[at] == '{';
}

bool record_find_list(char *key, size_t size, const struct file_map *map)
{
    uint64_t at = skip_space(map, after_mark(map));
    const uint64_t begin = at;
    bool found = false;
    if (at >= map->size || map->data[at] != '{')
        return false;
    for (at = skip_space(map, at + 1); !found && at < map->size && map->data[at] == '"';) {
        const uint64_t end = skip_string(map, at), colon = skip_space(map, end);
        if (colon >= map->size || map->data[colon] != ':')
            return false;
        const uint64_t value = skip_space(map, colon + 1), after = find_end(map, value, ",}");
        found = begins_list(map, value) && end - at - 2 < size;
        if (found) {
            memcpy(key, map->data + at + 1, end - at - 2);
            key[end - at - 2] = '\0';
        } else {
            at = after < map->size && map->data[after] == ',' ? skip_space(map, after + 1) : map->size;
        }
    }
    const unsigned char *line_end = memchr(map->data + begin, '\n', map->size - begin);
    return found && line_end && find_end(map, begin + 1, "}") > (uint64_t)(line_end - map->data);
}
