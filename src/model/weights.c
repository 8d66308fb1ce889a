#include "model/family.h"
#include "model/weights.h"

#include <assert.h>
#include <string.h>

static size_t element_size(const struct weights *w)
{
    return dtype_info(w->type)->block_bytes;
}

static const struct convert_matrix *weights_source(const struct weights *w, size_t layer, size_t linear)
{
    return &w->sources[layer * w->family->module_count + linear];
}

/* A group that is in the file only, by all threads. */
static void expand_group(void *out, const struct weights *w, size_t layer, enum linear_group g)
{
    unsigned char *to = out;
    const struct arch_range range = arch_group(w->family, g);
    for (size_t i = range.first; i < range.end; i++) {
        const struct convert_matrix *source = weights_source(w, layer, i);
        if (source->rows == 0) /* not in this layer */
            continue;
        convert_all(to, w->type, source);
        to += source->rows * source->columns * element_size(w);
    }
}

const void *weights_group(const struct weights *w, size_t layer, enum linear_group g)
{
    if (g == GROUP_HEAD)
        return w->head;
    if (w->layers[layer].weight[g])
        return w->layers[layer].weight[g];
    expand_group(w->scratch, w, layer, g);
    return w->scratch;
}

const void *weights_expert(const struct weights *w, size_t layer, size_t expert, size_t matrix)
{
    size_t at = (layer * w->expert_count + expert) * w->expert_matrices + matrix;
    if (w->experts[at])
        return w->experts[at];
    convert_all(w->scratch, w->type, &w->expert_sources[at]);
    return w->scratch;
}

/* Row `row` of a linear layer in its group; NULL when that is in the file only. */
static const unsigned char *row_of(const struct weights *w, const void *group, const struct arch *a, size_t layer,
                                   size_t linear, size_t row)
{
    if (!group)
        return NULL;
    return (const unsigned char *)group +
           (arch_row_offset(a, layer, linear) + row) * arch_columns(a, layer, linear) * element_size(w);
}

static void read_rows(float *out, const struct weights *w, const void *group, const struct arch *a,
                      size_t layer, size_t linear, size_t first, size_t count)
{
    const unsigned char *rows = row_of(w, group, a, layer, linear, first);
    size_t elements = count * arch_columns(a, layer, linear);
    if (rows) {
        dtype_to_f32(out, w->type, rows, elements);
        return;
    }
    convert_rows(out, DTYPE_F32, weights_source(w, layer, linear), first, count);
    for (size_t i = 0; i < elements && w->type == DTYPE_BF16; i++)
        out[i] = dtype_bf16_to_f32(dtype_f32_to_bf16(out[i]));
}

void weights_read(float *out, const struct weights *w, const struct arch *a, size_t layer, size_t linear,
                  size_t first, size_t count)
{
    enum linear_group g = arch_module(a, linear)->group;
    const void *group = linear == arch_head(a) ? w->head : w->layers[layer].weight[g];
    read_rows(out, w, group, a, layer, linear, first, count);
}

void weights_read_file(float *out, const struct weights *w, const struct arch *a, size_t layer, size_t linear,
                       size_t first, size_t count)
{
    const struct layer_weights *layers = w->file_layers ? w->file_layers : w->layers;
    const void *head = w->file_layers ? w->file_head : w->head;
    enum linear_group g = arch_module(a, linear)->group;
    const void *group = linear == arch_head(a) ? head : layers[layer].weight[g];
    read_rows(out, w, group, a, layer, linear, first, count);
}

static enum err_code keep_file_weights(struct weights *w, const struct arch *a, struct err *e)
{
    if (w->file_layers)
        return ERR_OK;
    w->file_layers = arena_alloc(&w->changed, a->layers, sizeof *w->file_layers, "changed base weights", e);
    if (!w->file_layers)
        return e->code;
    memcpy(w->file_layers, w->layers, a->layers * sizeof *w->layers);
    w->file_head = w->head;
    return ERR_OK;
}

enum err_code weights_change(struct weights *w, const struct arch *a, size_t layer, size_t linear,
                             struct err *e)
{
    enum linear_group g = arch_module(a, linear)->group;
    if (keep_file_weights(w, a, e))
        return e->code;
    bool head = linear == arch_head(a);
    const void **used = head ? &w->head : &w->layers[layer].weight[g];
    const void *file = head ? w->file_head : w->file_layers[layer].weight[g];
    size_t count = arch_group_rows(a, layer, g) * arch_group_columns(a, layer, g);
    if (*used != file)
        return ERR_OK;
    void *copy = arena_alloc(&w->changed, count, element_size(w), "changed base weights", e);
    if (!copy)
        return e->code;
    if (file)
        memcpy(copy, file, count * element_size(w));
    else
        expand_group(copy, w, layer, g);
    *used = copy;
    return ERR_OK;
}

void weights_write(struct weights *w, const struct arch *a, size_t layer, size_t linear, size_t first,
                   size_t count, const float *rows)
{
    enum linear_group g = arch_module(a, linear)->group;
    const void *group = linear == arch_head(a) ? w->head : w->layers[layer].weight[g];
    assert(w->file_layers &&
           group != (linear == arch_head(a) ? w->file_head : w->file_layers[layer].weight[g]));
    /* The copy is this module's own memory. */
    void *out = (void *)(uintptr_t)row_of(w, group, a, layer, linear, first);
    convert_from_f32(out, w->type, rows, count * arch_columns(a, layer, linear));
}

void weights_restore(struct weights *w)
{
    if (!w->file_layers)
        return;
    memcpy(w->layers, w->file_layers, w->layer_count * sizeof *w->layers);
    w->head = w->file_head;
    w->file_layers = NULL;
    w->file_head = NULL;
    arena_release(&w->changed);
}

void weights_release(struct weights *w)
{
    arena_release(&w->changed);
    arena_release(&w->arena);
    *w = (struct weights){0};
}
