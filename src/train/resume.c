#include "train/resume.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "run/folder.h"
#include "run/rundir.h"
#include "run/runlock.h"

/* Checkpoints of --output from `step` on are not part of this run's past: they go, if the user says so. */
static enum err_code clear_output(const struct options *o, const struct runlock *lock, uint64_t step,
                                  const char *why, struct err *e)
{
    struct arena arena = {0};
    uint64_t *steps;
    size_t count;
    enum err_code code = rundir_list(&steps, &count, o->output, &arena, e);
    if (!code && count && steps[count - 1] >= step) {
        struct file_folder in;
        if (o->overwrite && !(code = runlock_enter(&in, lock, e)))
            code = file_folder_leave(&in, rundir_delete_from(in.inside, step, e), e);
        else if (!code)
            code = err_set(e, ERR_USAGE,
                           "%s holds checkpoints up to step %" PRIu64
                           ", %s: give another --output, or --overwrite to "
                           "delete them",
                           o->output, steps[count - 1], why);
    }
    arena_release(&arena);
    return code;
}

/* Opens the checkpoint to go on from; c->file stays NULL when there is none. */
static enum err_code choose(struct ckpt *c, const struct options *o, const struct runlock *lock,
                            struct err *e)
{
    bool found;
    *c = (struct ckpt){0};
    const char *path = o->resume.text;
    if (o->resume.word == RESUME_NEVER)
        return clear_output(o, lock, 0, "and --resume is never", e);
    if (o->resume.word == RESUME_AUTO)
        return rundir_open_newest(c, &found, o->output, e);
    enum err_code code =
        file_is_folder(path) ? rundir_open_newest(c, &found, path, e) : ckpt_open(c, path, e);
    if (!code && !c->file)
        code = folder_refuse(path, "the folder of a run with checkpoints", e);
    return code ? err_wrap(e, "--resume") : ERR_OK;
}

static enum err_code check_hash(const struct ckpt *c, const char *what, const char *then, const char *now,
                                const struct options *o, struct err *e)
{
    if (strcmp(then, now) == 0)
        return ERR_OK;
    return err_set(e, ERR_MISMATCH,
                   "%s belongs to another %s: its content hash is %s there, %s now; give the same %s, or %s to "
                   "start anew",
                   c->path, what, then, now, what,
                   o->resume.word == RESUME_AUTO ? "another --output" : "leave out --resume");
}

/* The adapter that --adapter names: its path may change, its content may not. */
static enum err_code check_adapter(const struct ckpt *c, const struct ckpt_identity *now, const struct options *o,
                                   struct err *e)
{
    if (*c->identity.adapter && *now->adapter)
        return check_hash(c, "adapter", c->identity.adapter, now->adapter, o, e);
    if (!*c->identity.adapter == !*now->adapter)
        return ERR_OK;
    return err_set(e, ERR_MISMATCH, "%s belongs to a run that %s; give %s, or %s to start anew", c->path,
                   *now->adapter ? "started with a new adapter, without --adapter" : "started with --adapter",
                   *now->adapter ? "no --adapter" : "the same --adapter",
                   o->resume.word == RESUME_AUTO ? "another --output" : "leave out --resume");
}

/* Does the checkpoint belong to this run? */
static enum err_code check(const struct ckpt *c, const struct ckpt_identity *now, const struct options *o,
                           struct err *e)
{
    if (check_hash(c, "base model", c->identity.base, now->base, o, e) ||
        check_hash(c, "tokenizer", c->identity.tokenizer, now->tokenizer, o, e) ||
        check_hash(c, "data set", c->identity.data, now->data, o, e) || check_adapter(c, now, o, e))
        return e->code;
    if (options_compare_for_resume(o, c->config, c->state.finished, e) == ERR_OK)
        return ERR_OK;
    err_wrap(e, "%s", c->path);
    if (!o->allow_changed_options)
        return e->code;
    log_warn("%s", e->message);
    return ERR_OK;
}

/* What an eval loss means: the examples as they are evaluated, and the objective; `seed` decides with --eval-split. */
static const char *const measured_with[] = {
    "objective", "beta",       "label-smoothing", "sft-weight",           "simpo-margin", "train-on",
    "columns",   "max-length", "skip-bad-lines",  "chat-template-kwargs", "chat-date",    "eval-split"};

static const char *other_measure(const struct options *now, const struct options *then)
{
    const char *const seed = "seed";
    const char *other =
        options_find_difference(now, then, measured_with, sizeof measured_with / sizeof *measured_with);
    return other || now->eval_split <= 0 ? other : options_find_difference(now, then, &seed, 1);
}

