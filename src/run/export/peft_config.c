#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "base/regex.h"
#include "base/str.h"
#include "io/json.h"
#include "model/family.h"
#include "peft_config.h"

/* What each field of LoraConfig means here. A field that is in none of these rows is one of a newer PEFT: it
 * is treated as NEUTRAL. */
enum field_rule {
    USED,    /* read below */
    IGNORED, /* says how the adapter was trained or kept, not what it computes */
    NEUTRAL, /* refused unless it is absent, null, false, 0 or empty */
    TURNED   /* likewise, unless the base's file has its matrices the other way round */
};
static const struct field {
    const char *name;
    enum field_rule rule;
} fields[] = {{"peft_type", USED},
              {"task_type", IGNORED},
              {"r", USED},
              {"lora_alpha", USED},
              {"use_rslora", USED},
              {"rank_pattern", USED},
              {"alpha_pattern", USED},
              {"target_modules", USED},
              {"exclude_modules", USED},
              {"layers_to_transform", USED},
              {"layers_pattern", USED},
              {"bias", USED},
              {"init_lora_weights", USED},
              {"auto_mapping", IGNORED},
              {"base_model_name_or_path", IGNORED},
              {"revision", IGNORED},
              {"inference_mode", IGNORED},
              {"peft_version", IGNORED},
              {"lora_dropout", IGNORED},
              {"loftq_config", IGNORED},
              {"eva_config", IGNORED},
              {"corda_config", IGNORED},
              {"lora_ga_config", IGNORED},
              {"megatron_core", IGNORED},
              {"qalora_group_size", IGNORED},
              {"runtime_config", IGNORED},
              {"ensure_weight_tying", IGNORED},
              {"use_dora", NEUTRAL},
              {"lora_bias", NEUTRAL},
              {"modules_to_save", NEUTRAL},
              {"fan_in_fan_out", TURNED},
              {"layer_replication", NEUTRAL},
              {"trainable_token_indices", NEUTRAL},
              {"target_parameters", NEUTRAL}};

/* What LoraConfig has where the file says nothing. */
#define DEFAULT_RANK  8
#define DEFAULT_ALPHA 8

/* Initial values that leave the base as it is; the others make PEFT change it when it loads the adapter. */
static const char *const plain_inits[] = {"gaussian", "eva", "orthogonal"};

static bool is_neutral(const struct json_value *v)
{
    switch (json_kind(v)) {
    case JSON_KIND_NONE:
    case JSON_KIND_NULL:
        return true;
    case JSON_KIND_BOOL:
        return !json_bool(v, true);
    case JSON_KIND_INT:
    case JSON_KIND_REAL:
        return json_number(v, 1) == 0;
    case JSON_KIND_STRING:
        return json_text_length(v) == 0;
    case JSON_KIND_ARRAY:
    case JSON_KIND_OBJECT:
        return json_count(v) == 0;
    }
    return false;
}

static enum field_rule rule_of(const char *name)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(fields[i].name, name) == 0)
            return fields[i].rule;
    return NEUTRAL;
}

static bool text_is(const struct json_value *v, const char *text)
{
    return json_text(v) && strcmp(json_text(v), text) == 0;
}

static enum err_code check_init(const struct json_value *init, const char *path, struct err *e)
{
    enum json_kind kind = json_kind(init);
    if (kind != JSON_KIND_STRING)
        return ERR_OK;
    for (size_t i = 0; i < sizeof plain_inits / sizeof *plain_inits; i++)
        if (text_is(init, plain_inits[i]))
            return ERR_OK;
    return err_set(
        e, ERR_UNSUPPORTED,
        "%s: init_lora_weights \"%s\" changes the base model when the adapter is loaded, which is not "
        "supported: convert the adapter with PEFT (save_pretrained with "
        "path_initial_model_for_weight_conversion)",
        path, json_text(init));
}

/* The layers of a family have one name ("layers", "h"), whatever pattern says so; another matches none of them. */
static enum err_code check_layers_pattern(const struct json_value *config, const struct arch *a, const char *path,
                                          struct err *e)
{
    const struct json_value *pattern = json_get(config, "layers_pattern");
    const char *prefix = a->family->names[STORE_HF].layers, *dot = strrchr(prefix, '.');
    const char *name = dot ? dot + 1 : prefix;
    bool same =
        json_is_absent(json_get(config, "layers_to_transform")) || is_neutral(pattern) || text_is(pattern, name);
    for (size_t i = 0; json_kind(pattern) == JSON_KIND_ARRAY && i < json_count(pattern); i++)
        same = same || text_is(json_at(pattern, i), name);
    if (same)
        return ERR_OK;
    return err_set(e, ERR_UNSUPPORTED, "%s: layers_pattern must be \"%s\", as the layers of this model are called",
                   path, name);
}

