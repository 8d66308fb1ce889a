#include "run/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "io/json.h"
#include "run/machine.h"

#define EVAL_LOSS   "eval_loss"

#define REWARD(name) {"reward_" #name, offsetof(struct metrics_rewards, name)}
const struct metrics_field metrics_rewards_fields[METRICS_REWARDS] = {REWARD(chosen), REWARD(rejected), REWARD(margin),
                                                                      REWARD(accuracy)};
#undef REWARD

#define REWARD(name, field) {"rewards/" #name, offsetof(struct metrics_rewards, field)}
const struct metrics_field metrics_trl_fields[METRICS_REWARDS] = {
    REWARD(accuracies, accuracy), REWARD(chosen, chosen), REWARD(margins, margin), REWARD(rejected, rejected)};
#undef REWARD

#define TRACE(name) {#name, offsetof(struct trace_summary, name)}
const struct metrics_field metrics_trace_fields[METRICS_TRACE] = {
    TRACE(norm_a), TRACE(norm_b), TRACE(norm_ba), TRACE(grad_a),
    TRACE(grad_b), TRACE(update), TRACE(change),  TRACE(output_ratio)};
#undef TRACE

double metrics_value(const void *numbers, const struct metrics_field *field)
{
    return *(const double *)(const void *)((const char *)numbers + field->offset);
}

double metrics_tokens_per_second(const struct metrics_row *row)
{
    return row->seconds > 0 ? (double)row->tokens / row->seconds : 0;
}

/* The document of a line, if it is a whole one of ours, later than the step *last and not beyond `most`; *last is its
 * step then. NULL for any other line. */
static struct json *open_line(uint64_t *last, uint64_t most, const char *line, size_t length)
{
    struct json *doc;
    struct err ignored;
    if (json_open_bytes(&doc, line, length, "line", &ignored))
        return NULL;
    const struct json_fields f = {.object = json_root(doc)};
    size_t number;
    if (json_need_size(&number, &f, "step", &ignored) || number <= *last || number > most) {
        json_close(doc);
        return NULL;
    }
    *last = number;
    return doc;
}

/* Where lines are cut back to. */
struct cut {
    struct metrics *m;
    uint64_t step;
};

static bool take_line(void *context, const char *line, size_t length)
{
    const struct cut *cut = context;
    struct json *doc = open_line(&cut->m->last_step, cut->step, line, length);
    if (!doc)
        return false;
    cut->m->last_evaluated = json_kind(json_get(json_root(doc), EVAL_LOSS)) != JSON_KIND_NONE;
    json_close(doc);
    return true;
}

enum err_code metrics_open(struct metrics *m, const struct runlock *lock, uint64_t step, struct err *e)
{
    struct cut cut = {m, step};
    *m = (struct metrics){0};
    return lines_open(&m->lines, lock, RUNDIR_METRICS, take_line, &cut, e);
}

static enum err_code append_real(struct str *line, const char *key, double value, struct err *e)
{
    return str_appendf(line, e, ", \"%s\": ", key) ? e->code : json_append_real(line, value, e);
}

static enum err_code append_fields(struct str *line, const char *prefix, const struct metrics_field *fields,
                                   size_t count, const void *numbers, struct err *e)
{
    for (size_t i = 0; i < count; i++)
        if (str_appendf(line, e, ", \"%s%s\": ", prefix, fields[i].name) ||
            json_append_real(line, metrics_value(numbers, &fields[i]), e))
            return e->code;
    return ERR_OK;
}

static enum err_code append_rewards(struct str *line, const char *prefix, const struct metrics_rewards *rewards,
                                    struct err *e)
{
    return append_fields(line, prefix, metrics_rewards_fields, METRICS_REWARDS, rewards, e);
}

/* `rewards` may be NULL. */
static enum err_code append_evaluation(struct str *line, double eval_loss, const struct metrics_rewards *rewards,
                                       struct err *e)
{
    if (append_real(line, EVAL_LOSS, eval_loss, e))
        return e->code;
    return rewards ? append_rewards(line, "eval_", rewards, e) : ERR_OK;
}

