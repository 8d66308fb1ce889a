#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "io/store/store.h"
#include "math/convert.h"
#include "model/family.h"
#include "model/weights.h"
#include "run/export/gguf_adapter.h"
#include "run/export/gguf_names.h"

/* `what` says of which kind the file is then. */
static enum err_code require_text(const struct store *s, const char *key, const char *text,
                                  enum err_code otherwise, const char *what, struct err *e)
{
    struct gguf_string value;
    if (gguf_get_string(&value, s->gguf, key, e))
        return e->code;
    if (gguf_string_is(&value, text))
        return ERR_OK;
    return err_set(e, otherwise, "%s: %s is \"%.*s\", not \"%s\": %s", s->path, key,
                   (int)(value.length < 64 ? value.length : 64), value.length ? value.data : "", text, what);
}

static enum err_code check_keys(const struct store *s, const struct arch *a, struct err *e)
{
    if (!s->gguf)
        return err_set(e, ERR_FORMAT, "%s: not a GGUF file", s->path);
    if (!arch_gguf_name(a))
        return err_set(e, ERR_UNSUPPORTED, "%s: GGUF adapters of models of type %s are not known here",
                       s->path, a->family->name);
    if (require_text(s, GGUF_TYPE_KEY, GGUF_ADAPTER, ERR_USAGE, "this file is no adapter", e) ||
        require_text(s, GGUF_ADAPTER_TYPE_KEY, GGUF_LORA, ERR_UNSUPPORTED, "only LoRA is supported", e) ||
        require_text(s, GGUF_ARCHITECTURE_KEY, arch_gguf_name(a), ERR_MISMATCH, "it is for other models", e))
        return e->code;
    if (gguf_find(s->gguf, GGUF_INVOCATION_KEY))
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: " GGUF_INVOCATION_KEY
                       " is set: an adapter that acts only after certain tokens is not supported",
                       s->path);
    return ERR_OK;
}

/* What the file has for a linear layer: both matrices, or neither (NULL). */
struct pair {
    const struct store_tensor *a, *b;
};

static enum err_code check_shape(const struct store_tensor *t, uint64_t rows, uint64_t columns, struct err *e)
{
    if (t->dims == 2 && t->shape[0] == rows && t->shape[1] == columns)
        return ERR_OK;
    return err_set(e, ERR_MISMATCH,
                   "%s: tensor %s should be [%" PRIu64 ", %" PRIu64
                   "] for this base: it is for another model",
                   t->file, t->name, rows, columns);
}

static enum err_code find_pair(struct pair *pair, const struct store *s, const struct arch *a, size_t layer,
                               size_t linear, struct err *e)
{
    char names[2][ARCH_NAME_SIZE];
    gguf_adapter_tensor(names[0], a, layer, linear, false);
    gguf_adapter_tensor(names[1], a, layer, linear, true);
    *pair = (struct pair){store_find(s, names[0]), store_find(s, names[1])};
    if (!pair->a && !pair->b)
        return ERR_OK;
    if (!pair->a || !pair->b)
        return err_set(e, ERR_FORMAT, "%s: there is no %s that can be read", s->path, names[pair->a ? 1 : 0]);
    const uint64_t rank = pair->a->shape[0];
    return check_shape(pair->a, rank, arch_columns(a, layer, linear), e)
               ? e->code
               : check_shape(pair->b, arch_rows(a, layer, linear), rank, e);
}

/* The modules that the file adapts, in flat order. */
struct found {
    struct pair *pairs;
    struct lora_given *given; /* their paths are in the arena */
    size_t count;
    uint64_t elements; /* of all matrices */
    bool *taken;       /* [tensor_count] tensors that belong to a module */
};

static bool found_init(struct found *f, const struct store *s, const struct arch *a, struct arena *arena, struct err *e)
{
    const size_t slots = arch_slots(a);
    *f = (struct found){0};
    f->pairs = arena_alloc(arena, slots, sizeof *f->pairs, "modules of the adapter", e);
    f->given = f->pairs ? arena_alloc(arena, slots, sizeof *f->given, "modules of the adapter", e) : NULL;
    f->taken = f->given ? arena_alloc(arena, s->tensor_count + 1, sizeof *f->taken, "tensors of the adapter", e) : NULL;
    return f->taken != NULL;
}

