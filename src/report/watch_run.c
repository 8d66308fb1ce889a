#include "watch_data.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/json.h"
#include "run/length.h"
#include "run/rundir.h"
#include "run/runlock.h"

/* A run is silent after this many steps of the longest recent time, and at least so many seconds: evaluations and
 * checkpoints come between steps. */
enum { SILENT_STEPS = 20, SILENT_SECONDS = 120 };

struct watch_run *watch_run_open(const char *folder, const char *name, struct err *e)
{
    struct watch_run *r = calloc(1, sizeof *r);
    struct str visible = {0};
    if (r && !str_append_visible(&visible, name, strlen(name), "", e)) {
        r->folder = strdup(folder);
        r->name = visible.data;
        r->eval_loss = r->best_loss = NAN;
    }
    if (r && r->folder && r->name)
        return r;
    err_set(e, ERR_MEMORY, "no memory to watch %s", folder);
    if (r)
        watch_run_close(r);
    return NULL;
}

void watch_run_close(struct watch_run *r)
{
    arena_release(&r->arena);
    arena_release(&r->machine_arena);
    free(r->folder);
    free(r->name);
    free(r);
}

/* Forgets the lines: they are read from the first one on. */
static void forget_lines(void *context)
{
    struct watch_run *r = context;
    r->last = (struct metrics_row){0};
    r->loss = r->evaluations = (struct curve){0};
    r->has_machine = false;
    r->lines = r->bad_lines = r->skipped = r->last_skipped = r->evaluated = r->best = r->examples = 0;
    r->eval_loss = r->best_loss = NAN;
}

static double positive(double x)
{
    return x > 0 ? x : 0;
}

static void take_row(struct watch_run *r, const struct metrics_row *row)
{
    struct watch_step *step = &r->recent[r->lines++ % WATCH_RECENT];
    *step = (struct watch_step){.seconds = positive(row->seconds),
                                .tokens = (double)row->tokens,
                                .wait = positive(row->wait_seconds),
                                .data = positive(row->data_seconds),
                                .communication = positive(row->comm_seconds),
                                .slowest = row->slowest_rank};
    if (row->slowest_host)
        str_make_visible(step->host, sizeof step->host, row->slowest_host, strlen(row->slowest_host), "");
    curve_add(&r->loss, row->step, row->loss);
    if (row->evaluated) {
        curve_add(&r->evaluations, row->step, row->eval_loss);
        r->eval_loss = row->eval_loss;
        r->eval_rewards = row->eval_rewards;
        r->evaluated = row->step;
        if (isfinite(row->eval_loss) && !(r->best_loss <= row->eval_loss)) {
            r->best_loss = row->eval_loss;
            r->best = row->step;
        }
    }
    r->skipped += row->skipped != NULL;
    r->last_skipped = row->skipped ? row->step : r->last_skipped;
    /* After the first step of the data: examples consumed / examples = epoch. */
    const double batch = report_number(&r->cell, "batch-size");
    if (!r->examples && row->epoch > 0 && row->epoch <= 1 && batch >= 1)
        r->examples = (uint64_t)(fmin((double)row->step * batch / row->epoch, 1e15) + 0.5);
    r->last = *row;
    r->last.slowest_host = r->last.skipped = NULL;
}

/* What an earlier start ran on is of no interest. */
static enum err_code take_machine(struct watch_run *r, const struct json_value *line, struct err *e)
{
    struct arena arena = {0};
    struct machine machine;
    bool found;
    if (machine_read(&machine, &found, line, &arena, e) || !found) {
        arena_release(&arena);
        return found ? e->code : ERR_OK;
    }
    arena_release(&r->machine_arena);
    r->machine_arena = arena;
    r->machine = machine;
    r->has_machine = true;
    return ERR_OK;
}

