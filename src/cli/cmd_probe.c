/*
 * The file that `probe` writes:
 *
 *     /examples/N/tokens, supervised   [tokens] of example N of the data; 1: the token carries loss; 2: only the
 *                                      likelihood of the objective counts it (base/mark.h)
 *     /examples/N/logits               [tokens, V] f32
 *     /examples/N  log_probability     attribute: sum over its supervised tokens, as DPO and its like need it
 *     /examples/N/chosen/..., rejected/...   the same of the two sides, if the examples are pairs (--objective); with
 *                                      the attribute `reference` if the objective has a reference, which is the base
 *     /adapter/MODULE/lora_A, lora_B   as in a checkpoint (run/ckpt.h)
 *     /grad/MODULE/lora_A, lora_B      the gradient of the loss
 *     /  loss, supervised_tokens       attributes: mean over all supervised tokens, or the objective's loss; and their
 *                                      number
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "cli/commands.h"
#include "data/examples/loader.h"
#include "io/h5/h5.h"
#include "train/batch.h"
#include "train/preference.h"
#include "train/reference.h"
#include "run/ckpt.h"
#include "run/rundir.h"
#include "train/session.h"

#define NAME_SIZE 64 /* "/examples/<number>/rejected/supervised" */

static void write_modules(struct h5_writer *w, const char *group, const struct lora *l, const float *values)
{
    for (size_t i = 0; i < l->layout.count; i++)
        ckpt_write_matrices(w, group, "", &l->layout.modules[i], values);
}

struct probe {
    struct session *session;
    struct loader loader;
    struct tally tally;
    struct arena arena;
    struct h5_writer *file;
    float *logits;    /* [tokens of the largest pack, V] */
    double *log_prob; /* [examples of the fullest pack] */
    struct model_grads grads;
    struct preference preference;
    double *reference; /* [2 * examples], if the objective needs one */
    double loss_sum, sums[PREFERENCE_SUMS];
};

static bool has_pairs(const struct probe *p)
{
    return p->session->options->objective != OBJECTIVE_SFT;
}

/* "/examples/N", or "/examples/N/chosen" */
static void name_example(char name[NAME_SIZE], const struct probe *p, uint64_t number, size_t side)
{
    snprintf(name, NAME_SIZE, "/examples/%" PRIu64 "%s", number, !has_pairs(p) ? "" : side ? "/rejected" : "/chosen");
}

/* The examples of one pack, under their numbers in the data. */
static void write_examples(const struct probe *probe, size_t pack)
{
    struct h5_writer *w = probe->file;
    const struct loader *l = &probe->loader;
    const struct pack *p = &l->pack;
    const size_t V = probe->session->model.arch.vocab;
    const uint32_t *numbers = l->batch.plan.order + l->batch.plan.first[pack];
    const size_t sides = has_pairs(probe) ? 2 : 1;
    for (size_t i = 0; i < p->example_count; i++) {
        char name[NAME_SIZE], part[NAME_SIZE + 16];
        const size_t first = p->offsets[i], side = i % sides;
        const uint64_t shape[] = {p->offsets[i + 1] - first, V};
        const uint64_t number = l->batch.index[numbers[i / sides]];
        name_example(name, probe, number, side);
        snprintf(part, sizeof part, "%s/tokens", name);
        h5_write(w, part, H5_I32, 1, shape, p->tokens + first);
        snprintf(part, sizeof part, "%s/supervised", name);
        h5_write(w, part, H5_I8, 1, shape, p->supervised + first);
        snprintf(part, sizeof part, "%s/logits", name);
        h5_write(w, part, H5_F32, 2, shape, probe->logits + first * V);
        h5_attribute_real(w, name, "log_probability", probe->log_prob[i]);
        if (probe->reference)
            h5_attribute_real(w, name, "reference", probe->reference[2 * number + side]);
    }
}

/* Forward and backward of one pack; the gradients add up. */
static enum err_code probe_pack(void *context, size_t pack, const struct model_input *in,
                                struct model_result *result, struct err *e)
{
    struct probe *p = context;
    struct model *m = &p->session->model;
    const struct model_each each = {.log_prob = p->log_prob};
    const struct model_input weighed = preference_input(&p->preference, pack, in);
    const double scale = has_pairs(p) ? 1 : 1 / (double)p->loader.batch.supervised;
    if (model_logits(m, in, p->logits, e) || model_step_grad(m, &weighed, scale, &p->grads, result, &each, e))
        return e->code;
    write_examples(p, pack);
    p->loss_sum += result->loss_sum;
    const double *sums = preference_sums_of(&p->preference, result);
    for (size_t i = 0; i < PREFERENCE_SUMS; i++)
        p->sums[i] += sums[i];
    return ERR_OK;
}

