#include "run/ckpt.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "io/h5/h5.h"
#include "math/kern.h"
#include "run/module_group.h"
#include "trace_file.h"

#define GUARD       "/guard"
#define EVALUATIONS "/evaluations"
#define BEGUN_WITH  "/begun_with"
#define PROMPTS     "/prompts"
#define CONFIG      "/config"

/* The arrays of a checkpoint: where each lies, what stands after its name. */
static const struct array {
    const char *group, *suffix;
    bool outer;
} arrays[] = {{.group = "/adapter", .suffix = ""},
              {.group = "/optimizer", .suffix = "_m"},
              {.group = "/optimizer", .suffix = "_v"},
              {.group = "/optimizer", .suffix = "_outer", .outer = true},
              {.group = "/adapter_start", .suffix = ""}};
#define ARRAY_COUNT (sizeof arrays / sizeof *arrays)

/* The flat array that arrays[i] is kept from. */
static float *flat_array(const struct lora *l, const struct lora_moments *moments, size_t i)
{
    const struct lora_moments none = {0}, *m = moments ? moments : &none;
    return (float *const[ARRAY_COUNT]){l->params, m->m, m->v, m->outer, l->start}[i];
}

/* The two matrices of a module: name, shape and place. */
struct matrix {
    const char *name;
    uint64_t shape[2];
    size_t offset;
};

static void list_matrices(struct matrix matrices[2], const struct lora_module *m)
{
    matrices[0] = (struct matrix){"lora_A", {m->rank, m->in}, m->a};
    matrices[1] = (struct matrix){"lora_B", {m->out, m->rank}, m->b};
}

static void matrix_path(char path[MODULE_GROUP_SIZE], const char *group, const char *suffix,
                        const struct lora_module *m, const struct matrix *matrix)
{
    char name[32];
    snprintf(name, sizeof name, "%s%s", matrix->name, suffix);
    module_group_path(path, group, m->path, name);
}

void ckpt_write_matrices(struct h5_writer *w, const char *group, const char *suffix,
                         const struct lora_module *m, const float *values)
{
    char path[MODULE_GROUP_SIZE];
    struct matrix matrices[2];
    list_matrices(matrices, m);
    for (int k = 0; k < 2; k++) {
        matrix_path(path, group, suffix, m, &matrices[k]);
        h5_write(w, path, H5_F32, 2, matrices[k].shape, values + matrices[k].offset);
    }
}

/* One group after the other, so that what is written together stands together. */
static void write_modules(struct h5_writer *w, const struct lora *l, const struct lora_moments *moments)
{
    char path[MODULE_GROUP_SIZE];
    for (size_t first = 0, end; first < ARRAY_COUNT; first = end) {
        end = first + 1;
        while (end < ARRAY_COUNT && strcmp(arrays[end].group, arrays[first].group) == 0)
            end++;
        for (size_t j = 0; j < l->layout.count; j++)
            for (size_t i = first; i < end; i++)
                if (flat_array(l, moments, i))
                    ckpt_write_matrices(w, arrays[i].group, arrays[i].suffix, &l->layout.modules[j],
                                        flat_array(l, moments, i));
    }
    for (size_t j = 0; j < l->layout.count; j++) {
        module_group_path(path, "/adapter", l->layout.modules[j].path, NULL);
        h5_attribute_int(w, path, "rank", (int64_t)l->layout.modules[j].rank);
        h5_attribute_real(w, path, "scaling", l->layout.modules[j].scaling);
    }
}

static void write_guard(struct h5_writer *w, const struct guard *g)
{
    if (!g->losses && !g->nonfinite)
        return;
    h5_attribute_int(w, GUARD, "nonfinite", (int64_t)g->nonfinite);
    h5_attribute_int(w, GUARD, "spikes", (int64_t)g->spikes);
    h5_attribute_int(w, GUARD, "losses", (int64_t)g->losses);
    h5_attribute_real(w, GUARD, "mean", g->mean);
    h5_attribute_real(w, GUARD, "variance", g->variance);
}

