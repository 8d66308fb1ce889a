#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "io/json.h"
#include "io/store/store.h"
#include "model/lora_init.h"
#include "run/export/peft_names.h"
#include "run/export/peft.h"

/* How many layers have this linear adapted; *of: how many have it. */
static size_t count_adapted(size_t *of, const struct lora *l, const struct arch *a, size_t linear)
{
    size_t count = 0;
    *of = 0;
    for (size_t layer = 0; layer < (linear == arch_head(a) ? 1 : a->layers); layer++) {
        *of += arch_rows(a, layer, linear) > 0;
        count += lora_at(&l->layout, layer, linear) != NULL;
    }
    return count;
}

static enum err_code append_item(struct str *out, const char *text, struct err *e)
{
    if (str_appendf(out, e, "%s\n    ", out->length ? "," : ""))
        return e->code;
    return json_append_string(out, text, strlen(text), e);
}

/* Names where every layer has them, which is short and what people write; else all the paths, in flat order: other
 * parts of a wrapper have modules of the same names. */
static enum err_code list_targets(struct str *out, const struct lora *l, const struct arch *a, struct err *e)
{
    bool whole = !a->wrapper;
    size_t of;
    for (size_t i = 0; i < arch_head(a); i++) {
        size_t count = count_adapted(&of, l, a, i);
        whole = whole && (count == 0 || count == of);
    }
    for (size_t i = 0; whole && i <= arch_head(a); i++) {
        const char *path = arch_module(a, i)->path, *dot = strrchr(path, '.');
        if (count_adapted(&of, l, a, i) && append_item(out, dot ? dot + 1 : path, e))
            return e->code;
    }
    for (size_t i = 0; !whole && i < l->layout.count; i++)
        if (append_item(out, l->layout.modules[i].path, e))
            return e->code;
    return ERR_OK;
}

/* `"path": value` for each module whose rank (or alpha) is not the first module's. */
static enum err_code list_pattern(struct str *out, const struct lora *l, bool ranks, struct err *e)
{
    const struct lora_module *first = l->layout.modules;
    for (size_t i = 1; i < l->layout.count; i++) {
        const struct lora_module *m = &l->layout.modules[i];
        double value = ranks ? (double)m->rank : lora_alpha(m, l->rslora);
        if (value == (ranks ? (double)first->rank : lora_alpha(first, l->rslora)))
            continue;
        if (append_item(out, m->path, e) || str_appendf(out, e, ": ") || json_append_real(out, value, e))
            return e->code;
    }
    return ERR_OK;
}

/* `"key": open items close`, items each on a line of their own. */
static enum err_code append_group(struct str *out, const char *key, const char *brackets,
                                  const struct str *items, struct err *e)
{
    return str_appendf(out, e, "  \"%s\": %c%s%s%c,\n", key, brackets[0], items->length ? items->data : "",
                       items->length ? "\n  " : "", brackets[1]);
}

