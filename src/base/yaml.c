#include "base/yaml.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "base/format.h"

struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    const char *name;
    struct arena *arena;
    struct err *e;
};

static int line_of(const struct reader *r)
{
    return (int)r->event.start_mark.line + 1;
}

static enum err_code refuse(const struct reader *r, const char *what)
{
    return err_set(r->e, ERR_USAGE,
                   "%s:%d: %s; a configuration holds lines of `name: value` or `name: [a, b]`", r->name,
                   line_of(r), what);
}

static enum err_code next_event(struct reader *r)
{
    yaml_event_delete(&r->event);
    if (yaml_parser_parse(&r->parser, &r->event))
        return ERR_OK;
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return err_set(r->e, ERR_MEMORY, "%s: no memory to read YAML", r->name);
    const char *problem = p->problem ? p->problem : "damaged";
    if (p->error == YAML_READER_ERROR) /* has a byte offset only */
        return err_set(r->e, ERR_USAGE, "%s: byte %zu: not YAML text in UTF-8: %s", r->name,
                       p->problem_offset, problem);
    return err_set(r->e, ERR_USAGE, "%s:%zu: not valid YAML: %s%s%s", r->name, p->problem_mark.line + 1,
                   problem, p->context ? ", " : "", p->context ? p->context : "");
}

static bool is_null(const yaml_event_t *event)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp((const char *)event->data.scalar.value, words[i]) == 0)
            return true;
    return false;
}

/* The text of the current scalar event. */
static enum err_code take_scalar(struct reader *r, const char **text)
{
    const char *value = (const char *)r->event.data.scalar.value;
    size_t length = r->event.data.scalar.length;
    if (r->event.data.scalar.anchor || r->event.data.scalar.tag)
        return refuse(r, "anchors and tags are not supported");
    if (memchr(value, 0, length))
        return refuse(r, "a value holds a zero byte");
    *text = is_null(&r->event) ? "" : arena_strndup(r->arena, value, length, r->e);
    return *text ? ERR_OK : r->e->code;
}

static enum err_code grow(struct reader *r, void **array, size_t count, size_t size)
{
    if (count & (count - 1)) /* capacities are powers of two: there is room */
        return ERR_OK;
    void *larger = arena_alloc(r->arena, count ? 2 * count : 1, size, "configuration", r->e);
    if (!larger)
        return r->e->code;
    if (count)
        memcpy(larger, *array, count * size);
    *array = larger;
    return ERR_OK;
}

static enum err_code add_value(struct reader *r, struct yaml_entry *entry)
{
    void *values = entry->values;
    if (grow(r, &values, entry->count, sizeof *entry->values))
        return r->e->code;
    entry->values = values;
    struct yaml_value *value = &entry->values[entry->count++];
    value->line = line_of(r);
    return take_scalar(r, &value->text);
}

/* The value of a key: one scalar, or a sequence of scalars. */
static enum err_code read_values(struct reader *r, struct yaml_entry *entry)
{
    if (next_event(r))
        return r->e->code;
    if (r->event.type == YAML_SCALAR_EVENT)
        return add_value(r, entry);
    if (r->event.type != YAML_SEQUENCE_START_EVENT)
        return refuse(r, r->event.type == YAML_ALIAS_EVENT ? "aliases are not supported"
                                                           : "a mapping inside a mapping is not supported");
    if (r->event.data.sequence_start.anchor || r->event.data.sequence_start.tag)
        return refuse(r, "anchors and tags are not supported");
    entry->is_sequence = true;
    for (;;) {
        if (next_event(r))
            return r->e->code;
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            return ERR_OK;
        if (r->event.type != YAML_SCALAR_EVENT)
            return refuse(r, "a sequence may hold plain values only");
        if (add_value(r, entry))
            return r->e->code;
    }
}

static enum err_code read_mapping(struct reader *r, struct yaml_map *map)
{
    for (;;) {
        if (next_event(r))
            return r->e->code;
        if (r->event.type == YAML_MAPPING_END_EVENT)
            return ERR_OK;
        if (r->event.type != YAML_SCALAR_EVENT)
            return refuse(r, "a key must be a plain name");
        void *entries = map->entries;
        if (grow(r, &entries, map->count, sizeof *map->entries))
            return r->e->code;
        map->entries = entries;
        struct yaml_entry *entry = &map->entries[map->count++];
        *entry = (struct yaml_entry){.line = line_of(r)};
        if (take_scalar(r, &entry->key) || read_values(r, entry))
            return r->e->code;
    }
}

