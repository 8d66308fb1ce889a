#include <math.h>
#include <string.h>

#include "arch_source.h"

static const char *const type_names[] = {
    [ROTATION_DEFAULT] = "default", [ROTATION_LINEAR] = "linear", [ROTATION_LLAMA3] = "llama3"};

/* ---- config.json ---- */

static enum err_code read_type(struct rotation *r, const struct source *s, const struct json_fields *rope,
                               struct err *e)
{
    const char *name, *old;
    if (json_get_text(&old, rope, "type", type_names[ROTATION_DEFAULT], e) ||
        json_get_text(&name, rope, "rope_type", old, e))
        return e->code;
    for (size_t i = 0; i < sizeof type_names / sizeof type_names[0]; i++)
        if (strcmp(name, type_names[i]) == 0) {
            r->type = (enum rotation_type)i;
            return ERR_OK;
        }
    return source_refuse(s, ERR_UNSUPPORTED, rope->part, e,
                         "rope_type \"%s\" is not supported; supported are default, linear and llama3", name);
}

static enum err_code read_scaling(struct rotation *r, size_t max_positions, const struct source *s,
                                  const struct json_fields *rope, struct err *e)
{
    if (r->type == ROTATION_DEFAULT)
        return ERR_OK;
    if (json_get_number(&r->factor, rope, "factor", 0, e))
        return e->code;
    if (r->type == ROTATION_LINEAR)
        return ERR_OK;
    double original;
    if (json_get_number(&r->low_freq_factor, rope, "low_freq_factor", 0, e) ||
        json_get_number(&r->high_freq_factor, rope, "high_freq_factor", 0, e) ||
        json_get_number(&original, rope, "original_max_position_embeddings", (double)max_positions, e))
        return e->code;
    return source_number(&r->original_positions, s, "original_max_position_embeddings", NULL, original, e);
}

/* Layers with a window rotate in their own way, by rotation 1. */
static bool has_two(const struct family *f)
{
    return f->defaults.kinds[1].rotation == 1;
}

/* The part of rope_parameters that is for the layers of a kind, where it has parts. */
static enum err_code find_part(struct json_fields *rope, const struct source *s, size_t rotation, struct err *e)
{
    static const char *const parts[ARCH_KINDS] = {"full_attention", "sliding_attention"};
    struct json_member m = json_first(rope->object);
    while (m.key && json_kind(m.value) != JSON_KIND_OBJECT)
        m = json_next(m);
    if (!m.key)
        return ERR_OK;
    if (!has_two(s->family))
        return source_refuse(s, ERR_UNSUPPORTED, rope->part, e,
                             "%s: a rotation for some of the layers is not supported for a model of type %s", m.key,
                             s->family->name);
    const struct json_fields whole = *rope;
    rope->part = parts[rotation];
    return json_get_value(&rope->object, &whole, rope->part, JSON_KIND_OBJECT, e);
}

/* transformers 5 keeps all in rope_parameters; before, rope_theta stood beside rope_scaling. */
static enum err_code find_object(struct json_fields *rope, const struct source *s, size_t rotation, struct err *e)
{
    *rope = s->json;
    rope->part = "rope_scaling";
    if (json_get_value(&rope->object, &s->json, rope->part, JSON_KIND_OBJECT, e))
        return e->code;
    if (!rope->object || json_count(rope->object) == 0) {
        rope->part = "rope_parameters";
        if (json_get_value(&rope->object, &s->json, rope->part, JSON_KIND_OBJECT, e))
            return e->code;
    }
    return find_part(rope, s, rotation, e);
}

static enum err_code read_json(struct rotation *r, const struct arch *a, const struct source *s,
                               size_t rotation, struct err *e)
{
    struct json_fields rope;
    double theta, partial;
    if (find_object(&rope, s, rotation, e) || read_type(r, s, &rope, e) ||
        source_number(&theta, s, "rope_theta", NULL, r->theta, e) ||
        json_get_number(&r->theta, &rope, "rope_theta", theta, e) ||
        json_get_number(&partial, &rope, "partial_rotary_factor", 1, e))
        return e->code;
    if (rotation == 1 && strcmp(rope.part, "sliding_attention") != 0) { /* as transformers 4 has it: never scaled */
        r->type = ROTATION_DEFAULT;
        return source_number(&r->theta, s, "rope_local_base_freq", NULL, s->family->defaults.rotations[1].theta, e);
    }
    if (partial != 1)
        return source_refuse(s, ERR_UNSUPPORTED, rope.part, e,
                             "partial_rotary_factor %g is not supported; only whole heads rotate here",
                             partial);
    return read_scaling(r, a->max_positions, s, &rope, e);
}

/* ---- GGUF ---- */

static bool text_is(const struct gguf_string *s, const char *text)
{
    return s->length == strlen(text) && memcmp(s->data, text, s->length) == 0;
}

