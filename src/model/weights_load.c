#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/family.h"
#include "model/weights.h"
#include "weights_convert.h"

/* All tensors are gone through twice: once to check and to count, before memory is taken, and once to lay
 * them out. */
struct loading {
    struct weights *w;
    const struct arch *a;
    const struct store *store;
    const struct weights_options *o;
    unsigned char *memory; /* NULL: the first time */
    size_t used;           /* bytes of it */
    size_t scratch;        /* bytes of the largest group that stays in the file */
    unsigned char *taken;  /* [tensor_count] 1 for each tensor that was used */
    struct task *tasks;    /* [tensor_count] */
    size_t task_count;
    struct err *e;
};

/* How a file has a tensor, where that is not as it is used. */
struct order {
    struct convert_matrix rows; /* only its order */
    size_t stacked; /* so many matrices one after the other, in three dimensions; 0: one matrix */
};

static bool has_shape(const struct store_tensor *t, size_t stacked, size_t rows, size_t columns, bool vector)
{
    if (stacked)
        return t->dims == 3 && t->shape[0] == stacked && t->shape[1] == rows / stacked && t->shape[2] == columns;
    if (vector)
        return (t->dims == 1 && t->shape[0] == columns) || (t->dims == 0 && columns == 1);
    return t->dims == 2 && t->shape[0] == rows && t->shape[1] == columns;
}

static enum err_code misshapen(const struct store_tensor *t, size_t stacked, size_t rows, size_t columns, bool vector,
                               struct err *e)
{
    char shape[STORE_MAX_DIMS * 24] = "", wanted[72];
    for (int i = 0; i < t->dims; i++) {
        size_t used = strlen(shape);
        snprintf(shape + used, sizeof shape - used, i ? ", %" PRIu64 : "%" PRIu64, t->shape[i]);
    }
    if (stacked)
        snprintf(wanted, sizeof wanted, "%zu, %zu, %zu", stacked, rows / stacked, columns);
    else if (vector)
        snprintf(wanted, sizeof wanted, "%zu", columns);
    else
        snprintf(wanted, sizeof wanted, "%zu, %zu", rows, columns);
    return err_set(e, ERR_MISMATCH, "%s: tensor %s is [%s]; the model's configuration makes it [%s]", t->file,
                   t->name, shape, wanted);
}

/* Finds a tensor of this shape. NULL with the error set. */
static struct task *expect(struct loading *l, const char *name, size_t rows, size_t columns, bool vector,
                           struct order order)
{
    const struct store_tensor *t;
    size_t first = order.rows.transposed ? columns : rows, second = order.rows.transposed ? rows : columns;
    if (store_require(&t, l->store, name, l->e))
        return NULL;
    if (!has_shape(t, order.stacked, first, second, vector)) {
        misshapen(t, order.stacked, first, second, vector, l->e);
        return NULL;
    }
    /* A vector is one row, unless its elements are to be permuted as rows. */
    bool column = vector && (order.rows.interleaved_head > 0 || order.rows.sorted.keys > 0);
    struct convert_matrix in = order.rows;
    in.type = t->type;
    in.data = t->data;
    in.rows = column ? columns : rows;
    in.columns = column ? 1 : columns;
    if ((order.rows.transposed ? 1 : in.columns) % dtype_info(t->type)->block_elements != 0) {
        err_set(l->e, ERR_FORMAT, "%s: tensor %s: rows of %zu elements are not whole blocks of type %s",
                t->file, t->name, in.columns, dtype_info(t->type)->name);
        return NULL;
    }
    assert(l->task_count < l->store->tensor_count);
    l->taken[t - l->store->tensors] = 1;
    struct task *task = &l->tasks[l->task_count++];
    *task = (struct task){.t = t, .in = in, .type = vector ? DTYPE_F32 : l->o->type};
    return task;
}

static size_t task_bytes(const struct task *task)
{
    return task->in.rows * task->in.columns * dtype_info(task->type)->block_bytes;
}

/* Matrices that need no change and follow one another in the file are used there. */
static bool usable_in_place(struct task *const *tasks, size_t count)
{
    bool usable = count > 0 && tasks[0]->t->dims > 1;
    for (size_t i = 0; i < count; i++)
        usable = usable && convert_is_copy(tasks[i]->type, &tasks[i]->in) &&
                 (i == 0 || (const char *)tasks[i]->in.data ==
                                (const char *)tasks[i - 1]->in.data + task_bytes(tasks[i - 1]));
    return usable;
}

