#include <limits.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "io/store/store.h"
#include "math/kern.h"
#include "peft_config.h"
#include "run/export/peft.h"

/* Has any module its A under these names? */
static bool has_names(const struct store *store, const struct arch *a, const struct peft_names *names)
{
    for (size_t slot = 0; slot < arch_slots(a); slot++) {
        char path[ARCH_PATH_SIZE], name[PEFT_NAME_SIZE];
        arch_module_alias(path, a, names->alias, arch_slot_layer(a, slot), arch_slot_linear(a, slot));
        peft_tensor_name(name, names, path, false);
        if (store_find(store, name))
            return true;
    }
    return false;
}

/* Under which names the file has its tensors; those of PEFT if there are none of a module. */
static struct peft_names find_names(const struct store *store, const struct arch *a)
{
    static const char *const prefixes[] = {PEFT_PREFIX, ""};
    for (size_t alias = 0; alias < ARCH_ALIASES; alias++)
        for (int i = 0; i < 4; i++) {
            const struct peft_names names = {prefixes[i / 2], i % 2 != 0, alias};
            if (has_names(store, a, &names))
                return names;
        }
    return peft_names;
}

/* The tensors of a folder, on their way into an adapter. */
struct reading {
    struct lora *l;
    const struct arch *a;
    const struct store *store;
    struct peft_names names;
};

static void tensor_name(char name[PEFT_NAME_SIZE], const struct reading *r, const struct lora_module *m, bool b)
{
    char path[ARCH_PATH_SIZE];
    arch_module_alias(path, r->a, r->names.alias, m->layer, m->linear);
    peft_tensor_name(name, &r->names, path, b);
}

static enum err_code read_tensor(const struct reading *r, const struct lora_module *m, bool b, struct err *e)
{
    const struct store *store = r->store;
    char name[PEFT_NAME_SIZE];
    const struct store_tensor *t;
    tensor_name(name, r, m, b);
    if (store_require(&t, store, name, e))
        return e->code;
    size_t rows = b ? m->out : m->rank, columns = b ? m->rank : m->in;
    if (t->dims != 2 || t->shape[0] != rows || t->shape[1] != columns)
        return err_set(e, ERR_MISMATCH,
                       "%s: %s should have the shape [%zu, %zu] for this model and " PEFT_CONFIG
                       ", but has %d "
                       "dimensions, the first two [%llu, %llu]",
                       store->path, name, rows, columns, t->dims, (unsigned long long)t->shape[0],
                       t->dims > 1 ? (unsigned long long)t->shape[1] : 1ULL);
    if (t->type != DTYPE_F32 && t->type != DTYPE_BF16 && t->type != DTYPE_F16)
        return err_set(e, ERR_UNSUPPORTED, "%s: %s has the type %s; f32, bf16 and f16 can be read",
                       store->path, name, dtype_info(t->type)->name);
    float *values = r->l->params + (b ? m->b : m->a);
    dtype_to_f32(values, t->type, t->data, rows * columns);
    size_t bad = kern_first_nonfinite(values, rows * columns);
    if (bad < rows * columns)
        return err_set(e, ERR_NUMERIC, "%s: %s holds a value that is not finite at [%zu, %zu]", store->path,
                       name, bad / columns, bad % columns);
    return ERR_OK;
}

/* Does the name belong to a module of the adapter? */
static bool is_expected(const struct reading *r, const char *tensor)
{
    char name[PEFT_NAME_SIZE];
    for (size_t i = 0; i < 2 * r->l->layout.count; i++) {
        tensor_name(name, r, &r->l->layout.modules[i / 2], i % 2);
        if (strcmp(name, tensor) == 0)
            return true;
    }
    return false;
}

static float round_to(enum dtype type, float x)
{
    if (type == DTYPE_BF16)
        return dtype_bf16_to_f32(dtype_f32_to_bf16(x));
    return type == DTYPE_F16 ? dtype_f16_to_f32(dtype_f32_to_f16(x)) : x;
}

