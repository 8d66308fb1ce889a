#include "model/arch.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "model/family.h"

size_t arch_head(const struct arch *a)
{
    return a->family->module_count;
}

const struct module *arch_module(const struct arch *a, size_t linear)
{
    return &a->family->modules[linear];
}

struct arch_range arch_group(const struct family *f, enum linear_group g)
{
    struct arch_range range = {0};
    while (f->modules[range.first].group < g)
        range.first++;
    range.end = range.first;
    while (range.end <= f->module_count && f->modules[range.end].group == g)
        range.end++;
    return range;
}

size_t arch_kv_heads(const struct arch *a, size_t layer)
{
    size_t own = arch_kind(a, layer)->kv_heads;
    return own ? own : a->kv_heads;
}

size_t arch_kind_head_dim(const struct arch *a, size_t kind)
{
    size_t own = a->kinds[kind].head_dim;
    return own ? own : a->head_dim;
}

size_t arch_head_dim(const struct arch *a, size_t layer)
{
    return arch_kind_head_dim(a, a->kind_of[layer]);
}

size_t arch_qkv_columns(const struct arch *a, size_t layer)
{
    return (a->heads + 2 * arch_kv_heads(a, layer)) * arch_head_dim(a, layer);
}

size_t arch_key_column(const struct arch *a, size_t layer)
{
    return a->heads * arch_head_dim(a, layer);
}

size_t arch_value_column(const struct arch *a, size_t layer)
{
    return (a->heads + arch_kv_heads(a, layer)) * arch_head_dim(a, layer);
}

static size_t rows_of(const struct arch *a, size_t layer, const struct module *m)
{
    switch (m->rows) {
    case ROWS_WIDTH:
        return a->width;
    case ROWS_QUERIES:
        return a->heads * arch_head_dim(a, layer);
    case ROWS_KEYS:
        return arch_kv_heads(a, layer) * arch_head_dim(a, layer);
    case ROWS_VALUES:
        return arch_kind(a, layer)->values_are_keys ? 0 : arch_kv_heads(a, layer) * arch_head_dim(a, layer);
    case ROWS_ATTENTION:
        return arch_qkv_columns(a, layer);
    case ROWS_FFN:
        return a->ffn;
    case ROWS_GATED:
        return 2 * a->ffn;
    case ROWS_VOCAB:
        break;
    }
    return a->vocab;
}

size_t arch_rows(const struct arch *a, size_t layer, size_t linear)
{
    return rows_of(a, layer, arch_module(a, linear));
}

size_t arch_columns(const struct arch *a, size_t layer, size_t linear)
{
    return arch_group_columns(a, layer, arch_module(a, linear)->group);
}

size_t arch_group_rows(const struct arch *a, size_t layer, enum linear_group g)
{
    struct arch_range range = arch_group(a->family, g);
    size_t rows = 0;
    for (size_t i = range.first; i < range.end; i++)
        rows += arch_rows(a, layer, i);
    for (size_t i = 0; i < arch_expert_matrices(a); i++)
        rows += arch_expert_module(a, i)->group == g ? arch_expert_rows(a, i) : 0;
    return rows;
}

size_t arch_group_columns(const struct arch *a, size_t layer, enum linear_group g)
{
    if (g == GROUP_ATTN_OUT)
        return a->heads * arch_head_dim(a, layer);
    return g == GROUP_MLP_OUT ? a->ffn : a->width;
}

size_t arch_row_offset(const struct arch *a, size_t layer, size_t linear)
{
    size_t rows = 0;
    for (size_t i = arch_group(a->family, arch_module(a, linear)->group).first; i < linear; i++)
        rows += arch_rows(a, layer, i);
    return rows;
}

const char *arch_gguf_name(const struct arch *a)
{
    const char *name = a->wrapper && a->wrapper->gguf ? a->wrapper->gguf : a->family->gguf_adapter;
    return name ? name : a->family->gguf;
}

size_t arch_slots(const struct arch *a)
{
    return a->layers * arch_head(a) + 1;
}

size_t arch_slot_linear(const struct arch *a, size_t slot)
{
    return slot == a->layers * arch_head(a) ? arch_head(a) : slot % arch_head(a);
}

size_t arch_slot_layer(const struct arch *a, size_t slot)
{
    return slot == a->layers * arch_head(a) ? 0 : slot / arch_head(a);
}

