#include "model/lora_init.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/stop.h"
#include "lora_schemes.h"
#include "math/parallel.h"

/* What is public of a scheme, and how it fills A [rank, in] and B [out, rank]. */
static const struct row {
    struct lora_scheme scheme;
    lora_draw *draw;
    lora_derive *derive;
} rows[LORA_SCHEME_COUNT] = {
#define ROW(constant, word, ...) [constant] = {.scheme.name = word, __VA_ARGS__},
    LORA_SCHEMES(ROW)
#undef ROW
};

const struct lora_scheme *lora_scheme(enum lora_init init)
{
    return &rows[init].scheme;
}

static enum err_code check_std(const char *option, double std, bool taken, const char *scheme, struct err *e)
{
    if (!(std >= 0) || !isfinite(std))
        return err_set(e, ERR_USAGE, "%s %g is out of range: a finite number, at least 0", option, std);
    if (std > 0 && !taken)
        return err_set(e, ERR_USAGE, "%s %g: the scheme %s of lora-init does not use it", option, std,
                       scheme);
    return ERR_OK;
}

static enum err_code check_spec(const struct lora_scheme *s, const struct lora *l,
                                const struct lora_spec *spec, struct err *e)
{
    if (check_std("init-std", spec->init_std, s->takes_std_a, s->name, e) ||
        check_std("init-std-b", spec->init_std_b, s->takes_std_b, s->name, e))
        return e->code;
    for (size_t i = 0; i < l->layout.count; i++)
        if (s->needs_even_rank && l->layout.modules[i].rank % 2 != 0)
            return err_set(e, ERR_USAGE,
                           "lora-init: %s needs an even rank, for half of it goes to A and half to B; it is "
                           "%zu",
                           s->name, l->layout.modules[i].rank);
    return ERR_OK;
}

enum err_code lora_init_values(struct lora *l, const struct lora_spec *spec, struct err *e)
{
    const struct row *row = &rows[spec->init];
    if (check_spec(&row->scheme, l, spec, e))
        return e->code;
    memset(l->params, 0, l->layout.size * sizeof *l->params);
    for (size_t i = 0; i < l->layout.count && row->draw; i++) {
        const struct lora_module *m = &l->layout.modules[i];
        if (row->draw(l->params + m->a, l->params + m->b, m, spec, e))
            return e->code;
    }
    return ERR_OK;
}

/* One rank's share of the modules, each on a thread of its own. */
struct deriving {
    struct lora *l;
    lora_derive *derive;
    const struct arch *a;
    const struct weights *w;
    size_t first, step;
    struct err *errors; /* [number of modules of the share] */
};

static void derive_one(void *context, size_t i)
{
    struct deriving *d = context;
    const struct lora_module *m = &d->l->layout.modules[d->first + i * d->step];
    struct err *e = &d->errors[i];
    if (stop_check("the adapter was computed from the base", e))
        return;
    float *W = malloc(m->out * m->in * sizeof *W);
    enum err_code code = ERR_OK;
    if (!W)
        code = err_set(e, ERR_MEMORY, "no memory for a matrix of %zu x %zu numbers", m->out, m->in);
    else
        weights_read(W, d->w, d->a, m->layer, m->linear, 0, m->out);
    if (!code)
        code = d->derive(d->l->params + m->a, d->l->params + m->b, m, W, e);
    if (code)
        err_wrap(e, "lora-init: %s", m->path);
    free(W);
}

enum err_code lora_init_from_base(struct lora *l, enum lora_init init, const struct arch *a,
                                  const struct weights *w, size_t first, size_t step, struct err *e)
{
    struct arena arena = {0};
    for (size_t i = 0; i < l->layout.count; i++) {
        const struct lora_module *m = &l->layout.modules[i];
        size_t most = m->in < m->out ? m->in : m->out;
        if (m->rank > most)
            return err_set(e, ERR_USAGE,
                           "lora-init: the rank %zu is larger than that of %s, %zu x %zu, from which %s computes A "
                           "and B",
                           m->rank, m->path, m->out, m->in, lora_scheme(init)->name);
    }
    size_t count = first < l->layout.count ? (l->layout.count - first + step - 1) / step : 0;
    struct deriving d = {l, rows[init].derive, a, w, first, step, NULL};
    d.errors = arena_alloc(&arena, count, sizeof *d.errors, "modules of the adapter", e);
    enum err_code code = d.errors ? ERR_OK : e->code;
    if (!code)
        parallel_each(count, derive_one, &d);
    for (size_t i = 0; i < count && !code; i++)
        if ((code = d.errors[i].code))
            *e = d.errors[i];
    arena_release(&arena);
    return code;
}
