#include "report_sketch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SINGULAR_FLOOR 1e-9 /* of the largest: far below what single precision resolves, drawn as 0 */
#define RATIO_FLOOR    1e-6 /* likewise, of W x */
#define FIRST_TRACED   20   /* traced steps that figures of the beginning show */

const struct svg_axis report_steps = {.title = "optimizer step", .whole = true};

double report_row_loss(const struct metrics_row *row)
{
    return row->loss;
}

double report_row_eval_loss(const struct metrics_row *row)
{
    return row->evaluated ? row->eval_loss : NAN;
}

/* Rewards of preference training; without it they are not numbers, and there is no figure of them. */
#define REWARD(of, name)                                                                                     \
    static double row_##of##_##name(const struct metrics_row *row)                                           \
    {                                                                                                        \
        return row->of.name;                                                                                 \
    }
REWARD(rewards, chosen)
REWARD(rewards, rejected)
#undef REWARD

double report_row_accuracy(const struct metrics_row *row)
{
    return row->rewards.accuracy;
}

double report_row_margin(const struct metrics_row *row)
{
    return row->rewards.margin;
}

double report_row_eval_margin(const struct metrics_row *row)
{
    return row->eval_rewards.margin;
}

double report_row_eval_accuracy(const struct metrics_row *row)
{
    return row->eval_rewards.accuracy;
}

double report_row_learning_rate(const struct metrics_row *row)
{
    return row->learning_rate;
}

double report_row_grad_norm(const struct metrics_row *row)
{
    return row->grad_norm;
}

double report_row_speed(const struct metrics_row *row)
{
    return row->seconds > 0 ? (double)row->tokens / row->seconds : NAN;
}