static enum err_code read_gguf(struct rotation *r, const struct arch *a, const struct source *s,
                               struct err *e)
{
    char key[SOURCE_KEY_SIZE];
    size_t rotated;
    double old_scale;
    if (source_number(&r->theta, s, NULL, "rope.freq_base", 10000, e) ||
        source_size(&rotated, s, NULL, "rope.dimension_count", a->head_dim, e) ||
        source_number(&old_scale, s, NULL, "rope.scale_linear", 1, e) ||
        source_number(&r->factor, s, NULL, "rope.scaling.factor", old_scale, e))
        return e->code;
    if (rotated != a->head_dim)
        return source_refuse(s, ERR_UNSUPPORTED, source_key(key, s, NULL, "rope.dimension_count"), e,
                             "%zu with heads of %zu: only whole heads rotate here", rotated, a->head_dim);
    struct gguf_string type = {"linear", 6};
    if (gguf_find(s->store->gguf, source_key(key, s, NULL, "rope.scaling.type")) &&
        gguf_get_string(&type, s->store->gguf, key, e))
        return e->code;
    if (text_is(&type, "linear"))
        r->type = r->factor == 1 || r->factor == 0 ? ROTATION_DEFAULT : ROTATION_LINEAR;
    else if (!text_is(&type, "none"))
        return source_refuse(s, ERR_UNSUPPORTED, key, e,
                             "\"%.*s\" is not supported; supported are none and linear",
                             (int)(type.length < 64 ? type.length : 64), type.data);
    return ERR_OK;
}

/* ---- both ---- */

static enum err_code check(const struct rotation *r, const struct source *s, struct err *e)
{
    char key[SOURCE_KEY_SIZE];
    if (!(r->theta > 0) || !isfinite(r->theta))
        return source_refuse(s, ERR_FORMAT, source_key(key, s, "rope_theta", "rope.freq_base"), e,
                             "%g is out of range", r->theta);
    const char *scaling = source_key(key, s, "rope_scaling", "rope.scaling.factor");
    if (r->type != ROTATION_DEFAULT && !(r->factor > 0 && isfinite(r->factor)))
        return source_refuse(s, ERR_FORMAT, scaling, e, "a scaling factor of %g is out of range", r->factor);
    if (r->type == ROTATION_LLAMA3 &&
        !(r->low_freq_factor > 0 && r->high_freq_factor > r->low_freq_factor && r->original_positions > 0))
        return source_refuse(s, ERR_FORMAT, scaling, e,
                             "llama3 with low_freq_factor %g, high_freq_factor %g and "
                             "original_max_position_embeddings %g",
                             r->low_freq_factor, r->high_freq_factor, r->original_positions);
    return ERR_OK;
}

enum err_code arch_read_rotation(struct arch *a, const struct source *s, struct err *e)
{
    bool gguf = s->store->kind == STORE_GGUF;
    struct rotation *r = a->rotations;
    if ((gguf ? read_gguf(r, a, s, e) : read_json(r, a, s, 0, e)) || check(r, s, e))
        return e->code;
    if (!has_two(s->family))
        return ERR_OK;
    if (gguf ? source_number(&r[1].theta, s, NULL, "rope.freq_base_swa", r[1].theta, e)
             : read_json(&r[1], a, s, 1, e))
        return e->code;
    return check(&r[1], s, e);
}

/* Llama 3.1's scaling: long waves are stretched by the factor, short ones stay, those between are blended. */
static float scale_llama3(float frequency, const struct rotation *r)
{
    double original = r->original_positions;
    float wave = (float)(2.0 * M_PI) / frequency;
    if (wave < (float)(original / r->high_freq_factor))
        return frequency;
    if (wave > (float)(original / r->low_freq_factor))
        return frequency / (float)r->factor;
    float smooth = ((float)original / wave - (float)r->low_freq_factor) /
                   (float)(r->high_freq_factor - r->low_freq_factor);
    return (1 - smooth) * frequency / (float)r->factor + smooth * frequency;
}

static enum err_code divide(float *inv_freq, size_t count, const struct store_tensor *divisors, struct err *e)
{
    if (divisors->type != DTYPE_F32 || divisors->elements != count)
        return err_set(e, ERR_FORMAT, "%s: tensor %s should be f32 [%zu]", divisors->file, divisors->name,
                       count);
    for (size_t i = 0; i < count; i++) {
        float divisor;
        memcpy(&divisor, (const char *)divisors->data + i * sizeof divisor, sizeof divisor);
        if (!(divisor > 0) || !isfinite(divisor))
            return err_set(e, ERR_FORMAT, "%s: tensor %s: element %zu is %g", divisors->file, divisors->name,
                           i, (double)divisor);
        inv_freq[i] /= divisor;
    }
    return ERR_OK;
}

enum err_code arch_rotation_frequencies(float *inv_freq, const struct arch *a, size_t rotation,
                                        const struct store *store, struct err *e)
{
    const struct rotation *r = &a->rotations[rotation];
    size_t half = a->head_dim / 2;
    for (size_t i = 0; i < half; i++) {
        float exponent = (float)(2 * i) / (float)a->head_dim;
        float frequency = 1.0F / powf((float)r->theta, exponent);
        if (r->type == ROTATION_LINEAR)
            frequency /= (float)r->factor;
        if (r->type == ROTATION_LLAMA3)
            frequency = scale_llama3(frequency, r);
        inv_freq[i] = frequency;
    }
    if (store->kind != STORE_GGUF)
        return ERR_OK;
    const struct store_tensor *divisors = store_find(store, a->family->names[STORE_GGUF].rotation);
    return divisors ? divide(inv_freq, half, divisors, e) : ERR_OK;
}
