#include "watch_picture.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "watch_data.h"

enum {
    CHART_USUAL = 12, /* rows of a chart where they are not limited */
    AROUND_CHART = 5, /* rows: a blank one above and below a chart, its foot of two, the line of the keys */
    PICTURE_LEAST = 7 /* rows of a run below the table: without a chart, and cut at the end */
};

/* A column of the table of runs. Where it is narrow, those of the highest rank are left out first. */
struct fact_column {
    const char *head;
    size_t width;
    int rank;
    void (*text)(char out[48], const struct watch_run *r);
    bool of_pairs; /* there only if some run learns from pairs */
};

static void column_state(char out[48], const struct watch_run *r)
{
    snprintf(out, 48, "%s", watch_states[r->state].name);
}

static void column_step(char out[48], const struct watch_run *r)
{
    if (r->total)
        snprintf(out, 48, "%" PRIu64 "/%" PRIu64, r->last.step, r->total);
    else
        snprintf(out, 48, "%" PRIu64, r->last.step);
}

static void column_loss(char out[48], const struct watch_run *r)
{
    char text[32];
    snprintf(out, 48, "%s", r->last.step ? text_loss(text, r->last.loss) : "-");
}

static void column_eval(char out[48], const struct watch_run *r)
{
    char text[32];
    snprintf(out, 48, "%s", r->evaluated ? text_loss(text, r->eval_loss) : "-");
}

/* That of the evaluation data, if there was an evaluation. */
static void column_accuracy(char out[48], const struct watch_run *r)
{
    const double accuracy = r->evaluated ? r->eval_rewards.accuracy : r->last.rewards.accuracy;
    snprintf(out, 48, "-");
    if (r->last.step && r->last.prefers && isfinite(accuracy))
        snprintf(out, 48, "%.3f", accuracy);
}

static void column_speed(char out[48], const struct watch_run *r)
{
    char text[32];
    snprintf(out, 48, "%s", r->lines ? text_grouped(text, watch_run_means(r).tokens_per_second) : "-");
}

static void column_left(char out[48], const struct watch_run *r)
{
    char text[32];
    snprintf(out, 48, "%s", watch_left(text, r) ? text : "-");
}

static const struct fact_column columns[] = {
    {"state", 10, 0, column_state, false},      {"step", 13, 1, column_step, false},
    {"loss", 10, 2, column_loss, false},        {"eval loss", 10, 5, column_eval, false},
    {"accuracy", 8, 4, column_accuracy, true},  {"tokens/s", 11, 6, column_speed, false},
    {"left", 11, 3, column_left, false},
};
enum { COLUMNS = sizeof columns / sizeof *columns, NAME_LEAST = 14, NAME_MARK = 2 };

struct table {
    bool pairs; /* some run learns from pairs */
    int most;   /* columns of ranks below this are shown */
    size_t name_width;
};

static bool has_column(const struct table *t, size_t i)
{
    return columns[i].rank < t->most && (t->pairs || !columns[i].of_pairs);
}

/* How many columns there is room for, by their rank, and what is left for names. */
static void choose_columns(struct table *t, const struct watch_look *look)
{
    for (t->most = COLUMNS; t->most >= 0; t->most--) {
        size_t width = NAME_MARK;
        for (size_t i = 0; i < COLUMNS; i++)
            width += has_column(t, i) ? columns[i].width + 1 : 0;
        t->name_width = look->columns > width ? look->columns - width : 0;
        if (t->name_width >= NAME_LEAST)
            break;
    }
}