#define PHASE(code, name)                                                                                    \
    static double row_##code(const struct metrics_row *row)                                                  \
    {                                                                                                        \
        return row->phases[PROF_##code];                                                                     \
    }
#include "base/prof.def"
#undef PHASE

static bool sketch_best(struct sketch *s, struct report_group *best, size_t scheme)
{
    return !s->e->code && !report_best(best, s->report, report_schemes[scheme].name, s->e) && best->count;
}

/* What a name of both-normal needs beside the scheme. */
static const char *name_std(struct sketch *s, const struct report_cell *c)
{
    if (!report_has(c, "lora-init", "both-normal"))
        return "";
    if (!(report_number(c, "init-std-b") > 0))
        return ", std of B that of A";
    return report_textf(s->report, s->e, ", std of B %s", report_option(c, "init-std-b"));
}

static const char *name_best(struct sketch *s, const struct report_group *g)
{
    const struct report_cell *c = g->cells[0];
    return report_textf(s->report, s->e, "%s, %s%s", report_option(c, "lora-init"),
                        report_option(c, "learning-rate"), name_std(s, c));
}

static void draw_curves(struct sketch *s, double (*value)(const struct metrics_row *))
{
    struct report_group best;
    for (size_t i = 0; i < report_scheme_count; i++)
        if (sketch_best(s, &best, i))
            sketch_rows(s, name_best(s, &best), (unsigned)i, &best, value);
}

static double base_eval_loss(const struct report_cell *c)
{
    return c->trace.base_eval_loss;
}

/* A horizontal line at what the cells of the default scheme have. */
static void draw_level(struct sketch *s, const char *name, double (*value)(const struct report_cell *))
{
    struct report_group best;
    if (!s->figure || s->e->code || report_best(&best, s->report, "normal", s->e))
        return;
    struct report_spread spread = report_spread(&best, value);
    if (spread.count) {
        s->figure->plot.level_name = name;
        s->figure->plot.level = spread.mean;
    }
}

static void draw_losses(struct sketch *s)
{
    sketch_figure(
        s, "loss", "Training loss",
        "Each scheme at its own best learning rate (the number beside its name): mean over seeds, band from "
        "the lowest to the highest seed.",
        report_steps, (struct svg_axis){.title = "loss, nats per token"});
    draw_curves(s, report_row_loss);
    sketch_end_figure(s);
    sketch_figure(s, "eval-loss", "Evaluation loss",
                  "The same cells on held-out data. A line that starts higher has more to gain.",
                  report_steps, (struct svg_axis){.title = "eval loss, nats per token"});
    draw_curves(s, report_row_eval_loss);
    draw_level(s, "base model", base_eval_loss);
    sketch_end_figure(s);
}

static void draw_learning_rates(struct sketch *s)
{
    sketch_figure(s, "learning-rate", "Final eval loss against learning rate",
                  "Lower is better. In a wide valley the choice of the learning rate matters less. Mean over seeds, "
                  "bars from the lowest to the highest.",
                  (struct svg_axis){.title = "peak learning rate", .scale = SVG_LOG, .exact = true},
                  (struct svg_axis){.title = "final eval loss, nats per token"});
    unsigned extra = (unsigned)report_scheme_count;
    for (size_t k = 0; k < report_scheme_count; k++) {
        bool first = true;
        for (size_t i = 0; i < s->report->count; i++) {
            const struct report_cell *c = &s->report->cells[i];
            if (report_scheme_of(c) != &report_schemes[k] || !sketch_begins_line(s, c, "learning-rate") ||
                sketch_count_values(s, c, "learning-rate") < 2)
                continue;
            sketch_against(s, report_textf(s->report, s->e, "%s%s", report_schemes[k].name, name_std(s, c)),
                           first ? (unsigned)k : extra++, c, "learning-rate", report_final_loss);
            first = false;
        }
    }
    draw_level(s, "base model", base_eval_loss);
    sketch_end_figure(s);
}

/* One line for each learning rate of `scheme` that has several standard deviations of B. */
static void draw_against_std(struct sketch *s, const char *scheme, unsigned style,
                             double (*value)(const struct report_cell *))
{
    for (size_t i = 0; i < s->report->count; i++) {
        const struct report_cell *c = &s->report->cells[i];
        if (report_has(c, "lora-init", scheme) && sketch_begins_line(s, c, "init-std-b") &&
            sketch_count_values(s, c, "init-std-b") > 1) {
            sketch_against(s,
                           report_textf(s->report, s->e, "%s, learning rate %s", scheme,
                                        report_option(c, "learning-rate")),
                           style, c, "init-std-b", value);
            style = style == 1 ? 11 : style + 1;
        }
    }
}

/* A level at random A with B = 0, over the cells that differ from those of both-normal in nothing else:
 * another seed or learning rate would be another batch or another end. */
static void draw_twin_level(struct sketch *s, double (*value)(const struct report_cell *))
{
    static const char *const start[] = {"lora-init", "init-std", "init-std-b", NULL};
    double sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < s->report->count; i++) {
        const struct report_cell *c = &s->report->cells[i];
        struct report_group twins;
        if (!report_has(c, "lora-init", "both-normal") || !report_is_measured(s->report, c))
            continue;
        if (s->e->code || report_select(&twins, s->report, c, start, s->e))
            return;
        for (size_t k = 0; k < twins.count; k++)
            if (report_has(twins.cells[k], "lora-init", "normal") && isfinite(value(twins.cells[k]))) {
                sum += value(twins.cells[k]);
                count++;
            }
    }
    if (s->figure && count) {
        s->figure->plot.level_name = "B = 0";
        s->figure->plot.level = sum / (double)count;
    }
}

static void draw_offsets(struct sketch *s)
{
    static const struct svg_axis std = {
        .title = "standard deviation of the initial B", .scale = SVG_LOG, .exact = true};
    sketch_figure(s, "offset", "Loss before the first step against the std of B",
                  "The cost of starting away from the base model. The dashed line is B = 0, the base model itself.",
                  std, (struct svg_axis){.title = "loss of the first batch, nats per token"});
    draw_against_std(s, "both-normal", 1, report_first_loss);
    draw_against_std(s, "b-normal", 4, report_first_loss);
    draw_twin_level(s, report_first_loss);
    sketch_end_figure(s);
    sketch_figure(
        s, "offset-final", "Final eval loss against the std of B",
        "Whether training makes up for the higher initial loss. The dashed line is random A with B = 0, everything "
        "else equal.",
        std, (struct svg_axis){.title = "final eval loss, nats per token"});
    draw_against_std(s, "both-normal", 1, report_final_loss);
    draw_against_std(s, "b-normal", 4, report_final_loss);
    draw_twin_level(s, report_final_loss);
    sketch_end_figure(s);
}

