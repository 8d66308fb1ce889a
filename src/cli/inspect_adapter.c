#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "cli/inspect.h"
#include "io/json.h"
#include "io/store/store.h"
#include "run/export/export_notes.h"
#include "run/export/gguf_names.h"
#include "run/export/peft_names.h"

static enum err_code add_notes(struct facts *f, struct store *s, struct err *e)
{
    struct export_notes notes = {0};
    if (export_get_notes(&notes, s, &s->arena, e))
        return e->code;
    if (notes.hash)
        facts_text(f, "base_hash", notes.hash);
    if (prompts_name(notes.prompts))
        facts_text(f, "prompts", prompts_name(notes.prompts));
    if (notes.continued)
        facts_text(f, "start", EXPORT_FROM_ADAPTER);
    if (notes.objective.kind == OBJECTIVE_SFT)
        return ERR_OK;
    struct str text = {0};
    enum err_code code = export_objective(&text, notes.objective, e);
    if (!code)
        facts_text(f, "objective", text.data);
    str_release(&text);
    return code;
}

/* ---- folders of PEFT ---- */

static enum err_code add_tensors(struct facts *f, const char *folder, struct err *e)
{
    char path[PATH_MAX];
    struct store s = {0};
    enum err_code code = file_join(path, sizeof path, folder, PEFT_TENSORS, e);
    if (!code)
        code = store_open_safetensors(&s, path, e);
    if (code)
        return code;
    uint64_t parameters = 0;
    size_t modules = 0;
    for (size_t i = 0; i < s.tensor_count; i++) {
        parameters += s.tensors[i].elements;
        modules += str_ends_with(s.tensors[i].name, ".lora_A.weight");
    }
    facts_int(f, "modules", modules);
    facts_int(f, "parameters", parameters);
    code = add_notes(f, &s, e);
    store_close(&s);
    return code;
}

enum { DEPTH = 1 }; /* lists and objects in a value of LoraConfig */

static void add_value(struct facts *f, const char *name, const struct json_value *v, int depth)
{
    switch (json_kind(v)) {
    case JSON_KIND_INT:
    case JSON_KIND_REAL:
        facts_real(f, name, json_number(v, 0));
        return;
    case JSON_KIND_BOOL:
        facts_flag(f, name, json_bool(v, false));
        return;
    case JSON_KIND_ARRAY:
        facts_list(f, name);
        for (size_t i = 0; depth && i < json_count(v); i++)
            add_value(f, NULL, json_at(v, i), depth - 1);
        facts_end(f);
        return;
    case JSON_KIND_OBJECT:
        facts_object(f, name);
        for (struct json_member m = json_first(v); depth && m.key; m = json_next(m))
            add_value(f, m.key, m.value, depth - 1);
        facts_end(f);
        return;
    case JSON_KIND_STRING:
    case JSON_KIND_NONE:
    case JSON_KIND_NULL:
        facts_text(f, name, json_text(v));
    }
}

/* Which modules are adapted, and with what, beyond one rank and one alpha for all of them. */
static void add_choice(struct facts *f, const struct json_value *config)
{
    static const char *const keys[] = {"rank_pattern",   "alpha_pattern",  "exclude_modules", "layers_to_transform",
                                       "layers_pattern", "modules_to_save"};
    add_value(f, "target_modules", json_get(config, "target_modules"), DEPTH);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const struct json_value *v = json_get(config, keys[i]);
        const bool many = json_kind(v) == JSON_KIND_ARRAY || json_kind(v) == JSON_KIND_OBJECT;
        if (!json_is_absent(v) && !(many && !json_count(v)))
            add_value(f, keys[i], v, DEPTH);
    }
}

/* What a key that is left out means is PEFT's default. */
static enum err_code add_config_of_adapter(struct facts *f, const struct json_fields *config, struct err *e)
{
    const char *type, *base;
    size_t rank;
    double alpha;
    bool rslora, dora;
    if (json_get_text(&type, config, "peft_type", NULL, e) ||
        json_get_text(&base, config, "base_model_name_or_path", NULL, e) ||
        json_get_size(&rank, config, "r", 8, e) || json_get_number(&alpha, config, "lora_alpha", 8, e) ||
        json_get_flag(&rslora, config, "use_rslora", false, e) ||
        json_get_flag(&dora, config, "use_dora", false, e))
        return e->code;
    facts_text(f, "peft_type", type);
    facts_text(f, "base_model", base);
    facts_int(f, "lora_rank", rank);
    facts_real(f, "lora_alpha", alpha);
    facts_flag(f, "use_rslora", rslora);
    facts_flag(f, "use_dora", dora);
    add_choice(f, config->object);
    return ERR_OK;
}