static void write_best(struct h5_writer *w, const struct best *b)
{
    if (!b->seen)
        return;
    h5_attribute_int(w, EVALUATIONS, "seen", (int64_t)b->seen);
    h5_attribute_int(w, EVALUATIONS, "best", (int64_t)b->step);
    h5_attribute_int(w, EVALUATIONS, "worse", (int64_t)b->worse);
    h5_attribute_real(w, EVALUATIONS, "loss", b->loss);
    h5_attribute_text(w, EVALUATIONS, "hash", b->hash);
}

enum err_code ckpt_build(struct h5_writer **out, const char *path, const struct lora *l,
                         const struct lora_moments *moments, const struct ckpt_state *state,
                         const struct ckpt_identity *identity, const char *config, const char *lora_init,
                         const struct trace_record *trace, struct err *e)
{
    struct h5_writer *w;
    *out = NULL;
    if (h5_create(&w, path, e))
        return e->code;
    h5_attribute_int(w, "/", "step", (int64_t)state->step);
    h5_attribute_int(w, "/", "cursor", (int64_t)state->cursor);
    h5_attribute_int(w, "/", "finished", state->finished);
    h5_attribute_text(w, "/", "lora_init", lora_init);
    h5_attribute_int(w, "/", "rslora", l->rslora);
    h5_attribute_text(w, "/", "base_hash", identity->base);
    h5_attribute_text(w, "/", "tokenizer_hash", identity->tokenizer);
    h5_attribute_text(w, "/", "data_hash", identity->data);
    if (*identity->adapter)
        h5_attribute_text(w, BEGUN_WITH, "hash", identity->adapter);
    if (prompts_name(identity->prompts))
        h5_attribute_text(w, PROMPTS, "form", prompts_name(identity->prompts));
    h5_attribute_text(w, "/", "version", MPILORA_VERSION);
    h5_attribute_text(w, "/", "hdf5_version", h5_version());
    h5_write_text(w, CONFIG, config);
    write_guard(w, &state->guard);
    write_best(w, &state->best);
    write_modules(w, l, moments);
    if (trace)
        trace_write(w, trace);
    if (h5_finish(w, e))
        h5_discard(w);
    else
        *out = w;
    return *out ? ERR_OK : e->code;
}

static enum err_code get_hash(char hash[FILE_HASH_SIZE], struct ckpt *c, const char *place, const char *name,
                              struct err *e)
{
    const char *text;
    if (h5_get_text(&text, c->file, place, name, &c->arena, e))
        return e->code;
    if (strlen(text) != FILE_HASH_SIZE - 1)
        return err_set(e, ERR_FORMAT, "%s: the attribute %s is not a hash", c->path, name);
    memcpy(hash, text, FILE_HASH_SIZE);
    return ERR_OK;
}

static enum err_code get_count(uint64_t *value, struct ckpt *c, const char *place, const char *name,
                               struct err *e)
{
    int64_t number;
    if (h5_get_int(&number, c->file, place, name, e))
        return e->code;
    if (number < 0)
        return err_set(e, ERR_FORMAT, "%s: the attribute %s is negative", c->path, name);
    *value = (uint64_t)number;
    return ERR_OK;
}

/* Where no step may be skipped there is none. */
static enum err_code read_guard(struct guard *g, struct ckpt *c, struct err *e)
{
    if (!h5_exists(c->file, GUARD))
        return ERR_OK;
    if (get_count(&g->nonfinite, c, GUARD, "nonfinite", e) || get_count(&g->spikes, c, GUARD, "spikes", e) ||
        get_count(&g->losses, c, GUARD, "losses", e) || h5_get_real(&g->mean, c->file, GUARD, "mean", e) ||
        h5_get_real(&g->variance, c->file, GUARD, "variance", e))
        return e->code;
    if (g->nonfinite > c->state.step || g->spikes > c->state.step - g->nonfinite || !isfinite(g->mean) ||
        !isfinite(g->variance) || g->variance < 0)
        return err_set(e, ERR_FORMAT, "%s: the attributes of " GUARD " are none of a run", c->path);
    return ERR_OK;
}

