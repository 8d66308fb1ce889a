#include "arch_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What a key that config.json leaves out means: the defaults of transformers' configuration classes. */
static const struct row {
    const struct family *family;
    int64_t ffn, kv_heads, max_positions; /* kv_heads 0: as many as heads */
    int64_t window;                       /* 0: the architecture has none */
    bool has_bias_keys;
} families[] = {
    {&family_llama, 11008, 0, 2048, 0, true},
    {&family_mistral, 14336, 8, 131072, 4096, false},
};
#define FAMILY_COUNT (sizeof families / sizeof families[0])

#define DEFAULT_WIDTH  4096
#define DEFAULT_LAYERS 32
#define DEFAULT_HEADS  32
#define DEFAULT_VOCAB  32000
#define DEFAULT_EPS    1e-6
#define DEFAULT_THETA  10000.0

struct reader {
    const char *path;
    const struct json_value *root;
    struct err *e;
};

static enum err_code wrong_kind(const struct reader *r, const char *key, const char *wanted,
                                const struct json_value *v)
{
    return err_set(r->e, ERR_FORMAT, "%s/config.json: \"%s\" should be %s, not %s", r->path, key, wanted,
                   json_kind_name(v));
}

static enum err_code read_size(size_t *out, const struct reader *r, const char *key, int64_t otherwise)
{
    const struct json_value *v = json_get(r->root, key);
    if (!json_is_absent(v) && json_kind(v) != JSON_KIND_INT)
        return wrong_kind(r, key, "an integer", v);
    int64_t value = json_int(v, otherwise);
    if (value < 0)
        return err_set(r->e, ERR_FORMAT, "%s/config.json: \"%s\" is %" PRId64, r->path, key, value);
    *out = (size_t)value;
    return ERR_OK;
}

static enum err_code read_number(double *out, const struct reader *r, const struct json_value *object,
                                 const char *key, double otherwise)
{
    const struct json_value *v = json_get(object, key);
    if (!json_is_absent(v) && json_kind(v) != JSON_KIND_INT && json_kind(v) != JSON_KIND_REAL)
        return wrong_kind(r, key, "a number", v);
    *out = json_number(v, otherwise);
    return ERR_OK;
}

static enum err_code read_flag(bool *out, const struct reader *r, const char *key)
{
    const struct json_value *v = json_get(r->root, key);
    if (!json_is_absent(v) && json_kind(v) != JSON_KIND_BOOL)
        return wrong_kind(r, key, "true or false", v);
    *out = json_bool(v, false);
    return ERR_OK;
}

static enum err_code find_family(const struct row **out, const struct reader *r)
{
    const struct json_value *v = json_get(r->root, "model_type");
    const char *name = json_text(v);
    if (!name)
        return err_set(r->e, ERR_FORMAT, "%s/config.json: \"model_type\" should be a string, not %s", r->path,
                       json_kind_name(v));
    for (size_t i = 0; i < FAMILY_COUNT; i++)
        if (strcmp(name, families[i].family->name) == 0) {
            *out = &families[i];
            return ERR_OK;
        }
    return err_set(r->e, ERR_UNSUPPORTED,
                   "%s/config.json: model_type \"%s\" is not supported; supported are llama and mistral",
                   r->path, name);
}

static enum err_code refuse_variants(const struct arch *a, const struct reader *r, const struct row *family)
{
    const struct json_value *act = json_get(r->root, "hidden_act");
    if (!json_is_absent(act) && (!json_text(act) || strcmp(json_text(act), "silu") != 0))
        return err_set(r->e, ERR_UNSUPPORTED,
                       "%s/config.json: hidden_act \"%s\" is not supported; only silu is", r->path,
                       json_text(act) ? json_text(act) : json_kind_name(act));
    if (!json_is_absent(json_get(r->root, "quantization_config")))
        return err_set(
            r->e, ERR_UNSUPPORTED,
            "%s/config.json: quantization_config: quantised safetensors are not supported; use the "
            "unquantised model or a GGUF file of it",
            r->path);
    const struct json_value *causal = json_get(r->root, "is_causal");
    if (!json_is_absent(causal) && !json_bool(causal, false))
        return err_set(r->e, ERR_UNSUPPORTED,
                       "%s/config.json: is_causal false: attention in both directions is not supported",
                       r->path);
    if (family->window == 0)
        return ERR_OK;
    const struct json_value *window = json_get(r->root, "sliding_window");
    if (json_kind(window) == JSON_KIND_NONE && a->max_positions > (size_t)family->window)
        return err_set(r->e, ERR_UNSUPPORTED,
                       "%s/config.json: no \"sliding_window\", which means one of %" PRId64
                       " tokens for a %s model: windows are not supported. If the model has none, write "
                       "\"sliding_window\": null",
                       r->path, family->window, family->family->name);
    if (!json_is_absent(window))
        return err_set(r->e, ERR_UNSUPPORTED,
                       "%s/config.json: sliding_window %" PRId64 ": attention windows are not supported",
                       r->path, json_int(window, 0));
    return ERR_OK;
}

