#include <math.h>
#include <stdio.h>
#include <string.h>

#include "arch_source.h"
#include "base/str.h"

const struct family *const families[] = {
#define FAMILY(name) &family_##name,
#include "model/families.def"
#undef FAMILY
    NULL,
};
#define FAMILY_COUNT (sizeof families / sizeof families[0] - 1)

static const char *name_in(const struct family *f, enum store_kind kind)
{
    return kind == STORE_GGUF ? f->gguf : f->name;
}

/* ---- which family ---- */

static enum err_code unknown_family(const struct source *s, const char *key, const char *name, struct err *e)
{
    const char *candidates[FAMILY_COUNT];
    char list[1024] = "";
    size_t count = 0;
    for (size_t i = 0; i < FAMILY_COUNT; i++)
        if (name_in(families[i], s->store->kind)) {
            size_t used = strlen(list);
            candidates[count] = name_in(families[i], s->store->kind);
            snprintf(list + used, sizeof list - used, "%s%s", count ? ", " : "", candidates[count]);
            count++;
        }
    for (const struct wrapper *w = wrappers; w->name && s->store->kind == STORE_HF && !s->wrapper; w++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, ", %s", w->name);
    }
    return source_refuse(s, ERR_UNSUPPORTED, key, e, "\"%s\" is not supported; supported: %s", name, list);
}

/* Two families may have one name in GGUF, one of them with experts. */
static enum err_code find_family(struct source *s, const char *key, const char *name, size_t experts, struct err *e)
{
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        const char *candidate = name_in(families[i], s->store->kind);
        if (!candidate || strcmp(candidate, name) != 0)
            continue;
        if (!s->family || (families[i]->experts && experts > 0))
            s->family = families[i];
    }
    return s->family ? ERR_OK : unknown_family(s, key, name, e);
}

static enum err_code gguf_text(char text[65], const struct source *s, const char *key, struct err *e)
{
    struct gguf_string value;
    if (!gguf_find(s->store->gguf, key))
        return source_refuse(s, ERR_FORMAT, key, e, "this key is missing");
    if (gguf_get_string(&value, s->store->gguf, key, e))
        return e->code;
    snprintf(text, 65, "%.*s", (int)(value.length < 64 ? value.length : 64), value.data);
    return ERR_OK;
}

static enum err_code open_gguf(struct source *s, struct err *e)
{
    static const char type_key[] = "general.type", arch_key[] = "general.architecture";
    char text[65], key[80];
    snprintf(s->file, sizeof s->file, "%s", s->store->path);
    if (gguf_find(s->store->gguf, type_key)) {
        if (gguf_text(text, s, type_key, e))
            return e->code;
        if (strcmp(text, "model") != 0)
            return source_refuse(s, ERR_UNSUPPORTED, type_key, e, "\"%s\": not a model", text);
    }
    if (gguf_text(text, s, arch_key, e))
        return e->code;
    uint64_t experts;
    snprintf(key, sizeof key, "%s.expert_count", text);
    return gguf_get_u64(&experts, s->store->gguf, key, 0, e) ? e->code : find_family(s, arch_key, text, experts, e);
}

static const struct wrapper *find_wrapper(const char *name)
{
    for (const struct wrapper *w = wrappers; w->name; w++)
        if (strcmp(w->name, name) == 0)
            return w;
    return NULL;
}

static const char text_config[] = "text_config";

static enum err_code open_json(struct source *s, struct err *e)
{
    const char *name;
    source_open_json(s);
    if (json_kind(s->json.object) != JSON_KIND_OBJECT)
        return err_set(e, ERR_FORMAT, "%s: not a JSON object", s->file);
    if (json_need_text(&name, &s->json, "model_type", e))
        return e->code;
    s->wrapper = find_wrapper(name);
    if (s->wrapper) {
        const struct json_fields whole = s->json;
        s->json.part = text_config;
        if (json_need_value(&s->json.object, &whole, text_config, JSON_KIND_OBJECT, e) ||
            json_get_text(&name, &s->json, "model_type", s->wrapper->family, e))
            return e->code;
    }
    return find_family(s, "model_type", name, 0, e);
}