/* Over the first traced steps, the median or the largest module of each scheme, mean over its seeds. */
static void draw_traced(struct sketch *s, enum report_column column, bool largest)
{
    for (size_t i = 0; i < report_scheme_count; i++) {
        struct report_group best;
        const struct report_trace *t = NULL;
        if (!sketch_best(s, &best, i))
            continue;
        for (size_t k = 0; k < best.count && !t; k++)
            t = best.cells[k]->trace.steps ? &best.cells[k]->trace : NULL;
        size_t count = t ? (t->steps < FIRST_TRACED ? t->steps : FIRST_TRACED) : 0;
        sketch_series(s, s->report->is_study ? name_best(s, &best) : "this run", (unsigned)i, count);
        for (size_t step = 0; step < count; step++) {
            struct report_spread over = {.low = INFINITY, .high = -INFINITY};
            for (size_t k = 0; k < best.count; k++) {
                const struct report_trace *one = &best.cells[k]->trace;
                if (step >= one->steps || one->step[step] != t->step[step])
                    continue;
                struct report_spread modules = report_modules(one, column, step);
                if (!modules.count) /* after the last step there is no forward pass */
                    continue;
                double x = largest ? modules.high : modules.mean;
                if (column == REPORT_OUTPUT_RATIO && x < RATIO_FLOOR)
                    x = 0;
                over.mean += x;
                over.low = fmin(over.low, x);
                over.high = fmax(over.high, x);
                over.count++;
            }
            if (!over.count)
                continue;
            over.mean /= (double)over.count;
            sketch_point_spread(s, t->step[step], over);
        }
        sketch_end_series(s);
    }
    sketch_end_figure(s);
}

static void draw_gradients(struct sketch *s)
{
    sketch_figure(s, "gradient-b", "Gradient of B over the first steps",
                  "Median module. With a random A the gradient of B is not 0 from the start; 0 is drawn at the lower "
                  "end of the axis.",
                  report_steps, (struct svg_axis){.title = "norm of the gradient of B", .scale = SVG_LOG});
    draw_traced(s, REPORT_GRAD_B, false);
    sketch_figure(
        s, "gradient-a", "Gradient of A over the first steps",
        "Median module. With B = 0 it is exactly 0 before the first step, and not 0 once B has changed.",
        report_steps, (struct svg_axis){.title = "norm of the gradient of A", .scale = SVG_LOG});
    draw_traced(s, REPORT_GRAD_A, false);
}

static void draw_influence(struct sketch *s)
{
    sketch_figure(
        s, "output-ratio", "Influence of the adapter, median module",
        "The adapter's output relative to that of the layer to which it is added; below 10⁻⁶ drawn as 0.",
        report_steps, (struct svg_axis){.title = "|s B A x| / |W x|", .scale = SVG_LOG});
    draw_traced(s, REPORT_OUTPUT_RATIO, false);
    sketch_figure(s, "output-ratio-largest", "Influence of the adapter, largest module",
                  "The same for the module where it is largest. A value far above the median means that one module "
                  "dominates.",
                  report_steps, (struct svg_axis){.title = "|s B A x| / |W x|", .scale = SVG_LOG});
    draw_traced(s, REPORT_OUTPUT_RATIO, true);
}

/* Singular value `index` over the largest, over all modules of all cells of a group at the end. */
static struct report_spread singular_spread(const struct report_group *g, size_t index, struct err *e)
{
    size_t modules = 0;
    struct report_spread spread = {.mean = NAN, .low = INFINITY, .high = -INFINITY};
    for (size_t i = 0; i < g->count; i++)
        modules += g->cells[i]->trace.modules;
    double *values = malloc((modules + 1) * sizeof *values);
    if (!values) {
        err_set(e, ERR_MEMORY, "no memory for %zu singular values", modules);
        return spread;
    }
    for (size_t i = 0; i < g->count; i++) {
        const struct report_trace *t = &g->cells[i]->trace;
        for (size_t k = 0; t->steps && index < t->ranks && k < t->modules; k++) {
            const double *singular = t->singular + ((t->steps - 1) * t->modules + k) * t->ranks;
            if (!(singular[0] > 0) || !isfinite(singular[index]))
                continue;
            double x = singular[index] < SINGULAR_FLOOR * singular[0] ? 0 : singular[index] / singular[0];
            spread.low = fmin(spread.low, x);
            spread.high = fmax(spread.high, x);
            values[spread.count++] = x;
        }
    }
    spread.mean = report_median(values, spread.count);
    free(values);
    return spread;
}

