#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/rng.h"
#include "formats.h"
#include "model/lora_init.h"
#include "model/model.h"

enum { TOKENS = 12 };

/* What rounding explains, as a share of the largest logit: with merged matrices in f32, and in narrower types. */
#define MOST_OF_F32    1e-3
#define MOST_OF_NARROW 5e-2

/* Logits [TOKENS, V] of a model on the same tokens each time. */
static enum err_code compute(float *logits, struct model *m, int threads, struct err *e)
{
    const struct model_plan plan = {.tokens = TOKENS, .examples = 1, .longest = TOKENS, .threads = threads};
    int32_t tokens[TOKENS], positions[TOKENS];
    const uint32_t offsets[] = {0, TOKENS};
    for (int32_t i = 0; i < TOKENS; i++) {
        const double x = rng_uniform(rng_key_make(0, RNG_SAMPLE, 0), (uint64_t)i);
        tokens[i] = (int32_t)(x * (double)m->arch.vocab);
        positions[i] = i;
    }
    const struct model_input in = {
        .tokens = tokens, .positions = positions, .offsets = offsets, .n = TOKENS, .examples = 1};
    return model_plan_memory(m, &plan, e) ? e->code : model_logits(m, &in, logits, e);
}

/* Of a base with an adapter. The weights stay in the file: this takes little memory. */
static enum err_code compute_adapted(float *logits, const struct export_job *job, struct lora *l, struct model *m,
                                     int threads, struct err *e)
{
    m->lora = l;
    if (l->start && lora_change_base(l, job->arch, &m->weights, e))
        return e->code;
    enum err_code code = compute(logits, m, threads, e);
    m->lora = NULL;
    weights_restore(&m->weights);
    return code;
}

static const struct weights_options in_file = {.type = DTYPE_F32, .keep_file = true};

static enum err_code compute_export(float *logits, const struct export_job *job, const struct export_format *format,
                                    struct model *base, int threads, struct err *e)
{
    struct lora l = {0};
    struct store store = {0};
    struct model m = {0};
    enum err_code code;
    if (format->read) {
        code = format->read(&l, job, &base->weights, e);
        if (!code)
            code = compute_adapted(logits, job, &l, base, threads, e);
        lora_release(&l);
        return code;
    }
    code = store_open(&store, job->output, e);
    if (!code)
        code = model_load(&m, &store, &in_file, e);
    if (!code)
        code = compute(logits, &m, threads, e);
    model_release(&m);
    store_close(&store);
    return code;
}

/* Are all matrices that the adapter changes in f32? */
static bool is_of_f32(const struct export_job *job)
{
    char name[ARCH_NAME_SIZE];
    if (job->save_dtype != SAVE_OWN)
        return job->save_dtype == SAVE_F32;
    for (size_t i = 0; i < job->lora->layout.count; i++) {
        const struct lora_module *m = &job->lora->layout.modules[i];
        arch_module_tensor(name, job->arch, job->store->kind, m->layer, m->linear, "weight");
        const struct store_tensor *t = store_find(job->store, name);
        if (!t || t->type != DTYPE_F32)
            return false;
    }
    return true;
}

enum err_code export_check(const struct export_job *job, enum option_format format, int threads, double *difference,
                           double *most, struct err *e)
{
    struct arena arena = {0};
    struct model base = {0};
    const size_t count = TOKENS * job->arch->vocab;
    float *wanted = arena_alloc(&arena, count, sizeof *wanted, "logits", e);
    float *got = wanted ? arena_alloc(&arena, count, sizeof *got, "logits", e) : NULL;
    enum err_code code = got ? model_load(&base, job->store, &in_file, e) : ERR_MEMORY;
    if (!code)
        code = compute_adapted(wanted, job, job->lora, &base, threads, e);
    if (!code)
        code = compute_export(got, job, export_format(format), &base, threads, e);
    double largest = 0;
    *difference = 0;
    for (size_t i = 0; !code && i < count; i++) {
        *difference = fmax(*difference, fabs((double)got[i] - (double)wanted[i]));
        largest = fmax(largest, fabs((double)wanted[i]));
    }
    *difference = largest > 0 ? *difference / largest : *difference;
    *most = format != EXPORT_MERGED || is_of_f32(job) ? MOST_OF_F32 : MOST_OF_NARROW;
    model_release(&base);
    arena_release(&arena);
    return code;
}
