/*
 * Other names for the keys of a line: with --columns NEW=OLD,... the value of OLD is used where a form reads NEW.
 * To ignore keys, give them a name that no form reads: unused=text,unused=label.
 */
#ifndef MPILORA_DATA_EXAMPLES_COLUMNS_H
#define MPILORA_DATA_EXAMPLES_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "io/json.h"

#define COLUMNS_MAX 32 /* the bits of a uint32_t */

struct column {
    const char *name, *old;
};

struct columns {
    struct column item[COLUMNS_MAX];
    size_t count;
    char *text; /* memory of the names */
};

/* Parses the option's text; "": no renamed keys. ERR_USAGE says what is wrong. The caller calls
 * columns_release(). */
enum err_code columns_parse(struct columns *c, const char *text, struct err *e);
void columns_release(struct columns *c);
/* Writes an option for advice: `more` after the columns that are there already (NULL: none). */
void columns_add(char *text, size_t size, const struct columns *c, const char *more);

/* A line of data, in which keys have the names that the forms use. */
struct line {
    const struct json_value *root;
    const struct columns *columns; /* NULL: none are renamed */
    const struct json_value *instead; /* an object whose values stand in place of the line's own; NULL: none */
    bool asks;                     /* it may end before its answer */
    bool pairs, only_pairs;        /* it may, or must, be a preference pair */
    const char *answer;            /* the key of what answers a "prompt": "completion", or one of a pair's two */
    size_t shared;                 /* messages at the beginning of that answer that belong to the prompt */
};

const struct json_value *line_get(const struct line *l, const char *key);

/* Opens the JSON of a line, or JSON that a line contains as a string; ERR_DATA if it is not JSON. The caller calls
 * json_close(). */
enum err_code line_open_json(struct json **doc, const char *text, size_t length, struct err *e);

/* ERR_DATA if renaming gives two keys of the line the same name. Bit i of *found, which begins as 0, is set if the line
 * has the old name of item i. */
enum err_code line_check_columns(const struct line *l, uint32_t *found, struct err *e);

#endif
