#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "arch_source.h"

#define NO_NUMBER NAN

static const char window_key[] = "sliding_window";

/*
 * Keys that change the mathematics, with the value that leaves it as it is. A file that has another value is
 * refused, unless its family reads the key or says that it changes nothing there. Missing and null are neutral;
 * true and false count as 1 and 0; an array is neutral if all of its elements are.
 */
static const struct unhonoured {
    const char *json, *gguf;
    double number;    /* that is neutral */
    const char *text; /* likewise; NULL: none is */
    const char *advice;
} table[] = {
    /* attention */
    {window_key, "attention.sliding_window", 0, NULL, ""},
    {"use_sliding_window", NULL, 0, NULL, ": sliding windows are not supported"},
    {"layer_types", NULL, NO_NUMBER, "full_attention", ""},
    {"is_causal", "attention.causal", 1, NULL, ": attention in both directions is not supported"},
    {"use_bidirectional_attention", NULL, 0, "vision" /* between the tokens of an image only */,
     ": attention in both directions is not supported"},
    {"attention_multiplier", "attention.scale", 0, NULL, ""},
    {"query_pre_attn_scalar", NULL, NO_NUMBER, NULL, ""},
    {"attn_logit_softcapping", "attn_logit_softcapping", 0, NULL, ""},
    {"use_qk_norm", NULL, 0, NULL, ""},
    {"qk_layernorm", NULL, 0, NULL, ""},
    {"scale_attn_weights", NULL, 1, NULL, ""},
    {"scale_attn_by_inverse_layer_idx", NULL, 0, NULL, ""},
    {"add_cross_attention", NULL, 0, NULL, ": attention to an encoder is not supported"},
    {"clip_qkv", "attention.clamp_kqv", 0, NULL, ""},
    {"alibi", "attention.max_alibi_bias", 0, NULL, ""},
    /* positions */
    {"no_rope_layers", NULL, 1, NULL, ""},
    {NULL, "rope.scaling.attn_factor", 1, NULL, ""},
    {NULL, "rope.scaling.yarn_attn_factor", NO_NUMBER, NULL, ""}, /* not read by llama.cpp */
    {NULL, "rope.scaling.yarn_ext_factor", 1, NULL, ""},
    {NULL, "attention.temperature_scale", 0, NULL, ""},
    /* the rest of a block */
    {"use_parallel_residual", NULL, 0, NULL, ": branches side by side are not supported for it"},
    {"hidden_act", NULL, NO_NUMBER, "silu", ": only silu is supported"},
    {"num_kv_shared_layers", "attention.shared_kv_layers", 0, NULL,
     ": layers that take keys and values from others are not supported"},
    {"enable_moe_block", NULL, 0, NULL, ": experts beside an MLP are not supported"},
    {"num_experts", "expert_count", 0, NULL, ": experts are not supported"},
    {"num_local_experts", NULL, 0, NULL, ": experts are not supported"},
    {"n_routed_experts", NULL, 0, NULL, ": experts are not supported"},
    {"residual_multiplier", NULL, 1, NULL, ""},
    {NULL, "residual_scale", 0, NULL, ""},
    {"mlp_only_layers", NULL, NO_NUMBER, NULL, ": experts in only some of the layers are not supported"},
    {"decoder_sparse_step", NULL, 1, NULL, ": experts in only some of the layers are not supported"},
    {NULL, "expert_shared_count", 0, NULL, ""},
    {NULL, "expert_weights_scale", 0, NULL, ""},
    {NULL, "expert_gating_func", 1, NULL, ": only the softmax, 1, is supported"},
    {"output_router_logits", NULL, 0, NULL, ": the loss that balances experts is not supported"},
    {"router_jitter_noise", NULL, 0, NULL, ""},
    {"per_layer_config", NULL, NO_NUMBER, NULL, ": layers of several sizes are not supported"},
    /* embedding and head */
    {"embedding_multiplier", NULL, 1, NULL, ""},
    {NULL, "embedding_scale", 0, NULL, ""},
    {"logits_scaling", NULL, 1, NULL, ""},
    {"logit_scale", NULL, 1, NULL, ""},
    {NULL, "logit_scale", 0, NULL, ""},
    {"final_logit_softcapping", "final_logit_softcapping", 0, NULL, ""},
    /* weights */
    {"quantization_config", NULL, NO_NUMBER, NULL,
     ": quantised safetensors are not supported; use the unquantised model or a GGUF file of it"},
};

static bool names(const char *x, const char *y)
{
    return x && y && strcmp(x, y) == 0;
}