/* An adapter of lm_head makes PEFT save the base's head beside it. A copy, in the type that the base had
 * there or has here, changes nothing; a trained or resized head would. */
static enum err_code check_head(const struct store_tensor *t, const struct arch *a,
                                const struct weights *base, const char *path, struct err *e)
{
    bool same = base && t->data && t->dims == 2 && t->shape[0] == a->vocab && t->shape[1] == a->width;
    size_t row_bytes = same ? t->bytes / a->vocab : 0;
    struct arena arena = {0};
    float *rows = arena_alloc(&arena, a->width, 2 * sizeof *rows, "rows of the head", e),
          *own = rows + a->width;
    if (!rows)
        return e->code;
    for (size_t i = 0; same && i < a->vocab; i++) {
        weights_read(own, base, a, 0, arch_head(a), i, 1);
        dtype_to_f32(rows, t->type, (const char *)t->data + i * row_bytes, a->width);
        for (size_t k = 0; same && k < a->width; k++)
            same = own[k] == round_to(base->type, rows[k]) || rows[k] == round_to(t->type, own[k]);
    }
    arena_release(&arena);
    if (same)
        return ERR_OK;
    return err_set(e, ERR_UNSUPPORTED,
                   "%s: %s is not the head of this base: a head that was trained or resized cannot be used",
                   path, t->name);
}

static enum err_code read_tensors(const struct reading *r, const struct weights *base, struct err *e)
{
    const struct lora *l = r->l;
    const struct arch *a = r->a;
    const struct store *store = r->store;
    enum err_code code = ERR_OK;
    char head[ARCH_PATH_SIZE], copy[PEFT_NAME_SIZE];
    arch_module_alias(head, a, r->names.alias, 0, arch_head(a));
    peft_head_copy_name(copy, &r->names, head);
    for (size_t i = 0; !code && i < 2 * l->layout.count; i++)
        code = read_tensor(r, &l->layout.modules[i / 2], i % 2, e);
    for (size_t i = 0; !code && i < store->tensor_count + store->unread_count; i++) {
        const struct store_tensor *t =
            i < store->tensor_count ? &store->tensors[i] : &store->unread[i - store->tensor_count];
        if (lora_at(&l->layout, 0, arch_head(a)) && strcmp(t->name, copy) == 0)
            code = check_head(t, a, base, store->path, e);
        else if (!is_expected(r, t->name))
            code =
                err_set(e, ERR_MISMATCH, "%s: the tensor %s belongs to nothing that " PEFT_CONFIG " adapts",
                        store->path, t->name);
    }
    return code;
}

bool peft_is_folder(const char *path)
{
    char config[PATH_MAX];
    struct err e;
    return file_join(config, sizeof config, path, PEFT_CONFIG, &e) == ERR_OK && file_exists(config);
}

enum err_code peft_read(struct lora *l, const struct arch *a, const struct weights *base, const char *folder,
                        struct export_notes *of, struct err *e)
{
    char config[PATH_MAX], tensors[PATH_MAX], pickled[PATH_MAX];
    if (file_join(config, sizeof config, folder, PEFT_CONFIG, e) ||
        file_join(tensors, sizeof tensors, folder, PEFT_TENSORS, e) ||
        file_join(pickled, sizeof pickled, folder, "adapter_model.bin", e))
        return e->code;
    if (!file_exists(tensors) && file_exists(pickled))
        return err_set(e, ERR_UNSUPPORTED,
                       "%s is a pickled adapter, which only Python can read: save it again as " PEFT_TENSORS
                       " (PEFT does so by default)",
                       pickled);
    struct store store;
    if (store_open_safetensors(&store, tensors, e))
        return e->code;
    const struct reading r = {l, a, &store, find_names(&store, a)};
    struct export_notes said = {0};
    enum err_code code = peft_config_read(l, &said, a, config, &store, &r.names, e);
    if (!code) {
        code = read_tensors(&r, base, e) ? e->code : export_get_notes(&said, &store, &l->arena, e);
        if (code)
            lora_release(l);
    }
    if (of)
        *of = said;
    store_close(&store);
    return code;
}