bool arch_has_slot(const struct arch *a, size_t slot)
{
    return arch_rows(a, arch_slot_layer(a, slot), arch_slot_linear(a, slot)) > 0;
}

bool arch_has_norm(const struct arch *a, enum place place)
{
    return place == AT_V ? a->normed_values : a->family->vectors[place].path != NULL;
}

size_t arch_norm_width(const struct arch *a, size_t layer, enum place place)
{
    if (!arch_has_norm(a, place))
        return 0;
    if (place != AT_Q && place != AT_K && place != AT_V)
        return a->width;
    size_t heads = place == AT_Q ? a->heads : arch_kv_heads(a, layer);
    return (a->wide_norms && place != AT_V ? heads : 1) * arch_head_dim(a, layer);
}

bool arch_has_experts(const struct arch *a)
{
    return a->family->experts != NULL;
}

size_t arch_expert_matrices(const struct arch *a)
{
    return arch_has_experts(a) ? a->family->experts->module_count : 0;
}

bool arch_stacks_experts(const struct arch *a, enum store_kind kind)
{
    return kind == STORE_GGUF || a->family->experts->stacked;
}

const struct module *arch_expert_module(const struct arch *a, size_t matrix)
{
    return &a->family->experts->modules[matrix];
}

size_t arch_expert_rows(const struct arch *a, size_t matrix)
{
    return rows_of(a, 0, arch_expert_module(a, matrix));
}

size_t arch_expert_columns(const struct arch *a, size_t matrix)
{
    return arch_group_columns(a, 0, arch_expert_module(a, matrix)->group);
}

size_t arch_mlp_rows(const struct arch *a)
{
    return arch_has_experts(a) ? a->experts_a_token : 1;
}

bool arch_is_gated(const struct arch *a)
{
    return arch_group_rows(a, 0, GROUP_MLP_IN) > a->ffn;
}

const struct layer_kind *arch_kind(const struct arch *a, size_t layer)
{
    return &a->kinds[a->kind_of[layer]];
}

size_t arch_short_positions(const struct arch *a)
{
    return a->rotations[0].type == ROTATION_LONGROPE ? (size_t)a->rotations[0].original_positions : 0;
}

size_t arch_rotation_count(const struct arch *a)
{
    size_t count = arch_short_positions(a) ? 2 : 0;
    for (size_t layer = 0; layer < a->layers; layer++)
        count = arch_kind(a, layer)->rotation + 1 > count ? arch_kind(a, layer)->rotation + 1 : count;
    return count;
}

size_t arch_most_rotated(const struct arch *a)
{
    size_t most = 0;
    for (size_t i = 0; i < arch_rotation_count(a); i++)
        most = a->rotations[i].rotated > most ? a->rotations[i].rotated : most;
    return most;
}

static const struct wrapper_names *path_names(const struct arch *a)
{
    return a->wrapper ? &a->wrapper->names[0] : NULL;
}

/* GGUF files have the decoder alone. */
static const struct wrapper_names *tensor_names(const struct arch *a, enum store_kind kind)
{
    static const struct wrapper_names without = {"", ""};
    if (kind == STORE_GGUF)
        return NULL;
    if (a->wrapper)
        return &a->wrapper->names[a->spelling];
    return a->spelling ? &without : NULL;
}

/* A name of the family as a wrapper has it: what stands in front, and from where on the name follows. */
static const char *wrapped(const char **front, const struct arch *a, const struct wrapper_names *w, const char *name)
{
    const char *layers = a->family->names[STORE_HF].layers;
    size_t word = strcspn(layers, ".");
    bool inside = strncmp(name, layers, word) == 0 && name[word] == '.';
    *front = !w ? "" : inside ? w->model : w->head;
    return w && inside ? name + word + (w->model[0] ? 0 : 1) : name;
}

/* `what` ends a name, after a dot; "": nothing does. */
static void outer_name(char *name, size_t size, const struct arch *a, const struct wrapper_names *w, const char *part,
                       const char *what)
{
    const char *front, *rest = wrapped(&front, a, w, part);
    snprintf(name, size, "%s%s%s%s", front, rest, what[0] ? "." : "", what);
}

