#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "model/lora_init.h"
#include "model/objective.h"
#include "run/adapter.h"
#include "run/parameters.h"
#include "train/session.h"

static void tell_prompts(const char *path, enum prompts trained_on, enum prompts asked, const char *cure)
{
    if (trained_on != PROMPTS_UNKNOWN && asked != PROMPTS_UNKNOWN && trained_on != asked)
        log_note("%s was trained on prompts %s the chat template, and these are %s it%s", path,
                 trained_on == PROMPTS_CHAT ? "in" : "without", asked == PROMPTS_CHAT ? "in" : "without", cure);
}

static enum err_code load(struct lora *l, struct session *s, const char *path, struct err *e)
{
    const struct adapter_check check = {.model = s->store.path,
                                        .base_hash = s->store.hash,
                                        .base = &s->model.weights,
                                        .allow_base_mismatch = s->options->allow_base_mismatch,
                                        .silent = s->checked,
                                        .prompts = &s->trained_on,
                                        .continued = &s->continued,
                                        .objective = &s->trained_for};
    const bool chat = s->options->chat;
    s->trained_on = PROMPTS_UNKNOWN;
    s->continued = false;
    s->trained_for = (struct objective){.kind = OBJECTIVE_SFT};
    if (adapter_load(l, &s->model.arch, path, &check, e))
        return e->code;
    if (s->checked)
        return ERR_OK;
    if (*s->options->prompt)
        tell_prompts(path, s->trained_on, chat ? PROMPTS_CHAT : PROMPTS_PLAIN,
                     chat ? ": leave out --chat for its form" : ": --chat gives it that form");
    else
        tell_prompts(path, s->trained_on, s->asked, "");
    return ERR_OK;
}

/* Of an adapter that was just loaded, to be compared with the reference of this command. */
static void tell_reference(const struct session *s, const char *path)
{
    if (s->continued && objective_needs_reference(s->options->objective))
        log_note("%s: its training started from another adapter, the reference there; here the reference is the base, "
                 "so loss and rewards are others",
                 path);
}

struct objective session_objective(const struct session *s)
{
    struct objective used = options_objective(s->options), run = s->trained_for;
    for (size_t i = 0; i < PARAMETERS && run.kind == used.kind; i++)
        if (!options_given(s->options, parameters[i].option))
            *parameter_of(&used, &parameters[i]) = *parameter_of(&run, &parameters[i]);
    return used;
}

/* What of this command's objective is the run's, and what is another. */
static void tell_objective(const struct session *s, const char *path)
{
    struct objective asked = options_objective(s->options), used = session_objective(s), run = s->trained_for;
    char taken[128] = "", other[128] = "";
    if (asked.kind == OBJECTIVE_SFT || run.kind == OBJECTIVE_SFT)
        return;
    if (run.kind != asked.kind) {
        log_note("%s was trained with --objective %s, and this is %s: the loss is another one than in its run", path,
                 objective_name(run.kind), objective_name(asked.kind));
        return;
    }
    for (size_t i = 0; i < PARAMETERS; i++) {
        const struct parameter *p = &parameters[i];
        const double own = *parameter_of(&run, p), now = *parameter_of(&used, p);
        const bool is_taken = *parameter_of(&asked, p) != own && now == own;
        char *list = is_taken ? taken : other;
        if (parameter_acts(p, run.kind) && (is_taken || now != own))
            snprintf(list + strlen(list), sizeof taken - strlen(list), " --%s %g", p->option, own);
    }
    if (*taken)
        log_note("%s: with%s, as in its run", path, taken);
    if (*other)
        log_note("%s was trained with%s: the other value, which is given here, is used", path, other);
}

/* Rank 0. What the run of the adapter that was just loaded did in another way than this command. */
static void tell_run(const struct session *s, const char *path)
{
    if (s->checked)
        return;
    tell_reference(s, path);
    tell_objective(s, path);
}

void session_compare_prompts(const struct session *s, const struct dataset *d)
{
    if (s->in_use)
        tell_prompts(s->options->adapter.items[s->in_use - 1], s->trained_on, prompts_of(d), "");
}

/* Collective. The base stays as it is. */
static enum err_code read_adapter(struct session *s, const char *path, struct err *e)
{
    struct dist *d = s->dist;
    enum err_code code = dist_agree(d, d->rank == 0 ? load(&s->lora, s, path, e) : ERR_OK, e);
    if (!code)
        code = adapter_broadcast(&s->lora, &s->model.arch, d, e);
    if (!code)
        s->model.lora = &s->lora;
    return code;
}

