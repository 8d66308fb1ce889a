#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "base/str.h"
#include "model/lora.h"

/* Fills A [rank, in] and B [out, rank] of one module; `std` is the user's, or 0 for the scheme's own. */
struct scheme {
    const char *name;
    void (*fill)(float *A, float *B, const struct lora_module *m, double std, uint64_t seed);
};

static void fill_normal(float *out, size_t count, const struct lora_module *m, enum rng_stream stream,
                        double std, uint64_t seed)
{
    rng_fill_normal(out, rng_key_make(seed, stream, rng_hash(m->path)), 0, count);
    for (size_t i = 0; i < count; i++)
        out[i] *= (float)std;
}

/* A from N(0, 1 / (3 in)), the variance of PEFT's default; B = 0, so training starts at the base model
 * exactly. */
static void scheme_normal(float *A, float *B, const struct lora_module *m, double std, uint64_t seed)
{
    fill_normal(A, m->rank * m->in, m, RNG_LORA_A, std > 0 ? std : sqrt(1.0 / (3.0 * (double)m->in)), seed);
    memset(B, 0, m->out * m->rank * sizeof *B);
}

static const struct scheme schemes[] = {
    {"normal", scheme_normal},
};
#define SCHEME_COUNT (sizeof schemes / sizeof schemes[0])

enum err_code lora_init_values(struct lora *l, const char *init, double std, uint64_t seed, struct err *e)
{
    const char *names[SCHEME_COUNT];
    if (!(std >= 0) || !isfinite(std))
        return err_set(e, ERR_USAGE, "init-std %g is out of range: a finite number, at least 0", std);
    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        names[i] = schemes[i].name;
        if (strcmp(init, names[i]) != 0)
            continue;
        for (size_t j = 0; j < l->count; j++) {
            const struct lora_module *m = &l->modules[j];
            schemes[i].fill(l->params + m->a, l->params + m->b, m, std, seed);
        }
        return ERR_OK;
    }
    const char *nearest = str_nearest(init, names, SCHEME_COUNT);
    return err_set(e, ERR_USAGE, "lora-init: there is no scheme '%s'%s%s%s", init,
                   nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}
