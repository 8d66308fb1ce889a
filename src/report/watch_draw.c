#include "watch_picture.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/tokenizer/unicode.h"
#include "report/svg_scale.h"
#include "watch_data.h"

enum {
    TICK = 10,         /* columns of the numbers beside a chart, and its edge */
    CHART_LEAST = 3,   /* rows */
    BAR_LEAST = 10
};

const struct watch_run_name watch_states[] = {
    [WATCH_WAITING] = {"starting", STYLE_COOL},
    [WATCH_RUNNING] = {"running", STYLE_GOOD},
    [WATCH_SILENT] = {"silent", STYLE_WARM},
    [WATCH_DEAD] = {"seems dead", STYLE_BAD},
    [WATCH_STOPPED] = {"stopped", STYLE_WARM},
    [WATCH_FINISHED] = {"finished", STYLE_COOL},
    [WATCH_FAILED] = {"failed", STYLE_BAD},
    [WATCH_GONE] = {"deleted", STYLE_BAD},
};

bool watch_left(char text[32], const struct watch_run *r)
{
    const bool known = r->state == WATCH_RUNNING && r->total > r->last.step;
    if (known)
        str_format_time(text, 32, (double)(r->total - r->last.step) * watch_run_means(r).seconds);
    return known;
}

static void draw_title(struct picture *p, const struct watch_run *r)
{
    const char *state = watch_states[r->state].name;
    const size_t width = picture_width(state) + 1;
    const size_t room = p->look->columns > width ? p->look->columns - width : 0;
    const struct watch_look *whole = p->look;
    struct watch_look left = *whole;
    left.columns = room;
    p->look = &left;
    picture_put_name(p, STYLE_BOLD, r->name, room);
    p->look = whole;
    picture_blanks(p, room + 1);
    picture_put(p, watch_states[r->state].style, state);
    picture_end_line(p);
}

/* What a state means that a reader may have to do something about. */
static void draw_state(struct picture *p, const struct watch_run *r)
{
    char time[32];
    const bool held = r->state == WATCH_SILENT || r->state == WATCH_WAITING;
    if (r->state == WATCH_FAILED) {
        picture_fact(p, 0, STYLE_BAD, r->failure);
    } else if (held && *r->owner) {
        picture_factf(p, 0, "%s works in the folder", r->owner);
    } else if (r->state == WATCH_DEAD && *r->owner) {
        picture_factf(p, 0, "%s has not left the folder in order", r->owner);
    }
    if (r->state == WATCH_SILENT || (r->state == WATCH_DEAD && r->lines))
        picture_factf(p, 0, "the last line came %s", text_age(time, r->line_age));
    if (r->state == WATCH_DEAD || r->state == WATCH_STOPPED) {
        if (r->checkpoint)
            picture_factf(p, 0, "the same command continues after step %" PRIu64, r->checkpoint);
        else if (r->has_reference)
            picture_fact(p, 0, NULL, "there is no checkpoint, but a reference: the same command goes on with that");
        else
            picture_fact(p, 0, NULL, "there is no checkpoint: the same command begins anew");
    }
    if (p->used)
        picture_end_line(p);
}

/* "step 120 of 400 [####....] 30 % epoch 0.92": the bar takes what the others leave. */
static void draw_progress(struct picture *p, const struct watch_run *r)
{
    char before[96], after[64] = "", number[32];
    const double share = r->total ? fmin((double)r->last.step / (double)r->total, 1) : 0;
    int length = snprintf(before, sizeof before, "step %s", text_grouped(number, (double)r->last.step));
    if (r->total)
        length += snprintf(before + length, sizeof before - (size_t)length, " of %s",
                           text_grouped(number, (double)r->total));
    if (r->total)
        snprintf(after, sizeof after, "%3.0f %%  ", floor(100 * share));
    if (isfinite(r->last.epoch))
        snprintf(after + strlen(after), sizeof after - strlen(after), "epoch %.2f", fmin(r->last.epoch, 1e9));
    const size_t rest = (size_t)length + strlen(after) + 6;
    picture_put(p, NULL, before);
    if (r->total && rest + BAR_LEAST <= p->look->columns) {
        const size_t bar = p->look->columns - rest, done = (size_t)(share * (double)bar);
        picture_put(p, NULL, "  [");
        for (size_t i = 0; i < bar; i++)
            picture_put(p, i < done ? watch_states[r->state].style : STYLE_FAINT, i < done ? "#" : ".");
        picture_put(p, NULL, "]");
    }
    picture_put(p, NULL, "  ");
    picture_put(p, NULL, after);
    picture_end_line(p);
}

