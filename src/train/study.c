#include "train/study.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/stop.h"
#include "model/family.h"
#include "run/first_day.h"
#include "train/progress.h"
#include "run/folder.h"
#include "run/rundir.h"
#include "run/runlock.h"
#include "train/session.h"
#include "run/study_grid.h"
#include "train/trainer.h"
#include "study_parts.h"

/* ---- What there is to do ---- */

/* Collective. Rank 0 reads the configuration for all. */
static enum err_code read_grid(struct study *s, const struct options *o, struct err *e)
{
    struct str text = {0};
    enum err_code code = ERR_OK;
    if (s->ranks->rank == 0) {
        code = file_read_all(&text, o->config, LIMIT_YAML, e);
        if (code)
            code = err_wrap(e, "--config");
    }
    code = dist_agree(s->ranks, code, e);
    void *bytes = text.data;
    size_t length = text.length;
    if (!code)
        code = dist_broadcast_block(s->ranks, &bytes, &length, 0, e);
    if (!code)
        code = dist_agree(s->ranks, study_grid_read(&s->grid, o, o->config, bytes, length, e), e);
    if (!code)
        code = first_day_settle(&s->grid.base, s->ranks, e);
    if (s->ranks->rank > 0)
        free(bytes);
    str_release(&text);
    return code;
}

/* Rank 0: whether a study can be in this folder, before anything is loaded; nothing is left of it if loading fails. */
static enum err_code check_folder(const char *folder, struct err *e)
{
    char there[PATH_MAX];
    if (folder_check_output(folder, FOLDER_STUDY, e))
        return e->code;
    snprintf(there, sizeof there, "%.*s", (int)file_length_there(folder), folder);
    return access(*there ? there : ".", W_OK) ? err_set_errno(e, errno, "cannot write into the folder %s", folder)
                                              : ERR_OK;
}

/* Rank 0: the folder of the study, with what it is. */
static enum err_code open_folder(struct study *s, struct err *e)
{
    char path[PATH_MAX];
    struct str text = {0};
    const char *folder = s->grid.base.output;
    enum err_code code = rundir_path(path, folder, RUNDIR_CELLS, e);
    if (!code)
        code = file_make_folders(path, e);
    if (!code)
        code = rundir_path(path, folder, RUNDIR_STUDY, e);
    if (!code)
        code = study_grid_write_yaml(&s->grid, &text, e);
    if (!code)
        code = file_write_atomic(path, text.data, text.length, e);
    if (!code && !file_stamp_of(&s->opened, path))
        code = err_set(e, ERR_IO, "%s is gone", path);
    str_release(&text);
    return code;
}

/* Is this checkpoint the end of the very run that `o` asks for? If not, the trainer goes on from it or says
 * why it cannot. */
static bool is_end_of(const struct ckpt *c, const struct study *s, const struct options *o)
{
    struct options then;
    struct err e;
    bool same = c->state.finished && !o->adapter.count && /* or else the trainer compares what that holds */
                !strcmp(c->identity.base, s->session.store.hash) &&
                !strcmp(c->identity.tokenizer, tokenizer_hash(s->session.tokenizer)) &&
                !strcmp(c->identity.data, s->data_hash) && !options_compare_for_resume(o, c->config, true, &e);
    if (options_read_yaml(&then, "train", c->path, c->config, strlen(c->config), &e))
        same = false;
    same = same && then.max_steps == o->max_steps && then.epochs == o->epochs && then.early_stop == o->early_stop;
    options_release(&then);
    return same;
}

static enum err_code find_done(bool *done, const struct study *s, const struct study_cell *cell,
                               struct err *e)
{
    struct options o;
    struct ckpt c;
    struct err damaged;
    *done = false;
    enum err_code code = study_grid_options(&s->grid, cell, &o, e);
    if (!code && file_exists(o.output)) {
        bool found;
        if (!rundir_open_newest(&c, &found, o.output, &damaged) && found) {
            *done = is_end_of(&c, s, &o) && rundir_is_exported(o.output, c.state.step) &&
                    !rundir_has(o.output, RUNDIR_FAILURE);
            ckpt_close(&c);
        }
    }
    options_release(&o);
    return code;
}