/* A run without evaluations has none. */
static enum err_code read_best(struct best *b, struct ckpt *c, struct err *e)
{
    if (!h5_exists(c->file, EVALUATIONS))
        return ERR_OK;
    if (get_count(&b->seen, c, EVALUATIONS, "seen", e) || get_count(&b->step, c, EVALUATIONS, "best", e) ||
        get_count(&b->worse, c, EVALUATIONS, "worse", e) ||
        h5_get_real(&b->loss, c->file, EVALUATIONS, "loss", e) ||
        get_hash(b->hash, c, EVALUATIONS, "hash", e))
        return e->code;
    if (!b->seen || b->seen > c->state.step || b->step > b->seen || b->worse > b->seen || !isfinite(b->loss))
        return err_set(e, ERR_FORMAT, "%s: the attributes of " EVALUATIONS " are none of a run", c->path);
    return ERR_OK;
}

static enum err_code read_modules(struct ckpt *c, struct err *e)
{
    const char **names;
    if (module_group_list(&names, &c->module_count, c->file, "/adapter", "lora_A", &c->arena, e))
        return err_wrap(e, "%s", c->path);
    if (!c->module_count)
        return err_set(e, ERR_FORMAT, "%s has no adapter in it", c->path);
    c->modules = arena_alloc(&c->arena, c->module_count, sizeof *c->modules, "modules of a checkpoint", e);
    if (!c->modules)
        return e->code;
    for (size_t i = 0; i < c->module_count; i++) {
        char path[MODULE_GROUP_SIZE];
        int64_t rank;
        module_group_path(path, "/adapter", names[i], NULL);
        if (h5_get_int(&rank, c->file, path, "rank", e) ||
            h5_get_real(&c->modules[i].scaling, c->file, path, "scaling", e))
            return e->code;
        if (rank < 1 || rank > LIMIT_RANK)
            return err_set(e, ERR_FORMAT, "%s: %s has the rank %" PRId64, c->path, path, rank);
        c->modules[i].path = names[i];
        c->modules[i].rank = (size_t)rank;
    }
    return ERR_OK;
}

static enum err_code read_facts(struct ckpt *c, struct err *e)
{
    uint64_t finished = 0, rslora = 0;
    const char *form = NULL;
    if (get_count(&c->state.step, c, "/", "step", e) || get_count(&c->state.cursor, c, "/", "cursor", e))
        return err_wrap(e, "%s is not a checkpoint", c->path);
    if (get_count(&finished, c, "/", "finished", e) || get_count(&rslora, c, "/", "rslora", e) ||
        read_guard(&c->state.guard, c, e) || read_best(&c->state.best, c, e) ||
        h5_read_text(&c->config, c->file, CONFIG, &c->arena, e) ||
        h5_get_text(&c->lora_init, c->file, "/", "lora_init", &c->arena, e) ||
        h5_get_text(&c->version, c->file, "/", "version", &c->arena, e) ||
        get_hash(c->identity.base, c, "/", "base_hash", e) ||
        get_hash(c->identity.tokenizer, c, "/", "tokenizer_hash", e) ||
        get_hash(c->identity.data, c, "/", "data_hash", e) ||
        (h5_exists(c->file, BEGUN_WITH) && get_hash(c->identity.adapter, c, BEGUN_WITH, "hash", e)) ||
        (h5_exists(c->file, PROMPTS) && h5_get_text(&form, c->file, PROMPTS, "form", &c->arena, e)))
        return e->code;
    c->identity.prompts = prompts_named(form);
    c->state.finished = finished != 0;
    c->rslora = rslora != 0;
    c->has_start = h5_exists(c->file, "/adapter_start");
    return read_modules(c, e);
}