/* What the options that the checkpoint recorded say of the run so far. */
static enum err_code read_options(struct resume *r, const struct options *now, const struct ckpt *c, struct err *e)
{
    struct options then = {0};
    enum err_code code = options_read_yaml(&then, "train", c->path, c->config, strlen(c->config), e);
    r->schedule = (struct schedule){.shape = then.lr_schedule,
                                    .peak = then.learning_rate,
                                    .end = then.min_learning_rate,
                                    .warmup = then.warmup_steps};
    r->epochs = then.epochs;
    r->max_steps = then.max_steps;
    r->early_stop = (uint64_t)then.early_stop;
    r->other_measure = code ? NULL : other_measure(now, &then);
    options_release(&then);
    return code;
}

/* Puts the checkpoint of the best evaluation beside those of this run. */
static enum err_code keep_best(uint64_t step, const char *from, const struct runlock *lock, struct err *e)
{
    struct file_folder in;
    if (runlock_enter(&in, lock, e))
        return e->code;
    return file_folder_leave(&in, rundir_take_over(in.inside, step, from, e), e);
}

/* The best evaluation so far is comparable, and its checkpoint in this run's folder; or the run does not go by it. */
static enum err_code take_best(struct ckpt *c, const struct resume *r, const struct ckpt_identity *now,
                               const struct options *o, const struct runlock *lock, struct err *e)
{
    struct best *best = &c->state.best;
    const bool other_data = strcmp(best->hash, now->evaluated) != 0;
    if (!best->seen)
        return ERR_OK;
    if (!options_go_by_evaluations(o)) {
        if (r->other_measure) /* from now on the checkpoints record the other value */
            best_forget(best);
        return ERR_OK;
    }
    if (other_data && !o->allow_changed_options)
        return err_set(e, ERR_MISMATCH,
                       "%s: the evaluations so far were of other examples, and --keep-best and --early-stop go by "
                       "them; give the same --eval-data, or --allow-changed-options, which forgets the best of them",
                       c->path);
    if (other_data || r->other_measure) {
        log_warn("%s: the evaluations so far were %s%s, and --keep-best and --early-stop go by them: the best of them "
                 "is forgotten",
                 c->path, other_data ? "of other examples" : "made with another --",
                 other_data ? "" : r->other_measure);
        best_forget(best);
    }
    if (o->keep_best && best->step && keep_best(best->step, c->path, lock, e)) {
        log_warn("the checkpoint of the best evaluation so far, of step %" PRIu64
                 ", cannot be used (%s): only later evaluations count",
                 best->step, e->message);
        best_forget(best);
    }
    return ERR_OK;
}

static enum err_code load(struct lora *l, struct lora_moments *moments, struct ckpt_state *state,
                          struct resume *r, const struct ckpt_identity *identity, const struct options *o,
                          const struct runlock *lock, struct err *e)
{
    struct ckpt c;
    enum err_code code = choose(&c, o, lock, e);
    if (code || !c.file)
        return code;
    code = check(&c, identity, o, e);
    if (!code)
        code = read_options(r, o, &c, e);
    if (!code)
        code = ckpt_read(&c, l, moments, e);
    r->here = rundir_holds(o->output, c.path);
    if (!code && o->resume.word != RESUME_AUTO)
        code = r->here ? clear_output(o, lock, c.state.step + 1, "later than the one to go on from", e)
                     : clear_output(o, lock, 0, "of another run than the one to go on from", e);
    if (!code)
        code = take_best(&c, r, identity, o, lock, e);
    if (!code)
        code = trace_read_from(&r->trace, c.file, e);
    if (!code) {
        log_note("going on from %s, step %" PRIu64, c.path, c.state.step);
        *state = c.state;
        r->found = true;
    }
    ckpt_close(&c);
    return code;
}

enum err_code resume_load(struct session *s, struct lora_moments *moments,
                          const struct ckpt_identity *identity, struct ckpt_state *state, struct resume *r,
                          struct err *e)
{
    struct dist *d = s->dist;
    struct lora *l = &s->lora;
    *state = (struct ckpt_state){0};
    *r = (struct resume){0};
    enum err_code code =
        d->rank == 0 ? load(l, moments, state, r, identity, s->options, s->lock, e) : ERR_OK;
    code = dist_agree(d, code, e);
    if (!code)
        code = dist_broadcast(d, &r->found, sizeof r->found, 0, e);
    if (!code)
        code = dist_broadcast(d, &r->here, sizeof r->here, 0, e);
    if (code || !r->found)
        return code;
    size_t bytes = l->layout.size * sizeof(float);
    if (dist_broadcast(d, state, sizeof *state, 0, e) || dist_broadcast(d, l->params, bytes, 0, e) ||
        dist_broadcast(d, moments->m, bytes, 0, e) || dist_broadcast(d, moments->v, bytes, 0, e) ||
        (moments->outer && dist_broadcast(d, moments->outer, bytes, 0, e)) ||
        (l->start && dist_broadcast(d, l->start, bytes, 0, e)))
        return e->code;
    return session_change_base(s, e);
}