/* Numbers are as many as arch_read() allows, so this cannot overflow. */
static size_t all_bytes(struct task *const *tasks, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += task_bytes(tasks[i]);
    return bytes;
}

/* Room for some bytes; NULL the first time. */
static enum err_code take(void **room, struct loading *l, size_t bytes)
{
    size_t padded, used = l->used;
    if (__builtin_add_overflow(bytes, (size_t)ARENA_ALIGN - 1, &padded) ||
        __builtin_add_overflow(used, padded - padded % ARENA_ALIGN, &l->used))
        return err_set(l->e, ERR_MEMORY, "the base weights are more bytes than can be addressed");
    *room = l->memory ? l->memory + used : NULL;
    return ERR_OK;
}

/* Lays tensors that follow one another in memory, or uses them where they lie. */
static enum err_code place_tasks(const void **out, struct loading *l, struct task *const *tasks, size_t count)
{
    size_t bytes = all_bytes(tasks, count);
    if (usable_in_place(tasks, count)) {
        *out = tasks[0]->in.data;
        l->w->mapped += bytes;
        return ERR_OK;
    }
    void *room = NULL;
    if (take(&room, l, bytes))
        return l->e->code;
    *out = room;
    for (size_t i = 0, at = 0; i < count && room; at += task_bytes(tasks[i++]))
        tasks[i]->out = (unsigned char *)room + at;
    return ERR_OK;
}

static enum err_code load_vector(struct loading *l, const float **out, size_t layer, enum place place, const char *what,
                                 float offset)
{
    char name[ARCH_NAME_SIZE];
    const void *values;
    arch_norm_tensor(name, l->a, l->store->kind, layer, place, what);
    struct task *task = expect(l, name, 1, arch_norm_width(l->a, layer, place), true, (struct order){0});
    if (task)
        task->offset = offset;
    if (!task || place_tasks(&values, l, &task, 1))
        return l->e->code;
    *out = values;
    return ERR_OK;
}

/* GGUF files have the 1 of an offset added already. */
static enum err_code load_norm(struct loading *l, const float **weight, const float **bias, size_t layer,
                               enum place place)
{
    float offset = l->a->norm_offset && l->store->kind == STORE_HF ? 1 : 0;
    bool has_bias = l->a->norm_bias && place != AT_Q && place != AT_K;
    if (load_vector(l, weight, layer, place, "weight", offset))
        return l->e->code;
    return has_bias ? load_vector(l, bias, layer, place, "bias", 0) : ERR_OK;
}

static enum err_code load_matrix(struct loading *l, const void **out, const char *name, size_t rows,
                                 size_t columns)
{
    struct task *task = expect(l, name, rows, columns, false, (struct order){0});
    return task ? place_tasks(out, l, &task, 1) : l->e->code;
}

static bool is_gguf(const struct loading *l)
{
    return l->store->kind == STORE_GGUF;
}

/* The tensors of a group's linears, in their order; `biases` too if there are any. */
struct group_tasks {
    struct task *weights[ARCH_MODULES], *biases[ARCH_MODULES];
    size_t count;
};

struct convert_matrix weights_order(const struct arch *a, enum store_kind kind, size_t layer, size_t linear)
{
    const unsigned stored = arch_module(a, linear)->stored;
    if (kind == STORE_HF)
        return (struct convert_matrix){.transposed = stored & HF_TRANSPOSED};
    if (stored & GGUF_SORTED)
        return (struct convert_matrix){.sorted = {a->heads, arch_kv_heads(a, layer), arch_head_dim(a, layer)}};
    return (struct convert_matrix){.interleaved_head = stored & GGUF_PAIRED ? arch_head_dim(a, layer) : 0};
}

static enum err_code find_group(struct loading *l, struct group_tasks *found, size_t layer,
                                enum linear_group g, bool has_bias)
{
    const struct arch *a = l->a;
    found->count = 0;
    const struct arch_range range = arch_group(a->family, g);
    for (size_t i = range.first; i < range.end; i++) {
        char name[ARCH_NAME_SIZE];
        size_t rows = arch_rows(a, layer, i);
        if (rows == 0)
            continue;
        size_t n = found->count++;
        struct order order = {.rows = weights_order(a, l->store->kind, layer, i)};
        arch_module_tensor(name, a, l->store->kind, layer, i, "weight");
        found->weights[n] = expect(l, name, rows, arch_columns(a, layer, i), false, order);
        order.rows.transposed = false;
        if (!found->weights[n])
            return l->e->code;
        l->w->sources[layer * arch_head(a) + i] = found->weights[n]->in;
        arch_module_tensor(name, a, l->store->kind, layer, i, "bias");
        found->biases[n] = has_bias ? expect(l, name, 1, rows, true, order) : NULL;
        if (has_bias && !found->biases[n])
            return l->e->code;
        if (has_bias)
            found->biases[n]->scale = a->scale[g];
    }
    return ERR_OK;
}