enum err_code arch_hash(struct store *store, struct err *e)
{
    const char *name = store->config ? json_text(json_get(json_root(store->config), "model_type")) : NULL;
    const struct wrapper *w = name ? find_wrapper(name) : NULL;
    return store_hash(store, w ? w->others : NULL, e);
}

/* ---- keys ---- */

static enum err_code read_activation(enum kern_act *act, const struct source *s, const char *key, struct err *e)
{
    static const struct {
        const char *name;
        enum kern_act act;
    } words[] = {{"silu", ACT_SILU},
                 {"swish", ACT_SILU},
                 {"gelu", ACT_GELU},
                 {"gelu_new", ACT_GELU_TANH},
                 {"gelu_fast", ACT_GELU_TANH},
                 {"gelu_pytorch_tanh", ACT_GELU_TANH},
                 {"relu2", ACT_RELU2},
                 {"xielu", ACT_XIELU}};
    const char *name;
    if (json_get_text(&name, &s->json, key, NULL, e))
        return e->code;
    if (!name)
        return ERR_OK;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i].name, name) == 0 && (words[i].act != ACT_XIELU || s->family->names[STORE_HF].xielu)) {
            *act = words[i].act;
            return ERR_OK;
        }
    return source_refuse(s, ERR_UNSUPPORTED, key, e, "\"%s\" is not supported", name);
}

/* transformers has no default for it. */
static enum err_code refuse_tied_null(const struct source *s, const char *key, struct err *e)
{
    return source_refuse(s, ERR_FORMAT, key, e,
                         "null is neither true nor false: say whether the head is the embedding, or leave the key out");
}

static enum err_code read_key(struct arch *a, const struct source *s, const struct family_key *k,
                              struct err *e)
{
    char *field = (char *)a + k->field, key[SOURCE_KEY_SIZE];
    bool gguf = s->store->kind == STORE_GGUF, by_default = !gguf || k->gguf_missing == GGUF_DEFAULT;
    if (gguf && k->gguf && k->gguf_missing == GGUF_REQUIRED && source_is_missing(s, NULL, k->gguf))
        return source_refuse(s, ERR_FORMAT, source_key(key, s, NULL, k->gguf), e, "this key is missing");
    switch (k->kind) {
    case KEY_SIZE:
    case KEY_LIMIT: {
        size_t *out = (size_t *)(void *)field;
        size_t otherwise = source_is_null(s, k->json) ? 0 : *out;
        if (!by_default)
            otherwise = k->gguf_missing > 0 ? (size_t)k->gguf_missing : 0;
        if (source_size(out, s, k->json, k->gguf, otherwise, e))
            return e->code;
        /* In config.json null stands for no window, and one of 0 shows nothing. */
        const bool none = k->kind == KEY_LIMIT && (gguf || k->field != offsetof(struct arch, kinds[0].window));
        if (*out != 0 || none || source_is_missing(s, k->json, k->gguf) || source_is_null(s, k->json))
            return ERR_OK;
        return source_refuse(s, ERR_FORMAT, source_key(key, s, k->json, k->gguf), e, "0 is out of range");
    }
    case KEY_NUMBER:
    case KEY_SCALE:
    case KEY_CAP: {
        float *out = (float *)(void *)field;
        double value, missing = k->kind == KEY_CAP && source_is_null(s, k->json) ? 0 : (double)*out;
        if (source_number(&value, s, k->json, k->gguf, by_default ? missing : k->gguf_missing, e))
            return e->code;
        if (k->kind == KEY_SCALE && !(value > 0))
            return source_refuse(s, ERR_FORMAT, source_key(key, s, k->json, k->gguf), e, "%g is out of range: above 0",
                                 value);
        *out = (float)value;
        return ERR_OK;
    }
    case KEY_ROOT:
    case KEY_INVERSE: {
        float *out = (float *)(void *)field;
        double value;
        if (source_number(&value, s, k->json, k->gguf, 0, e))
            return e->code;
        bool said = !source_is_missing(s, k->json, k->gguf) && !source_is_null(s, k->json);
        if (value < 0 || (value == 0 && said))
            return source_refuse(s, ERR_FORMAT, source_key(key, s, k->json, k->gguf), e, "%g is out of range", value);
        if (value > 0)
            *out = (float)(1 / (k->kind == KEY_ROOT ? sqrt(value) : value));
        else if (gguf)
            *out = 0;
        return ERR_OK;
    }
    case KEY_ACTIVATION:
        return gguf ? ERR_OK : read_activation((enum kern_act *)(void *)field, s, k->json, e);
    case KEY_FLAG:
        break;
    }
    if (k->field == offsetof(struct arch, tied) && source_is_null(s, k->json))
        return refuse_tied_null(s, k->json, e);
    bool *out = (bool *)(void *)field;
    return source_flag(out, s, k->json, k->gguf, by_default ? *out : k->gguf_missing != 0, e);
}