static bool is_honoured(const struct family *f, const struct unhonoured *u, bool gguf)
{
    for (const struct family_key *const *keys = f->keys; *keys; keys++)
        for (const struct family_key *k = *keys; k->json || k->gguf; k++)
            if (gguf ? names(k->gguf, u->gguf) : names(k->json, u->json))
                return true;
    if (f->layers && !gguf && (names(f->layers->key, u->json) || names(f->layers->sizes, u->json)))
        return true;
    for (const char *const *ignored = f->ignores; ignored && *ignored; ignored++)
        if (names(*ignored, gguf ? u->gguf : u->json))
            return true;
    return false;
}

static bool is_neutral(const struct json_value *v, const struct unhonoured *u)
{
    switch (json_kind(v)) {
    case JSON_KIND_NONE:
    case JSON_KIND_NULL:
        return true;
    case JSON_KIND_BOOL:
        return (json_bool(v, false) ? 1 : 0) == u->number;
    case JSON_KIND_INT:
    case JSON_KIND_REAL:
        return json_number(v, 0) == u->number;
    case JSON_KIND_STRING:
        return names(json_text(v), u->text);
    case JSON_KIND_ARRAY:
        for (size_t i = 0; i < json_count(v); i++)
            if (!is_neutral(json_at(v, i), u))
                return false;
        return true;
    default:
        return false;
    }
}

/* A value in words, as the file has it where it is short. */
static const char *describe(char text[96], const struct json_value *v)
{
    switch (json_kind(v)) {
    case JSON_KIND_BOOL:
        return json_bool(v, false) ? "true" : "false";
    case JSON_KIND_INT:
        snprintf(text, 96, "%" PRId64, json_int(v, 0));
        return text;
    case JSON_KIND_REAL:
        snprintf(text, 96, "%g", json_number(v, 0));
        return text;
    case JSON_KIND_STRING:
        snprintf(text, 96, "\"%.80s\"", json_text(v));
        return text;
    default:
        return json_kind_name(v);
    }
}

static enum err_code refuse(const struct source *s, const struct unhonoured *u, const char *key,
                            const char *value, struct err *e)
{
    return source_refuse(s, ERR_UNSUPPORTED, key, e, "%s is not supported for a model of type %s%s", value,
                         s->family->name, u->advice);
}

/* An example that fits into the window sees all of itself, whether the family has windows or not. */
static bool take_window(struct arch *a, const struct unhonoured *u, double window)
{
    const bool taken = u->json == window_key && window >= 1 && window < INT32_MAX && window == floor(window);
    if (taken)
        arch_limit_positions(a, (size_t)window);
    return taken;
}

static enum err_code check_json(struct arch *a, const struct source *s, const struct json_value *object,
                                const struct unhonoured *u, struct err *e)
{
    char text[96];
    const struct json_value *v = json_get(object, u->json);
    if (is_neutral(v, u) || take_window(a, u, json_number(v, 0)))
        return ERR_OK;
    for (size_t i = 0; json_kind(v) == JSON_KIND_ARRAY; i++) /* its first element that is not */
        if (!is_neutral(json_at(v, i), u))
            v = json_at(v, i);
    return refuse(s, u, u->json, describe(text, v), e);
}

static enum err_code check_gguf(struct arch *a, const struct source *s, const struct unhonoured *u, struct err *e)
{
    char key[SOURCE_KEY_SIZE], text[32];
    const struct gguf_key *found = gguf_find(s->store->gguf, source_key(key, s, NULL, u->gguf));
    double value;
    if (!found)
        return ERR_OK;
    if (found->type == GGUF_BOOL) {
        bool flag;
        if (gguf_get_bool(&flag, s->store->gguf, key, false, e))
            return e->code;
        value = flag ? 1 : 0;
        snprintf(text, sizeof text, "%s", flag ? "true" : "false");
    } else {
        if (gguf_get_f64(&value, s->store->gguf, key, 0, e))
            return e->code;
        snprintf(text, sizeof text, "%g", value);
    }
    return value == u->number || take_window(a, u, value) ? ERR_OK : refuse(s, u, key, text, e);
}

enum err_code arch_refuse_unhonoured(struct arch *a, const struct source *s, struct err *e)
{
    bool gguf = s->store->kind == STORE_GGUF;
    struct source whole = *s; /* what a wrapper says for all of its parts */
    whole.json.part = NULL;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct unhonoured *u = &table[i];
        if (!(gguf ? u->gguf : u->json) || is_honoured(s->family, u, gguf))
            continue;
        if (gguf ? check_gguf(a, s, u, e) : check_json(a, s, s->json.object, u, e))
            return e->code;
        if (s->wrapper && check_json(a, &whole, json_root(s->store->config), u, e))
            return e->code;
    }
    return ERR_OK;
}