static void put_rewards(struct picture *p, const char *of, const struct metrics_rewards *rewards)
{
    if (isfinite(rewards->accuracy) && isfinite(rewards->margin)) {
        picture_factf(p, 0, "%saccuracy %.3f", of, rewards->accuracy);
        picture_factf(p, 0, "%smargin %.3g", of, rewards->margin);
    }
}

/* Of preference training. */
static void draw_rewards(struct picture *p, const struct watch_run *r)
{
    put_rewards(p, "", &r->last.rewards);
    if (r->evaluated)
        put_rewards(p, "eval ", &r->eval_rewards);
    if (p->used)
        picture_end_line(p);
}

static void draw_numbers(struct picture *p, const struct watch_run *r)
{
    char text[32], other[32];
    const struct watch_means m = watch_run_means(r);
    picture_factf(p, 0, "loss %s", text_loss(text, r->last.loss));
    if (r->evaluated)
        picture_factf(p, 0, "eval loss %s at step %s", text_loss(text, r->eval_loss),
                      text_grouped(other, (double)r->evaluated));
    if (r->best && r->best != r->evaluated)
        picture_factf(p, 0, "best %s at step %s", text_loss(text, r->best_loss),
                      text_grouped(other, (double)r->best));
    if (isfinite(r->last.learning_rate))
        picture_factf(p, 0, "lr %.3g", r->last.learning_rate);
    if (isfinite(r->last.grad_norm))
        picture_factf(p, 0, "norm %.3g", r->last.grad_norm);
    picture_end_line(p);
    if (r->last.prefers)
        draw_rewards(p, r);
    picture_factf(p, 0, "%s tokens/s", text_grouped(text, m.tokens_per_second));
    if (m.seconds > 0 && m.seconds < 0.1)
        picture_factf(p, 0, "%.3g ms a step", 1e3 * m.seconds);
    else
        picture_factf(p, 0, m.seconds < 10 ? "%.2f s a step" : "%.1f s a step", m.seconds);
    if (watch_left(text, r))
        picture_factf(p, 0, "%s left", text);
    picture_end_line(p);
}

static void put_tick(struct picture *p, double value, bool shown)
{
    char number[SVG_NUMBER_SIZE];
    if (shown) {
        svg_number(number, value);
        const size_t width = picture_width(number);
        picture_blanks(p, TICK - 2 > width ? TICK - 2 - width : 0);
        picture_put(p, STYLE_FAINT, number);
    }
    picture_blanks(p, TICK - 2);
    picture_put(p, STYLE_FAINT, p->look->ascii ? (shown ? " +" : " |") : shown ? " ┤" : " │");
}

static void draw_row(struct picture *p, const struct chart *chart, size_t row)
{
    const struct chart_cell *cells = chart->cells[row];
    size_t count = chart->columns;
    put_tick(p, row ? chart->low : chart->high, row == 0 || row + 1 == chart->rows);
    while (count && cells[count - 1].character == ' ')
        count--;
    for (size_t x = 0; x < count; x++) {
        char text[5] = "";
        unicode_encode(text, cells[x].character);
        picture_put(p, cells[x].character == ' ' ? NULL : cells[x].marked ? STYLE_WARM : STYLE_COOL, text);
    }
    picture_end_line(p);
}

/* The steps under the curve's beginning and end, and what is what. */
static void draw_foot(struct picture *p, const struct chart *chart, const struct watch_run *r)
{
    char first[32], last[32];
    picture_blanks(p, TICK - 1);
    picture_put(p, STYLE_FAINT, p->look->ascii ? "+" : "└");
    for (size_t x = 0; x < chart->columns; x++)
        picture_put(p, STYLE_FAINT, p->look->ascii ? "-" : "─");
    picture_end_line(p);
    text_grouped(first, chart->first);
    text_grouped(last, chart->last);
    char legend[96];
    snprintf(legend, sizeof legend, "%s loss%s%s", p->look->ascii ? ".:'" : "⣀⠤⠒",
             r->evaluated ? p->look->ascii ? "  o eval loss" : "  ● eval loss" : "", "");
    const size_t end = TICK + chart->columns, width = strlen(last);
    picture_blanks(p, TICK);
    picture_put(p, STYLE_FAINT, first);
    const size_t middle = picture_width(legend);
    const size_t from = TICK + (chart->columns > middle ? (chart->columns - middle) / 2 : 0);
    if (from > p->used + 1 && from + middle + 1 < end - width) {
        picture_blanks(p, from);
        picture_put(p, NULL, legend);
    }
    if (chart->last > chart->first) {
        picture_blanks(p, end > width ? end - width : 0);
        picture_put(p, STYLE_FAINT, last);
    }
    picture_end_line(p);
}