static enum err_code take_line(void *context, const char *line, size_t length, struct err *e)
{
    struct watch_run *r = context;
    struct metrics_row row;
    struct json *doc = NULL;
    struct err wrong;
    enum err_code code = ERR_OK;
    if (json_open_bytes(&doc, line, length, NULL, &wrong) ||
        report_read_row(&row, r->last.step, json_root(doc), &wrong)) {
        r->bad_lines++;
    } else {
        take_row(r, &row);
        code = take_machine(r, json_root(doc), e);
    }
    json_close(doc);
    return code;
}

static bool is_same(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size && a->seconds == b->seconds &&
           a->nanoseconds == b->nanoseconds;
}

/* The options, if they are new. What cannot be read leaves those that are not known. */
static void read_config(struct watch_run *r)
{
    char path[PATH_MAX];
    struct file_stamp stamp;
    struct err trouble;
    if (rundir_path(path, r->folder, RUNDIR_CONFIG, &trouble) || !file_stamp_of(&stamp, path) ||
        is_same(&stamp, &r->config))
        return;
    arena_release(&r->arena);
    r->arena = (struct arena){0};
    r->cell = (struct report_cell){0};
    r->config = stamp;
    *r->config_trouble = '\0';
    if (report_read_config(&r->cell, &r->arena, path, &trouble)) {
        r->cell.config.count = 0;
        r->config = (struct file_stamp){0}; /* it may be allowed later */
        str_make_visible(r->config_trouble, sizeof r->config_trouble, trouble.message, strlen(trouble.message), "");
    }
}

static uint64_t find_total(const struct watch_run *r)
{
    const double most = report_number(&r->cell, "max-steps"), epochs = report_number(&r->cell, "epochs");
    const double batch = report_number(&r->cell, "batch-size");
    if (!r->cell.config.count || !(batch >= 1 && batch < 1e12))
        return 0;
    if (r->examples && r->last.epoch > 0 && r->last.epoch < 1e9) {
        const struct length length = {.examples = r->examples,
                                      .batch_size = (uint64_t)batch,
                                      .step = r->last.step,
                                      .cursor = (uint64_t)(r->last.epoch * (double)r->examples + 0.5)};
        return length_steps(&length, epochs > 0 ? epochs : 0, most >= 1 && most < 1e15 ? (int64_t)most : 0);
    }
    return most >= 1 && most < 1e15 ? (uint64_t)most : 0;
}

static double age_of(const struct file_stamp *stamp, double now)
{
    return fmax(now - (double)stamp->seconds - 1e-9 * (double)stamp->nanoseconds, 0);
}

/* The newest checkpoint by its name: to open it would mean to read the whole of it. */
static enum err_code look_for_checkpoint(struct watch_run *r, double now, struct err *e)
{
    struct arena arena = {0};
    struct file_stamp stamp;
    char path[PATH_MAX];
    uint64_t *steps = NULL;
    size_t count = 0;
    struct err gone;
    enum err_code code = rundir_list(&steps, &count, r->folder, &arena, &gone);
    r->checkpoint = 0;
    r->has_reference = rundir_has(r->folder, RUNDIR_REFERENCE);
    if (!code && count && !rundir_checkpoint_path(path, r->folder, steps[count - 1], &gone) &&
        file_stamp_of(&stamp, path)) {
        r->checkpoint = steps[count - 1];
        r->checkpoint_age = age_of(&stamp, now);
    }
    arena_release(&arena);
    return code == ERR_MEMORY ? (*e = gone, code) : ERR_OK;
}

static bool look_for_failure(struct watch_run *r)
{
    char path[PATH_MAX], text[sizeof r->failure] = "";
    struct file_in f;
    struct err ignored;
    if (rundir_path(path, r->folder, RUNDIR_FAILURE, &ignored) || file_in_open(&f, path, &ignored))
        return false;
    const size_t length = f.size < sizeof text - 1 ? f.size : sizeof text - 1;
    if (!file_in_read(text, &f, 0, length, &ignored))
        str_make_visible(r->failure, sizeof r->failure, text, strcspn(text, "\n"), "");
    file_in_close(&f);
    return true;
}