static enum err_code check_layers(const struct json_value *config, const struct arch *a, const char *path,
                                  struct err *e)
{
    const struct json_value *layers = json_get(config, "layers_to_transform");
    bool is_list = json_kind(layers) == JSON_KIND_ARRAY;
    if (!json_is_absent(layers) && json_kind(layers) != JSON_KIND_INT && !is_list)
        return err_set(e, ERR_FORMAT,
                       "%s: \"layers_to_transform\" must be the number of a layer or a list of them, not %s",
                       path, json_kind_name(layers));
    for (size_t i = 0; is_list && i < json_count(layers); i++)
        if (json_kind(json_at(layers, i)) != JSON_KIND_INT)
            return err_set(e, ERR_FORMAT, "%s: \"layers_to_transform\" must hold whole numbers, not %s", path,
                           json_kind_name(json_at(layers, i)));
    return check_layers_pattern(config, a, path, e);
}

/* Whether a value stands for what is done here: what PEFT says of a base whose file has its matrices the other way
 * round, it finds out by itself. */
static bool is_honoured(const struct json_member *m, const struct arch *a)
{
    enum field_rule rule = rule_of(m->key);
    if (rule == TURNED && arch_module(a, 0)->stored & HF_TRANSPOSED)
        return true;
    return (rule != NEUTRAL && rule != TURNED) || is_neutral(m->value);
}

static enum err_code check_fields(const struct json_value *config, const struct arch *a, const char *path,
                                  struct err *e)
{
    if (json_kind(config) != JSON_KIND_OBJECT)
        return err_set(e, ERR_FORMAT, "%s is not a JSON object", path);
    if (!text_is(json_get(config, "peft_type"), "LORA"))
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: peft_type must be \"LORA\", other kinds of adapters are not supported", path);
    const struct json_value *bias = json_get(config, "bias");
    if (!is_neutral(bias) && !text_is(bias, "none"))
        return err_set(e, ERR_UNSUPPORTED, "%s: bias must be \"none\", trained biases are not supported",
                       path);
    for (struct json_member m = json_first(config); m.key; m = json_next(m))
        if (!is_honoured(&m, a))
            return err_set(e, ERR_UNSUPPORTED, "%s: %s is set, which is not supported here", path, m.key);
    if (check_layers(config, a, path, e))
        return e->code;
    return check_init(json_get(config, "init_lora_weights"), path, e);
}

/* Python's re.fullmatch(prefix(pattern), path) for the patterns of a configuration, each compiled once. */
struct patterns {
    struct regex **compiled;
    size_t count;
};

/* What decides about modules: the configuration, with its patterns ready to be matched. */
struct rules {
    const struct json_value *config;
    struct patterns targets, excluded; /* where the value is one pattern, not a list of names */
    struct patterns ranks, alphas;     /* one for each key, in the file's order */
    bool rslora;
    struct regex_scratch *scratch;
    const struct store *tensors; /* decide where the configuration has no target_modules */
    const struct peft_names *names;
};

static enum err_code add_pattern(struct patterns *p, const char *prefix, const char *pattern, struct err *e)
{
    struct str text = {0};
    enum err_code code = str_appendf(&text, e, "%s(%s)", prefix, pattern);
    if (!code)
        code = regex_open(&p->compiled[p->count], text.data, text.length, REGEX_TEXT, e);
    if (!code)
        p->count++;
    str_release(&text);
    return code;
}

static enum err_code compile_value(struct patterns *p, const struct json_value *value, struct arena *arena,
                                   struct err *e)
{
    if (json_kind(value) != JSON_KIND_STRING)
        return ERR_OK;
    p->compiled = arena_alloc(arena, 1, sizeof *p->compiled, "patterns", e);
    return p->compiled ? add_pattern(p, "", json_text(value), e) : e->code;
}

static enum err_code compile_keys(struct patterns *p, const struct json_value *config, const char *table,
                                  struct arena *arena, struct err *e)
{
    const struct json_fields f = {.object = config};
    const struct json_value *object;
    if (json_get_value(&object, &f, table, JSON_KIND_OBJECT, e))
        return e->code;
    if (json_count(object) > LIMIT_ADAPTER_PATTERNS)
        return err_set(e, ERR_FORMAT, "%s has %zu patterns; at most %d are read", table, json_count(object),
                       LIMIT_ADAPTER_PATTERNS);
    p->compiled = arena_alloc(arena, json_count(object), sizeof *p->compiled, "patterns", e);
    if (!p->compiled)
        return e->code;
    for (struct json_member m = json_first(object); m.key; m = json_next(m))
        if (add_pattern(p, "(.*\\.)?", m.key, e))
            return err_wrap(e, "%s", table);
    return ERR_OK;
}

