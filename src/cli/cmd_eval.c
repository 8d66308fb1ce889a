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

static enum err_code evaluate(struct evaluation *result, struct session *s, const struct dataset *data,
                              struct err *e)
{
    struct evaluator v;
    struct model_plan plan = session_plan(s, false);
    enum err_code code = evaluate_open(&v, s, data, e);
    if (code)
        return code;
    evaluate_plan(&v, &plan);
    code = dist_agree(s->dist, model_plan_memory(&s->model, &plan, e), e);
    if (!code)
        code = evaluate_reference(&v, &(struct reference){0}, e);
    if (!code)
        code = evaluate_run(&v, result, e);
    evaluate_close(&v);
    return code;
}

/* Collective. The base, or each adapter. The caller frees *results. */
static enum err_code evaluate_all(struct evaluation **results, struct session *s, const struct dataset *data,
                                  struct err *e)
{
    const size_t adapters = s->options->adapter.count;
    enum err_code code = ERR_OK;
    *results = calloc(adapters + 1, sizeof **results);
    if (!*results)
        code = err_set(e, ERR_MEMORY, "no memory for the results of %zu adapters", adapters);
    code = dist_agree(s->dist, code, e);
    if (!code && !adapters)
        code = evaluate(*results, s, data, e);
    for (size_t i = 0; !code && i < adapters; i++) {
        code = session_use_adapter(s, i, e);
        if (!code)
            code = evaluate(*results + i, s, data, e);
    }
    return code;
}

enum err_code cmd_eval(const struct options *o, struct dist *d, struct err *e)
{
    struct session s = {0};
    struct dataset data = {0};
    struct evaluation *results = NULL;
    char cut[128];
    enum err_code code = session_open(&s, o, d, e);
    if (!code && o->adapter.count > 1)
        code = session_check_adapters(&s, NULL, e);
    if (!code && o->adapter.count)
        code = session_use_adapter(&s, 0, e);
    if (!code)
        code = session_open_data(&s, &data, &o->data, NULL, e);
    if (!code)
        code = evaluate_all(&results, &s, &data, e);
    if (!code && data.counts.bad_lines)
        log_warn("%" PRIu64 " unusable line%s skipped; the first: %s", data.counts.bad_lines,
                 data.counts.bad_lines == 1 ? " was" : "s were", data.first_bad);
    if (!code && dataset_describe_cut(cut, sizeof cut, &data))
        log_warn("%s: --max-length %" PRIu64 " cuts none", cut, data.longest);
    if (!code && d->rank == 0)
        code = facts_print_each(&o->adapter, o->json, add_result, results, e);
    free(results);
    dataset_close(&data);
    session_close(&s);
    return code;
}