static void draw_singular(struct sketch *s)
{
    sketch_figure(
        s, "singular", "Singular values of B A after training",
        "Divided by the largest one: median over modules, band from the smallest to the largest. A random A "
        "uses r directions, a constant one only the first.",
        (struct svg_axis){.title = "number of the singular value", .whole = true},
        (struct svg_axis){.title = "singular value / largest", .scale = SVG_LOG});
    for (size_t i = 0; i < report_scheme_count; i++) {
        struct report_group best;
        bool shown = !s->report->is_study || !strcmp(report_schemes[i].name, "normal") ||
                     !strcmp(report_schemes[i].name, "constant");
        if (!shown || !sketch_best(s, &best, i))
            continue;
        size_t ranks = 0;
        for (size_t k = 0; k < best.count; k++)
            ranks = best.cells[k]->trace.ranks > ranks ? best.cells[k]->trace.ranks : ranks;
        sketch_series(s, s->report->is_study ? report_schemes[i].name : "this run", (unsigned)i, ranks);
        for (size_t k = 0; k < ranks && !s->e->code; k++)
            sketch_point_spread(s, (double)(k + 1), singular_spread(&best, k, s->e));
        sketch_end_series(s);
    }
    sketch_end_figure(s);
}

static double final_update(const struct report_cell *c)
{
    return c->trace.steps ? report_modules(&c->trace, REPORT_UPDATE_RATIO, c->trace.steps - 1).mean : NAN;
}

static void draw_rank_lines(struct sketch *s, double (*value)(const struct report_cell *))
{
    unsigned style[2] = {0, 1};
    for (size_t i = 0; i < s->report->count; i++) {
        const struct report_cell *c = &s->report->cells[i];
        if (!report_has(c, "lora-init", "normal") || !sketch_begins_line(s, c, "lora-rank") ||
            sketch_count_values(s, c, "lora-rank") < 2)
            continue;
        bool stabilized = report_has(c, "rslora", "true");
        sketch_against(s,
                       report_textf(s->report, s->e, "s = alpha / %s, learning rate %s",
                                    stabilized ? "√r" : "r", report_option(c, "learning-rate")),
                       style[stabilized], c, "lora-rank", value);
        style[stabilized] += 2;
    }
    sketch_end_figure(s);
}

static void draw_ranks(struct sketch *s)
{
    static const struct svg_axis rank = {.title = "rank r", .scale = SVG_LOG, .exact = true};
    sketch_figure(
        s, "rank", "Size of the update against rank",
        "At the end of training, median module. With s = alpha / r it shrinks as r grows; alpha / √r "
        "(rsLoRA) is meant to keep it constant.",
        rank, (struct svg_axis){.title = "|s B A| / |W|", .scale = SVG_LOG});
    draw_rank_lines(s, final_update);
    sketch_figure(s, "rank-final", "Final eval loss against rank", "The same cells: the gain from a higher rank.",
                  rank, (struct svg_axis){.title = "final eval loss, nats per token"});
    draw_rank_lines(s, report_final_loss);
}

static void draw_lora_plus(struct sketch *s)
{
    sketch_figure(s, "lora-plus", "Final eval loss against LoRA+'s ratio",
                  "The learning rate of B divided by that of A; the learning rate of A is written next to the line.",
                  (struct svg_axis){
                      .title = "learning rate of B / learning rate of A", .scale = SVG_LOG, .exact = true},
                  (struct svg_axis){.title = "final eval loss, nats per token"});
    unsigned style = 0;
    for (size_t i = 0; i < s->report->count; i++) {
        const struct report_cell *c = &s->report->cells[i];
        if (sketch_begins_line(s, c, "lora-plus-ratio") && sketch_count_values(s, c, "lora-plus-ratio") > 1)
            sketch_against(s,
                           report_textf(s->report, s->e, "%s, %s", report_option(c, "lora-init"),
                                        report_option(c, "learning-rate")),
                           style++, c, "lora-plus-ratio", report_final_loss);
    }
    sketch_end_figure(s);
}

