/*
 * A picture of text at work: lines of a limited number of columns, in which pieces may have a style. What has no
 * room in a line is left out. Errors are sticky.
 */
#ifndef MPILORA_REPORT_WATCH_PICTURE_H
#define MPILORA_REPORT_WATCH_PICTURE_H

#include "report/watch.h"

#define STYLE_BOLD  "\033[1m"
#define STYLE_FAINT "\033[2m"
#define STYLE_GOOD  "\033[32m"
#define STYLE_BAD   "\033[31m"
#define STYLE_WARM  "\033[33m"
#define STYLE_COOL  "\033[36m"

struct picture {
    struct str *out;
    const struct watch_look *look;
    struct err *e;
    size_t used; /* columns of the line at work */
    size_t rows; /* lines that are complete */
};

enum { PICTURE_LABEL = 12 }; /* columns of what stands in front of facts */

/* Text without control characters, as much as there is room for. `style`: a STYLE, or NULL for none. */
void picture_put(struct picture *p, const char *style, const char *text);
/* In so many columns: a text that is too wide loses its middle. */
void picture_put_name(struct picture *p, const char *style, const char *text, size_t columns);
void picture_blanks(struct picture *p, size_t until); /* up to this column */
void picture_end_line(struct picture *p);
size_t picture_width(const char *text); /* in columns */

/* One of several facts of a line, with two blanks between them; in the next line, indented, if there is no room; in
 * several lines if one is not enough. */
void picture_fact(struct picture *p, size_t indent, const char *style, const char *text);
void picture_factf(struct picture *p, size_t indent, const char *format, ...) __attribute__((format(printf, 3, 4)));
void picture_label(struct picture *p, const char *label);

/* Numbers as people read them; all return `text`, or a constant text. */
const char *text_grouped(char text[32], double x); /* "1,234,567" */
const char *text_age(char text[32], double seconds); /* "just now", "3 min ago": coarse, so it seldom changes */
const char *text_loss(char text[32], double loss); /* "1.2346", "not finite" */

/* The parts of the picture, of which watch_draw() is made. */
struct watch_run_name {
    const char *name, *style;
};
extern const struct watch_run_name watch_states[]; /* of enum watch_state */
bool watch_left(char text[32], const struct watch_run *r); /* the time that it will still take; false: not known */
void watch_draw_table(struct picture *p, const struct watch *w, size_t chosen, size_t rows);
/* With a chart of up to `rows` rows, 0: without. */
void watch_draw_run(struct picture *p, const struct watch *w, const struct watch_run *r, size_t rows);

#endif
