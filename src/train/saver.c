#include "train/saver.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/log.h"
#include "math/parallel.h"
#include "run/rundir.h"

#define CLOSE_SECONDS 60 /* between two looks at a save that is waited for at the end */

enum err_code saver_open(struct saver *s, const struct saver_facts *facts, const struct lora *lora,
                         const struct lora_moments *moments, const struct ckpt_state *on_disk, struct err *e)
{
    *s = (struct saver){.facts = *facts, .lora = lora, .moments = moments, .has_saved = on_disk != NULL};
    pthread_mutex_init(&s->lock, NULL);
    if (on_disk)
        s->saved = *on_disk;
    size_t size = lora->layout.size, arrays = moments->outer ? 4 : 3;
    s->memory = calloc(size ? size : 1, arrays * sizeof *s->memory);
    if (!s->memory)
        return err_set(e, ERR_MEMORY, "no memory for a copy of the adapter to save (%zu bytes)",
                       size * arrays * sizeof *s->memory);
    s->copy = *lora; /* its layout and start are constant */
    s->copy.params = s->memory;
    s->copy_moments = (struct lora_moments){.m = s->memory + size,
                                            .v = s->memory + 2 * size,
                                            .outer = moments->outer ? s->memory + 3 * size : NULL};
    return ERR_OK;
}

/* The lines of the steps that a checkpoint follows on are on disk before it. */
static enum err_code sync_lines(const char *folder, struct err *e)
{
    static const enum rundir_file lines[] = {RUNDIR_METRICS, RUNDIR_SAMPLES};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (rundir_path(path, folder, lines[i], e) || (file_exists(path) && file_sync(path, e)))
            return e->code;
    return ERR_OK;
}

/* A checkpoint without its name. A folder of checkpoints that is gone is made again; that of the run is not. */
static enum err_code build(struct h5_writer **out, struct saver *s, const char *folder, struct err *e)
{
    const struct saver_facts *f = &s->facts;
    char path[PATH_MAX];
    if (rundir_path(path, folder, RUNDIR_CHECKPOINTS, e) || file_make_folders(path, e) || sync_lines(folder, e) ||
        rundir_checkpoint_path(path, folder, s->state.step, e))
        return e->code;
    return ckpt_build(out, path, &s->copy, &s->copy_moments, &s->state, f->identity, f->config, f->lora_init,
                      &s->rows, e);
}

/* The thread's work. To build takes a while: then it is asked once more whose folder this is. */
static enum err_code write_checkpoint(struct saver *s, struct err *e)
{
    const struct saver_facts *f = &s->facts;
    struct file_folder in;
    struct h5_writer *w = NULL;
    if (runlock_enter(&in, f->lock, e))
        return e->code;
    enum err_code code = build(&w, s, in.inside, e);
    if (!code)
        code = runlock_check(f->lock, e);
    if (!code) {
        code = h5_commit(w, e);
        w = NULL;
    }
    h5_discard(w);
    if (!code)
        code = rundir_settle(in.inside, s->state.step, f->keep, f->keep_best ? s->state.best.step : 0, e);
    return file_folder_leave(&in, code, e);
}

static void work(struct saver *s)
{
    double begun = cpu_seconds();
    s->code = write_checkpoint(s, &s->error);
    s->seconds = cpu_seconds() - begun;
    __atomic_store_n(&s->done, true, __ATOMIC_RELEASE);
}

static void *work_beside(void *saver)
{
    parallel_roam();
    work(saver);
    return NULL;
}

static void take_copy(struct saver *s, const struct ckpt_state *now)
{
    size_t bytes = s->lora->layout.size * sizeof(float);
    memcpy(s->copy.params, s->lora->params, bytes);
    memcpy(s->copy_moments.m, s->moments->m, bytes);
    memcpy(s->copy_moments.v, s->moments->v, bytes);
    if (s->moments->outer)
        memcpy(s->copy_moments.outer, s->moments->outer, bytes);
    s->rows = *s->facts.trace;
    s->state = *now;
    s->done = false;
}