static void block_name(char *name, size_t size, const struct arch *a, enum store_kind kind,
                       const struct wrapper_names *w, size_t layer, const char *part, const char *what)
{
    const char *front, *rest = wrapped(&front, a, w, a->family->names[kind].layers);
    snprintf(name, size, "%s%s.%zu.%s%s%s", front, rest, layer, part, what[0] ? "." : "", what);
}

static void module_path(char path[ARCH_PATH_SIZE], const struct arch *a, const struct wrapper_names *w, size_t layer,
                        size_t linear)
{
    const char *part = arch_module(a, linear)->path;
    if (linear == arch_head(a))
        outer_name(path, ARCH_PATH_SIZE, a, w, part, "");
    else
        block_name(path, ARCH_PATH_SIZE, a, STORE_HF, w, layer, part, "");
}

void arch_module_path(char path[ARCH_PATH_SIZE], const struct arch *a, size_t layer, size_t linear)
{
    module_path(path, a, path_names(a), layer, linear);
}

void arch_module_alias(char path[ARCH_PATH_SIZE], const struct arch *a, size_t alias, size_t layer, size_t linear)
{
    const struct wrapper *w = a->wrapper ? a->wrapper : &wrappers[0];
    const struct wrapper_names *const names[ARCH_ALIASES] = {path_names(a), NULL, &w->names[0], &w->names[1]};
    module_path(path, a, names[alias], layer, linear);
}

void arch_norm_path(char path[ARCH_PATH_SIZE], const struct arch *a, size_t layer, enum place place)
{
    const char *part = a->family->vectors[place].path;
    if (place == AT_FINAL)
        outer_name(path, ARCH_PATH_SIZE, a, path_names(a), part, "");
    else
        block_name(path, ARCH_PATH_SIZE, a, STORE_HF, path_names(a), layer, part, "");
}

void arch_between_path(char path[ARCH_PATH_SIZE], const struct arch *a, size_t layer, enum linear_group out)
{
    const struct family_names *names = &a->family->names[STORE_HF];
    block_name(path, ARCH_PATH_SIZE, a, STORE_HF, path_names(a), layer,
               out == GROUP_ATTN_OUT ? names->attention : names->activation, "");
}

void arch_embedding_path(char path[ARCH_PATH_SIZE], const struct arch *a)
{
    outer_name(path, ARCH_PATH_SIZE, a, path_names(a), a->family->names[STORE_HF].embedding, "");
}

void arch_experts_path(char path[ARCH_PATH_SIZE], const struct arch *a, size_t layer)
{
    block_name(path, ARCH_PATH_SIZE, a, STORE_HF, path_names(a), layer, a->family->experts->path, "");
}

void arch_router_path(char path[ARCH_PATH_SIZE], const struct arch *a, size_t layer)
{
    block_name(path, ARCH_PATH_SIZE, a, STORE_HF, path_names(a), layer, a->family->experts->router, "");
}

static void expert_part(char part[ARCH_PATH_SIZE], const struct arch *a, size_t expert, size_t matrix)
{
    const char *name = arch_expert_module(a, matrix)->path;
    if (a->family->experts->stacked)
        snprintf(part, ARCH_PATH_SIZE, "%s", name);
    else
        snprintf(part, ARCH_PATH_SIZE, "%s.%zu.%s", a->family->experts->path, expert, name);
}

void arch_expert_path(char path[ARCH_NAME_SIZE], const struct arch *a, size_t layer, size_t expert, size_t matrix)
{
    char part[ARCH_PATH_SIZE];
    expert_part(part, a, expert, matrix);
    block_name(path, ARCH_NAME_SIZE, a, STORE_HF, path_names(a), layer, part, "");
}

void arch_expert_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, enum store_kind kind, size_t layer,
                        size_t expert, size_t matrix)
{
    char part[ARCH_PATH_SIZE];
    expert_part(part, a, expert, matrix);
    block_name(name, ARCH_NAME_SIZE, a, kind, tensor_names(a, kind), layer,
               kind == STORE_GGUF ? arch_expert_module(a, matrix)->gguf : part, "weight");
}

void arch_router_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, enum store_kind kind, size_t layer)
{
    const struct family_experts *x = a->family->experts;
    block_name(name, ARCH_NAME_SIZE, a, kind, tensor_names(a, kind), layer,
               kind == STORE_GGUF ? x->router_gguf : x->router,
               "weight");
}