/* Collective. Numbers of this job's cells that are not done yet, on all ranks. */
static enum err_code list_todo(struct study *s, struct err *e)
{
    enum err_code code = ERR_OK;
    s->todo = calloc(s->grid.count + 1, sizeof *s->todo);
    s->states = calloc(s->grid.count + 1, sizeof *s->states);
    if (!s->todo || !s->states)
        code = err_set(e, ERR_MEMORY, "no memory for a list of %zu cells", s->grid.count);
    code = dist_agree(s->ranks, code, e);
    assert((s->todo && s->states) || code);
    if (!code && s->ranks->rank == 0)
        for (size_t i = s->part - 1; i < s->grid.count && !code; i += s->parts) {
            bool done;
            code = find_done(&done, s, &s->grid.cells[i], e);
            if (!done)
                s->todo[s->todo_count++] = i;
            s->share++;
        }
    code = dist_agree(s->ranks, code, e);
    if (code || dist_broadcast(s->ranks, &s->todo_count, sizeof s->todo_count, 0, e) ||
        dist_broadcast(s->ranks, &s->share, sizeof s->share, 0, e))
        return e->code;
    s->done_before = s->share - s->todo_count;
    s->counts[CELL_OPEN] = s->todo_count;
    if (dist_broadcast(s->ranks, &s->opened, sizeof s->opened, 0, e))
        return e->code;
    return dist_broadcast(s->ranks, s->todo, s->todo_count * sizeof *s->todo, 0, e);
}

/* ---- What it says ---- */

/* On every rank after each step of its cell. What goes wrong with the news shows at the next cell. */
static void on_step(void *context)
{
    struct study *s = context;
    struct err e;
    if (s->ranks->rank == 0 && !study_hear(s, &e))
        study_report_progress(s);
}

static void announce(const struct study *s)
{
    const struct options *o = &s->grid.base;
    log_note("mpilora " MPILORA_VERSION " study");
    log_note("  %-12s %s: %s, %.1f million parameters", "model", s->session.store.path,
             s->session.model.arch.family->name, (double)arch_parameters(&s->session.model.arch) / 1e6);
    log_note("  %-12s %zu examples%s", "data", s->data.count, s->has_eval_data ? "" : "; no eval data");
    log_note("  %-12s %zu, %zu of them for this job, %zu done before; in %s/%s", "cells", s->grid.count,
             s->share, s->done_before, o->output, rundir_name(RUNDIR_CELLS));
    log_note("  %-12s %zu group%s of %d rank%s, %d thread%s a rank", "ranks", s->groups, s->groups == 1 ? "" : "s",
             s->group.world, s->group.world == 1 ? "" : "s", s->session.threads, s->session.threads == 1 ? "" : "s");
}

struct idle {
    size_t count;
    struct {
        const char *option, *needs;
        size_t cells;
    } rows[OPTIONS_IDLE_MOST];
};

static void count_idle(void *idle, const char *option, const char *needs)
{
    struct idle *all = idle;
    size_t i = 0;
    while (i < all->count && all->rows[i].option != option)
        i++;
    if (i == all->count)
        all->count++;
    all->rows[i].option = option;
    all->rows[i].needs = needs;
    all->rows[i].cells++;
}

/* Rank 0. Options that change nothing; cells that differ only in one of them are the same run. */
static enum err_code tell_idle(const struct study *s, struct err *e)
{
    struct idle idle = {0};
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < s->grid.count && !code; i++) {
        struct options o;
        code = study_grid_options(&s->grid, &s->grid.cells[i], &o, e);
        if (!code)
            code = options_tell_idle(&o, count_idle, &idle, e);
        options_release(&o);
    }
    for (size_t i = 0; i < idle.count && !code; i++)
        log_warn("--%s changes nothing in %zu of %zu cells, which are without %s", idle.rows[i].option,
                 idle.rows[i].cells, s->grid.count, idle.rows[i].needs);
    return code;
}

/* ---- The cells ---- */