/* Whether matrices stay in the file although they cannot be used as they are there. They are expanded in so many
 * pieces. */
static bool stays(struct loading *l, struct task *const *tasks, size_t count, size_t pieces)
{
    if (!l->o->keep_file || usable_in_place(tasks, count))
        return false;
    size_t bytes = all_bytes(tasks, count) / pieces;
    l->scratch = bytes > l->scratch ? bytes : l->scratch;
    for (size_t i = 0; i < count; i++)
        l->w->mapped += tasks[i]->t->bytes;
    return true;
}

/* Those of an MLP of experts are not in the table of modules. */
static bool has_modules(const struct arch *a, enum linear_group g)
{
    const struct arch_range range = arch_group(a->family, g);
    return range.end > range.first;
}

static enum err_code load_group(struct loading *l, size_t layer, enum linear_group g)
{
    bool has_bias = l->a->bias[g];
    struct layer_weights *out = &l->w->layers[layer];
    struct group_tasks found;
    const void *bias = NULL;
    if (find_group(l, &found, layer, g, has_bias))
        return l->e->code;
    if (!stays(l, found.weights, found.count, 1) && place_tasks(&out->weight[g], l, found.weights, found.count))
        return l->e->code;
    if (has_bias && place_tasks(&bias, l, found.biases, found.count))
        return l->e->code;
    out->bias[g] = bias;
    return ERR_OK;
}

static enum err_code load_number(struct loading *l, const float **out, const char *name)
{
    const void *value = NULL;
    struct task *task = expect(l, name, 1, 1, true, (struct order){0});
    if (!task || place_tasks(&value, l, &task, 1))
        return l->e->code;
    *out = value;
    return ERR_OK;
}

static enum err_code load_xielu(struct loading *l, size_t layer)
{
    static const char *const names[XIELU_COUNT] = {"alpha_p", "alpha_n", "beta", "eps"};
    for (int i = 0; i < XIELU_COUNT; i++) {
        char name[ARCH_NAME_SIZE];
        arch_xielu_tensor(name, l->a, layer, names[i]);
        if (load_number(l, &l->w->layers[layer].xielu[i], name))
            return l->e->code;
    }
    return ERR_OK;
}

static enum err_code load_block_scale(struct loading *l, size_t layer)
{
    char name[ARCH_NAME_SIZE];
    arch_block_scale_tensor(name, l->a, l->store->kind, layer);
    return load_number(l, &l->w->layers[layer].scale, name);
}

/* ---- experts ---- */

/* A matrix of `count` experts from this one on, which are one tensor. */
static enum err_code load_expert(struct loading *l, size_t layer, size_t expert, size_t matrix, size_t count)
{
    const struct arch *a = l->a;
    struct weights *w = l->w;
    size_t rows = arch_expert_rows(a, matrix), columns = arch_expert_columns(a, matrix);
    size_t stacked = arch_stacks_experts(a, l->store->kind) ? count : 0;
    char name[ARCH_NAME_SIZE];
    arch_expert_tensor(name, a, l->store->kind, layer, expert, matrix);
    struct task *task = expect(l, name, count * rows, columns, false, (struct order){.stacked = stacked});
    const void *all = NULL;
    if (!task || (!stays(l, &task, 1, count) && place_tasks(&all, l, &task, 1)))
        return l->e->code;
    for (size_t i = 0; i < count; i++) {
        size_t at = (layer * a->experts + expert + i) * arch_expert_matrices(a) + matrix;
        w->experts[at] = all ? (const char *)all + i * task_bytes(task) / count : NULL;
        w->expert_sources[at] = task->in;
        w->expert_sources[at].rows = rows;
        w->expert_sources[at].data = (const char *)task->t->data + i * task->t->bytes / count;
    }
    return ERR_OK;
}

static enum err_code load_experts(struct loading *l, size_t layer)
{
    const struct arch *a = l->a;
    char name[ARCH_NAME_SIZE];
    arch_router_tensor(name, a, l->store->kind, layer);
    enum err_code code = load_matrix(l, &l->w->layers[layer].router, name, a->experts, a->width);
    size_t count = arch_stacks_experts(a, l->store->kind) ? a->experts : 1; /* in one tensor */
    for (size_t expert = 0; expert < a->experts && !code; expert += count)
        for (size_t matrix = 0; matrix < arch_expert_matrices(a) && !code; matrix++)
            code = load_expert(l, layer, expert, matrix, count);
    return code;
}