/* All examples as one batch, and the memory for it. */
static enum err_code probe_open(struct probe *p, struct session *s, const struct dataset *data,
                                size_t pack_tokens, struct err *e)
{
    const struct loader_options options = {.batch_size = data->count, .pack_tokens = pack_tokens, .world = 1};
    struct model_plan plan = session_plan(s, true);
    s->lora.dropout = 0;
    *p = (struct probe){.session = s};
    p->grads.values =
        arena_alloc(&p->arena, s->lora.layout.size, sizeof *p->grads.values, "gradients of the adapter", e);
    if (!p->grads.values || loader_open(&p->loader, data, &options, e) || loader_next(&p->loader, e) ||
        tally_init(&p->tally, data->count, (size_t)p->session->dist->world, 0, &p->arena, e))
        return e->code;
    tally_begin(&p->tally, p->loader.batch.plan.pack_count);
    batch_plan(&p->loader, &plan);
    if (model_plan_memory(&s->model, &plan, e))
        return e->code;
    p->logits = arena_alloc(&p->arena, p->loader.pack.token_capacity, s->model.arch.vocab * sizeof *p->logits,
                            "logits of a pack", e);
    p->log_prob = arena_alloc(&p->arena, plan.examples, sizeof *p->log_prob, "log-probabilities", e);
    return p->logits && p->log_prob ? ERR_OK : e->code;
}

/* What an objective needs before the first pack. */
static enum err_code begin_pairs(struct probe *p, struct err *e)
{
    struct session *s = p->session;
    const struct objective objective = session_objective(s);
    preference_init(&p->preference, &objective);
    preference_begin(&p->preference, &p->loader.batch);
    if (!objective_needs_reference(s->options->objective))
        return ERR_OK;
    p->reference = arena_alloc(&p->arena, 2 * p->loader.batch.data->count, sizeof *p->reference, "reference", e);
    p->preference.reference = p->reference;
    return p->reference ? reference_batch(p->reference, &(struct reference){0}, s, &p->loader, &p->tally, e) : e->code;
}

/* The loss of all examples, and the rewards. */
static void write_loss(struct probe *p)
{
    const struct batcher *b = &p->loader.batch;
    struct metrics_rewards rewards;
    double loss = p->loss_sum / (double)b->supervised;
    if (has_pairs(p)) {
        loss = preference_finish(&rewards, &p->preference, p->sums);
        for (size_t i = 0; i < METRICS_REWARDS; i++)
            h5_attribute_real(p->file, "/", metrics_rewards_fields[i].name,
                              metrics_value(&rewards, &metrics_rewards_fields[i]));
    }
    h5_attribute_real(p->file, "/", "loss", loss);
    h5_attribute_int(p->file, "/", "supervised_tokens", (int64_t)b->supervised);
}

static void probe_close(struct probe *p)
{
    h5_discard(p->file);
    loader_close(&p->loader);
    arena_release(&p->arena);
}

static enum err_code write_probe(struct session *s, const struct dataset *data, size_t pack_tokens,
                                 struct err *e)
{
    struct probe p;
    enum err_code code = probe_open(&p, s, data, pack_tokens, e);
    if (!code)
        code = begin_pairs(&p, e);
    if (!code) {
        rundir_clean_h5(s->options->output);
        code = h5_create(&p.file, s->options->output, e);
    }
    if (!code)
        code = batch_run(&p.loader, &p.tally, probe_pack, &p, e);
    if (!code) {
        write_modules(p.file, "/adapter", &s->lora, s->lora.params);
        write_modules(p.file, "/grad", &s->lora, p.grads.values);
        write_loss(&p);
        code = h5_commit(p.file, e);
        p.file = NULL;
    }
    probe_close(&p);
    return code;
}

/* Rank 0 works alone: a probe is for a handful of examples, and its result must not depend on the ranks. */
enum err_code cmd_probe(const struct options *o, struct dist *d, struct err *e)
{
    struct session s = {0};
    struct dataset data = {0};
    size_t pack_tokens = 0;
    enum err_code code = session_tell_idle(o, e);
    if (!code)
        code = session_open(&s, o, d, e);
    if (!code)
        code = o->adapter.count ? session_load_adapter(&s, o->adapter.items[0], e) : session_new_adapter(&s, e);
    if (!code && !o->adapter.count)
        code = session_start_adapter(&s, e);
    if (!code)
        code = session_pack_tokens(&s, &pack_tokens, e);
    s.whole_pairs = true;
    if (!code)
        code = session_open_data(&s, &data, &o->data, NULL, e);
    if (!code)
        code = dist_agree(d, d->rank == 0 ? write_probe(&s, &data, pack_tokens, e) : ERR_OK, e);
    if (!code)
        log_note("%zu examples written to %s", data.count, o->output);
    dataset_close(&data);
    session_close(&s);
    return code;
}