/* What the failed save has left, for a message. */
static const char *describe_newest(char text[64], const struct saver *s)
{
    char path[PATH_MAX];
    struct err ignored;
    if (s->has_saved &&
        (rundir_checkpoint_path(path, s->facts.lock->folder, s->saved.step, &ignored) || !file_exists(path)))
        snprintf(text, 64, "the newest checkpoint, of step %" PRIu64 ", cannot be found", s->saved.step);
    else if (s->has_saved)
        snprintf(text, 64, "the newest checkpoint is that of step %" PRIu64, s->saved.step);
    else
        snprintf(text, 64, "there is no checkpoint yet");
    return text;
}

/* A job script that starts the run again has to know whether it got somewhere (jobs/supervise.sh). Is there one? */
static bool tell_job(uint64_t step)
{
    const char *path = getenv("MPILORA_SAVED");
    if (!path || !*path)
        return false;
    char text[32];
    struct err e;
    int length = snprintf(text, sizeof text, "%" PRIu64 "\n", step);
    if (file_write_atomic(path, text, (size_t)length, &e))
        log_warn("the job script is not told of step %" PRIu64 ": %s", step, e.message);
    return true;
}

void saver_note_reference(const struct saver *s)
{
    tell_job(s->has_saved ? s->saved.step : 0);
}

static void note_progress(struct saver *s)
{
    if (!s->noted && s->state.step > s->facts.begun_at)
        s->noted = tell_job(s->state.step);
}

/* How the save at work, or the one just made, ended. */
static enum err_code conclude(struct saver *s, struct err *e)
{
    char newest[64];
    deadline_note_save(s->facts.deadline, s->seconds);
    if (!s->code) {
        if (s->failures)
            log_note("saving works again: step %" PRIu64 " is on disk", s->state.step);
        s->saved = s->state;
        s->has_saved = true;
        s->failures = 0;
        note_progress(s);
        return ERR_OK;
    }
    if (s->code == ERR_BUSY) { /* for good */
        *e = s->error;
        return err_wrap(e, "step %" PRIu64 " could not be saved (%s)", s->state.step,
                        describe_newest(newest, s));
    }
    uint64_t wait = UINT64_C(1) << (s->failures < 40 ? s->failures : 40);
    if (s->facts.every && wait > s->facts.every)
        wait = s->facts.every;
    s->retry_at = s->state.step + wait;
    s->failures++;
    *e = s->error;
    if (s->failures < s->facts.failures_max) {
        log_warn("step %" PRIu64 " could not be saved (failure %" PRIu64 " of %" PRIu64
                 " in a row that --save-failures allows; %s): %s",
                 s->state.step, s->failures, s->facts.failures_max, describe_newest(newest, s), e->message);
        return ERR_OK;
    }
    char others[64] = "";
    if (s->failures == 2)
        snprintf(others, sizeof others, ", nor could the one before it");
    else if (s->failures > 2)
        snprintf(others, sizeof others, ", nor could %" PRIu64 " others before it", s->failures - 1);
    return err_wrap(e,
                    "step %" PRIu64 " could not be saved%s (--save-failures); %s: make room or mend the folder, and "
                    "the same command goes on",
                    s->state.step, others, describe_newest(newest, s));
}

/* Is the thread done, now or within so many seconds? */
static bool wait_for_thread(struct saver *s, double seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    double end = (double)until.tv_nsec * 1e-9 + seconds;
    until.tv_sec += (time_t)end;
    until.tv_nsec = (long)(fmod(end, 1) * 1e9);
    if (s->running && pthread_timedjoin_np(s->thread, NULL, &until) != ETIMEDOUT)
        s->running = false;
    return !s->running;
}

static void warn_of_waiting(const struct saver *s, double seconds, const char *then)
{
    log_warn("step %" PRIu64
             " is not on disk yet, and training has waited %.0f s for it: is the disk slow, or gone?%s",
             s->state.step, seconds, then);
}