enum err_code inspect_adapter(struct facts *f, const char *path, struct err *e)
{
    char config[PATH_MAX];
    struct json *doc;
    enum err_code code = file_join(config, sizeof config, path, PEFT_CONFIG, e);
    if (!code)
        code = json_open_file(&doc, config, LIMIT_ADAPTER_JSON, e);
    if (code)
        return code;
    facts_text(f, "kind", "adapter");
    facts_text(f, "path", path);
    code = add_config_of_adapter(f, &(struct json_fields){.object = json_root(doc), .file = config}, e);
    if (!code)
        code = add_tensors(f, path, e);
    json_close(doc);
    return code;
}

/* ---- adapters of llama.cpp ---- */

/* What the tensors say, from their names and shapes alone: there is no base to compare them with. */
struct tensors {
    size_t modules, others; /* pairs of A and B; tensors that belong to none */
    size_t smallest, largest; /* rank */
    uint64_t parameters;
    const char **targets; /* [modules] "attn_q" */
};

/* "blk.3.attn_q.weight.lora_a" adapts attn_q. */
static const char *find_target(const char *tensor, struct arena *a, struct err *e)
{
    const char *end = tensor + strlen(tensor) - strlen("." GGUF_LORA_A), *begin = tensor;
    const char *dot = str_starts_with(tensor, GGUF_BLOCK) ? strchr(tensor + strlen(GGUF_BLOCK), '.') : NULL;
    if (dot && dot < end)
        begin = dot + 1;
    return arena_strndup(a, begin, (size_t)(end - begin), e);
}

static enum err_code take_tensors(struct tensors *t, const struct store *s, struct arena *a, struct err *e)
{
    *t = (struct tensors){.others = s->unread_count, .smallest = SIZE_MAX};
    t->targets = arena_alloc(a, s->tensor_count + 1, sizeof *t->targets, "modules of the adapter", e);
    if (!t->targets)
        return e->code;
    for (size_t i = 0; i < s->tensor_count; i++) {
        const struct store_tensor *tensor = &s->tensors[i];
        const bool first = str_ends_with(tensor->name, "." GGUF_LORA_A) && tensor->dims == 2;
        t->parameters += tensor->elements;
        t->others += !first && !str_ends_with(tensor->name, "." GGUF_LORA_B);
        if (!first)
            continue;
        const size_t rank = (size_t)tensor->shape[0];
        t->smallest = rank < t->smallest ? rank : t->smallest;
        t->largest = rank > t->largest ? rank : t->largest;
        t->targets[t->modules] = find_target(tensor->name, a, e);
        if (!t->targets[t->modules++])
            return e->code;
    }
    return ERR_OK;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_tensors_of_gguf(struct facts *f, struct tensors *t)
{
    facts_int(f, "lora_rank", t->largest);
    if (t->modules && t->smallest < t->largest)
        facts_int(f, "smallest_lora_rank", t->smallest);
    qsort(t->targets, t->modules, sizeof *t->targets, compare_texts);
    facts_list(f, "target_modules");
    for (size_t i = 0; i < t->modules; i++)
        if (!i || strcmp(t->targets[i], t->targets[i - 1]) != 0)
            facts_text(f, NULL, t->targets[i]);
    facts_end(f);
    facts_int(f, "modules", t->modules);
    facts_int(f, "parameters", t->parameters);
    if (t->others)
        facts_int(f, "other_tensors", t->others);
}

static enum err_code add_text(struct facts *f, const char *name, struct store *s, const char *key, struct err *e)
{
    const char *text;
    if (store_note(&text, s, key, &s->arena, e))
        return e->code;
    facts_text(f, name, text);
    return ERR_OK;
}

/* llama.cpp scales by alpha / rank, or with alpha 0 not at all. */
static enum err_code add_adapter_of_gguf(struct facts *f, struct store *s, struct err *e)
{
    struct tensors tensors;
    double alpha;
    facts_text(f, "kind", "adapter");
    facts_text(f, "path", s->path);
    enum err_code code = add_text(f, "adapter_type", s, GGUF_ADAPTER_TYPE_KEY, e);
    if (!code)
        code = add_text(f, "architecture", s, GGUF_ARCHITECTURE_KEY, e);
    if (!code)
        code = add_text(f, "name", s, GGUF_NAME_KEY, e);
    if (!code)
        code = gguf_get_f64(&alpha, s->gguf, GGUF_ALPHA_KEY, 0, e);
    if (!code)
        code = take_tensors(&tensors, s, &s->arena, e);
    if (!code) {
        facts_real(f, "lora_alpha", alpha);
        add_tensors_of_gguf(f, &tensors);
        code = add_notes(f, s, e);
    }
    return code;
}

enum err_code inspect_gguf(struct facts *f, const char *path, struct err *e)
{
    struct store s;
    struct gguf_string type;
    if (store_open(&s, path, e))
        return e->code;
    enum err_code code = gguf_get_string(&type, s.gguf, GGUF_TYPE_KEY, e);
    if (!code)
        code = gguf_string_is(&type, GGUF_ADAPTER) ? add_adapter_of_gguf(f, &s, e) : inspect_open_model(f, &s, e);
    store_close(&s);
    return code;
}
