#include "train/optim.h"

#include <math.h>

#include "base/prof.h"
#include "math/kern.h"

/* The matrix at index `i` of the flat arrays. */
static enum err_code refuse_gradient(const struct lora_layout *l, size_t i, struct err *e)
{
    for (size_t k = 0; k < l->count; k++) {
        const struct lora_module *m = &l->modules[k];
        bool in_a = i >= m->a && i < m->a + m->rank * m->in;
        if (in_a || (i >= m->b && i < m->b + m->rank * m->out))
            return err_set(e, ERR_NUMERIC, "the gradient of %s.lora_%c is not finite", m->path,
                           in_a ? 'A' : 'B');
    }
    return err_set(e, ERR_NUMERIC, "the norm of the gradient is not finite");
}

enum err_code optim_grad_norm(double *norm, const struct lora_layout *l, const float *grads, struct err *e)
{
    enum prof_phase before = prof_enter(PROF_OPTIMIZER);
    *norm = sqrt(kern_for(cpu_isa_best())->sum_squares(grads, l->size));
    prof_enter(before);
    return isfinite(*norm) ? ERR_OK : refuse_gradient(l, kern_first_nonfinite(grads, l->size), e);
}

static void step_range(float *params, struct lora_moments *moments, const float *grads, size_t first,
                       size_t count, const struct adamw_step *s)
{
    kern_for(cpu_isa_best())
        ->adamw(params + first, grads + first, moments->m + first, moments->v + first, count, s);
}

void optim_step(struct lora *l, struct lora_moments *moments, const float *grads,
                const struct optim_options *options, double grad_norm, double learning_rate, uint64_t step)
{
    double scale = options->max_grad_norm > 0 ? options->max_grad_norm / (grad_norm + 1e-6) : 1;
    struct adamw_step s = {.learning_rate = (float)learning_rate,
                           .beta1 = (float)options->beta1,
                           .beta2 = (float)options->beta2,
                           .epsilon = (float)options->epsilon,
                           .weight_decay = (float)options->weight_decay,
                           .correction1 = (float)-expm1((double)step * log(options->beta1)),
                           .correction2 = (float)-expm1((double)step * log(options->beta2)),
                           .grad_scale = scale < 1 ? (float)scale : 1};
    struct adamw_step s_b = s;
    s_b.learning_rate = (float)(learning_rate * options->ratio_b);
    enum prof_phase before = prof_enter(PROF_OPTIMIZER);
    if (options->ratio_b == 1)
        step_range(l->params, moments, grads, 0, l->layout.size, &s);
    else
        for (size_t i = 0; i < l->layout.count; i++) {
            const struct lora_module *m = &l->layout.modules[i];
            step_range(l->params, moments, grads, m->a, m->rank * m->in, &s);
            step_range(l->params, moments, grads, m->b, m->rank * m->out, &s_b);
        }
    prof_enter(before);
}