void arch_module_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, enum store_kind kind, size_t layer,
                        size_t linear, const char *what)
{
    const struct module *m = arch_module(a, linear);
    const char *part = kind == STORE_GGUF ? m->gguf : m->path;
    if (linear == arch_head(a) && a->old_head && kind == STORE_HF)
        part = a->family->names[kind].old_head;
    if (linear == arch_head(a))
        outer_name(name, ARCH_NAME_SIZE, a, tensor_names(a, kind), part, what);
    else
        block_name(name, ARCH_NAME_SIZE, a, kind, tensor_names(a, kind), layer, part, what);
}

void arch_norm_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, enum store_kind kind, size_t layer,
                      enum place place, const char *what)
{
    const struct family_vector *v = &a->family->vectors[place];
    const char *part = kind == STORE_GGUF ? v->gguf : v->path;
    if (place == AT_FINAL)
        outer_name(name, ARCH_NAME_SIZE, a, tensor_names(a, kind), part, what);
    else
        block_name(name, ARCH_NAME_SIZE, a, kind, tensor_names(a, kind), layer, part, what);
}

void arch_embedding_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, enum store_kind kind)
{
    outer_name(name, ARCH_NAME_SIZE, a, tensor_names(a, kind), a->family->names[kind].embedding, "weight");
}

bool arch_has_positions(const struct arch *a)
{
    return a->family->names[STORE_HF].positions != NULL;
}

void arch_positions_path(char path[ARCH_PATH_SIZE], const struct arch *a)
{
    outer_name(path, ARCH_PATH_SIZE, a, path_names(a), a->family->names[STORE_HF].positions, "");
}

void arch_positions_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, enum store_kind kind)
{
    outer_name(name, ARCH_NAME_SIZE, a, tensor_names(a, kind), a->family->names[kind].positions, "weight");
}

bool arch_has_xielu(const struct arch *a)
{
    return a->activation == ACT_XIELU;
}

void arch_xielu_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, size_t layer, const char *what)
{
    block_name(name, ARCH_NAME_SIZE, a, STORE_HF, tensor_names(a, STORE_HF), layer, a->family->names[STORE_HF].xielu,
               what);
}

void arch_block_scale_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, enum store_kind kind, size_t layer)
{
    block_name(name, ARCH_NAME_SIZE, a, kind, tensor_names(a, kind), layer, a->family->names[kind].block_scale,
               kind == STORE_GGUF ? "weight" : "");
}

bool arch_is_buffer(const struct arch *a, enum store_kind kind, const char *name)
{
    const struct family_names *names = &a->family->names[kind];
    bool is = names->divisors && strcmp(name, names->divisors) == 0;
    for (int i = 0; i < 2; i++)
        is |= names->longrope[i] && strcmp(name, names->longrope[i]) == 0;
    for (const char *const *end = names->buffers; end && *end; end++)
        is |= str_ends_with(name, *end);
    return is;
}

bool arch_is_other_part(const struct arch *a, const char *name)
{
    return a->wrapper && str_starts_with_any(name, a->wrapper->others);
}

static uint64_t layer_parameters(const struct arch *a, size_t layer)
{
    uint64_t count = arch_has_xielu(a) ? 2 : 0;
    for (int place = 0; place < AT_FINAL; place++)
        count += place == AT_V ? 0 : arch_norm_width(a, layer, (enum place)place) * (a->norm_bias ? 2 : 1);
    for (size_t i = 0; i < arch_head(a); i++)
        count += (uint64_t)arch_rows(a, layer, i) * (arch_columns(a, layer, i) + a->bias[arch_module(a, i)->group]);
    for (size_t i = 0; i < arch_expert_matrices(a); i++)
        count += (uint64_t)a->experts * arch_expert_rows(a, i) * arch_expert_columns(a, i);
    return count + (uint64_t)a->experts * a->width; /* the router */
}

uint64_t arch_parameters(const struct arch *a)
{
    uint64_t blocks = 0;
    for (size_t layer = 0; layer < a->layers; layer++)
        blocks += layer_parameters(a, layer);
    uint64_t table = (uint64_t)a->vocab * a->width;
    uint64_t positions = arch_has_positions(a) ? (uint64_t)a->max_positions * a->width : 0;
    return blocks + a->width * (a->norm_bias ? 2 : 1) + (a->tied ? table : 2 * table) +
           (a->bias[GROUP_HEAD] ? a->vocab : 0) + positions;
}