static enum err_code read_stream(struct reader *r, struct yaml_map *map)
{
    bool seen = false;
    for (;;) {
        if (next_event(r))
            return r->e->code;
        switch (r->event.type) {
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
            break;
        case YAML_STREAM_END_EVENT:
            return ERR_OK;
        case YAML_DOCUMENT_START_EVENT:
            if (seen)
                return refuse(r, "a second document begins here");
            seen = true;
            break;
        case YAML_MAPPING_START_EVENT:
            if (r->event.data.mapping_start.anchor || r->event.data.mapping_start.tag)
                return refuse(r, "anchors and tags are not supported");
            if (read_mapping(r, map))
                return r->e->code;
            break;
        case YAML_SCALAR_EVENT:
            if (is_null(&r->event)) /* a document of comments only */
                break;
            return refuse(r, "expected `name: value`");
        default:
            return refuse(r, "expected `name: value`");
        }
    }
}

enum err_code yaml_read(struct yaml_map *map, struct arena *arena, const char *name, const void *bytes,
                        size_t length, struct err *e)
{
    struct reader r = {.name = name, .arena = arena, .e = e};
    *map = (struct yaml_map){0};
    if (format_expect(FORMAT_TEXT, bytes, length, name, e))
        return e->code = ERR_USAGE;
    if (!yaml_parser_initialize(&r.parser))
        return err_set(e, ERR_MEMORY, "%s: no memory to read YAML", name);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    size_t mark =
        length >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0; /* byte order mark of editors */
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)bytes + mark, length - mark);
    enum err_code code = read_stream(&r, map);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    return code;
}

/* Words and looks that some YAML version takes for something other than a string. */
static bool is_bare_string(const char *text)
{
    static const char *const reserved[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_/.";
    static const char others[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/.+-,=@";
    if (text[0] == '\0' || !strchr(first, text[0]) || text[strspn(text, others)] != '\0')
        return false;
    if (text[0] == '.' && !str_starts_with(text, "./") && !str_starts_with(text, "../"))
        return false; /* .5, .inf, .nan, ... */
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (strcasecmp(text, reserved[i]) == 0)
            return false;
    return true;
}

/* The code point of a well-formed UTF-8 sequence; `p` moves past it. */
static uint32_t next_code_point(const unsigned char **p)
{
    const unsigned char *s = *p;
    int more = s[0] < 0x80 ? 0 : s[0] < 0xE0 ? 1 : s[0] < 0xF0 ? 2 : 3;
    uint32_t point = more == 0 ? s[0] : s[0] & (0x3FU >> more);
    for (int i = 1; i <= more; i++)
        point = point << 6 | (s[i] & 0x3FU);
    *p = s + more + 1;
    return point;
}

/* Controls, line and paragraph separators, byte order mark, non-characters: YAML has them in escapes only. */
static bool needs_escape(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c <= 0xA0) || c == 0x2028 || c == 0x2029 || c == 0xFEFF || c == 0xFFFE ||
           c == 0xFFFF;
}

enum err_code yaml_append_string(struct str *out, const char *text, struct err *e)
{
    size_t length = strlen(text), valid = str_utf8_valid_prefix(text, length);
    if (valid < length)
        return err_set(e, ERR_USAGE, "byte %zu of the text '%s' is not UTF-8, YAML cannot hold it", valid,
                       text);
    if (is_bare_string(text))
        return str_append(out, text, length, e);
    enum err_code code = str_append(out, "\"", 1, e);
    for (const unsigned char *p = (const unsigned char *)text; !code && *p;) {
        const unsigned char *start = p;
        uint32_t point = next_code_point(&p);
        if (point == '"' || point == '\\')
            code = str_appendf(out, e, "\\%c", (char)point);
        else if (point == '\n')
            code = str_append(out, "\\n", 2, e);
        else if (point == '\t')
            code = str_append(out, "\\t", 2, e);
        else if (needs_escape(point))
            code = str_appendf(out, e, "\\u%04X", (unsigned)point);
        else
            code = str_append(out, start, (size_t)(p - start), e);
    }
    return code ? code : str_append(out, "\"", 1, e);
}