/* The file's name for a field, for messages. */
static const char *key_of(char key[SOURCE_KEY_SIZE], const struct source *s, size_t field)
{
    for (const struct family_key *const *keys = s->family->keys; *keys; keys++)
        for (const struct family_key *k = *keys; k->json || k->gguf; k++)
            if (k->field == field && source_key(key, s, k->json, k->gguf))
                return source_key(key, s, k->json, k->gguf);
    return "tensors";
}

void arch_where(char where[ARCH_WHERE_SIZE], const struct arch *a, const struct store *store, size_t field)
{
    const struct source s = {.store = store, .family = a->family};
    char key[SOURCE_KEY_SIZE];
    snprintf(where, ARCH_WHERE_SIZE, "%s%s: %s%s%s", store->path, store->kind == STORE_GGUF ? "" : "/config.json",
             a->wrapper ? text_config : "", a->wrapper ? ": " : "", key_of(key, &s, field));
}

/* What a GGUF file says by the tensors that it has. */
static enum err_code read_tensors(struct arch *a, const struct store *store, struct err *e)
{
    char name[ARCH_NAME_SIZE];
    arch_embedding_tensor(name, a, STORE_GGUF);
    const struct store_tensor *table = store_find(store, name);
    if (!table || table->dims != 2)
        return err_set(e, ERR_FORMAT, "%s: tensor %s is missing or not a matrix", store->path, name);
    a->vocab = table->shape[0];
    arch_module_tensor(name, a, STORE_GGUF, 0, arch_head(a), "weight");
    a->tied = !store_find(store, name);
    if (a->block_scales) {
        arch_block_scale_tensor(name, a, STORE_GGUF, 0);
        a->block_scales = store_find(store, name) != NULL;
    }
    for (int g = 0; g <= GROUP_HEAD; g++) {
        arch_module_tensor(name, a, STORE_GGUF, 0, arch_group(a->family, (enum linear_group)g).first, "bias");
        a->bias[g] |= store_find(store, name) != NULL;
    }
    return ERR_OK;
}

/* Which names the tensors have, and whether the head is tied: what stands beside text_config decides, then that, then
 * whether there is a head. */
static enum err_code read_wrapper(struct arch *a, const struct source *s, struct err *e)
{
    static const char key[] = "tie_word_embeddings";
    const struct json_fields whole = {.object = json_root(s->store->config), .file = s->file};
    char name[ARCH_NAME_SIZE];
    a->wrapper = s->wrapper;
    for (a->spelling = WRAPPER_SPELLINGS - 1; a->spelling > 0; a->spelling--) {
        arch_embedding_tensor(name, a, STORE_HF);
        if (store_find(s->store, name))
            break;
    }
    arch_module_tensor(name, a, STORE_HF, 0, arch_head(a), "weight");
    bool tied = source_is_missing(s, key, NULL) ? !store_find(s->store, name) : a->tied;
    if (json_kind(json_get(whole.object, key)) == JSON_KIND_NULL) {
        struct source outside = *s;
        outside.json = whole;
        return refuse_tied_null(&outside, key, e);
    }
    return json_get_flag(&a->tied, &whole, key, tied, e);
}