static void rules_release(struct rules *r)
{
    struct patterns *const all[] = {&r->targets, &r->excluded, &r->ranks, &r->alphas};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        for (size_t i = 0; i < all[k]->count; i++)
            regex_close(all[k]->compiled[i]);
    regex_scratch_close(r->scratch);
}

/* To be released whatever this returns. */
static enum err_code rules_make(struct rules *r, const struct json_value *config, struct arena *arena, struct err *e)
{
    const struct json_fields f = {.object = config};
    r->config = config;
    if (json_get_flag(&r->rslora, &f, "use_rslora", false, e) || regex_scratch_open(&r->scratch, e) ||
        compile_value(&r->targets, json_get(config, "target_modules"), arena, e) ||
        compile_value(&r->excluded, json_get(config, "exclude_modules"), arena, e) ||
        compile_keys(&r->ranks, config, "rank_pattern", arena, e) ||
        compile_keys(&r->alphas, config, "alpha_pattern", arena, e))
        return e->code;
    return ERR_OK;
}

static bool matches_suffix(const char *name, const char *module)
{
    size_t length = strlen(name), whole = strlen(module);
    if (!str_ends_with(module, name))
        return false;
    return length == whole || module[whole - length - 1] == '.';
}

/* target_modules' and exclude_modules' rule: a string is a whole-path pattern, a list holds suffixes. *exact:
 * an item of a list is the whole path. */
static enum err_code matches_names(bool *matches, bool *exact, const struct rules *r,
                                   const struct json_value *names, const struct patterns *pattern,
                                   const char *module, struct err *e)
{
    *matches = *exact = false;
    if (pattern->count)
        return regex_full_match(matches, pattern->compiled[0], r->scratch, module, strlen(module), e);
    for (size_t i = 0; i < json_count(names); i++) {
        const char *name = json_text(json_at(names, i));
        if (!name)
            return err_set(e, ERR_FORMAT, "a name of a module is not a string");
        *exact = *exact || strcmp(name, module) == 0;
        *matches = *matches || matches_suffix(name, module);
    }
    return ERR_OK;
}

/* layers_to_transform: one number, a list, or nothing, which takes every layer. */
static bool takes_layer(const struct json_value *layers, size_t layer, bool in_block)
{
    enum json_kind kind = json_kind(layers);
    if (kind == JSON_KIND_INT)
        return in_block && json_int(layers, -1) == (int64_t)layer;
    if (kind != JSON_KIND_ARRAY || json_count(layers) == 0)
        return true;
    for (size_t i = 0; in_block && i < json_count(layers); i++)
        if (json_int(json_at(layers, i), -1) == (int64_t)layer)
            return true;
    return false;
}

/* Is this module adapted? PEFT's check_target_module_exists(). Without target_modules PEFT has a list of names for each
 * model_type: what was saved by it are the tensors of just these modules. */
static enum err_code is_target(bool *target, const struct rules *r, const char *module, size_t layer,
                               bool in_block, struct err *e)
{
    const struct json_value *names = json_get(r->config, "target_modules");
    const struct json_value *excluded = json_get(r->config, "exclude_modules");
    bool matches, exact;
    *target = false;
    if (!is_neutral(excluded)) {
        if (matches_names(&matches, &exact, r, excluded, &r->excluded, module, e))
            return e->code;
        if (matches)
            return ERR_OK;
    }
    if (json_is_absent(names)) {
        char name[PEFT_NAME_SIZE];
        peft_tensor_name(name, r->names, module, false);
        *target = store_find(r->tensors, name) != NULL;
        return ERR_OK;
    }
    if (text_is(names, "all-linear")) {
        *target = in_block;
        return ERR_OK;
    }
    if (matches_names(&matches, &exact, r, names, &r->targets, module, e))
        return e->code;
    bool by_layer = json_kind(names) == JSON_KIND_ARRAY && !exact;
    *target =
        matches && (!by_layer || takes_layer(json_get(r->config, "layers_to_transform"), layer, in_block));
    return ERR_OK;
}

/* Value of the first key of a pattern table that matches the module, else the general value, else PEFT's own. */
static enum err_code value_for(double *value, const struct rules *r, const char *general, double otherwise,
                               const char *table, const struct patterns *patterns, const char *module,
                               struct err *e)
{
    const char *key = general;
    struct json_fields f = {.object = r->config};
    struct json_member m = json_first(json_get(r->config, table));
    for (size_t i = 0; i < patterns->count; i++, m = json_next(m)) {
        bool matches;
        if (regex_full_match(&matches, patterns->compiled[i], r->scratch, module, strlen(module), e))
            return err_wrap(e, "%s", table);
        if (matches) {
            f = (struct json_fields){.object = m.object, .part = table};
            key = m.key;
            otherwise = NAN;
            break;
        }
    }
    if (json_get_number(value, &f, key, otherwise, e))
        return e->code;
    if (!isfinite(*value))
        return err_set(e, ERR_FORMAT, "\"%s\" gives no number for %s", key, module);
    return ERR_OK;
}