enum err_code ckpt_open(struct ckpt *c, const char *path, struct err *e)
{
    *c = (struct ckpt){0};
    if (h5_open(&c->file, path, true, e))
        return e->code;
    c->path = arena_strndup(&c->arena, path, strlen(path), e);
    enum err_code code = c->path ? read_facts(c, e) : e->code;
    if (code)
        ckpt_close(c);
    return code;
}

void ckpt_close(struct ckpt *c)
{
    h5_close(c->file);
    arena_release(&c->arena);
    *c = (struct ckpt){0};
}

static enum err_code compare_modules(const struct ckpt *c, const struct lora *l, struct err *e)
{
    for (size_t i = 0; i < c->module_count; i++) {
        const struct lora_given *then = &c->modules[i];
        const struct lora_module *now = lora_find(&l->layout, then->path);
        if (!now)
            return err_set(e, ERR_MISMATCH, "%s adapts %s, this run does not", c->path, then->path);
        if (now->rank != then->rank)
            return err_set(e, ERR_MISMATCH, "%s: the rank of %s is %zu, in this run it is %zu", c->path,
                           then->path, then->rank, now->rank);
        if (now->scaling != (float)then->scaling)
            return err_set(e, ERR_MISMATCH,
                           "%s: the scaling (alpha / rank) of %s is %g, in this run it is %g", c->path,
                           then->path, then->scaling, (double)now->scaling);
    }
    for (size_t i = 0; c->module_count != l->layout.count && i < l->layout.count; i++) {
        size_t k = 0;
        while (k < c->module_count && strcmp(c->modules[k].path, l->layout.modules[i].path) != 0)
            k++;
        if (k == c->module_count)
            return err_set(e, ERR_MISMATCH, "%s does not adapt %s, this run does", c->path,
                           l->layout.modules[i].path);
    }
    return ERR_OK;
}

/* Has the checkpoint an outer momentum? A run that may start its local steps afresh begins with none. */
static bool has_outer(const struct ckpt *c, const struct lora_layout *l)
{
    char path[MODULE_GROUP_SIZE];
    struct matrix matrices[2];
    list_matrices(matrices, &l->modules[0]);
    matrix_path(path, "/optimizer", "_outer", &l->modules[0], &matrices[0]);
    return h5_exists(c->file, path);
}

enum err_code ckpt_read(struct ckpt *c, struct lora *l, struct lora_moments *moments, struct err *e)
{
    if (compare_modules(c, l, e))
        return e->code;
    if (c->has_start != (l->start != NULL))
        return err_set(e, ERR_MISMATCH, "%s %s a part of the base as its start (lora-init %s), this run %s",
                       c->path, c->has_start ? "took" : "did not take", c->lora_init,
                       l->start ? "does" : "does not");
    for (size_t i = 0; i < ARRAY_COUNT; i++) {
        float *flat = flat_array(l, moments, i);
        if (!flat || (arrays[i].outer && !has_outer(c, &l->layout)))
            continue;
        for (size_t j = 0; j < l->layout.count; j++) {
            struct matrix matrices[2];
            list_matrices(matrices, &l->layout.modules[j]);
            for (int k = 0; k < 2; k++) {
                char path[MODULE_GROUP_SIZE];
                float *values = flat + matrices[k].offset;
                size_t count = matrices[k].shape[0] * matrices[k].shape[1];
                matrix_path(path, arrays[i].group, arrays[i].suffix, &l->layout.modules[j], &matrices[k]);
                if (h5_read(c->file, path, H5_F32, 2, matrices[k].shape, values, e))
                    return e->code;
                if (kern_first_nonfinite(values, count) < count)
                    return err_set(e, ERR_NUMERIC, "%s: %s holds a value that is not finite", c->path, path);
            }
        }
    }
    return ERR_OK;
}
