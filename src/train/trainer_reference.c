#include "base/log.h"
#include "ranks/duty.h"
#include "run/rundir.h"
#include "trainer_parts.h"

/* Options that the values depend on to the bit: those by which data become sequences, and sequences packs. */
static const char *const computed_with[] = {
    "dtype",   "gemm",        "max-length", "train-on",       "columns", "chat-template-kwargs", "chat-date",
    "shuffle", "seed",        "eval-split", "skip-bad-lines", "batch-size", "micro-batch-tokens"};

/* Those of an adapter that is made from the base: the reference is what is left of the base, and that adapter. */
static const char *const made_with[] = {"target-modules", "lora-rank", "lora-alpha", "rslora",
                                        "lora-init",      "init-std",  "init-std-b"};

/* Everything that the values depend on. */
static enum err_code append_inputs(struct str *out, const struct trainer *t, struct err *e)
{
    const struct ckpt_identity *id = &t->identity;
    const bool made = t->session->lora.start && !*id->adapter;
    if (str_appendf(out, e, "base: %s\ntokenizer: %s\nset of data: %s\nset of evaluation data: %s\nadapter: %s\n",
                    id->base, id->tokenizer, id->data, id->evaluated, id->adapter) ||
        options_append_values(t->options, computed_with, sizeof computed_with / sizeof *computed_with, out, e))
        return e->code;
    return made ? options_append_values(t->options, made_with, sizeof made_with / sizeof *made_with, out, e) : ERR_OK;
}

static const char *describe_inputs(struct trainer *t, struct err *e)
{
    struct str text = {0};
    const char *kept = append_inputs(&text, t, e) ? NULL : arena_strndup(&t->arena, text.data, text.length, e);
    str_release(&text);
    return kept;
}

static double *make_room(struct trainer *t, size_t pairs, struct err *e)
{
    return arena_alloc(&t->arena, 2 * pairs, sizeof(double), "reference", e);
}

static enum err_code prepare(struct trainer *t, struct err *e)
{
    struct reference_values *v = &t->reference_values;
    *v = (struct reference_values){.inputs = describe_inputs(t, e), .training_pairs = t->data->count};
    if (!v->inputs)
        return e->code;
    v->training = make_room(t, v->training_pairs, e);
    if (!v->training)
        return e->code;
    if (!t->eval_data)
        return ERR_OK;
    v->evaluation_pairs = t->eval_data->count;
    v->evaluation = make_room(t, v->evaluation_pairs, e);
    return v->evaluation ? ERR_OK : e->code;
}

static enum err_code read_values(void *trainer, struct duty_company *company, struct err *e)
{
    (void)company;
    struct trainer *t = trainer;
    return reference_file_read(&t->has_reference, &t->reference_values, t->options->output, e);
}

static enum err_code write_values(void *trainer, struct duty_company *company, struct err *e)
{
    (void)company;
    struct trainer *t = trainer;
    return reference_file_write(&t->reference_values, t->session->lock, e);
}

/* Collective. What rank 0 has read. */
static enum err_code share(struct trainer *t, struct err *e)
{
    const struct reference_values *v = &t->reference_values;
    const size_t each = 2 * sizeof(double);
    if (dist_broadcast(t->dist, &t->has_reference, sizeof t->has_reference, 0, e))
        return e->code;
    if (!t->has_reference)
        return ERR_OK;
    if (dist_broadcast(t->dist, v->training, v->training_pairs * each, 0, e) ||
        (v->evaluation && dist_broadcast(t->dist, v->evaluation, v->evaluation_pairs * each, 0, e)))
        return e->code;
    return ERR_OK;
}

/* Collective. */
static enum err_code measure(struct trainer *t, struct err *e)
{
    const struct reference_values *v = &t->reference_values;
    const struct duty keep = {write_values, t, (uint64_t)t->options->save_failures, rundir_name(RUNDIR_REFERENCE)};
    const struct reference *r = &t->reference;
    struct session *s = t->session;
    struct evaluator *eval = &t->evaluator;
    enum err_code code = reference_measure(v->training, r, s, &t->loader, &t->tally, "training", e);
    if (!code && v->evaluation)
        code = reference_measure(v->evaluation, r, s, &eval->loader, &eval->tally, "evaluation", e);
    return code ? code : duty_run(t->dist, &keep, e);
}

enum err_code trainer_take_reference(struct trainer *t, struct err *e)
{
    const struct duty read = {read_values, t, 1, NULL};
    if (!objective_needs_reference(t->options->objective))
        return ERR_OK;
    if (dist_agree(t->dist, prepare(t, e), e) || duty_run(t->dist, &read, e) || share(t, e) ||
        (!t->has_reference && measure(t, e)))
        return e->code;
    t->preference.reference = t->reference_values.training;
    t->evaluator.preference.reference = t->reference_values.evaluation;
    pace_meet(&t->pace);
    return ERR_OK;
}