enum err_code report_draw_study(struct report *r, struct err *e)
{
    e->code = ERR_OK;
    struct sketch s = {.report = r, .e = e};
    draw_losses(&s);
    draw_learning_rates(&s);
    draw_offsets(&s);
    draw_gradients(&s);
    draw_influence(&s);
    draw_singular(&s);
    draw_ranks(&s);
    draw_lora_plus(&s);
    return e->code;
}

static void draw_rewards(struct sketch *s, const struct report_group *run)
{
    sketch_figure(s, "rewards", "Rewards",
                  "Of the chosen and of the rejected answers, and by how much the first exceed the second: means over "
                  "the pairs of each batch, and of the evaluation data.",
                  report_steps, (struct svg_axis){.title = "reward"});
    sketch_rows(s, "chosen", 0, run, row_rewards_chosen);
    sketch_rows(s, "rejected", 1, run, row_rewards_rejected);
    sketch_rows(s, "margin", 2, run, report_row_margin);
    sketch_rows(s, "margin, evaluation", 3, run, report_row_eval_margin);
    sketch_end_figure(s);
    sketch_figure(s, "reward-accuracy", "Reward accuracy",
                  "Share of pairs whose chosen answer has the higher reward.", report_steps,
                  (struct svg_axis){.title = "share of pairs", .zero = true});
    sketch_rows(s, "training", 5, run, report_row_accuracy);
    sketch_rows(s, "evaluation", 1, run, report_row_eval_accuracy);
    sketch_end_figure(s);
}

static void draw_run_rows(struct sketch *s)
{
    const struct report_cell *cell = s->report->cells;
    const struct report_group run = {.cells = &cell, .count = 1};
    const bool prefers = cell->row_count && cell->rows[0].prefers;
    sketch_figure(s, "loss", "Loss",
                  prefers ? "The objective's, over the pairs of each batch, and of the evaluation data."
                          : "Mean over the supervised tokens of each batch, and of the evaluation data.",
                  report_steps, (struct svg_axis){.title = prefers ? "loss" : "loss, nats per token"});
    sketch_rows(s, "training", 5, &run, report_row_loss);
    sketch_rows(s, "evaluation", 1, &run, report_row_eval_loss);
    sketch_end_figure(s);
    draw_rewards(s, &run);
    sketch_figure(s, "learning-rate", "Learning rate", "From the schedule.", report_steps,
                  (struct svg_axis){.title = "learning rate", .zero = true});
    sketch_rows(s, "learning rate", 0, &run, report_row_learning_rate);
    sketch_end_figure(s);
    sketch_figure(s, "gradient-norm", "Gradient norm", "Of the whole adapter, before clipping.", report_steps,
                  (struct svg_axis){.title = "2-norm of the gradient", .scale = SVG_LOG});
    sketch_rows(s, "gradient norm", 3, &run, report_row_grad_norm);
    sketch_end_figure(s);
    sketch_figure(s, "speed", "Speed", "Tokens of the step over its time, all ranks together.", report_steps,
                  (struct svg_axis){.title = "tokens per second", .zero = true});
    sketch_rows(s, "tokens per second", 2, &run, report_row_speed);
    sketch_end_figure(s);
    sketch_figure(s, "phases", "Time per phase", "The time of a step by phase, on the first rank.",
                  report_steps, (struct svg_axis){.title = "seconds", .scale = SVG_LOG});
    unsigned style = 0;
#define PHASE(code, name) sketch_rows(s, name, style++, &run, row_##code);
#include "base/prof.def"
#undef PHASE
    sketch_end_figure(s);
}

enum err_code report_draw_run(struct report *r, struct err *e)
{
    e->code = ERR_OK;
    struct sketch s = {.report = r, .e = e};
    draw_run_rows(&s);
    if (r->cells[0].trace.steps) {
        draw_gradients(&s);
        draw_influence(&s);
        draw_singular(&s);
    }
    return e->code;
}
