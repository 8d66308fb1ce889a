/*
 * Shared by both kinds of formatting (% and format()): a conversion specification after parsing.
 */
#ifndef MPILORA_DATA_TEMPLATE_FORMAT_H
#define MPILORA_DATA_TEMPLATE_FORMAT_H

#include "text.h"

enum { JINJA_MAX_WIDTH = 1 << 20 };

/* Of %: [(key)][flags][width][.precision]letter
 * Of format(): [[fill]align][sign][#][0][width][,][.precision][letter] */
struct jinja_spec {
    struct jinja_value fill; /* one character */
    char align;              /* '<' '>' '^' '=', or 0: the default of the type */
    char sign;               /* before numbers that are not negative: '+', ' ', or none: '-', 0 (not given) */
    char grouping;           /* ',' '_' or 0 */
    bool alternate, zero;
    int64_t width, precision; /* -1: not given */
    char letter;              /* 0: not given */
};

enum err_code jinja_spec_integer(struct jinja *j, struct jinja_builder *b, struct jinja_value v, int64_t x,
                                 const struct jinja_spec *s);
enum err_code jinja_spec_real(struct jinja *j, struct jinja_builder *b, struct jinja_value v, double x,
                              const struct jinja_spec *s);
/* `align`: the alignment if the conversion does not specify one. */
enum err_code jinja_spec_text(struct jinja *j, struct jinja_builder *b, struct jinja_value text,
                              const struct jinja_spec *s, char align);

/* Reads a number at *at and moves *at after it; -1 if there is none. */
int64_t jinja_spec_number(const struct jinja_text *t, size_t *at);

#endif