static enum err_code load_layer(struct loading *l, size_t layer)
{
    for (int place = 0; place < AT_FINAL; place++) {
        struct layer_weights *out = &l->w->layers[layer];
        if (place != AT_V && arch_has_norm(l->a, (enum place)place) &&
            load_norm(l, &out->norm[place], &out->norm_bias[place], layer, (enum place)place))
            return l->e->code;
    }
    for (int g = 0; g < GROUP_COUNT; g++)
        if (has_modules(l->a, (enum linear_group)g) && load_group(l, layer, (enum linear_group)g))
            return l->e->code;
    if (arch_has_experts(l->a) && load_experts(l, layer))
        return l->e->code;
    if (l->a->block_scales && load_block_scale(l, layer))
        return l->e->code;
    return arch_has_xielu(l->a) ? load_xielu(l, layer) : ERR_OK;
}

static void head_name(char name[ARCH_NAME_SIZE], const struct loading *l)
{
    arch_module_tensor(name, l->a, l->store->kind, 0, arch_head(l->a), "weight");
}

static enum err_code load_embeddings(struct loading *l)
{
    const struct arch *a = l->a;
    char name[ARCH_NAME_SIZE];
    arch_embedding_tensor(name, a, l->store->kind);
    if (load_matrix(l, &l->w->embedding, name, a->vocab, a->width))
        return l->e->code;
    if (!arch_has_positions(a))
        return ERR_OK;
    arch_positions_tensor(name, a, l->store->kind);
    return load_matrix(l, &l->w->positions, name, a->max_positions, a->width);
}

static enum err_code load_head(struct loading *l)
{
    const struct arch *a = l->a;
    struct weights *w = l->w;
    const void *bias = NULL;
    char name[ARCH_NAME_SIZE];
    head_name(name, l);
    w->head = w->embedding;
    if (!a->tied && load_matrix(l, &w->head, name, a->vocab, a->width))
        return l->e->code;
    if (!a->bias[GROUP_HEAD])
        return ERR_OK;
    arch_module_tensor(name, a, l->store->kind, 0, arch_head(a), "bias");
    struct task *task = expect(l, name, 1, a->vocab, true, (struct order){0});
    if (!task || place_tasks(&bias, l, &task, 1))
        return l->e->code;
    task->scale = a->scale[GROUP_HEAD];
    w->head_bias = bias;
    return ERR_OK;
}

static enum err_code load_outside_blocks(struct loading *l)
{
    if (load_embeddings(l) || load_norm(l, &l->w->norm, &l->w->norm_bias, 0, AT_FINAL))
        return l->e->code;
    return load_head(l);
}

/* A tied head may be in the file once more. One of its own is another model: it was trained, and the
 * configuration is stale. */
static enum err_code check_tied_head(const struct loading *l, const struct store_tensor *head)
{
    char name[ARCH_NAME_SIZE], where[ARCH_WHERE_SIZE];
    arch_embedding_tensor(name, l->a, l->store->kind);
    const struct store_tensor *table = store_find(l->store, name);
    if (table && head->type == table->type && head->bytes == table->bytes &&
        memcmp(head->data, table->data, head->bytes) == 0)
        return ERR_OK;
    arch_where(where, l->a, l->store, offsetof(struct arch, tied));
    return err_set(
        l->e, ERR_MISMATCH,
        "%s: %s is not %s, although the configuration ties them (%s): set this to false if the head "
        "is a separate matrix, or remove the tensor",
        head->file, head->name, name, where);
}

static enum err_code refuse_surplus(const struct loading *l)
{
    char head[ARCH_NAME_SIZE];
    head_name(head, l);
    for (size_t i = 0; i < l->store->tensor_count; i++) {
        const struct store_tensor *t = &l->store->tensors[i];
        if (l->a->tied && !is_gguf(l) && strcmp(t->name, head) == 0) {
            if (!l->memory && check_tied_head(l, t)) /* once is enough */
                return l->e->code;
        } else if (!l->taken[i] && !arch_is_buffer(l->a, l->store->kind, t->name) &&
                   !arch_is_other_part(l->a, t->name))
            return err_set(l->e, ERR_UNSUPPORTED,
                           "%s: tensor %s is not part of a %s model as its configuration has it", t->file,
                           t->name, l->a->family->name);
    }
    return ERR_OK;
}

