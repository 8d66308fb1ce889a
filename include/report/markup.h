/*
 * Writes HTML and SVG into a string. Errors are sticky: after the first one, all calls do nothing.
 */
#ifndef MPILORA_REPORT_MARKUP_H
#define MPILORA_REPORT_MARKUP_H

#include "base/err.h"
#include "base/str.h"

struct markup {
    struct str *out;
    struct err *e; /* e->code is ERR_OK at the start */
};

/* Appends markup without escaping; the arguments of `%s` must not need escaping. */
void markup_put(struct markup *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends text, escaped, as the content of an element or of an attribute in double quotes. */
void markup_text(struct markup *m, const char *text);

/* The same, for HTML and XML, without a struct markup. Bytes that are not UTF-8 and control characters become
 * U+FFFD. */
enum err_code markup_append_text(struct str *out, const char *text, struct err *e);

#endif