static enum err_code find_modules(struct found *f, const struct store *s, const struct arch *a, double alpha,
                                  struct arena *arena, struct err *e)
{
    const size_t slots = arch_slots(a);
    for (size_t slot = 0; slot < slots; slot++) {
        const size_t linear = arch_slot_linear(a, slot), layer = arch_slot_layer(a, slot);
        char path[ARCH_PATH_SIZE];
        struct pair *pair = &f->pairs[f->count];
        if (!arch_has_slot(a, slot))
            continue;
        if (find_pair(pair, s, a, layer, linear, e))
            return e->code;
        if (!pair->a)
            continue;
        const size_t rank = (size_t)pair->a->shape[0];
        arch_module_path(path, a, layer, linear);
        f->taken[pair->a - s->tensors] = f->taken[pair->b - s->tensors] = true;
        f->elements += pair->a->elements + pair->b->elements;
        f->given[f->count] = (struct lora_given){.path = arena_strndup(arena, path, strlen(path), e),
                                                 .rank = rank,
                                                 .scaling = alpha != 0 ? alpha / (double)rank : 1};
        if (!f->given[f->count++].path)
            return e->code;
    }
    return ERR_OK;
}

static enum err_code refuse_others(const struct found *f, const struct store *s, struct err *e)
{
    for (size_t i = 0; i < s->tensor_count; i++)
        if (!f->taken[i])
            return err_set(
                e, ERR_UNSUPPORTED,
                "%s: tensor %s belongs to no linear layer of this base, and nothing else can be adapted",
                s->path, s->tensors[i].name);
    if (s->unread_count)
        return err_set(e, ERR_UNSUPPORTED, "%s: tensor %s has %s, which cannot be read", s->path,
                       s->unread[0].name, s->unread[0].unreadable);
    return f->count ? ERR_OK : err_set(e, ERR_FORMAT, "%s: an adapter without tensors", s->path);
}

/* `order` has the rows' order. */
static enum err_code read_matrix(float *out, const struct store_tensor *t, struct convert_matrix order,
                                 struct err *e)
{
    order.type = t->type;
    order.data = t->data;
    order.rows = (size_t)t->shape[0];
    order.columns = (size_t)t->shape[1];
    if (order.columns % dtype_info(t->type)->block_elements != 0)
        return err_set(e, ERR_FORMAT, "%s: tensor %s: rows of %zu elements are not whole blocks of type %s",
                       t->file, t->name, order.columns, dtype_info(t->type)->name);
    const size_t bad = convert_rows_checked(out, DTYPE_F32, &order, 0, order.rows);
    if (bad < order.rows)
        return err_set(e, ERR_NUMERIC, "%s: tensor %s holds a NaN or an infinity, in row %zu", t->file,
                       t->name, bad);
    return ERR_OK;
}

static enum err_code read_values(struct lora *l, const struct found *f, const struct arch *a, struct err *e)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct lora_module *m = lora_find(&l->layout, f->given[i].path);
        if (read_matrix(l->params + m->a, f->pairs[i].a, (struct convert_matrix){0}, e) ||
            read_matrix(l->params + m->b, f->pairs[i].b, weights_order(a, STORE_GGUF, m->layer, m->linear), e))
            return e->code;
    }
    return ERR_OK;
}

static enum err_code read_store(struct lora *l, const struct arch *a, const struct store *s, struct err *e)
{
    double alpha;
    struct found f;
    struct arena arena = {0};
    if (check_keys(s, a, e) || gguf_get_f64(&alpha, s->gguf, GGUF_ALPHA_KEY, 0, e))
        return e->code;
    if (!isfinite(alpha))
        return err_set(e, ERR_FORMAT, "%s: " GGUF_ALPHA_KEY " is %g", s->path, alpha);
    if (!found_init(&f, s, a, &arena, e)) {
        arena_release(&arena);
        return e->code;
    }
    enum err_code code = find_modules(&f, s, a, alpha, &arena, e);
    if (!code)
        code = refuse_others(&f, s, e);
    if (!code && (lora_check_given(a, f.given, f.count, f.elements, e) ||
                  lora_create_given(l, a, f.given, f.count, e)))
        code = err_wrap(e, "%s", s->path);
    else if (!code && (code = read_values(l, &f, a, e)))
        lora_release(l);
    arena_release(&arena);
    return code;
}

enum err_code gguf_adapter_read(struct lora *l, const struct arch *a, const char *path, struct export_notes *of,
                                struct err *e)
{
    struct store s;
    struct export_notes said = {0};
    if (store_open(&s, path, e))
        return e->code;
    enum err_code code = read_store(l, a, &s, e);
    if (!code && (store_note(&said.name, &s, GGUF_NAME_KEY, &l->arena, e) ||
                  export_get_notes(&said, &s, &l->arena, e))) {
        lora_release(l);
        code = e->code;
    }
    if (of)
        *of = said;
    store_close(&s);
    return code;
}

bool gguf_adapter_is(const char *path)
{
    struct store s = {0};
    struct gguf_string type;
    struct err ignored;
    struct stat st;
    if (stat(path, &st) || !S_ISREG(st.st_mode) || store_open(&s, path, &ignored))
        return false;
    bool is = s.gguf && !gguf_get_string(&type, s.gguf, GGUF_TYPE_KEY, &ignored) &&
              gguf_string_is(&type, GGUF_ADAPTER);
    store_close(&s);
    return is;
}