static void draw_line(struct picture *p, const char *mark, const char *style, const char *name,
                      const struct table *t, const struct watch_run *r)
{
    const struct watch_look *whole = p->look;
    struct watch_look left = *whole;
    left.columns = NAME_MARK + t->name_width;
    p->look = left.columns < whole->columns ? &left : whole;
    picture_put(p, style, mark);
    picture_blanks(p, NAME_MARK);
    picture_put_name(p, style, name, t->name_width);
    p->look = whole;
    size_t end = NAME_MARK + t->name_width;
    for (size_t i = 0; i < COLUMNS; i++) {
        char text[48];
        if (!has_column(t, i))
            continue;
        if (r)
            columns[i].text(text, r);
        else
            snprintf(text, sizeof text, "%s", columns[i].head);
        end += columns[i].width + 1;
        const size_t width = picture_width(text);
        picture_blanks(p, i == 0 ? end - columns[i].width : end > width ? end - width : 0);
        picture_put(p, !r ? STYLE_FAINT : i == 0 ? watch_states[r->state].style : NULL, text);
    }
    picture_end_line(p);
}

/* `rows` runs around the chosen one. */
void watch_draw_table(struct picture *p, const struct watch *w, size_t chosen, size_t rows)
{
    struct table t = {0};
    size_t widest = 4;
    size_t first = chosen < rows ? 0 : chosen + 1 - rows;
    for (size_t i = 0; i < w->count; i++) {
        const size_t width = picture_width(w->runs[i]->name);
        widest = width > widest ? width : widest;
        t.pairs = t.pairs || w->runs[i]->last.prefers;
    }
    choose_columns(&t, p->look);
    t.name_width = widest + 1 < t.name_width ? widest + 1 : t.name_width;
    draw_line(p, "", STYLE_FAINT, "run", &t, NULL);
    for (size_t i = first; i < w->count && i < first + rows; i++) {
        const bool is = p->look->keys && i == chosen;
        draw_line(p, is ? ">" : "", is ? STYLE_BOLD : NULL, w->runs[i]->name, &t, w->runs[i]);
    }
    if (first || w->count > rows) {
        const size_t end = first + rows < w->count ? first + rows : w->count;
        picture_factf(p, 0, "%zu to %zu of %zu runs", first + 1, end, w->count);
        picture_end_line(p);
    }
}

/* What the rest of the run's picture, which has yet to be drawn, leaves for a chart. */
static size_t rows_of_chart(const struct picture *p, const struct watch *w, const struct watch_run *r)
{
    struct str text = {0};
    struct picture rest = {.out = &text, .look = p->look, .e = p->e};
    if (!p->look->rows)
        return CHART_USUAL;
    watch_draw_run(&rest, w, r, 0);
    str_release(&text);
    const size_t taken = p->rows + rest.rows + AROUND_CHART;
    const size_t most = p->look->rows > taken ? p->look->rows - taken : 0;
    return most < CHART_ROWS ? most : CHART_ROWS;
}

/* Leaves out the last rows, if there are more: what is the least important stands there. */
static void keep_rows(struct picture *p, size_t most)
{
    size_t at = 0;
    if (p->e->code || p->rows <= most)
        return;
    for (p->rows = 0; p->rows < most; p->rows++)
        at += strcspn(p->out->data + at, "\n") + 1;
    p->out->length = at;
    p->out->data[at] = '\0';
}

enum err_code watch_draw(struct str *out, const struct watch *w, size_t chosen, const struct watch_look *look,
                         struct err *e)
{
    struct picture p = {.out = out, .look = look, .e = e};
    e->code = ERR_OK;
    if (!w->count) {
        picture_put(&p, NULL, "no run is in this folder any more");
        picture_end_line(&p);
    } else if (w->single) {
        watch_draw_run(&p, w, w->runs[0], rows_of_chart(&p, w, w->runs[0]));
    } else {
        const size_t third = look->rows / 3 > 3 ? look->rows / 3 : 3;
        watch_draw_table(&p, w, chosen, look->rows && w->count > third ? third : w->count);
        if (look->rows > p.rows + PICTURE_LEAST) {
            picture_end_line(&p);
            watch_draw_run(&p, w, w->runs[chosen], rows_of_chart(&p, w, w->runs[chosen]));
        }
    }
    if (look->keys) {
        keep_rows(&p, look->rows ? look->rows - 1 : p.rows);
        picture_put(&p, STYLE_FAINT, w->single ? "q quits" : "q quits  up, down or tab: another run");
        picture_end_line(&p);
    }
    return e->code;
}