/* Keys in alphabetical order, as PEFT writes them. */
static enum err_code append_config(struct str *out, const struct lora *l, const struct arch *a,
                                   const char *base_name, double dropout, struct err *e)
{
    struct str targets = {0}, ranks = {0}, alphas = {0};
    enum err_code code = ERR_OK;
    if (list_targets(&targets, l, a, e) || list_pattern(&ranks, l, true, e) ||
        list_pattern(&alphas, l, false, e) || str_appendf(out, e, "{\n") ||
        append_group(out, "alpha_pattern", "{}", &alphas, e) ||
        str_appendf(out, e, "  \"base_model_name_or_path\": ") ||
        json_append_string(out, base_name, strlen(base_name), e) ||
        str_appendf(
            out, e,
            ",\n  \"bias\": \"none\",\n  \"fan_in_fan_out\": %s,\n  \"inference_mode\": true,\n"
            "  \"init_lora_weights\": true,\n  \"layers_pattern\": null,\n  \"layers_to_transform\": null,\n"
            "  \"lora_alpha\": ",
            arch_module(a, l->layout.modules->linear)->stored & HF_TRANSPOSED ? "true" : "false") ||
        json_append_real(out, lora_alpha(l->layout.modules, l->rslora), e) ||
        str_appendf(out, e, ",\n  \"lora_bias\": false,\n  \"lora_dropout\": ") ||
        json_append_real(out, dropout, e) ||
        str_appendf(out, e, ",\n  \"modules_to_save\": null,\n  \"peft_type\": \"LORA\",\n  \"r\": %zu,\n",
                    l->layout.modules->rank) ||
        append_group(out, "rank_pattern", "{}", &ranks, e) ||
        append_group(out, "target_modules", "[]", &targets, e) ||
        str_appendf(out, e,
                    "  \"task_type\": \"CAUSAL_LM\",\n  \"use_dora\": false,\n  \"use_rslora\": %s\n}\n",
                    l->rslora ? "true" : "false"))
        code = e->code;
    str_release(&targets);
    str_release(&ranks);
    str_release(&alphas);
    return code;
}

static enum err_code write_tensors(const char *path, const struct lora *l, const struct export_notes *notes,
                                   struct err *e)
{
    struct store_key keys[EXPORT_NOTES];
    size_t key_count;
    struct arena arena = {0};
    struct store_output *tensors =
        export_put_notes(keys, &key_count, notes, &arena, e)
            ? NULL
            : arena_alloc(&arena, 2 * l->layout.count, sizeof *tensors, "tensors to export", e);
    for (size_t i = 0; tensors && i < 2 * l->layout.count; i++) {
        const struct lora_module *m = &l->layout.modules[i / 2];
        char *name = arena_alloc(&arena, PEFT_NAME_SIZE, 1, "names of tensors", e);
        if (!name) {
            tensors = NULL;
            break;
        }
        bool b = i % 2;
        peft_tensor_name(name, &peft_names, m->path, b);
        tensors[i] = (struct store_output){.name = name,
                                           .shape = {b ? m->out : m->rank, b ? m->rank : m->in},
                                           .data = l->params + (b ? m->b : m->a)};
    }
    enum err_code code =
        tensors ? store_write_safetensors(path, keys, key_count, tensors, 2 * l->layout.count, e) : e->code;
    arena_release(&arena);
    return code;
}

static enum err_code write_folder(const char *folder, const struct lora *l, const struct arch *a,
                                  const struct export_notes *notes, double dropout, struct err *e)
{
    char path[PATH_MAX];
    struct str config = {0};
    enum err_code code = file_make_folders(folder, e);
    if (!code)
        code = file_join(path, sizeof path, folder, PEFT_TENSORS, e);
    if (!code)
        code = write_tensors(path, l, notes, e);
    if (!code)
        code = append_config(&config, l, a, notes->name, dropout, e);
    if (!code)
        code = file_join(path, sizeof path, folder, PEFT_CONFIG, e);
    if (!code)
        code = file_write_atomic(path, config.data, config.length, e);
    str_release(&config);
    return code;
}

/* A GGUF's title, or its file, is no place where transformers finds a model. */
static void tell_base_name(const char *name)
{
    if (!store_is_repository(name) && !file_is_folder(name))
        log_note("the adapter calls its base \"%s\", by which PEFT alone cannot find it; --base-name OWNER/NAME gives "
                 "it the name that it has on the hub",
                 name);
}

enum err_code peft_write(const char *folder, const struct lora *l, const struct arch *a,
                         const struct export_notes *notes, double dropout, struct err *e)
{
    struct lora wide;
    const bool starts = l->start != NULL;
    if (starts && lora_widen(&wide, l, a, e))
        return e->code;
    enum err_code code = write_folder(folder, starts ? &wide : l, a, notes, dropout, e);
    if (starts)
        lora_release(&wide);
    if (!code)
        tell_base_name(notes->name);
    return code;
}
