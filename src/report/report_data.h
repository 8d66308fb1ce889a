/*
 * What a report is made from, and the parts that the files of the report share.
 *
 *   report_read -> report_check_claims, report_draw_study | report_draw_run -> report_make_html, _csv, _json
 *
 * All memory is the report's arena's.
 */
#ifndef MPILORA_REPORT_REPORT_DATA_H
#define MPILORA_REPORT_REPORT_DATA_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/yaml.h"
#include "run/metrics.h"
#include "run/options.h"
#include "report/markup.h"
#include "report/svg.h"

/* What tracing recorded: for each traced step and each adapted module a value of each column. */
enum report_column {
    REPORT_GRAD_A,
    REPORT_GRAD_B,
    REPORT_OUTPUT_RATIO, /* norm of s B A x over norm of W x */
    REPORT_UPDATE_RATIO, /* norm of the change of s B A since the start, over norm of W */
    REPORT_COLUMNS
};

struct report_trace {
    size_t steps, modules, ranks;   /* ranks: singular values of a module; all 0 when nothing was traced */
    double *step;                   /* [steps] optimizer steps done before the measurement */
    double *column[REPORT_COLUMNS]; /* [steps, modules] */
    double *singular;               /* [steps, modules, ranks] of B A, descending */
    /* Before the first step; NAN where not recorded: eval loss of the base and with the adapter, and the
     * largest difference that the adapter makes to any logit. */
    double base_eval_loss, start_eval_loss, logit_difference;
};

enum report_status { REPORT_DONE, REPORT_FAILED, REPORT_NOT_DONE };

/* A prompt that was answered at an evaluation. */
struct report_sample {
    size_t example;
    uint64_t step;
    const char *prompt, *expected, *answer;
};

struct report_cell {
    const char *name;
    enum report_status status;
    const char *failure; /* of a failed one: its first line */
    struct yaml_map config;
    struct metrics_row *rows;
    size_t row_count;
    struct report_trace trace;
    struct report_sample *samples; /* [sample_count] of a run by itself: by prompt, then by step */
    size_t sample_count;
};

enum report_verdict { REPORT_NOT_MEASURED, REPORT_HELD, REPORT_NOT_HELD, REPORT_PARTLY_MEASURED };

#define REPORT_CHECKS_MAX 4

struct report_check {
    const char *criterion, *measured;
    enum report_verdict verdict;
};

struct report_claim {
    const char *statement;
    enum report_verdict verdict;
    struct report_check checks[REPORT_CHECKS_MAX];
    size_t check_count;
    const struct report_cell **cells; /* that it came from */
    size_t cell_count;
};

#define REPORT_CLAIMS 6

struct report_figure {
    const char *caption;
    struct svg_plot plot;
};

#define REPORT_FIGURES_MAX 16

struct report {
    struct arena arena;
    const char *folder;
    bool is_study;
    struct report_cell *cells; /* of a run: itself */
    size_t count;
    /* What makes cells different experiments, or seeds of one: the options that fix a run's result, those alone
     * in which some two of the cells differ. */
    const struct opt_spec **differences;
    size_t difference_count;
    const struct report_cell
        *usual; /* what most measured cells are but for their start and learning rate; or NULL */
    struct report_claim claims[REPORT_CLAIMS];
    struct report_figure figures[REPORT_FIGURES_MAX];
    size_t figure_count;
};

/* report_read.c */
enum err_code report_read(struct report *r, const char *folder, struct err *e);
/* Each line of a JSONL file in order, after their number. A file that is not there has none; a last line without its
 * end is one that a running or killed program has not finished, and left out. */
struct report_lines {
    enum err_code (*begin)(void *context, size_t lines, struct err *e);
    enum err_code (*take)(void *context, const struct json_value *object, struct err *e);
    void *context;
};
enum err_code report_read_lines(const char *path, const struct report_lines *to, struct err *e);
/* report_samples.c: of a cell's folder, where there are any; and their part of the page. */
enum err_code report_read_samples(struct report *r, struct report_cell *c, const char *path, struct err *e);
void report_put_samples(struct markup *m, const struct report_cell *c);
enum err_code report_compare_cells(struct report *r, struct err *e); /* report_group.c: part of it */
/* An option of a cell as text; its default where config.yaml does not have it, "" where there is no such
 * option. */
const char *report_option(const struct report_cell *c, const char *name);
double report_number(const struct report_cell *c, const char *name); /* NAN if it is none */
bool report_has(const struct report_cell *c, const char *name, const char *value);

/* report_group.c: cells that belong together, and numbers over them */
struct report_group {
    const struct report_cell **cells;
    size_t count;
};
struct report_spread {
    double mean, low, high;
    size_t count;
};
double report_final_loss(const struct report_cell *c); /* the last eval loss; NAN if there is none */
double report_first_loss(const struct report_cell *c); /* of the first batch, before the first step */
/* Of each finite value of the cells; count 0 and NANs if there is none. */
struct report_spread report_spread(const struct report_group *g, double (*value)(const struct report_cell *));
/* Median, smallest and largest of a column over the modules of a traced step. */
struct report_spread report_modules(const struct report_trace *t, enum report_column column, size_t step);
double report_median(double *values, size_t count); /* sorts them; NAN for none */

enum report_scheme_kind { REPORT_B_ZERO = 1, REPORT_A_RANDOM = 2 };
struct report_scheme {
    const char *name, *a, *b; /* how its matrices start, in words */
    int kind;
};
extern const struct report_scheme report_schemes[];
extern const size_t report_scheme_count;
const struct report_scheme *report_scheme_of(const struct report_cell *c); /* NULL: unknown */

/* The options that a table shows: the `count` that are always there, then whatever else the cells differ in; NULL after
 * the last. */
const char *report_shown_option(const struct report *r, const char *const *always, size_t count, size_t index);

/* A cell of a study counts when it is finished, a run by itself as far as it is. */
bool report_is_measured(const struct report *r, const struct report_cell *c);

/* Measured cells that agree in all but `free_names` (ended by NULL) with `like`. */
enum err_code report_select(struct report_group *g, struct report *r, const struct report_cell *like,
                            const char *const *free_names, struct err *e);
/* Of a scheme, with all other options those of the usual cell: the cells with the learning rate and standard
 * deviations of the lowest mean final loss, which are seeds of one another. None: count 0. */
enum err_code report_best(struct report_group *g, struct report *r, const char *scheme, struct err *e);

enum err_code report_check_claims(struct report *r, struct err *e); /* report_claims.c */
enum err_code report_draw_study(struct report *r, struct err *e);   /* report_figures.c */
enum err_code report_draw_run(struct report *r, struct err *e);
/* report_sweep.c: a study of anything but how LoRA's matrices start */
bool report_is_sweep(const struct report *r);
enum err_code report_draw_sweep(struct report *r, struct err *e);
const char *report_sweep_title(struct report *r, struct err *e); /* "Study of lora-rank × learning-rate" */
enum err_code report_make_html(struct str *out, struct report *r, struct err *e);      /* report_html.c */
enum err_code report_make_csv(struct str *out, const struct report *r, struct err *e); /* report_tables.c */
enum err_code report_make_json(struct str *out, const struct report *r, struct err *e);
const char *report_status_name(enum report_status status);
const char *report_verdict_name(enum report_verdict verdict);

/* Text in the report's arena. */
const char *report_textf(struct report *r, struct err *e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