static enum err_code forget_failure(const char *folder, struct err *e)
{
    char path[PATH_MAX];
    if (rundir_path(path, folder, RUNDIR_FAILURE, e))
        return e->code;
    if (file_exists(path) && unlink(path))
        return err_set(e, ERR_IO, "cannot delete %s", path);
    return ERR_OK;
}

/* The group's leader: the cell's folder is there, now without an earlier failure. */
static enum err_code open_cell(const struct runlock *lock, struct err *e)
{
    struct file_folder in;
    return runlock_enter(&in, lock, e) ? e->code : file_folder_leave(&in, forget_failure(in.inside, e), e);
}

/* The group's leader: leaves the reason where the report looks for it. */
static void record_failure(const char *folder, const struct err *trouble)
{
    char path[PATH_MAX];
    struct err e;
    struct str text = {0};
    if (rundir_path(path, folder, RUNDIR_FAILURE, &e) || str_appendf(&text, &e, "%s\n", trouble->message) ||
        file_write_atomic(path, text.data, text.length, &e))
        log_error("%s", e.message);
    str_release(&text);
}

/* Collective over the group, whose leader holds the cell's folder. */
static enum err_code train_cell(struct study *s, const struct options *o, const struct runlock *lock,
                                struct err *e)
{
    enum err_code code = dist_agree(&s->group, study_leads(s) ? open_cell(lock, e) : ERR_OK, e);
    s->session.options = o;
    s->session.lock = lock;
    if (!code)
        code = session_new_adapter(&s->session, e);
    if (!code)
        code = trainer_run(&s->session, &s->data, s->data_hash, s->has_eval_data ? &s->eval_data : NULL, e);
    session_drop_adapter(&s->session);
    s->session.options = &s->grid.base;
    s->session.lock = NULL;
    return code;
}

/* Collective over the group. One cell; its failure is no error of the study. */
static enum err_code run_cell(struct study *s, size_t cell, const struct runlock *lock, struct err *e)
{
    const struct study_cell *c = &s->grid.cells[s->todo[cell]];
    struct options o;
    struct err trouble;
    enum err_code code = study_grid_options(&s->grid, c, &o, &trouble);
    code = dist_agree(&s->group, code, &trouble);
    if (!code)
        code = train_cell(s, &o, lock, &trouble);
    if (code && code != ERR_STOPPED && code != ERR_COMM && study_leads(s)) {
        log_error("cell %s failed: %s", c->name, trouble.message);
        if (code != ERR_BUSY) /* the folder is this group's still */
            record_failure(o.output, &trouble);
    }
    options_release(&o);
    if (code == ERR_COMM) {
        *e = trouble;
        return code;
    }
    s->stopping = s->stopping || code == ERR_STOPPED;
    return study_leads(s) ? study_tell(s,
                                       code == ERR_STOPPED ? NEWS_STOPPED
                                       : code              ? NEWS_FAILED
                                                           : NEWS_DONE,
                                       cell, e)
                          : ERR_OK;
}

/* Has some group of this job tried the cell, and failed? */
static bool has_failed_now(const struct study *s, const char *folder)
{
    char path[PATH_MAX];
    struct err ignored;
    struct file_stamp failure;
    if (rundir_path(path, folder, RUNDIR_FAILURE, &ignored) || !file_stamp_of(&failure, path))
        return false;
    return failure.seconds != s->opened.seconds ? failure.seconds > s->opened.seconds
                                                : failure.nanoseconds > s->opened.nanoseconds;
}

/* The group's leader: is this cell free, and still to be done? Then `lock` is held; where the file system has no
 * locks, each group has cells of its own. */
