/*
 * Writing HTML and SVG into a string. The first error stays; what follows it does nothing.
 */
#ifndef MPILORA_REPORT_MARKUP_H
#define MPILORA_REPORT_MARKUP_H

#include "base/err.h"
#include "base/str.h"

struct markup {
    struct str *out;
    struct err *e; /* e->code is ERR_OK at the start */
};

/* Markup as it is; what `%s` stands for must need no escaping. */
void markup_put(struct markup *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Text as the content of an element or of an attribute between double quotes. */
void markup_text(struct markup *m, const char *text);

/* Text as the content of an element or attribute of HTML and XML; bytes that are not UTF-8 and control
 * characters become U+FFFD. */
enum err_code markup_append_text(struct str *out, const char *text, struct err *e);

#endif
