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
    if (str_appendf(out, e, "base: %s\ntokenizer: %s\nset of data: %s\nadapter: %s\n", id->base, id->tokenizer,
                    id->data, id->adapter) ||
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

static enum err_code make_room(struct reference_set *set, struct trainer *t, const struct dataset *d, struct err *e)
{
    set->pairs = d->count;
    set->log_prob = arena_alloc(&t->arena, 2 * set->pairs, sizeof *set->log_prob, "reference", e);
    return set->log_prob ? ERR_OK : e->code;
}

static enum err_code prepare(struct trainer *t, struct err *e)
{
    struct reference_values *v = &t->reference_values;
    *v = (struct reference_values){.inputs = describe_inputs(t, e), .evaluated = t->identity.evaluated};
    if (!v->inputs || make_room(&v->training, t, t->data, e))
        return e->code;
    return t->eval_data ? make_room(&v->evaluation, t, t->eval_data, e) : ERR_OK;
}

static enum err_code read_values(void *trainer, struct duty_company *company, struct err *e)
{
    (void)company;
    struct trainer *t = trainer;
    return reference_file_read(&t->reference_values, t->options->output, e);
}

static enum err_code write_values(void *trainer, struct duty_company *company, struct err *e)
{
    (void)company;
    struct trainer *t = trainer;
    if (reference_file_write(&t->reference_values, t->session->lock, e))
        return e->code;
    saver_note_reference(&t->saver);
    return ERR_OK;
}

/* Collective. What rank 0 has read. */
static enum err_code share(struct reference_set *set, struct dist *d, struct err *e)
{
    if (dist_broadcast(d, &set->samples, sizeof set->samples, 0, e))
        return e->code;
    return set->samples ? dist_broadcast(d, set->log_prob, 2 * set->pairs * sizeof *set->log_prob, 0, e) : ERR_OK;
}

/* Samples of the first epoch, up to the last that the run will use: whole batches. */
static uint64_t needed(const struct trainer *t)
{
    const uint64_t pairs = t->data->count, size = (uint64_t)t->options->batch_size;
    const uint64_t steps = t->schedule.total > t->state.step ? t->schedule.total - t->state.step : 0;
    const uint64_t batches = steps ? batcher_batches(t->state.cursor, size) + steps : 0;
    return batches < batcher_batches(pairs, size) ? batches * size : pairs;
}

/* Collective. What is not there yet of a set, up to the sample `end`. */
static enum err_code measure(struct reference_set *set, struct trainer *t, struct loader *l, struct tally *tally,
                             const char *what, uint64_t end, struct err *e)
{
    const struct options *o = t->options;
    const struct duty keep = {write_values, t, (uint64_t)o->save_failures, rundir_name(RUNDIR_REFERENCE)};
    const struct reference_work work = {what, end, (uint64_t)o->save_every * (uint64_t)o->batch_size, &keep};
    return set->samples < end ? reference_measure(set, &t->reference, t->session, l, tally, &work, e) : ERR_OK;
}

enum err_code trainer_take_reference(struct trainer *t, struct err *e)
{
    struct reference_values *v = &t->reference_values;
    struct evaluator *eval = &t->evaluator;
    const struct duty read = {read_values, t, 1, NULL};
    if (!objective_needs_reference(t->options->objective))
        return ERR_OK;
    if (dist_agree(t->dist, prepare(t, e), e) || duty_run(t->dist, &read, e) || share(&v->training, t->dist, e) ||
        share(&v->evaluation, t->dist, e) ||
        measure(&v->training, t, &t->loader, &t->tally, "training", needed(t), e) ||
        measure(&v->evaluation, t, &eval->loader, &eval->tally, "evaluation", v->evaluation.pairs, e))
        return e->code;
    t->preference.reference = v->training.log_prob;
    t->evaluator.preference.reference = v->evaluation.log_prob;
    pace_meet(&t->pace);
    return ERR_OK;
}