static void draw_chart(struct picture *p, const struct watch_run *r, size_t rows)
{
    struct chart chart = {.rows = rows < CHART_ROWS ? rows : CHART_ROWS, .ascii = p->look->ascii};
    if (p->look->columns < TICK + BAR_LEAST)
        return;
    chart.columns = p->look->columns - TICK < CHART_COLUMNS ? p->look->columns - TICK : CHART_COLUMNS;
    chart_draw(&chart, &r->loss, &r->evaluations);
    if (!chart.any)
        return;
    picture_end_line(p);
    for (size_t row = 0; row < chart.rows; row++)
        draw_row(p, &chart, row);
    draw_foot(p, &chart, r);
    picture_end_line(p);
}

static void draw_waiting(struct picture *p, const struct watch_run *r)
{
    const struct watch_means m = watch_run_means(r);
    const double whole = m.seconds > 0 ? m.seconds : 1;
    picture_label(p, "waiting");
    picture_factf(p, PICTURE_LABEL, "for the slowest rank %.2f s a step (%.0f %%)", m.wait, 100 * m.wait / whole);
    picture_factf(p, PICTURE_LABEL, "data %.2f s", m.data);
    picture_factf(p, PICTURE_LABEL, "communication %.2f s", m.communication);
    if (*m.host)
        picture_factf(p, PICTURE_LABEL, "slowest: rank %zu on %s, in %.0f %% of the steps", m.slowest, m.host,
                      100 * m.share);
    picture_end_line(p);
}

/* "4 ranks of 16 threads on 2 hosts  AMD EPYC 7543"; the names of processors come from a file. */
static void draw_machine(struct picture *p, const struct watch_run *r)
{
    const struct machine *m = &r->machine;
    struct str processors = {0}, visible = {0};
    char threads[48] = "";
    if (!r->has_machine)
        return;
    if (m->threads)
        snprintf(threads, sizeof threads, " of %zu thread%s", m->threads, m->threads == 1 ? "" : "s");
    picture_label(p, "machine");
    if (m->ranks)
        picture_factf(p, PICTURE_LABEL, "%zu rank%s%s on %zu host%s", m->ranks, m->ranks == 1 ? "" : "s", threads,
                      machine_hosts(m), machine_hosts(m) == 1 ? "" : "s");
    if (!p->e->code && m->count && !machine_append_processors(&processors, m, p->e) &&
        !str_append_visible(&visible, processors.data, processors.length, "", p->e))
        picture_fact(p, PICTURE_LABEL, NULL, visible.data);
    str_release(&processors);
    str_release(&visible);
    picture_end_line(p);
}

static void draw_checkpoint(struct picture *p, const struct watch_run *r)
{
    char time[32], number[32];
    picture_label(p, "checkpoint");
    if (r->checkpoint)
        picture_factf(p, PICTURE_LABEL, "step %s, %s", text_grouped(number, (double)r->checkpoint),
                      text_age(time, r->checkpoint_age));
    else
        picture_fact(p, PICTURE_LABEL, NULL, "none yet");
    picture_end_line(p);
}

/* The first has the label. */
static void draw_warning(struct picture *p, size_t *drawn, const char *text)
{
    picture_label(p, (*drawn)++ ? "" : "warnings");
    picture_fact(p, PICTURE_LABEL, STYLE_WARM, text);
    picture_end_line(p);
}

static void draw_warnings(struct picture *p, const struct watch *w, const struct watch_run *r)
{
    const size_t kept = w->warned < WATCH_WARNINGS ? w->warned : WATCH_WARNINGS;
    size_t drawn = 0;
    char text[96];
    if (*r->config_trouble)
        draw_warning(p, &drawn, r->config_trouble);
    if (*r->tail.trouble)
        draw_warning(p, &drawn, r->tail.trouble);
    snprintf(text, sizeof text, "%" PRIu64 " step%s skipped, the last one %" PRIu64, r->skipped,
             r->skipped == 1 ? " was" : "s were", r->last_skipped);
    if (r->skipped)
        draw_warning(p, &drawn, text);
    snprintf(text, sizeof text, "%" PRIu64 " line%s of the metrics cannot be read", r->bad_lines,
             r->bad_lines == 1 ? "" : "s");
    if (r->bad_lines)
        draw_warning(p, &drawn, text);
    for (size_t i = w->warned - kept; i < w->warned; i++)
        draw_warning(p, &drawn, w->warnings[i % WATCH_WARNINGS]);
}

void watch_draw_run(struct picture *p, const struct watch *w, const struct watch_run *r, size_t rows)
{
    draw_title(p, r);
    draw_state(p, r);
    if (r->last.step) {
        draw_progress(p, r);
        draw_numbers(p, r);
        if (rows >= CHART_LEAST)
            draw_chart(p, r, rows);
        draw_waiting(p, r);
        draw_machine(p, r);
    }
    draw_checkpoint(p, r);
    draw_warnings(p, w, r);
}