static enum err_code append_slowest(struct str *line, const struct metrics_row *row, struct err *e)
{
    if (!row->slowest_host)
        return ERR_OK;
    if (str_appendf(line, e, ", \"slowest_rank\": %zu, \"slowest_host\": ", row->slowest_rank))
        return e->code;
    return json_append_string(line, row->slowest_host, strlen(row->slowest_host), e);
}

static enum err_code append_phases(struct str *line, const double phases[PROF_COUNT], struct err *e)
{
    if (str_appendf(line, e, ", \"phases\": "))
        return e->code;
    for (int i = 0; i < PROF_COUNT; i++)
        if (str_appendf(line, e, "%s\"%s\": ", i ? ", " : "{", prof_name((enum prof_phase)i)) ||
            json_append_real(line, phases[i], e))
            return e->code;
    return str_append(line, "}", 1, e);
}

static enum err_code append_trace(struct str *line, const struct trace_summary *s, struct err *e)
{
    if (str_appendf(line, e, ", \"trace\": {\"step\": %" PRIu64, s->step) ||
        append_fields(line, "", metrics_trace_fields, METRICS_TRACE, s, e))
        return e->code;
    return str_append(line, "}", 1, e);
}

static enum err_code append_row(struct str *line, const struct metrics_row *row, struct err *e)
{
    if (str_appendf(line, e, "{\"step\": %" PRIu64, row->step) || append_real(line, "epoch", row->epoch, e) ||
        append_real(line, "loss", row->loss, e) ||
        (row->prefers && append_rewards(line, "", &row->rewards, e)) ||
        append_real(line, "learning_rate", row->learning_rate, e) ||
        append_real(line, "grad_norm", row->grad_norm, e) ||
        str_appendf(line, e, ", \"tokens\": %" PRIu64 ", \"supervised_tokens\": %" PRIu64, row->tokens,
                    row->supervised_tokens) ||
        append_real(line, "tokens_per_second", metrics_tokens_per_second(row), e) ||
        append_real(line, "seconds", row->seconds, e) ||
        append_real(line, "data_seconds", row->data_seconds, e) ||
        append_real(line, "comm_seconds", row->comm_seconds, e) ||
        append_real(line, "wait_seconds", row->wait_seconds, e) || append_slowest(line, row, e) ||
        append_phases(line, row->phases, e) ||
        (row->skipped && str_appendf(line, e, ", \"skipped\": \"%s\"", row->skipped)) ||
        (row->evaluated &&
         append_evaluation(line, row->eval_loss, row->prefers ? &row->eval_rewards : NULL, e)) ||
        (row->traced && append_trace(line, &row->trace, e)) ||
        (row->machine && str_appendf(line, e, ", \"" MACHINE_KEY "\": %s", row->machine)) ||
        str_appendf(line, e, "}\n"))
        return e->code;
    return ERR_OK;
}

enum err_code metrics_flush(struct metrics *m, struct err *e)
{
    return lines_flush(&m->lines, e);
}

enum err_code metrics_write(struct metrics *m, const struct metrics_row *row, struct err *e)
{
    struct str *pending = &m->lines.pending;
    size_t before = pending->length;
    if (append_row(pending, row, e)) {
        pending->length = before;
        return e->code;
    }
    return lines_put(&m->lines, e);
}