enum err_code session_load_adapter(struct session *s, const char *path, struct err *e)
{
    if (read_adapter(s, path, e) || dist_broadcast(s->dist, &s->trained_for, sizeof s->trained_for, 0, e))
        return e->code;
    if (s->dist->rank == 0)
        tell_run(s, path);
    return session_change_base(s, e);
}

enum err_code session_check_adapters(struct session *s, char (*hashes)[FILE_HASH_SIZE], struct err *e)
{
    const struct opt_list *paths = &s->options->adapter;
    enum err_code code = ERR_OK;
    for (size_t i = 0; s->dist->rank == 0 && i < paths->count && !code; i++) {
        struct lora l = {0};
        code = load(&l, s, paths->items[i], e);
        if (!code)
            tell_run(s, paths->items[i]);
        if (!code && hashes)
            code = adapter_hash(hashes[i], &l, e);
        lora_release(&l);
    }
    s->checked = true;
    return dist_agree(s->dist, code, e);
}

enum err_code session_use_adapter(struct session *s, size_t i, struct err *e)
{
    if (s->in_use == i + 1)
        return ERR_OK;
    session_drop_adapter(s);
    if (session_load_adapter(s, s->options->adapter.items[i], e))
        return e->code;
    s->in_use = i + 1;
    return ERR_OK;
}