static enum err_code read_rope_type(struct arch *a, const struct reader *r, const struct json_value *rope)
{
    static const char *const names[] = {
        [ROPE_DEFAULT] = "default", [ROPE_LINEAR] = "linear", [ROPE_LLAMA3] = "llama3"};
    const struct json_value *v = json_get(rope, "rope_type");
    if (json_is_absent(v))
        v = json_get(rope, "type");
    if (json_is_absent(v)) {
        a->rope_type = ROPE_DEFAULT;
        return ERR_OK;
    }
    const char *name = json_text(v);
    if (!name)
        return wrong_kind(r, "rope_type", "a string", v);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0) {
            a->rope_type = (enum rope_type)i;
            return ERR_OK;
        }
    return err_set(
        r->e, ERR_UNSUPPORTED,
        "%s/config.json: rope type \"%s\" is not supported; supported are default, linear and llama3",
        r->path, name);
}

/* transformers 5 keeps all in rope_parameters; before, rope_theta stood beside rope_scaling. */
static enum err_code read_rope(struct arch *a, const struct reader *r)
{
    const struct json_value *rope = json_get(r->root, "rope_scaling");
    const char *key = "rope_scaling";
    if (json_is_absent(rope) || (json_kind(rope) == JSON_KIND_OBJECT && json_count(rope) == 0)) {
        rope = json_get(r->root, "rope_parameters");
        key = "rope_parameters";
    }
    if (!json_is_absent(rope) && json_kind(rope) != JSON_KIND_OBJECT)
        return wrong_kind(r, key, "an object", rope);
    double outer_theta = DEFAULT_THETA, outer_partial = 1, partial = 1, outer_original = 0;
    if (read_rope_type(a, r, rope) || read_number(&outer_theta, r, r->root, "rope_theta", DEFAULT_THETA) ||
        read_number(&a->rope_theta, r, rope, "rope_theta", outer_theta) ||
        read_number(&outer_partial, r, r->root, "partial_rotary_factor", 1) ||
        read_number(&partial, r, rope, "partial_rotary_factor", outer_partial))
        return r->e->code;
    if (partial != 1)
        return err_set(
            r->e, ERR_UNSUPPORTED,
            "%s/config.json: partial_rotary_factor %g is not supported; only whole heads rotate here",
            r->path, partial);
    if (a->rope_type == ROPE_DEFAULT)
        return ERR_OK;
    if (read_number(&a->rope_factor, r, rope, "factor", 0))
        return r->e->code;
    if (a->rope_type == ROPE_LINEAR)
        return ERR_OK;
    if (read_number(&a->rope_low_freq_factor, r, rope, "low_freq_factor", 0) ||
        read_number(&a->rope_high_freq_factor, r, rope, "high_freq_factor", 0) ||
        read_number(&a->rope_original_positions, r, rope, "original_max_position_embeddings",
                    (double)a->max_positions) ||
        read_number(&outer_original, r, r->root, "original_max_position_embeddings",
                    a->rope_original_positions))
        return r->e->code;
    a->rope_original_positions = outer_original;
    return ERR_OK;
}

enum err_code arch_read_hf(struct arch *a, const struct store *store, struct err *e)
{
    const struct reader r = {store->path, json_root(store->config), e};
    const struct row *family = NULL;
    double eps = DEFAULT_EPS;
    if (json_kind(r.root) != JSON_KIND_OBJECT)
        return err_set(e, ERR_FORMAT, "%s/config.json: not a JSON object", store->path);
    if (find_family(&family, &r))
        return e->code;
    a->family = family->family;
    if (read_size(&a->layers, &r, "num_hidden_layers", DEFAULT_LAYERS) ||
        read_size(&a->width, &r, "hidden_size", DEFAULT_WIDTH) ||
        read_size(&a->ffn, &r, "intermediate_size", family->ffn) ||
        read_size(&a->heads, &r, "num_attention_heads", DEFAULT_HEADS) ||
        read_size(&a->vocab, &r, "vocab_size", DEFAULT_VOCAB) ||
        read_size(&a->max_positions, &r, "max_position_embeddings", family->max_positions) ||
        read_number(&eps, &r, r.root, "rms_norm_eps", DEFAULT_EPS) ||
        read_flag(&a->tied, &r, "tie_word_embeddings"))
        return e->code;
    a->norm_eps = (float)eps;
    if (a->heads == 0)
        return err_set(e, ERR_FORMAT, "%s/config.json: \"num_attention_heads\" is 0", store->path);
    /* null is "as many as heads" in both families; only leaving the key out differs. */
    bool left_out = json_kind(json_get(r.root, "num_key_value_heads")) == JSON_KIND_NONE;
    int64_t kv_heads = left_out && family->kv_heads ? family->kv_heads : (int64_t)a->heads;
    if (read_size(&a->kv_heads, &r, "num_key_value_heads", kv_heads) ||
        read_size(&a->head_dim, &r, "head_dim", (int64_t)(a->width / a->heads)))
        return e->code;
    if (json_is_absent(json_get(r.root, "head_dim")) && a->width % a->heads != 0)
        return err_set(e, ERR_FORMAT, "%s/config.json: hidden_size %zu is not a multiple of %zu heads",
                       store->path, a->width, a->heads);
    if (family->has_bias_keys &&
        (read_flag(&a->attention_bias, &r, "attention_bias") || read_flag(&a->mlp_bias, &r, "mlp_bias")))
        return e->code;
    if (refuse_variants(a, &r, family))
        return e->code;
    return read_rope(a, &r);
}