static enum err_code add_inside(struct metrics *m, const struct file_folder *in, uint64_t step,
                                double eval_loss, const struct metrics_rewards *rewards, struct err *e)
{
    char path[PATH_MAX];
    struct cut cut = {m, step};
    struct str lines = {0};
    size_t size;
    if (rundir_path(path, in->inside, RUNDIR_METRICS, e))
        return e->code;
    m->last_step = 0;
    enum err_code code = lines_read(&lines, &size, path, take_line, &cut, e);
    if (!code && (m->last_step != step || !lines.length))
        code = err_set(e, ERR_FORMAT, "%s has lost the line of step %" PRIu64, m->lines.path, step);
    if (!code && !m->last_evaluated) { /* it may be there already, after a try that failed late */
        while (lines.data[lines.length - 1] != '}')
            lines.length--;
        lines.length--;
        if (append_evaluation(&lines, eval_loss, rewards, e) || str_append(&lines, "}\n", 2, e) ||
            file_write_atomic(path, lines.data, lines.length, e))
            code = e->code;
        m->last_evaluated = !code;
    }
    str_release(&lines);
    return code; /* lines_flush() finds that the file it has open is gone */
}

enum err_code metrics_add_evaluation(struct metrics *m, uint64_t step, double eval_loss,
                                     const struct metrics_rewards *rewards, struct err *e)
{
    struct file_folder in;
    if (runlock_enter(&in, m->lines.lock, e))
        return e->code;
    return file_folder_leave(&in, add_inside(m, &in, step, eval_loss, rewards, e), e);
}

void metrics_close(struct metrics *m)
{
    lines_close(&m->lines);
}

/* What is read of a file, and the first error. */
struct reading {
    struct metrics_log *log;
    uint64_t last, most;
    enum err_code code;
    struct err *e;
};

static struct metrics_point *new_point(struct metrics_log *log, struct err *e)
{
    if (log->count == log->capacity) {
        size_t capacity = log->capacity ? 2 * log->capacity : 256;
        struct metrics_point *points = realloc(log->points, capacity * sizeof *points);
        if (!points) {
            err_set(e, ERR_MEMORY, "no memory for the metrics of %zu steps", capacity);
            return NULL;
        }
        log->points = points;
        log->capacity = capacity;
    }
    return &log->points[log->count++];
}

static void read_rewards(struct metrics_rewards *rewards, const struct json_value *line, const char *prefix)
{
    for (size_t i = 0; i < METRICS_REWARDS; i++) {
        const struct metrics_field *f = &metrics_rewards_fields[i];
        char key[64];
        snprintf(key, sizeof key, "%s%s", prefix, f->name);
        *(double *)(void *)((char *)rewards + f->offset) = json_number(json_get(line, key), NAN);
    }
}

/* Keeps no line: what is wanted of it goes into the log. */
static bool read_line(void *context, const char *line, size_t length)
{
    struct reading *r = context;
    struct json *doc = r->code ? NULL : open_line(&r->last, r->most, line, length);
    if (!doc)
        return false;
    struct metrics_point *p = new_point(r->log, r->e);
    const struct json_value *v = json_root(doc);
    const int64_t tokens = json_int(json_get(v, "tokens"), 0);
    if (p) {
        *p = (struct metrics_point){.step = r->last,
                                    .tokens = tokens > 0 ? (uint64_t)tokens : 0,
                                    .epoch = json_number(json_get(v, "epoch"), NAN),
                                    .loss = json_number(json_get(v, "loss"), NAN),
                                    .learning_rate = json_number(json_get(v, "learning_rate"), NAN),
                                    .grad_norm = json_number(json_get(v, "grad_norm"), NAN),
                                    .eval_loss = json_number(json_get(v, EVAL_LOSS), NAN)};
        read_rewards(&p->rewards, v, "");
        read_rewards(&p->eval_rewards, v, "eval_");
    } else {
        r->code = r->e->code;
    }
    json_close(doc);
    return false;
}

enum err_code metrics_read(struct metrics_log *log, const char *path, uint64_t step, struct err *e)
{
    struct reading reading = {.log = log, .most = step, .e = e};
    struct str none = {0};
    size_t size;
    *log = (struct metrics_log){0};
    enum err_code code = lines_read(&none, &size, path, read_line, &reading, e);
    return code ? code : reading.code;
}

void metrics_log_release(struct metrics_log *log)
{
    free(log->points);
    *log = (struct metrics_log){0};
}