/* Options that say how initial values are drawn: an adapter that is given has its values. */
static enum err_code check_no_initial_values(const struct options *o, struct err *e)
{
    const struct {
        const char *name;
        bool says; /* a value other than the default, which stands in every written configuration */
    } rows[] = {{"lora-init", o->lora_init != LORA_NORMAL},
                {"init-std", o->init_std > 0},
                {"init-std-b", o->init_std_b > 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (options_origin(o, rows[i].name) == OPT_COMMAND_LINE)
            return err_set(e, ERR_USAGE, "--%s contradicts --adapter: A and B start as those of %s", rows[i].name,
                           o->adapter.items[0]);
        if (rows[i].says)
            log_warn("%s of the configuration has no effect: A and B start as those of %s", rows[i].name,
                     o->adapter.items[0]);
    }
    return ERR_OK;
}

/* --lora-rank, --lora-alpha and --rslora against those of the adapter's modules. */
static enum err_code check_sizes(const struct options *o, const struct lora *l, struct err *e)
{
    if (options_given(o, "rslora") && o->rslora != l->rslora)
        return err_set(e, ERR_USAGE, "--%srslora contradicts --adapter: %s was %strained with rsLoRA",
                       o->rslora ? "" : "no-", o->adapter.items[0], l->rslora ? "" : "not ");
    for (size_t i = 0; i < l->layout.count; i++) {
        const struct lora_module *m = &l->layout.modules[i];
        const double divisor = lora_divisor((double)m->rank, l->rslora);
        if (options_given(o, "lora-rank") && (size_t)o->lora_rank != m->rank)
            return err_set(e, ERR_USAGE, "--lora-rank %lld contradicts --adapter: in %s the rank of %s is %zu",
                           (long long)o->lora_rank, o->adapter.items[0], m->path, m->rank);
        if (options_given(o, "lora-alpha") && (float)(o->lora_alpha / divisor) != m->scaling)
            return err_set(e, ERR_USAGE,
                           "--lora-alpha %g contradicts --adapter: in %s the alpha of %s is %g (scaling %g, rank %zu)",
                           o->lora_alpha, o->adapter.items[0], m->path, (double)m->scaling * divisor,
                           (double)m->scaling, m->rank);
    }
    return ERR_OK;
}

static const char *targets_of(const struct options *o)
{
    return o->target_modules.word == TARGETS_ALL_LINEAR ? NULL : o->target_modules.text;
}

/* --target-modules must choose the adapter's modules. */
static enum err_code check_modules(const struct options *o, const struct lora *l, const struct arch *a, struct err *e)
{
    struct lora chosen;
    const struct lora_spec spec = {.targets = targets_of(o), .rank = 1, .init = LORA_ZERO};
    const char *extra = NULL, *missing = NULL;
    if (!options_given(o, "target-modules"))
        return ERR_OK;
    if (lora_create(&chosen, a, &spec, e))
        return e->code;
    for (size_t i = 0; i < chosen.layout.count && !extra; i++)
        if (!lora_find(&l->layout, chosen.layout.modules[i].path))
            extra = chosen.layout.modules[i].path;
    for (size_t i = 0; i < l->layout.count && !missing; i++)
        if (!lora_find(&chosen.layout, l->layout.modules[i].path))
            missing = l->layout.modules[i].path;
    if (extra)
        err_set(e, ERR_USAGE, "--target-modules contradicts --adapter: it chooses %s, which %s does not adapt", extra,
                o->adapter.items[0]);
    else if (missing)
        err_set(e, ERR_USAGE, "--target-modules contradicts --adapter: it leaves out %s, which %s adapts", missing,
                o->adapter.items[0]);
    lora_release(&chosen);
    return extra || missing ? e->code : ERR_OK;
}

/* Collective. */
static enum err_code take_adapter(struct session *s, struct err *e)
{
    const struct options *o = s->options;
    struct lora *l = &s->lora;
    if (dist_agree(s->dist, check_no_initial_values(o, e), e) || read_adapter(s, o->adapter.items[0], e))
        return e->code;
    s->trained_for = (struct objective){.kind = OBJECTIVE_SFT}; /* a new run has its own objective */
    enum err_code code = check_sizes(o, l, e);
    if (!code)
        code = check_modules(o, l, &s->model.arch, e);
    if (!code)
        code = adapter_hash(s->given, l, e);
    l->dropout = o->lora_dropout;
    l->seed = (uint64_t)o->seed;
    return dist_agree(s->dist, code, e);
}

enum err_code session_new_adapter(struct session *s, struct err *e)
{
    const struct options *o = s->options;
    const struct lora_scheme *scheme = lora_scheme(o->lora_init);
    struct lora_spec spec = {.targets = targets_of(o),
                             .rank = (size_t)o->lora_rank,
                             .alpha = o->lora_alpha,
                             .rslora = o->rslora,
                             .dropout = o->lora_dropout,
                             .init = o->lora_init,
                             .init_std = o->init_std,
                             .init_std_b = o->init_std_b,
                             .seed = (uint64_t)o->seed};
    if (o->adapter.count)
        return take_adapter(s, e);
    if (dist_agree(s->dist, lora_create(&s->lora, &s->model.arch, &spec, e), e))
        return e->code;
    if (scheme->warning)
        log_warn("--lora-init %s: %s", scheme->name, scheme->warning);
    if (scheme->moves_start && objective_needs_reference(o->objective))
        log_warn("--lora-init %s: B A is not zero at the start, but the reference of --objective %s is the base "
                 "without it: rewards do not begin at 0",
                 scheme->name, objective_name(o->objective));
    s->model.lora = &s->lora;
    return ERR_OK;
}

/* Collective. Each module's values come from the rank that made them. */
static enum err_code share_modules(struct session *s, struct err *e)
{
    struct lora *l = &s->lora;
    for (size_t i = 0; i < l->layout.count; i++) {
        const struct lora_module *m = &l->layout.modules[i];
        int root = (int)(i % (size_t)s->dist->world);
        if (dist_broadcast(s->dist, l->params + m->a, m->rank * m->in * sizeof(float), root, e) ||
            dist_broadcast(s->dist, l->params + m->b, m->rank * m->out * sizeof(float), root, e))
            return e->code;
    }
    return ERR_OK;
}

enum err_code session_start_adapter(struct session *s, struct err *e)
{
    struct lora *l = &s->lora;
    if (!l->start)
        return ERR_OK;
    if (*s->given)
        return session_change_base(s, e);
    enum err_code code =
        dist_agree(s->dist,
                   lora_init_from_base(l, s->options->lora_init, &s->model.arch, &s->model.weights,
                                       (size_t)s->dist->rank, (size_t)s->dist->world, e),
                   e);
    if (!code)
        code = share_modules(s, e);
    if (code)
        return code;
    memcpy(l->start, l->params, l->layout.size * sizeof *l->start);
    return session_change_base(s, e);
}

enum err_code session_change_base(struct session *s, struct err *e)
{
    enum err_code code =
        s->lora.start ? lora_change_base(&s->lora, &s->model.arch, &s->model.weights, e) : ERR_OK;
    return dist_agree(s->dist, code, e);
}

size_t session_adapter_copies(const struct session *s)
{
    const bool is_reference = *s->given && objective_needs_reference(s->options->objective);
    return (size_t)(s->lora.start != NULL) + is_reference;
}

void session_drop_adapter(struct session *s)
{
    s->model.lora = NULL;
    weights_restore(&s->model.weights);
    lora_release(&s->lora);
    s->in_use = 0;
    s->trained_for = (struct objective){.kind = OBJECTIVE_SFT};
    s->given[0] = '\0';
}
