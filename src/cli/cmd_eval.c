#include <inttypes.h>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/facts.h"
#include "train/evaluate.h"

static enum err_code print_result(const struct evaluation *v, bool json, struct err *e)
{
    struct facts f;
    facts_begin(&f, json);
    facts_real(&f, "loss", v->loss);
    facts_real(&f, "perplexity", v->perplexity);
    facts_real(&f, "token_accuracy", v->token_accuracy);
    facts_real(&f, "exact_match", v->exact_match);
    facts_int(&f, "supervised_tokens", v->supervised_tokens);
    facts_int(&f, "examples", v->examples);
    return facts_print(&f, e);
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
        code = evaluate_run(&v, result, e);
    evaluate_close(&v);
    return code;
}

enum err_code cmd_eval(const struct options *o, struct dist *d, struct err *e)
{
    struct session s = {0};
    struct dataset data = {0};
    struct evaluation result;
    char cut[128];
    enum err_code code = session_open(&s, o, d, e);
    if (!code && *o->adapter)
        code = session_load_adapter(&s, o->adapter, e);
    if (!code)
        code = session_open_data(&s, &data, &o->data, NULL, e);
    if (!code)
        code = evaluate(&result, &s, &data, e);
    if (!code && data.counts.bad_lines)
        log_warn("%" PRIu64 " unusable line%s skipped; the first: %s", data.counts.bad_lines,
                 data.counts.bad_lines == 1 ? " was" : "s were", data.first_bad);
    if (!code && dataset_describe_cut(cut, sizeof cut, &data))
        log_warn("%s: --max-length %" PRIu64 " cuts none", cut, data.longest);
    if (!code && d->rank == 0)
        code = print_result(&result, o->json, e);
    dataset_close(&data);
    session_close(&s);
    return code;
}
