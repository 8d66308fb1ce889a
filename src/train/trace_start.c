#include <math.h>
#include <stdlib.h>

#include "train/batch.h"
#include "train/tracer.h"

/* Collective. A signal in between leaves the loss unmeasured; the run will heed it. */
static enum err_code evaluate(double *loss, struct evaluator *v, struct err *e)
{
    struct evaluation result;
    if (!v)
        return ERR_OK;
    enum err_code code = evaluate_run(v, &result, e);
    if (!code)
        *loss = result.loss;
    return code == ERR_STOPPED ? ERR_OK : code;
}

/* Logits of the first pack of the run. */
static enum err_code first_logits(float **logits, size_t *count, struct tracer *t, struct loader *l,
                                  struct err *e)
{
    struct model *m = &t->session->model;
    l->batch.cursor = 0;
    if (loader_next(l, e) || loader_pack(l, 0, e))
        return e->code;
    const struct model_input in = batch_input(&l->pack);
    *count = in.n * m->arch.vocab;
    *logits = malloc(*count * sizeof **logits);
    if (!*logits)
        return err_set(e, ERR_MEMORY, "no memory for the logits of a pack of %zu tokens", in.n);
    return model_logits(m, &in, *logits, e);
}

static enum err_code compare_logits(struct tracer *t, struct loader *l, struct err *e)
{
    float *logits = NULL;
    size_t count = 0;
    enum err_code code = first_logits(&logits, &count, t, l, e);
    double largest = 0;
    for (size_t i = 0; i < count && !code; i++)
        largest = fmax(largest, fabs((double)logits[i] - (double)t->logits[i]));
    if (!code)
        t->record.start_logit_difference = largest;
    free(logits);
    free(t->logits);
    t->logits = NULL;
    return code;
}

enum err_code tracer_measure_base(struct tracer *t, struct evaluator *v, struct loader *l, struct err *e)
{
    struct session *s = t->session;
    struct lora *lora = s->model.lora;
    size_t count = 0;
    s->model.lora = NULL;
    enum err_code code = s->dist->rank == 0 ? first_logits(&t->logits, &count, t, l, e) : ERR_OK;
    code = dist_agree(s->dist, code, e);
    if (!code)
        code = evaluate(&t->record.base_eval_loss, v, e);
    s->model.lora = lora;
    return code;
}

enum err_code tracer_measure_start(struct tracer *t, struct evaluator *v, struct loader *l, struct err *e)
{
    struct dist *d = t->session->dist;
    enum err_code code = dist_agree(d, d->rank == 0 ? compare_logits(t, l, e) : ERR_OK, e);
    return code ? code : evaluate(&t->record.start_eval_loss, v, e);
}
