/*
 * Other names for the keys of a line: --columns NEW=OLD,... reads OLD where a form asks for NEW. What no form reads is
 * a way to leave a key out: unused=text.
 */
#ifndef MPILORA_DATA_EXAMPLES_COLUMNS_H
#define MPILORA_DATA_EXAMPLES_COLUMNS_H

#include <stddef.h>

#include "base/err.h"
#include "io/json.h"

#define COLUMNS_MAX 32

struct column {
    const char *name, *old;
};

struct columns {
    struct column item[COLUMNS_MAX];
    size_t count;
    char *text; /* what the names lie in */
};

/* "" is none. ERR_USAGE names what is wrong. columns_release(). */
enum err_code columns_parse(struct columns *c, const char *text, struct err *e);
void columns_release(struct columns *c);

/* A line of data, its keys as the forms know them. */
struct line {
    const struct json_value *root;
    const struct columns *columns; /* NULL: none are renamed */
};

const struct json_value *line_get(const struct line *l, const char *key);

/* JSON that a line is, or has as a string: what is wrong with it is ERR_DATA. json_close(). */
enum err_code line_open_json(struct json **doc, const char *text, size_t length, struct err *e);

/* ERR_DATA when two keys of the line would have one name. */
enum err_code line_check_columns(const struct line *l, struct err *e);

#endif
