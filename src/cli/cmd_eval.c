#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/facts.h"
#include "train/evaluate.h"

static void add_result(struct facts *f, const void *results, size_t i)
{
    const struct evaluation *v = (const struct evaluation *)results + i;
    facts_real(f, "loss", v->loss);
    if (v->prefers) {
        for (size_t k = 0; k < METRICS_REWARDS; k++)
            facts_real(f, metrics_rewards_fields[k].name, metrics_value(&v->rewards, &metrics_rewards_fields[k]));
    } else {
        facts_real(f, "perplexity", v->perplexity);
        facts_real(f, "token_accuracy", v->token_accuracy);
        facts_real(f, "exact_match", v->exact_match);
    }
    facts_int(f, "supervised_tokens", v->supervised_tokens);
    facts_int(f, "examples", v->examples);
}

/* What the command works with. */
struct job {
    struct session session;
    struct dataset data;
    struct evaluation *results; /* [adapters, or 1] */
    double *reference[2];       /* [2 * examples] of the base; and what an adapter with a start of its own has for it */
    bool has_base;              /* the first is computed */
};

/* Collective. All adapters without such a start share the reference. */
static enum err_code take_reference(struct job *j, struct evaluator *v, struct err *e)
{
    const bool own = j->session.lora.start != NULL;
    v->preference.reference = j->reference[own];
    if (!j->reference[own] || (j->has_base && !own))
        return ERR_OK;
    j->has_base = j->has_base || !own;
    return evaluate_reference(v, j->reference[own], e);
}

/* Collective. The model as it is. */
static enum err_code evaluate(struct evaluation *result, struct job *j, struct err *e)
{
    struct session *s = &j->session;
    struct evaluator v;
    struct model_plan plan = session_plan(s, false);
    enum err_code code = evaluate_open(&v, s, &j->data, e);
    if (code)
        return code;
    evaluate_plan(&v, &plan);
    code = dist_agree(s->dist, model_plan_memory(&s->model, &plan, e), e);
    if (!code)
        code = take_reference(j, &v, e);
    if (!code)
        code = evaluate_run(&v, result, e);
    evaluate_close(&v);
    return code;
}

static enum err_code make_room(struct job *j, struct err *e)
{
    const struct options *o = j->session.options;
    j->results = calloc(o->adapter.count + 1, sizeof *j->results);
    if (!j->results)
        return err_set(e, ERR_MEMORY, "no memory for the results of %zu adapters", o->adapter.count);
    if (!objective_needs_reference(o->objective))
        return ERR_OK;
    for (size_t i = 0; i < 2; i++) {
        j->reference[i] = calloc(j->data.count, 2 * sizeof *j->reference[i]);
        if (!j->reference[i])
            return err_set(e, ERR_MEMORY, "no memory for the reference of %zu pairs", j->data.count);
    }
    return ERR_OK;
}

/* Collective. The base, or each adapter. */
static enum err_code evaluate_all(struct job *j, struct err *e)
{
    struct session *s = &j->session;
    const size_t adapters = s->options->adapter.count;
    enum err_code code = dist_agree(s->dist, make_room(j, e), e);
    if (!code && !adapters)
        code = evaluate(j->results, j, e);
    for (size_t i = 0; !code && i < adapters; i++) {
        code = session_use_adapter(s, i, e);
        if (!code && i > 0) /* of the first one it was said before */
            session_compare_prompts(s, &j->data);
        if (!code)
            code = evaluate(j->results + i, j, e);
    }
    return code;
}

enum err_code cmd_eval(const struct options *o, struct dist *d, struct err *e)
{
    struct job job = {0};
    struct session *s = &job.session;
    struct dataset *data = &job.data;
    char cut[128];
    enum err_code code = session_tell_idle(o, e);
    if (!code)
        code = session_open(s, o, d, e);
    if (!code && o->adapter.count > 1)
        code = session_check_adapters(s, NULL, e);
    if (!code && o->adapter.count)
        code = session_use_adapter(s, 0, e);
    if (!code)
        code = session_open_data(s, data, &o->data, NULL, e);
    if (!code)
        session_compare_prompts(s, data);
    if (!code)
        code = evaluate_all(&job, e);
    if (!code && data->counts.bad_lines)
        log_warn("%" PRIu64 " unusable line%s skipped; the first: %s", data->counts.bad_lines,
                 data->counts.bad_lines == 1 ? " was" : "s were", data->first_bad);
    if (!code && dataset_describe_cut(cut, sizeof cut, data))
        log_warn("%s: --max-length %" PRIu64 " cuts none", cut, data->longest);
    if (!code && d->rank == 0)
        code = facts_print_each(&o->adapter, o->json, add_result, job.results, e);
    free(job.results);
    free(job.reference[0]);
    free(job.reference[1]);
    dataset_close(data);
    session_close(s);
    return code;
}
