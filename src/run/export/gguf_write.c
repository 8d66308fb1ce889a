#include <libgen.h>
#include <limits.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/file.h"
#include "io/store/store.h"
#include "math/convert.h"
#include "model/family.h"
#include "model/lora_init.h"
#include "model/weights.h"
#include "run/export/gguf_adapter.h"
#include "run/export/gguf_names.h"

/* The alpha of the file: that of the first module that has an effect. */
static double common_alpha(const struct lora_layout *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (lora_alpha(&l->modules[i], false) != 0)
            return lora_alpha(&l->modules[i], false);
    return 1;
}

/* B [out, rank], times `factor`, in the order of a model's GGUF file. */
static const float *order_b(struct arena *arena, const struct lora *l, const struct lora_module *m,
                            const struct arch *a, double factor, struct err *e)
{
    const size_t count = m->out * m->rank;
    float *b = arena_alloc(arena, count, 2 * sizeof *b, "B of a module", e), *ordered = b ? b + count : NULL;
    if (!b)
        return NULL;
    for (size_t i = 0; i < count; i++)
        b[i] = (float)(factor * (double)l->params[m->b + i]);
    struct convert_matrix order = weights_order(a, STORE_GGUF, m->layer, m->linear);
    order.rows = m->out;
    order.columns = m->rank;
    convert_put_rows(ordered, DTYPE_F32, &order, 0, m->out, b);
    return ordered;
}

static enum err_code fill_pair(struct store_output pair[2], struct arena *arena, const struct lora *l,
                               const struct lora_module *m, const struct arch *a, double alpha, struct err *e)
{
    char *names = arena_alloc(arena, 2, ARCH_NAME_SIZE, "names of tensors", e);
    const float *b = names ? order_b(arena, l, m, a, lora_alpha(m, false) / alpha, e) : NULL;
    if (!b)
        return e->code;
    gguf_adapter_tensor(names, a, m->layer, m->linear, false);
    gguf_adapter_tensor(names + ARCH_NAME_SIZE, a, m->layer, m->linear, true);
    pair[0] = (struct store_output){.name = names, .shape = {m->rank, m->in}, .data = l->params + m->a};
    pair[1] = (struct store_output){.name = names + ARCH_NAME_SIZE, .shape = {m->out, m->rank}, .data = b};
    return ERR_OK;
}

static enum err_code write_file(const char *path, const struct lora *l, const struct arch *a,
                                const struct export_notes *notes, struct err *e)
{
    enum { OWN_KEYS = 5 };
    const double alpha = common_alpha(&l->layout);
    struct store_key keys[OWN_KEYS + EXPORT_NOTES] = {{GGUF_TYPE_KEY, GGUF_ADAPTER, 0},
                                                      {GGUF_ARCHITECTURE_KEY, arch_gguf_name(a), 0},
                                                      {GGUF_NAME_KEY, notes->name, 0},
                                                      {GGUF_ADAPTER_TYPE_KEY, GGUF_LORA, 0},
                                                      {GGUF_ALPHA_KEY, NULL, (float)alpha}};
    size_t notes_count;
    struct arena arena = {0};
    enum err_code code = export_put_notes(keys + OWN_KEYS, &notes_count, notes, &arena, e);
    struct store_output *tensors =
        code ? NULL : arena_alloc(&arena, 2 * l->layout.count, sizeof *tensors, "tensors to export", e);
    if (!tensors) {
        arena_release(&arena);
        return e->code;
    }
    for (size_t i = 0; i < l->layout.count && !code; i++)
        code = fill_pair(&tensors[2 * i], &arena, l, &l->layout.modules[i], a, (float)alpha, e);
    if (!code)
        code = store_write_gguf(path, keys, OWN_KEYS + notes_count, tensors, 2 * l->layout.count, e);
    arena_release(&arena);
    return code;
}

static enum err_code make_place(const char *path, struct err *e)
{
    char folder[PATH_MAX];
    if (file_is_folder(path))
        return err_set(e, ERR_USAGE, "%s is a folder; an adapter for llama.cpp is one file, so name a file",
                       path);
    if ((size_t)snprintf(folder, sizeof folder, "%s", path) >= sizeof folder)
        return err_set(e, ERR_USAGE, "%s: this path is too long", path);
    return file_make_folders(dirname(folder), e);
}

enum err_code gguf_adapter_write(const char *path, const struct lora *l, const struct arch *a,
                                 const struct export_notes *notes, struct err *e)
{
    struct lora wide;
    if (!arch_gguf_name(a))
        return err_set(e, ERR_UNSUPPORTED,
                       "models of type %s: how llama.cpp names their tensors is not known here, so "
                       "there is no adapter for it",
                       a->family->name);
    if (make_place(path, e))
        return e->code;
    if (!l->start)
        return write_file(path, l, a, notes, e);
    if (lora_widen(&wide, l, a, e))
        return e->code;
    enum err_code code = write_file(path, &wide, a, notes, e);
    lora_release(&wide);
    return code;
}