static enum err_code claim(struct study *s, size_t cell, struct runlock *lock, bool *claimed, struct err *e)
{
    const struct study_cell *c = &s->grid.cells[s->todo[cell]];
    struct options o;
    bool done = false;
    *claimed = false;
    enum err_code code = study_grid_options(&s->grid, c, &o, e);
    if (!code)
        code = runlock_take(lock, o.output, s->ranks->host, e);
    if (!code) {
        bool ours = lock->held || cell % s->groups == (size_t)(s->ranks->rank / s->group.world);
        code = ours ? find_done(&done, s, c, e) : ERR_OK;
        *claimed = !code && ours && !done && !has_failed_now(s, o.output);
        if (!*claimed)
            runlock_release(lock);
        if (done)
            code = study_tell(s, NEWS_DONE, cell, e);
    } else if (code != ERR_BUSY && code != ERR_COMM) {
        log_error("cell %s failed: %s", c->name, e->message);
        record_failure(o.output, e);
        code = study_tell(s, NEWS_FAILED, cell, e);
    }
    options_release(&o);
    return code == ERR_BUSY ? ERR_OK : code; /* another group's, or another job's */
}

/* The group's leader. The next cell for it, from *next on, with its lock; todo_count when there is none, or the study
 * is to stop. */
static enum err_code take_cell(struct study *s, size_t *next, struct runlock *lock, struct err *e)
{
    for (bool claimed = false;; ++*next) {
        if (study_hear(s, e))
            return e->code;
        if (!s->stopping && stop_is_asked()) {
            s->stopping = true;
            if (study_tell(s, NEWS_STOPPED, 0, e))
                return e->code;
        }
        if (s->stopping)
            *next = s->todo_count;
        if (*next == s->todo_count)
            return ERR_OK;
        if (claim(s, *next, lock, &claimed, e))
            return e->code;
        if (claimed)
            return study_tell(s, NEWS_TAKEN, *next, e);
    }
}

/* Collective over the group. Cells until there are no more. */
static enum err_code run_cells(struct study *s, struct err *e)
{
    for (size_t next = 0;; next++) {
        struct runlock lock = {0};
        enum err_code code =
            dist_agree(&s->group, study_leads(s) ? take_cell(s, &next, &lock, e) : ERR_OK, e);
        if (code || dist_broadcast(&s->group, &next, sizeof next, 0, e))
            return e->code;
        if (next == s->todo_count)
            return ERR_OK;
        if (s->ranks->rank == 0)
            study_report_progress(s);
        code = run_cell(s, next, &lock, e);
        runlock_release(&lock);
        if (code)
            return code;
    }
}

