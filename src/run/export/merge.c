#include "merge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/parallel.h"
#include "model/lora_init.h"

enum {
    ROWS = 16,                     /* that a thread merges at a time */
    COLUMNS = 512,                 /* whose sums stay in the nearest cache */
    BLOCK_BYTES = 16 * 1024 * 1024 /* of rows that are merged before they are put in their places */
};
#define COPY_BYTES ((size_t)8 * 1024 * 1024)

enum err_code merge_open(struct merge *m, const struct export_job *job, struct err *e)
{
    const struct arch *a = job->arch;
    char name[ARCH_NAME_SIZE];
    *m = (struct merge){.job = job};
    if (weights_locate(&m->at, a, job->store, e))
        return e->code;
    arch_module_tensor(name, a, job->store->kind, 0, arch_head(a), "weight");
    const struct store_tensor *head = store_find(job->store, name);
    if (head)
        m->head = (struct convert_matrix){
            .type = head->type, .data = head->data, .rows = a->vocab, .columns = a->width};
    return job->lora->start ? lora_widen(&m->wide, job->lora, a, e) : ERR_OK;
}

void merge_close(struct merge *m)
{
    lora_release(&m->wide);
    weights_release(&m->at);
}

static const struct lora *adapter_of(const struct merge *m)
{
    return m->job->lora->start ? &m->wide : m->job->lora;
}

const struct lora_module *merge_module(struct convert_matrix *matrix, const struct merge *m,
                                       const struct store_tensor *t)
{
    const struct lora_layout *l = &adapter_of(m)->layout;
    const size_t head = arch_head(m->job->arch);
    for (size_t i = 0; i < l->count; i++) {
        const struct lora_module *module = &l->modules[i];
        *matrix = module->linear == head ? m->head : m->at.sources[module->layer * head + module->linear];
        if (matrix->data == t->data)
            return module;
    }
    return NULL;
}

enum dtype merge_type(const struct merge *m, const struct store_tensor *t)
{
    struct convert_matrix matrix;
    if (!merge_module(&matrix, m, t))
        return t->type;
    switch (m->job->save_dtype) {
    case SAVE_F32:
        return DTYPE_F32;
    case SAVE_F16:
        return DTYPE_F16;
    case SAVE_BF16:
        return DTYPE_BF16;
    case SAVE_OWN:
        break;
    }
    return dtype_info(t->type)->block_elements > 1 ? DTYPE_F16 : t->type;
}

/* Some rows of one matrix. */
struct rows {
    const struct lora *l;
    const struct lora_module *module;
    enum dtype type;
    size_t first, count; /* of the module's rows */
    float *base;         /* [count, in] W; afterwards, in the same place, merged numbers of the type */
    bool *infinite;      /* [pieces of ROWS rows] */
};

static bool is_finite(const void *numbers, enum dtype type, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float x;
        dtype_to_f32(&x, type, (const char *)numbers + i * dtype_info(type)->block_bytes, 1);
        if (!isfinite(x))
            return false;
    }
    return true;
}

/* Numbers of the type are no wider than those of W that they replace. */
static bool merge_tile(void *out, const struct rows *r, const float *W, size_t row, size_t column, size_t count)
{
    const struct lora_module *m = r->module;
    const float *A = r->l->params + m->a + column, *B = r->l->params + m->b + row * m->rank;
    double sums[COLUMNS] = {0};
    for (size_t k = 0; k < m->rank; k++) {
        const double b = (double)B[k];
        const float *a = A + k * m->in;
        for (size_t i = 0; i < count; i++)
            sums[i] += b * (double)a[i];
    }
    for (size_t i = 0; i < count; i++)
        sums[i] = (double)W[i] + (double)m->scaling * sums[i];
    dtype_from_f64(out, r->type, sums, count);
    return is_finite(out, r->type, count);
}

static void merge_rows(void *context, size_t piece)
{
    struct rows *r = context;
    const size_t in = r->module->in, size = dtype_info(r->type)->block_bytes;
    for (size_t i = piece * ROWS; i < r->count && i < (piece + 1) * ROWS; i++)
        for (size_t column = 0; column < in; column += COLUMNS) {
            const size_t count = in - column < COLUMNS ? in - column : COLUMNS;
            float *W = r->base + i * in;
            if (!merge_tile((char *)W + column * size, r, W + column, r->first + i, column, count))
                r->infinite[piece] = true;
        }
}

/* All rows of the module into `out`, in the order of the file. */
static enum err_code merge_matrix(void *out, const struct merge *m, const struct lora_module *module,
                                  const struct convert_matrix *matrix, enum dtype type, struct err *e)
{
    struct arena arena = {0};
    const size_t fit = BLOCK_BYTES / (module->in * sizeof(float)) / ROWS * ROWS, most = fit > ROWS ? fit : ROWS;
    struct rows r = {.l = adapter_of(m), .module = module, .type = type};
    r.base = arena_alloc(&arena, most, module->in * sizeof *r.base, "rows to merge", e);
    r.infinite = arena_alloc(&arena, most / ROWS, sizeof *r.infinite, "rows to merge", e);
    enum err_code code = r.base && r.infinite ? ERR_OK : e->code;
    for (r.first = 0; !code && r.first < module->out; r.first += r.count) {
        r.count = module->out - r.first < most ? module->out - r.first : most;
        convert_rows(r.base, DTYPE_F32, matrix, r.first, r.count);
        parallel_each((r.count + ROWS - 1) / ROWS, merge_rows, &r);
        /* The rows are as far from each other as those of W were. */
        for (size_t i = 0; i < r.count; i++)
            convert_put_rows(out, type, matrix, r.first + i, 1, r.base + i * module->in);
        for (size_t i = 0; !code && i < (r.count + ROWS - 1) / ROWS; i++)
            if (r.infinite[i])
                code = err_set(e, ERR_NUMERIC, "%s: a merged weight is not finite in %s: %s", module->path,
                               dtype_info(type)->name,
                               type == DTYPE_F16 ? "give --save-dtype bf16 or f32" : "base or adapter are damaged");
    }
    arena_release(&arena);
    return code;
}

static const struct file_map *map_of(const struct merge *m, const struct store_tensor *t)
{
    for (size_t i = 0; i < m->job->store->file_count; i++)
        if (!strcmp(m->job->store->files[i].path, t->file))
            return &m->job->store->files[i].map;
    return NULL;
}

enum err_code merge_copy(const struct file_out *f, const struct file_map *map, const unsigned char *bytes,
                         size_t length, struct err *e)
{
    for (size_t done = 0, count; done < length; done += count) {
        count = length - done < COPY_BYTES ? length - done : COPY_BYTES;
        if (file_out_put(f, bytes + done, count, e))
            return e->code;
        if (map)
            file_map_drop(map, bytes + done, count);
    }
    return ERR_OK;
}

enum err_code merge_put(const struct file_out *f, const struct merge *m, const struct store_tensor *t, struct err *e)
{
    struct convert_matrix matrix;
    const struct lora_module *module = merge_module(&matrix, m, t);
    if (!module)
        return merge_copy(f, map_of(m, t), t->data, t->bytes, e);
    const enum dtype type = merge_type(m, t);
    const size_t bytes = t->elements * dtype_info(type)->block_bytes;
    void *merged = malloc(bytes);
    if (!merged)
        return err_set(e, ERR_MEMORY, "no memory for the %zu bytes of %s", bytes, module->path);
    enum err_code code = merge_matrix(merged, m, module, &matrix, type, e);
    if (!code)
        code = file_out_put(f, merged, bytes, e);
    free(merged);
    store_forget(m->job->store, t);
    return code;
}