/* A file of the decoder without its head has the names without their first word; older ones call the head otherwise. */
static void read_spelling(struct arch *a, const struct store *store)
{
    char name[ARCH_NAME_SIZE];
    for (a->spelling = 1; a->spelling > 0; a->spelling--) {
        arch_embedding_tensor(name, a, STORE_HF);
        if (store_find(store, name))
            break;
    }
    arch_module_tensor(name, a, STORE_HF, 0, arch_head(a), "weight");
    a->old_head = !a->tied && a->family->names[STORE_HF].old_head && !store_find(store, name);
}

/* Sizes that follow from others where the file does not say. */
static enum err_code derive(struct arch *a, const struct source *s, struct err *e)
{
    char key[SOURCE_KEY_SIZE];
    if (a->kv_heads == 0)
        a->kv_heads = a->heads;
    if (a->head_dim || a->heads == 0)
        return ERR_OK;
    if (a->width % a->heads != 0)
        return source_refuse(s, ERR_FORMAT, key_of(key, s, offsetof(struct arch, width)), e,
                             "%zu is not a multiple of %zu heads", a->width, a->heads);
    a->head_dim = a->width / a->heads;
    return ERR_OK;
}

/* ---- what came of it ---- */

static size_t size_at(const struct arch *a, size_t field)
{
    size_t value;
    memcpy(&value, (const char *)a + field, sizeof value);
    return value;
}

static enum err_code check_sizes(const struct arch *a, const struct source *s, struct err *e)
{
    static const struct {
        size_t field, most;
    } sizes[] = {
        {offsetof(struct arch, layers), LIMIT_LAYERS}, {offsetof(struct arch, width), INT32_MAX},
        {offsetof(struct arch, ffn), INT32_MAX},       {offsetof(struct arch, heads), INT32_MAX},
        {offsetof(struct arch, kv_heads), INT32_MAX},  {offsetof(struct arch, head_dim), INT32_MAX},
        {offsetof(struct arch, vocab), INT32_MAX},
    };
    char key[SOURCE_KEY_SIZE];
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t value = size_at(a, sizes[i].field);
        if (value == 0 || value > sizes[i].most)
            return source_refuse(s, ERR_FORMAT, key_of(key, s, sizes[i].field), e,
                                 "%zu is out of range: 1 to %zu", value, sizes[i].most);
    }
    return ERR_OK;
}

/* Values are as wide as keys. */
static enum err_code check_values(const struct arch *a, const struct source *s, size_t kind, const char *name,
                                  struct err *e)
{
    char key[SOURCE_KEY_SIZE];
    size_t value_dim, head_dim = arch_kind_head_dim(a, kind);
    if (source_size(&value_dim, s, NULL, name, head_dim, e))
        return e->code;
    if (value_dim != head_dim)
        return source_refuse(s, ERR_UNSUPPORTED, source_key(key, s, NULL, name), e,
                             "keys of %zu and values of %zu a head are not supported", head_dim, value_dim);
    return ERR_OK;
}

/* Those of the record, and those that kinds of layers have of their own. */
static enum err_code check_heads(const struct arch *a, const struct source *s, struct err *e)
{
    static const size_t fields[][2] = {
        {offsetof(struct arch, kv_heads), offsetof(struct arch, head_dim)},
        {offsetof(struct arch, kinds[0].kv_heads), offsetof(struct arch, kinds[0].head_dim)},
        {offsetof(struct arch, kinds[1].kv_heads), offsetof(struct arch, kinds[1].head_dim)},
    };
    char key[SOURCE_KEY_SIZE];
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        size_t kv_heads = size_at(a, fields[i][0]), head_dim = size_at(a, fields[i][1]);
        if (kv_heads > 0 && a->heads % kv_heads != 0)
            return source_refuse(s, ERR_FORMAT, key_of(key, s, fields[i][0]), e,
                                 "%zu heads cannot share %zu key/value heads evenly", a->heads, kv_heads);
        if (head_dim > INT32_MAX || head_dim % 2 != 0)
            return source_refuse(s, ERR_FORMAT, key_of(key, s, fields[i][1]), e,
                                 "heads of %zu; rotary positions need an even size", head_dim);
    }
    return check_values(a, s, 0, "attention.value_length", e) ? e->code
                                                              : check_values(a, s, 1, "attention.value_length_swa", e);
}

