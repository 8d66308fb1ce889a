#include "report_data.h"

#include <inttypes.h>
#include <string.h>

#include "io/json.h"

static const char *const parameters[] = {
    "lora-init", "learning-rate", "lora-rank",      "lora-alpha", "rslora",    "lora-plus-ratio",
    "init-std",  "init-std-b",    "target-modules", "seed",       "max-steps", "batch-size",
};
#define PARAMETERS (sizeof parameters / sizeof *parameters)

/* The options of a row: those that are always there, then whatever else the cells differ in; NULL after the last. */
static const char *parameter(const struct report *r, size_t index)
{
    return report_shown_option(r, parameters, PARAMETERS, index);
}

static const char *const statuses[] = {
    [REPORT_DONE] = "done", [REPORT_FAILED] = "failed", [REPORT_NOT_DONE] = "not done"};
static const char *const verdicts[] = {[REPORT_NOT_MEASURED] = "not measured",
                                       [REPORT_HELD] = "held",
                                       [REPORT_NOT_HELD] = "not held",
                                       [REPORT_PARTLY_MEASURED] = "partly measured"};

const char *report_status_name(enum report_status status)
{
    return statuses[status];
}

const char *report_verdict_name(enum report_verdict verdict)
{
    return verdicts[verdict];
}

static double steps_done(const struct report_cell *c)
{
    return c->row_count ? (double)c->rows[c->row_count - 1].step : 0;
}

double report_last_loss(const struct report_cell *c)
{
    return c->row_count ? c->rows[c->row_count - 1].loss : NAN;
}

double report_seconds(const struct report_cell *c)
{
    double sum = 0;
    for (size_t i = 0; i < c->row_count; i++)
        sum += isfinite(c->rows[i].seconds) ? c->rows[i].seconds : 0;
    return c->row_count ? sum : NAN;
}

static double logit_difference(const struct report_cell *c)
{
    return c->trace.logit_difference;
}

static double at_start(const struct report_cell *c, enum report_column column)
{
    return c->trace.steps ? report_modules(&c->trace, column, 0).mean : NAN;
}

static double gradient_a(const struct report_cell *c)
{
    return at_start(c, REPORT_GRAD_A);
}

static double gradient_b(const struct report_cell *c)
{
    return at_start(c, REPORT_GRAD_B);
}

static double final_update(const struct report_cell *c)
{
    return c->trace.steps ? report_modules(&c->trace, REPORT_UPDATE_RATIO, c->trace.steps - 1).mean : NAN;
}

static const struct {
    const char *name;
    double (*value)(const struct report_cell *);
} results[] = {
    {"steps", steps_done},
    {"first_loss", report_first_loss},
    {"last_loss", report_last_loss},
    {"final_eval_loss", report_final_loss},
    {"final_eval_reward_accuracy", report_final_accuracy},
    {"final_eval_reward_margin", report_final_margin},
    {"step0_logit_difference", logit_difference},
    {"step0_median_gradient_a", gradient_a},
    {"step0_median_gradient_b", gradient_b},
    {"final_median_update_ratio", final_update},
    {"seconds", report_seconds},
};
#define RESULTS (sizeof results / sizeof *results)

enum err_code report_append_csv(struct str *out, const char *text, struct err *e)
{
    if (!strpbrk(text, ",\"\r\n"))
        return str_append(out, text, strlen(text), e);
    if (str_append(out, "\"", 1, e))
        return e->code;
    for (const char *c = text; *c; c++)
        if (str_append(out, "\"\"", *c == '"' ? 2 : 0, e) || (*c != '"' && str_append(out, c, 1, e)))
            return e->code;
    return str_append(out, "\"", 1, e);
}

static enum err_code append_csv_row(struct str *out, const struct report *r, const struct report_cell *c,
                                    struct err *e)
{
    const char *name;
    if (report_append_csv(out, c->name, e) || str_appendf(out, e, ",%s", report_status_name(c->status)))
        return e->code;
    for (size_t i = 0; (name = parameter(r, i)); i++)
        if (str_append(out, ",", 1, e) || report_append_csv(out, report_option(c, name), e))
            return e->code;
    for (size_t i = 0; i < RESULTS; i++) {
        double x = results[i].value(c);
        if (str_append(out, ",", 1, e) || (isfinite(x) && json_append_real(out, x, e)))
            return e->code;
    }
    if (str_append(out, ",", 1, e) || report_append_csv(out, c->failure ? c->failure : "", e))
        return e->code;
    return str_append(out, "\n", 1, e);
}

enum err_code report_make_csv(struct str *out, const struct report *r, struct err *e)
{
    const char *name;
    if (str_appendf(out, e, "cell,status"))
        return e->code;
    for (size_t i = 0; (name = parameter(r, i)); i++)
        if (str_appendf(out, e, ",%s", name))
            return e->code;
    for (size_t i = 0; i < RESULTS; i++)
        if (str_appendf(out, e, ",%s", results[i].name))
            return e->code;
    if (str_appendf(out, e, ",error\n"))
        return e->code;
    for (size_t i = 0; i < r->count; i++)
        if (append_csv_row(out, r, &r->cells[i], e))
            return e->code;
    return ERR_OK;
}

static enum err_code append_text(struct str *out, const char *key, const char *text, struct err *e)
{
    return str_appendf(out, e, "\"%s\": ", key) ? e->code : json_append_string(out, text, strlen(text), e);
}