/* Rank and scaling of one module; `path` is its path in the folder. */
static enum err_code describe_module(struct lora_given *given, const struct rules *r, const char *path, struct err *e)
{
    double rank, alpha;
    if (value_for(&rank, r, "r", DEFAULT_RANK, "rank_pattern", &r->ranks, path, e) ||
        value_for(&alpha, r, "lora_alpha", DEFAULT_ALPHA, "alpha_pattern", &r->alphas, path, e))
        return e->code;
    if (rank != floor(rank) || rank < 1 || rank > LIMIT_RANK)
        return err_set(e, ERR_FORMAT, "the rank %g of %s is not a whole number from 1 to %d", rank, path, LIMIT_RANK);
    given->rank = (size_t)rank;
    given->scaling = alpha / lora_divisor(rank, r->rslora);
    return ERR_OK;
}

/* Every module of the model that the configuration adapts. */
static enum err_code list_modules(struct lora_given *given, size_t *count, const struct rules *r,
                                  const struct arch *a, struct arena *arena, struct err *e)
{
    *count = 0;
    for (size_t slot = 0; slot < arch_slots(a); slot++) {
        size_t layer = arch_slot_layer(a, slot), linear = arch_slot_linear(a, slot);
        char there[ARCH_PATH_SIZE], path[ARCH_PATH_SIZE];
        bool target;
        if (!arch_has_slot(a, slot))
            continue;
        arch_module_alias(there, a, r->names->alias, layer, linear);
        if (is_target(&target, r, there, layer, linear != arch_head(a), e))
            return e->code;
        if (!target)
            continue;
        arch_module_path(path, a, layer, linear);
        given[*count].path = arena_strndup(arena, path, strlen(path), e);
        if (!given[*count].path || describe_module(&given[*count], r, there, e))
            return e->code;
        ++*count;
    }
    return *count ? ERR_OK : err_set(e, ERR_MISMATCH, "target_modules matches no linear layer of this model");
}

/* `most` is how many parameters the file of the tensors can hold. */
static enum err_code create_from_rules(struct lora *l, const struct arch *a, const struct json_value *config,
                                       const struct store *tensors, const struct peft_names *names, uint64_t most,
                                       struct arena *arena, struct err *e)
{
    size_t count = 0;
    struct rules rules = {.tensors = tensors, .names = names};
    struct lora_given *given =
        arena_alloc(arena, arch_slots(a), sizeof *given, "modules of an adapter", e);
    enum err_code code = given ? rules_make(&rules, config, arena, e) : ERR_MEMORY;
    if (!code)
        code = list_modules(given, &count, &rules, a, arena, e);
    if (!code)
        code = lora_check_given(a, given, count, most, e);
    if (!code)
        code = lora_create_given(l, a, given, count, e);
    if (!code)
        l->rslora = rules.rslora;
    rules_release(&rules);
    return code;
}

static enum err_code keep_notes(struct export_notes *said, struct lora *l, const struct json_value *config,
                                struct err *e)
{
    const struct json_value *base = json_get(config, "base_model_name_or_path");
    said->no_targets = json_is_absent(json_get(config, "target_modules"));
    said->name = json_text_length(base) ? arena_strndup(&l->arena, json_text(base), json_text_length(base), e) : NULL;
    return json_text_length(base) && !said->name ? e->code : ERR_OK;
}

enum err_code peft_config_read(struct lora *l, struct export_notes *said, const struct arch *a, const char *path,
                               const struct store *tensors, const struct peft_names *names, struct err *e)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < tensors->tensor_count; i++)
        bytes += tensors->tensors[i].bytes;
    uint64_t most = bytes / dtype_info(DTYPE_BF16)->block_bytes;
    struct json *doc;
    struct arena arena = {0};
    if (json_open_file(&doc, path, LIMIT_ADAPTER_JSON, e))
        return e->code;
    enum err_code code = check_fields(json_root(doc), a, path, e);
    if (!code && create_from_rules(l, a, json_root(doc), tensors, names, most, &arena, e))
        code = err_wrap(e, "%s", path);
    else if (!code && (code = keep_notes(said, l, json_root(doc), e)))
        lora_release(l);
    arena_release(&arena);
    json_close(doc);
    return code;
}
