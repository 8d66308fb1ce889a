/*
 * The data of a report, and the functions that its files share.
 *
 *   report_read -> report_check_claims, report_draw_study | report_draw_run -> report_make_html, _csv, _json
 *
 * All memory comes from the report's arena.
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
#include "io/json.h"
#include "run/machine.h"
#include "run/metrics.h"
#include "run/options.h"
#include "report/markup.h"
#include "report/svg.h"

/* The trace of a cell: for each traced step and each adapted module, a value of each column. */
enum report_column {
    REPORT_GRAD_A,
    REPORT_GRAD_B,
    REPORT_OUTPUT_RATIO, /* norm of s B A x divided by norm of W x */
    REPORT_UPDATE_RATIO, /* norm of the change of s B A since the start, divided by norm of W */
    REPORT_COLUMNS
};

struct report_trace {
    size_t steps, modules, ranks;   /* ranks: singular values of a module; all 0 if there is no trace */
    double *step;                   /* [steps] number of optimizer steps before the measurement */
    double *column[REPORT_COLUMNS]; /* [steps, modules] */
    double *singular;               /* [steps, modules, ranks] of B A, descending */
    /* Before the first step: the eval loss of the base and with the adapter, and the largest difference of a logit
     * with and without the adapter; NAN if not recorded. */
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
    const char *failure; /* of a failed cell: the first line of failed.txt */
    struct yaml_map config;
    struct metrics_row *rows;
    size_t row_count;
    struct machine_list machines;
    size_t least_rank, most_rank; /* of the adapter's modules; 0: there is no checkpoint */
    struct report_trace trace;
    struct report_sample *samples; /* [sample_count] of a run by itself: by prompt, then by step */
    size_t sample_count;
    /* The rank that was most often the slowest, its host, and in which share of the steps; NULL: not known. */
    const char *slowest_host;
    size_t slowest_rank;
    double slowest_share;
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
    const struct report_cell **cells; /* from which it was computed */
    size_t cell_count;
};

#define REPORT_CLAIMS 6

struct report_figure {
    const char *caption;
    bool of_steps; /* its lines have a value of each step */
    struct svg_plot plot;
};

#define REPORT_FIGURES_MAX 32

struct report {
    struct arena arena;
    const char *folder;
    bool is_study, is_several; /* else a run by itself */
    bool is_alone;             /* the page has no CSV and JSON file beside it */
    unsigned reload;           /* seconds after which the page loads itself again; 0: never */
    struct report_cell *cells; /* for a run, the run itself */
    size_t count;
    /* The options that affect a run's result and in which at least two cells differ. Cells that differ only in the
     * seed are seeds of one experiment. */
    const struct opt_spec **differences;
    size_t difference_count;
    const struct report_cell
        *usual; /* a cell with the most frequent options, not counting initialisation and learning rate; or NULL */
    struct report_claim claims[REPORT_CLAIMS];
    struct report_figure figures[REPORT_FIGURES_MAX];
    size_t figure_count;
};

/* report_read.c */
enum err_code report_read(struct report *r, const char *folder, struct err *e);
/* One run: its options, metrics, samples and checkpoint. */
enum err_code report_read_cell(struct report *r, struct report_cell *c, const char *folder, struct err *e);
/* config.yaml of a cell. */
enum err_code report_read_config(struct report_cell *c, struct arena *a, const char *path, struct err *e);
/* A line of metrics.jsonl, which must be later than the step `before`. A number that is missing, or null because it was
 * not finite, is NAN. The texts of the row belong to `object`. */
enum err_code report_read_row(struct metrics_row *row, uint64_t before, const struct json_value *object, struct err *e);
/* Reads the lines of a JSONL file: `begin` gets their number, then `take` each of them, in order. A file that does not
 * exist has none. A last line without a line end, of a running or killed program, is ignored. */
struct report_lines {
    enum err_code (*begin)(void *context, size_t lines, struct err *e);
    enum err_code (*take)(void *context, const struct json_value *object, struct err *e);
    void *context;
};
enum err_code report_read_lines(const char *path, const struct report_lines *to, struct err *e);
/* report_samples.c: reads the samples in a cell's folder, if there are any; writes their part of the page. */
enum err_code report_read_samples(struct report *r, struct report_cell *c, const char *path, struct err *e);
void report_put_samples(struct markup *m, const struct report_cell *c);
enum err_code report_compare_cells(struct report *r, struct err *e); /* report_group.c; called by report_read() */
/* An option of a cell as text; its default if config.yaml does not have it, "" if there is no such option. */
const char *report_option(const struct report_cell *c, const char *name);
/* The same with all values of a list; NULL: no memory. */
const char *report_option_text(struct report *r, const struct report_cell *c, const char *name, struct err *e);
double report_number(const struct report_cell *c, const char *name); /* NAN if it is not a number */
bool report_has(const struct report_cell *c, const char *name, const char *value);
bool report_same(const struct report_cell *a, const struct report_cell *b, const char *name); /* as text or number */