/* As long as it takes: with a call that hangs in the kernel there is nothing else to do. */
static enum err_code join(struct saver *s, struct duty_company *company, struct err *e)
{
    if (!s->running)
        return ERR_OK;
    double begun = cpu_seconds(), patience = s->facts.patience;
    while (!wait_for_thread(s, patience < DUTY_BEAT ? patience : DUTY_BEAT)) {
        double waited = cpu_seconds() - begun;
        if (waited >= patience) {
            warn_of_waiting(s, waited, "");
            patience *= 2;
        }
        duty_tell(company);
    }
    return conclude(s, e);
}

/* Begins a save; where no thread can be had, does all of it. */
static enum err_code begin(struct saver *s, const struct ckpt_state *now, struct err *e)
{
    take_copy(s, now);
    s->running = pthread_create(&s->thread, NULL, work_beside, s) == 0;
    if (s->running)
        return ERR_OK;
    work(s);
    return conclude(s, e);
}

static bool same_state(const struct ckpt_state *a, const struct ckpt_state *b)
{
    return a->step == b->step && a->cursor == b->cursor && a->finished == b->finished &&
           a->best.seen == b->best.seen;
}

static enum err_code step(struct saver *s, const struct ckpt_state *now, bool due, struct err *e)
{
    if (s->running && (due || __atomic_load_n(&s->done, __ATOMIC_ACQUIRE))) {
        if (!wait_for_thread(s, s->facts.patience))
            warn_of_waiting(s, s->facts.patience, " It goes on without newer checkpoints.");
        else if (conclude(s, e))
            return e->code;
    }
    if (s->running || (!due && !(s->failures && now->step >= s->retry_at)) ||
        (s->has_saved && same_state(&s->saved, now)))
        return ERR_OK;
    return begin(s, now, e);
}

enum err_code saver_step(struct saver *s, const struct ckpt_state *now, bool due, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    enum err_code code = step(s, now, due, e);
    pthread_mutex_unlock(&s->lock);
    return code;
}

enum err_code saver_last(struct saver *s, const struct ckpt_state *now, struct duty_company *company,
                         struct err *e)
{
    pthread_mutex_lock(&s->lock);
    enum err_code code = join(s, company, e);
    while (!code && !(s->has_saved && same_state(&s->saved, now))) {
        if (s->failures)
            duty_pause(company, duty_pause_after(s->failures));
        code = begin(s, now, e);
        if (!code)
            code = join(s, company, e);
    }
    pthread_mutex_unlock(&s->lock);
    return code;
}

void saver_begin_change(struct saver *s)
{
    pthread_mutex_lock(&s->lock);
    s->is_whole = false;
    pthread_mutex_unlock(&s->lock);
}

void saver_end_change(struct saver *s, const struct ckpt_state *now)
{
    pthread_mutex_lock(&s->lock);
    s->whole = *now;
    s->is_whole = true;
    pthread_mutex_unlock(&s->lock);
}

/* Does a save that begins now end in time, as far as is known? */
static bool has_time(const struct saver *s, double end)
{
    const struct deadline *d = s->facts.deadline;
    return cpu_seconds() + (d->save_longest > 0 ? d->save_longest : d->save_expected) < end;
}

bool saver_rescue(struct saver *s, double seconds, uint64_t *step)
{
    struct err e;
    struct timespec until;
    const double end = cpu_seconds() + seconds;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)seconds;
    bool locked = !pthread_mutex_timedlock(&s->lock, &until);
    if (locked && s->running && wait_for_thread(s, end - cpu_seconds()) && conclude(s, &e))
        log_warn("%s", e.message);
    if (locked && !s->running && s->is_whole && !(s->has_saved && s->saved.step >= s->whole.step) && has_time(s, end)) {
        take_copy(s, &s->whole);
        work(s);
        if (conclude(s, &e))
            log_warn("%s", e.message);
    }
    *step = s->saved.step;
    bool found = s->has_saved;
    if (locked)
        pthread_mutex_unlock(&s->lock);
    return found;
}

void saver_close(struct saver *s)
{
    while (s->running)
        wait_for_thread(s, CLOSE_SECONDS);
    free(s->memory);
    pthread_mutex_destroy(&s->lock);
    *s = (struct saver){0};
}