static enum err_code go_through(struct loading *l)
{
    l->task_count = l->used = l->w->mapped = 0;
    enum err_code code = load_outside_blocks(l);
    for (size_t layer = 0; layer < l->a->layers && !code; layer++)
        code = load_layer(l, layer);
    return code ? code : refuse_surplus(l);
}

static enum err_code begin_experts(struct loading *l)
{
    struct weights *w = l->w;
    w->expert_count = l->a->experts;
    w->expert_matrices = arch_expert_matrices(l->a);
    size_t count = w->expert_count * w->expert_matrices;
    if (count == 0)
        return ERR_OK;
    size_t each = arch_stacks_experts(l->a, l->store->kind) ? w->expert_matrices : count;
    if (each > l->store->tensor_count / l->a->layers)
        return err_set(l->e, ERR_FORMAT, "%s: %zu tensors are too few for %zu experts in each of %zu layers",
                       l->store->path, l->store->tensor_count, w->expert_count, l->a->layers);
    w->experts = arena_alloc(&w->arena, l->a->layers, count * sizeof *w->experts, "base weights", l->e);
    w->expert_sources = arena_alloc(&w->arena, l->a->layers, count * sizeof *w->expert_sources, "base weights", l->e);
    return w->experts && w->expert_sources ? ERR_OK : l->e->code;
}

static enum err_code begin(struct loading *l)
{
    struct weights *w = l->w;
    *w = (struct weights){.type = l->o->type, .layer_count = l->a->layers, .family = l->a->family};
    w->layers = arena_alloc(&w->arena, l->a->layers, sizeof *w->layers, "base weights", l->e);
    w->sources =
        arena_alloc(&w->arena, l->a->layers, arch_head(l->a) * sizeof *w->sources, "base weights", l->e);
    if (!w->layers || !w->sources || begin_experts(l))
        return l->e->code;
    l->taken = calloc(l->store->tensor_count + 1, 1);
    l->tasks = calloc(l->store->tensor_count + 1, sizeof *l->tasks);
    if (!l->taken || !l->tasks)
        return err_set(l->e, ERR_MEMORY, "%s: no memory for %zu tensors", l->store->path,
                       l->store->tensor_count);
    return go_through(l);
}

static void end(struct loading *l, bool failed)
{
    free(l->taken);
    free(l->tasks);
    if (failed)
        weights_release(l->w);
}

enum err_code weights_size(size_t *bytes, const struct arch *a, const struct store *store,
                           const struct weights_options *o, struct err *e)
{
    struct weights w;
    struct loading l = {.w = &w, .a = a, .store = store, .o = o, .e = e};
    enum err_code code = begin(&l);
    *bytes = l.used;
    end(&l, true);
    return code;
}

enum err_code weights_locate(struct weights *w, const struct arch *a, const struct store *store, struct err *e)
{
    static const struct weights_options options = {.type = DTYPE_F32, .keep_file = true};
    struct loading l = {.w = w, .a = a, .store = store, .o = &options, .e = e};
    enum err_code code = begin(&l);
    end(&l, code != ERR_OK);
    return code;
}

enum err_code weights_load(struct weights *w, const struct arch *a, const struct store *store,
                           const struct weights_options *o, struct err *e)
{
    return weights_load_at(w, a, store, o, NULL, e);
}

/* The second time. */
static enum err_code lay_out(struct loading *l, const struct weights_place *at)
{
    struct weights *w = l->w;
    if (at)
        w->placed = l->used;
    l->memory = at ? at->memory : arena_alloc(&w->arena, l->used, 1, "base weights", l->e);
    w->scratch = l->scratch ? arena_alloc(&w->arena, l->scratch, 1, "base weights", l->e) : NULL;
    if ((!l->memory && l->used) || (!w->scratch && l->scratch))
        return l->e->code;
    return go_through(l);
}

enum err_code weights_load_at(struct weights *w, const struct arch *a, const struct store *store,
                              const struct weights_options *o, const struct weights_place *at, struct err *e)
{
    struct loading l = {.w = w, .a = a, .store = store, .o = o, .e = e};
    enum err_code code = begin(&l);
    if (!code)
        code = lay_out(&l, at);
    if (!code && !(at && at->filled)) {
        code = weights_convert(l.tasks, l.task_count, store, e);
        for (size_t i = 0; i < store->tensor_count; i++)
            if (!l.taken[i])
                store_forget(store, &store->tensors[i]);
    }
    end(&l, code != ERR_OK);
    return code;
}