/* The option "objective" and its parameters, which say what a loss is: NULL after the last. */
const char *report_measure(size_t i);
/* Do the runs, or cells, have several objectives, so that their losses are not comparable? */
bool report_mixes_objectives(const struct report *r);
/* Is this the first of the cells with its objective? */
bool report_begins_objective(const struct report *r, size_t cell);

/* The last part of a path. */
void report_last_part(char *part, size_t size, const char *path);

/* report_group.c: groups of cells, and statistics over them */
struct report_group {
    const struct report_cell **cells;
    size_t count;
};
struct report_spread {
    double mean, low, high;
    size_t count;
};
double report_final_loss(const struct report_cell *c); /* the last eval loss; NAN if there is none */
double report_final_accuracy(const struct report_cell *c); /* of that evaluation's rewards; NAN without them */
double report_final_margin(const struct report_cell *c);   /* the same */
double report_first_loss(const struct report_cell *c); /* loss of the first batch, before the first step */
/* Over all finite values of the cells; count 0 and NANs if there are none. */
struct report_spread report_spread(const struct report_group *g, double (*value)(const struct report_cell *));
/* Median, smallest and largest of a column over the modules of a traced step. */
struct report_spread report_modules(const struct report_trace *t, enum report_column column, size_t step);
double report_median(double *values, size_t count); /* sorts the values; NAN if there are none */

enum report_scheme_kind { REPORT_B_ZERO = 1, REPORT_A_RANDOM = 2 };
struct report_scheme {
    const char *name, *a, *b; /* a, b: descriptions of the initial A and B */
    int kind;
};
extern const struct report_scheme report_schemes[];
extern const size_t report_scheme_count;
const struct report_scheme *report_scheme_of(const struct report_cell *c); /* NULL: unknown */

/* The options that are columns of a table: the `count` options `always`, then all others in which the cells differ;
 * NULL after the last. */
const char *report_shown_option(const struct report *r, const char *const *always, size_t count, size_t index);

/* Are the results of the cell used? A cell of a study must be finished; a single run need not be. */
bool report_is_measured(const struct report *r, const struct report_cell *c);

/* The measured cells that have the same options as `like`, except those in `free_names` (ended by NULL). */
enum err_code report_select(struct report_group *g, struct report *r, const struct report_cell *like,
                            const char *const *free_names, struct err *e);
/* The cells of a scheme with the learning rate and standard deviations that give the lowest mean final loss; all
 * other options are those of the usual cell. They differ only in the seed. Count 0 if there are none. */
enum err_code report_best(struct report_group *g, struct report *r, const char *scheme, struct err *e);

enum err_code report_check_claims(struct report *r, struct err *e); /* report_claims.c */
enum err_code report_draw_study(struct report *r, struct err *e);   /* report_figures.c */
enum err_code report_draw_run(struct report *r, struct err *e);
/* report_sweep.c: for a study that does not vary the initialisation */
bool report_is_sweep(const struct report *r);
enum err_code report_draw_sweep(struct report *r, struct err *e);
const char *report_sweep_title(struct report *r, struct err *e); /* "Study of lora-rank × learning-rate" */
/* report_several.c: runs beside each other */
enum err_code report_read_several(struct report *r, const char *const *folders, size_t count, struct err *e);
enum err_code report_draw_several(struct report *r, struct err *e);
void report_put_several(struct markup *m, struct report *r);
/* report_page.c: up to the beginning of the body; the script with its data; where the time of a run's steps goes. */
void report_put_head(struct markup *m, const struct report *r, const char *title);
void report_put_script(struct markup *m, const struct report *r);
void report_put_time(struct markup *m, const struct report_cell *c);
/* report_machine.c: what was computed on: of one run or of a study a table, beside each other rows of those facts in
 * which the runs differ, and how many there are. */
void report_put_machine(struct markup *m, struct report *r);
size_t report_put_machine_rows(struct markup *m, struct report *r);
enum err_code report_make_html(struct str *out, struct report *r, struct err *e);      /* report_html.c */
enum err_code report_make_csv(struct str *out, const struct report *r, struct err *e); /* report_tables.c */
/* A field of a table of text: in quotation marks where it needs them, as RFC 4180 has it. */
enum err_code report_append_csv(struct str *out, const char *text, struct err *e);
/* report_metrics.c: the lines of metrics.jsonl as a table with a row each, of a study those of all cells. */
enum err_code report_make_metrics_csv(struct str *out, const struct report *r, struct err *e);
enum err_code report_make_json(struct str *out, const struct report *r, struct err *e);
enum err_code report_append_figure(struct str *out, const struct svg_plot *p, bool first, struct err *e);
double report_seconds(const struct report_cell *c);   /* of all steps; NAN without one */
double report_last_loss(const struct report_cell *c); /* of the last step; NAN without one */
const char *report_status_name(enum report_status status);
const char *report_verdict_name(enum report_verdict verdict);

/* Formats a text, in memory of the report's arena. */
const char *report_textf(struct report *r, struct err *e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