static enum err_code check_experts(const struct arch *a, const struct source *s, struct err *e)
{
    char key[SOURCE_KEY_SIZE];
    if (!arch_has_experts(a))
        return ERR_OK;
    if (a->experts == 0 || a->experts > LIMIT_EXPERTS)
        return source_refuse(s, ERR_FORMAT, key_of(key, s, offsetof(struct arch, experts)), e,
                             "%zu is out of range: 1 to %d", a->experts, LIMIT_EXPERTS);
    if (a->experts_a_token == 0 || a->experts_a_token > a->experts)
        return source_refuse(s, ERR_FORMAT, key_of(key, s, offsetof(struct arch, experts_a_token)), e,
                             "%zu is out of range: 1 to the number of experts, %zu", a->experts_a_token, a->experts);
    return ERR_OK;
}

static enum err_code check_matrices(const struct arch *a, const struct source *s, struct err *e)
{
    for (size_t slot = 0; slot < arch_slots(a); slot++) {
        uint64_t elements;
        size_t layer = arch_slot_layer(a, slot), linear = arch_slot_linear(a, slot);
        if (a->heads > (size_t)LIMIT_MATRIX / arch_head_dim(a, layer) ||
            __builtin_mul_overflow((uint64_t)arch_rows(a, layer, linear), arch_columns(a, layer, linear), &elements) ||
            elements > (uint64_t)LIMIT_MATRIX)
            return source_refuse(s, ERR_FORMAT, arch_module(a, linear)->path, e,
                                 "it would have more than 2^40 elements");
    }
    for (size_t i = 0; i < arch_expert_matrices(a); i++)
        if (arch_expert_rows(a, i) > (size_t)LIMIT_MATRIX / arch_expert_columns(a, i) / a->experts)
            return source_refuse(s, ERR_FORMAT, arch_expert_module(a, i)->path, e,
                                 "those of all experts would have more than 2^40 elements");
    return ERR_OK;
}

static enum err_code check(const struct arch *a, const struct source *s, struct err *e)
{
    char key[SOURCE_KEY_SIZE];
    if (check_heads(a, s, e) || check_experts(a, s, e) || check_matrices(a, s, e))
        return e->code;
    if (arch_has_positions(a) && (a->max_positions == 0 || a->max_positions > (size_t)LIMIT_MATRIX / a->width))
        return source_refuse(s, ERR_FORMAT, key_of(key, s, offsetof(struct arch, max_positions)), e,
                             "%zu learned positions are out of range", a->max_positions);
    if (!(a->norm_eps >= 0) || !isfinite(a->norm_eps))
        return source_refuse(s, ERR_FORMAT, key_of(key, s, offsetof(struct arch, norm_eps)), e,
                             "%g is out of range", (double)a->norm_eps);
    return ERR_OK;
}

enum err_code arch_read(struct arch *a, const struct store *store, struct err *e)
{
    struct source s = {.store = store};
    bool gguf = store->kind == STORE_GGUF;
    if (gguf ? open_gguf(&s, e) : open_json(&s, e))
        return e->code;
    *a = s.family->defaults;
    a->family = s.family;
    for (const struct family_key *const *keys = s.family->keys; *keys; keys++)
        for (const struct family_key *k = *keys; k->json || k->gguf; k++)
            if (read_key(a, &s, k, e))
                return e->code;
    if (s.family->finish && s.family->finish(a, &s, e))
        return e->code;
    if (s.wrapper && read_wrapper(a, &s, e))
        return e->code;
    if (!gguf && !s.wrapper)
        read_spelling(a, store);
    if (derive(a, &s, e) || (gguf && read_tensors(a, store, e)) || check_sizes(a, &s, e) ||
        arch_refuse_unhonoured(a, &s, e) || arch_read_kinds(a, &s, e) || check(a, &s, e))
        return e->code;
    if (a->attention_scale == 0)
        a->attention_scale = 1.0F / sqrtf((float)a->head_dim);
    return arch_read_rotation(a, &s, e);
}