static bool is_of_this_host(const char *owner)
{
    char host[256] = "";
    const char *on = strstr(owner, " on ");
    return on && gethostname(host, sizeof host - 1) == 0 && strcmp(on + strlen(" on "), host) == 0;
}

static enum watch_state find_state(struct watch_run *r)
{
    char owner[sizeof r->owner];
    const enum runlock_answer lock = runlock_ask(owner, sizeof owner, r->folder);
    str_make_visible(r->owner, sizeof r->owner, owner, strlen(owner), "");
    const double patience = fmax(SILENT_STEPS * r->longest, SILENT_SECONDS);
    const bool finished =
        r->checkpoint && r->last.step <= r->checkpoint && rundir_is_exported(r->folder, r->checkpoint);
    if (!file_is_folder(r->folder))
        return WATCH_GONE;
    if (lock == RUNLOCK_HELD)
        return !r->last.step ? WATCH_WAITING : r->line_age > patience ? WATCH_SILENT : WATCH_RUNNING;
    if (look_for_failure(r))
        return WATCH_FAILED;
    if (finished)
        return WATCH_FINISHED;
    if (lock == RUNLOCK_NOBODY)
        return WATCH_STOPPED;
    if (lock == RUNLOCK_LEFT && is_of_this_host(owner))
        return WATCH_DEAD;
    if (r->line_age > patience)
        return WATCH_DEAD;
    return r->last.step ? WATCH_RUNNING : WATCH_WAITING;
}

enum err_code watch_run_read(struct watch_run *r, size_t most, double now, bool *more, struct err *e)
{
    char path[PATH_MAX];
    struct file_stamp stamp;
    const struct watch_taker taker = {take_line, forget_lines, r};
    const bool known = r->cell.config.count > 0;
    read_config(r);
    if (!known && r->cell.config.count) /* without it, lines said nothing of the data's size: read them again */
        r->tail.stamp = (struct file_stamp){0};
    if (rundir_path(path, r->folder, RUNDIR_METRICS, e) ||
        watch_tail_read(&r->tail, path, most, more, &taker, e) ||
        look_for_checkpoint(r, now, e))
        return e->code;
    const bool there = file_stamp_of(&stamp, path) || file_folder_stamp(&stamp, r->folder);
    r->line_age = there ? age_of(&stamp, now) : 0;
    r->longest = 0;
    for (size_t i = 0; i < r->lines && i < WATCH_RECENT; i++)
        r->longest = fmax(r->longest, r->recent[i].seconds);
    r->total = find_total(r);
    r->state = find_state(r);
    return ERR_OK;
}

enum watch_state watch_state_of(const struct watch_run *r)
{
    return r->state;
}

struct watch_means watch_run_means(const struct watch_run *r)
{
    const size_t count = r->lines < WATCH_RECENT ? (size_t)r->lines : WATCH_RECENT;
    struct watch_means m = {.host = ""};
    double tokens = 0;
    size_t most = 0;
    for (size_t i = 0; i < count; i++) {
        const struct watch_step *s = &r->recent[i];
        size_t same = 0;
        m.seconds += s->seconds;
        m.wait += s->wait;
        m.data += s->data;
        m.communication += s->communication;
        tokens += s->tokens;
        for (size_t k = 0; *s->host && k < count; k++)
            same += r->recent[k].slowest == s->slowest && strcmp(r->recent[k].host, s->host) == 0;
        if (same > most) {
            most = same;
            m.slowest = s->slowest;
            m.host = s->host;
        }
    }
    if (!count)
        return m;
    m.tokens_per_second = m.seconds > 0 ? tokens / m.seconds : 0;
    m.share = (double)most / (double)count;
    m.seconds /= (double)count;
    m.wait /= (double)count;
    m.data /= (double)count;
    m.communication /= (double)count;
    return m;
}