static enum err_code append_claim(struct str *out, const struct report_claim *c, size_t number, struct err *e)
{
    if (str_appendf(out, e, "%s    {\"number\": %zu, ", number > 1 ? ",\n" : "", number) ||
        append_text(out, "claim", c->statement, e) || str_append(out, ", ", 2, e) ||
        append_text(out, "verdict", report_verdict_name(c->verdict), e) ||
        str_appendf(out, e, ", \"checks\": ["))
        return e->code;
    for (size_t i = 0; i < c->check_count; i++)
        if (str_appendf(out, e, "%s{", i ? ", " : "") ||
            append_text(out, "criterion", c->checks[i].criterion, e) || str_append(out, ", ", 2, e) ||
            append_text(out, "measured", c->checks[i].measured, e) || str_append(out, ", ", 2, e) ||
            append_text(out, "verdict", report_verdict_name(c->checks[i].verdict), e) ||
            str_append(out, "}", 1, e))
            return e->code;
    if (str_appendf(out, e, "], \"cells\": ["))
        return e->code;
    for (size_t i = 0; i < c->cell_count; i++)
        if ((i && str_append(out, ", ", 2, e)) ||
            json_append_string(out, c->cells[i]->name, strlen(c->cells[i]->name), e))
            return e->code;
    return str_appendf(out, e, "]}");
}

static enum err_code append_machines(struct str *out, const struct report_cell *c, struct err *e)
{
    if (str_appendf(out, e, ", \"machines\": ["))
        return e->code;
    for (const struct machine_start *s = c->machines.first; s; s = s->next)
        if (str_appendf(out, e, "%s{\"from_step\": %" PRIu64 ", \"machine\": ", s == c->machines.first ? "" : ", ",
                        s->step) ||
            machine_append(out, &s->machine, e) || str_append(out, "}", 1, e))
            return e->code;
    return str_append(out, "]", 1, e);
}

static enum err_code append_json_cell(struct str *out, const struct report *r, const struct report_cell *c,
                                      bool first, struct err *e)
{
    const char *name;
    if (str_appendf(out, e, "%s    {", first ? "" : ",\n") || append_text(out, "cell", c->name, e) ||
        str_append(out, ", ", 2, e) || append_text(out, "status", report_status_name(c->status), e) ||
        (c->failure && (str_append(out, ", ", 2, e) || append_text(out, "error", c->failure, e))) ||
        str_appendf(out, e, ", \"options\": {"))
        return e->code;
    for (size_t i = 0; (name = parameter(r, i)); i++)
        if ((i && str_append(out, ", ", 2, e)) || append_text(out, name, report_option(c, name), e))
            return e->code;
    if (str_append(out, "}", 1, e))
        return e->code;
    for (size_t i = 0; i < RESULTS; i++)
        if (str_appendf(out, e, ", \"%s\": ", results[i].name) ||
            json_append_real(out, results[i].value(c), e))
            return e->code;
    return append_machines(out, c, e) ? e->code : str_append(out, "}", 1, e);
}

static enum err_code append_numbers(struct str *out, const char *key, const double *x, size_t count,
                                    struct err *e)
{
    if (str_appendf(out, e, ", \"%s\": [", key))
        return e->code;
    for (size_t i = 0; i < count; i++)
        if ((i && str_append(out, ", ", 2, e)) || json_append_real(out, x[i], e))
            return e->code;
    return str_append(out, "]", 1, e);
}

enum err_code report_append_figure(struct str *out, const struct svg_plot *p, bool first, struct err *e)
{
    if (str_appendf(out, e, "%s    {", first ? "" : ",\n") || append_text(out, "plot", p->id, e) ||
        str_append(out, ", ", 2, e) || append_text(out, "title", p->title, e) ||
        str_append(out, ", ", 2, e) || append_text(out, "x_title", p->x.title, e) ||
        str_append(out, ", ", 2, e) || append_text(out, "y_title", p->y.title, e) ||
        str_appendf(out, e, ", \"log\": %s, \"zero\": %s, \"series\": [", p->y.scale == SVG_LOG ? "true" : "false",
                    p->y.zero ? "true" : "false"))
        return e->code;
    for (size_t i = 0; i < p->count; i++) {
        const struct svg_series *s = &p->series[i];
        if (str_appendf(out, e, "%s{", i ? ", " : "") || append_text(out, "name", s->name, e) ||
            str_appendf(out, e, ", \"style\": %u", s->style % SVG_STYLES) ||
            append_numbers(out, "x", s->x, s->count, e) || append_numbers(out, "y", s->y, s->count, e) ||
            (s->low && (append_numbers(out, "low", s->low, s->count, e) ||
                        append_numbers(out, "high", s->high, s->count, e))) ||
            str_append(out, "}", 1, e))
            return e->code;
    }
    return str_appendf(out, e, "]}");
}

enum err_code report_make_json(struct str *out, const struct report *r, struct err *e)
{
    if (str_appendf(out, e, "{\n  \"kind\": \"%s\",\n  \"claims\": [\n", r->is_study ? "study" : "run"))
        return e->code;
    for (size_t i = 0; r->is_study && i < REPORT_CLAIMS; i++)
        if (append_claim(out, &r->claims[i], i + 1, e))
            return e->code;
    if (str_appendf(out, e, "\n  ],\n  \"cells\": [\n"))
        return e->code;
    for (size_t i = 0; i < r->count; i++)
        if (append_json_cell(out, r, &r->cells[i], i == 0, e))
            return e->code;
    if (str_appendf(out, e, "\n  ],\n  \"figures\": [\n"))
        return e->code;
    for (size_t i = 0; i < r->figure_count; i++)
        if (report_append_figure(out, &r->figures[i].plot, i == 0, e))
            return e->code;
    return str_appendf(out, e, "\n  ]\n}\n");
}
