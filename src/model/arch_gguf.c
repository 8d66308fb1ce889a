#include "arch_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_EPS   1e-5
#define DEFAULT_THETA 10000.0

/* Keys are "llama." and a name. */
struct reader {
    const struct gguf *g;
    const char *path;
    struct err *e;
};

static enum err_code read_size(size_t *out, const struct reader *r, const char *name, uint64_t otherwise)
{
    char key[96];
    uint64_t value;
    snprintf(key, sizeof key, "llama.%s", name);
    if (gguf_get_u64(&value, r->g, key, otherwise, r->e))
        return r->e->code;
    *out = (size_t)value;
    return ERR_OK;
}

static enum err_code require_size(size_t *out, const struct reader *r, const char *name)
{
    char key[96];
    snprintf(key, sizeof key, "llama.%s", name);
    if (!gguf_find(r->g, key))
        return err_set(r->e, ERR_FORMAT, "%s: key %s is missing", r->path, key);
    return read_size(out, r, name, 0);
}

static enum err_code read_number(double *out, const struct reader *r, const char *name, double otherwise)
{
    char key[96];
    snprintf(key, sizeof key, "llama.%s", name);
    return gguf_get_f64(out, r->g, key, otherwise, r->e);
}

static bool text_is(const struct gguf_string *s, const char *text)
{
    return s->length == strlen(text) && memcmp(s->data, text, s->length) == 0;
}

static enum err_code check_kind(const struct reader *r)
{
    struct gguf_string text;
    if (gguf_find(r->g, "general.type")) {
        if (gguf_get_string(&text, r->g, "general.type", r->e))
            return r->e->code;
        if (!text_is(&text, "model"))
            return err_set(r->e, ERR_UNSUPPORTED, "%s: general.type is \"%.*s\": not a model", r->path,
                           (int)(text.length < 64 ? text.length : 64), text.data);
    }
    if (!gguf_find(r->g, "general.architecture"))
        return err_set(r->e, ERR_FORMAT, "%s: key general.architecture is missing", r->path);
    if (gguf_get_string(&text, r->g, "general.architecture", r->e))
        return r->e->code;
    if (!text_is(&text, "llama"))
        return err_set(r->e, ERR_UNSUPPORTED,
                       "%s: general.architecture \"%.*s\" is not supported; supported is llama", r->path,
                       (int)(text.length < 64 ? text.length : 64), text.data);
    return ERR_OK;
}

/* Keys that change the mathematics: any value but the neutral one is refused. */
static enum err_code refuse_variants(const struct reader *r)
{
    static const struct {
        const char *name;
        double neutral;
    } keys[] = {
        {"expert_count", 0},
        {"attention.sliding_window", 0},
        {"attn_logit_softcapping", 0},
        {"final_logit_softcapping", 0},
        {"logit_scale", 0},
        {"embedding_scale", 0},
        {"residual_scale", 0},
        {"attention.scale", 0},
        {"rope.scaling.attn_factor", 1},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char key[96];
        snprintf(key, sizeof key, "llama.%s", keys[i].name);
        const struct gguf_key *found = gguf_find(r->g, key);
        double value = keys[i].neutral;
        if (!found)
            continue;
        if (found->type == GGUF_F32 || found->type == GGUF_F64) {
            if (gguf_get_f64(&value, r->g, key, value, r->e))
                return r->e->code;
        } else {
            uint64_t number;
            if (gguf_get_u64(&number, r->g, key, 0, r->e))
                return r->e->code;
            value = (double)number;
        }
        if (value != keys[i].neutral)
            return err_set(r->e, ERR_UNSUPPORTED, "%s: key %s is %g: not supported", r->path, key, value);
    }
    bool causal;
    if (gguf_get_bool(&causal, r->g, "llama.attention.causal", true, r->e))
        return r->e->code;
    if (!causal)
        return err_set(
            r->e, ERR_UNSUPPORTED,
            "%s: key llama.attention.causal is false: attention in both directions is not supported",
            r->path);
    return ERR_OK;
}

static enum err_code read_rope(struct arch *a, const struct reader *r)
{
    static const char *const type_key = "llama.rope.scaling.type";
    size_t rotated = 0;
    if (read_number(&a->rope_theta, r, "rope.freq_base", DEFAULT_THETA) ||
        read_size(&rotated, r, "rope.dimension_count", a->head_dim))
        return r->e->code;
    if (rotated != a->head_dim)
        return err_set(
            r->e, ERR_UNSUPPORTED,
            "%s: key llama.rope.dimension_count is %zu with heads of %zu: only whole heads rotate here",
            r->path, rotated, a->head_dim);
    double old_scale = 1;
    if (read_number(&old_scale, r, "rope.scale_linear", 1) ||
        read_number(&a->rope_factor, r, "rope.scaling.factor", old_scale))
        return r->e->code;
    struct gguf_string type = {"linear", 6};
    if (gguf_find(r->g, type_key) && gguf_get_string(&type, r->g, type_key, r->e))
        return r->e->code;
    if (text_is(&type, "linear"))
        a->rope_type = a->rope_factor == 1 || a->rope_factor == 0 ? ROPE_DEFAULT : ROPE_LINEAR;
    else if (text_is(&type, "none"))
        a->rope_type = ROPE_DEFAULT;
    else
        return err_set(r->e, ERR_UNSUPPORTED,
                       "%s: key %s is \"%.*s\": not supported; supported are none and linear", r->path,
                       type_key, (int)(type.length < 64 ? type.length : 64), type.data);
    return ERR_OK;
}

enum err_code arch_read_gguf(struct arch *a, const struct store *store, struct err *e)
{
    const struct reader r = {store->gguf, store->path, e};
    double eps = DEFAULT_EPS;
    size_t value_length = 0;
    if (check_kind(&r) || refuse_variants(&r))
        return e->code;
    a->family = &family_llama;
    if (require_size(&a->layers, &r, "block_count") || require_size(&a->width, &r, "embedding_length") ||
        require_size(&a->ffn, &r, "feed_forward_length") ||
        require_size(&a->heads, &r, "attention.head_count") ||
        read_size(&a->kv_heads, &r, "attention.head_count_kv", a->heads) ||
        read_size(&a->max_positions, &r, "context_length", 0) ||
        read_number(&eps, &r, "attention.layer_norm_rms_epsilon", DEFAULT_EPS))
        return e->code;
    a->norm_eps = (float)eps;
    if (a->heads == 0 || a->width < a->heads)
        return err_set(e, ERR_FORMAT, "%s: %zu heads in a width of %zu", store->path, a->heads, a->width);
    if (read_size(&a->head_dim, &r, "attention.key_length", a->width / a->heads) ||
        read_size(&value_length, &r, "attention.value_length", a->head_dim))
        return e->code;
    if (value_length != a->head_dim)
        return err_set(e, ERR_UNSUPPORTED, "%s: keys of %zu and values of %zu a head: not supported",
                       store->path, a->head_dim, value_length);
    const struct store_tensor *table = store_find(store, "token_embd.weight");
    if (!table || table->dims != 2)
        return err_set(e, ERR_FORMAT, "%s: tensor token_embd.weight is missing or not a matrix", store->path);
    a->vocab = table->shape[0];
    a->tied = !store_find(store, "output.weight");
    a->attention_bias = store_find(store, "blk.0.attn_q.bias") != NULL;
    a->mlp_bias = store_find(store, "blk.0.ffn_gate.bias") != NULL;
    return read_rope(a, &r);
}