/* A leader whose own cells are done: rank 0 hears and reports until all groups are, the others until they are told. */
static enum err_code wait_for_groups(struct study *s, struct err *e)
{
    for (;;) {
        if (study_hear(s, e))
            return e->code;
        if (s->ranks->rank == 0)
            study_report_progress(s);
        if (s->ranks->rank == 0 ? s->groups_left == s->groups : s->told)
            return s->ranks->rank == 0 ? study_tell_leaders(s, e) : ERR_OK;
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
}

/* Rank 0: says of each cell that was left who is at work on it, if somebody still is. */
static void name_open_cells(const struct study *s)
{
    for (size_t i = 0; i < s->todo_count; i++) {
        const struct study_cell *c = &s->grid.cells[s->todo[i]];
        struct options o;
        struct runlock lock;
        struct err e;
        if (s->states[i] != CELL_OPEN)
            continue;
        enum err_code code = study_grid_options(&s->grid, c, &o, &e);
        if (!code)
            code = runlock_take(&lock, o.output, s->ranks->host, &e);
        if (!code)
            runlock_release(&lock);
        log_warn("cell %s is left to another job%s%s", c->name, code ? ": " : "", code ? e.message : "");
        options_release(&o);
    }
}

/* Collective. How it ended, from rank 0. */
static enum err_code conclude(struct study *s, struct err *e)
{
    const size_t done = s->counts[CELL_DONE], failed = s->counts[CELL_FAILED];
    enum err_code code = ERR_OK;
    if (s->ranks->rank == 0) {
        if (s->stopping && done + failed < s->todo_count) {
            code = err_set(
                e, ERR_STOPPED,
                "stopped by a signal: %zu of %zu cells are done; the same command goes on with the others",
                s->done_before + done, s->share);
        } else if (failed) {
            code = err_set(
                e, ERR_PARTIAL,
                "%zu of %zu cells failed: each has a %s in %s/%s; the same command retries them", failed,
                s->share, rundir_name(RUNDIR_FAILURE), s->grid.base.output, rundir_name(RUNDIR_CELLS));
        } else if (s->counts[CELL_OPEN]) {
            name_open_cells(s);
            code = err_set(e, ERR_PARTIAL,
                           "another job is working on %zu of %zu cells; the same command does the cells that it "
                           "leaves",
                           s->counts[CELL_OPEN], s->share);
        } else {
            log_note("done: %zu cells, in %s/%s", s->share, s->grid.base.output, rundir_name(RUNDIR_CELLS));
        }
    }
    return dist_agree(s->ranks, code, e);
}

/* Collective. */
static enum err_code run_all(struct study *s, struct err *e)
{
    s->begun = cpu_seconds();
    s->session.dist = &s->group;
    s->session.on_step = on_step;
    s->session.on_step_context = s;
    log_set_speaking(false); /* the cells' own notes */
    enum err_code code = run_cells(s, e);
    if (!code && study_leads(s)) {
        code = study_tell(s, NEWS_LEFT, 0, e);
        if (!code)
            code = wait_for_groups(s, e);
    }
    log_set_speaking(s->ranks->rank == 0);
    s->session.dist = s->ranks;
    code = dist_agree(s->ranks, code, e);
    return code ? code : conclude(s, e);
}

/* Collective. Base, tokenizer and data, for all cells. What data they need follows from the objective of any of them:
 * it may be an axis. */
static enum err_code open_inputs(struct study *s, struct err *e)
{
    const struct options *o = &s->grid.base;
    enum err_code code = dist_agree(s->ranks, study_grid_options(&s->grid, &s->grid.cells[0], &s->first, e), e);
    s->first.output = o->output;
    if (!code)
        code = session_open(&s->session, &s->first, s->ranks, e);
    if (!code) {
        code = session_open_data(&s->session, &s->data, &o->data, s->data_hash, e);
        s->has_data = !code;
    }
    if (!code && o->eval_data.count) {
        code = session_open_eval_data(&s->session, &s->eval_data, &s->data, e);
        s->has_eval_data = !code;
    }
    s->session.options = o;
    return code;
}

/* Collective. Who does what: groups of ranks, and this job's part of the cells. */
static enum err_code make_groups(struct study *s, const struct options *o, struct err *e)
{
    int each = (int)o->ranks_per_cell;
    if (study_parse_share(&s->part, &s->parts, o->cells, e)) /* the same on all ranks */
        return e->code;
    if (s->ranks->world % each != 0)
        return err_set(e, ERR_USAGE, "--ranks-per-cell %d: %d ranks do not make whole groups of that size",
                       each, s->ranks->world);
    s->groups = (size_t)(s->ranks->world / each);
    return dist_split(&s->group, s->ranks, s->ranks->rank / each, e);
}

enum err_code study_run(const struct options *o, struct dist *d, struct err *e)
{
    struct study *s = calloc(1, sizeof *s);
    enum err_code code = s ? ERR_OK : err_set(e, ERR_MEMORY, "no memory for a study");
    code = dist_agree(d, code, e);
    assert(s || code);
    if (code) {
        free(s);
        return code;
    }
    s->ranks = d;
    code = read_grid(s, o, e);
    if (!code)
        code = make_groups(s, o, e);
    if (!code)
        code = dist_agree(d, d->rank == 0 ? check_folder(s->grid.base.output, e) : ERR_OK, e);
    if (!code)
        code = dist_agree(d, d->rank == 0 ? tell_idle(s, e) : ERR_OK, e);
    if (!code)
        code = open_inputs(s, e);
    if (!code)
        code = dist_agree(d, d->rank == 0 ? open_folder(s, e) : ERR_OK, e);
    if (!code)
        code = list_todo(s, e);
    if (!code) {
        announce(s);
        code = run_all(s, e);
    }
    if (s->has_eval_data)
        dataset_close(&s->eval_data);
    if (s->has_data)
        dataset_close(&s->data);
    session_close(&s->session);
    dist_split_release(&s->group);
    options_release(&s->first);
    study_grid_release(&s->grid);
    free(s->states);
    free(s->todo);
    free(s);
    return code;
}
