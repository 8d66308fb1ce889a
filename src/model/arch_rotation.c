#include <math.h>
#include <string.h>

#include "arch_source.h"

static const struct {
    const char *name;
    enum rotation_type type;
} type_words[] = {{"default", ROTATION_DEFAULT}, {"linear", ROTATION_LINEAR},     {"llama3", ROTATION_LLAMA3},
                  {"yarn", ROTATION_YARN},       {"longrope", ROTATION_LONGROPE}, {"su", ROTATION_LONGROPE},
                  {"proportional", ROTATION_PROPORTIONAL}};

/* ---- config.json ---- */

static const char share_key[] = "partial_rotary_factor";

static enum err_code read_type(struct rotation *r, struct arch *a, const struct source *s,
                               const struct json_fields *rope, struct err *e)
{
    const char *name, *old;
    if (!rope->object) /* as the family has it */
        return ERR_OK;
    if (json_get_text(&old, rope, "type", type_words[0].name, e) ||
        json_get_text(&name, rope, "rope_type", old, e))
        return e->code;
    for (size_t i = 0; i < sizeof type_words / sizeof type_words[0]; i++)
        if (strcmp(name, type_words[i].name) == 0) {
            r->type = type_words[i].type;
            return ERR_OK;
        }
    const bool is_dynamic = strcmp(name, "dynamic") == 0;
    if (is_dynamic && r->takes_alpha && json_kind(json_get(rope->object, "alpha")) != JSON_KIND_NONE)
        return ERR_OK;
    if (is_dynamic && !r->takes_alpha && a->max_positions > 0) { /* by the length of a text: up to here none */
        arch_limit_positions(a, a->max_positions);
        return ERR_OK;
    }
    return source_refuse(s, ERR_UNSUPPORTED, rope->part, e,
                         "rope_type \"%s\" is not supported; supported are default, linear, llama3, yarn, longrope, "
                         "proportional and, up to max_position_embeddings, dynamic",
                         name);
}

/* The length before the scaling: what stands beside the object goes before what is in it. */
static enum err_code read_original(struct rotation *r, const struct arch *a, const struct source *s,
                                   const struct json_fields *rope, struct err *e)
{
    static const char key[] = "original_max_position_embeddings";
    double inside, by_class = s->family->defaults.rotations[0].original_positions;
    if (json_get_number(&inside, rope, key, (double)a->max_positions, e))
        return e->code;
    return source_number(&r->original_positions, s, key, NULL, by_class > 0 ? by_class : inside, e);
}

static double yarn_size(double factor, double scale)
{
    return factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1;
}

static enum err_code read_yarn(struct rotation *r, const struct json_fields *rope, struct err *e)
{
    double scale, all;
    bool truncates;
    if (json_get_number(&r->beta_fast, rope, "beta_fast", 32, e) ||
        json_get_number(&r->beta_slow, rope, "beta_slow", 1, e) ||
        json_get_number(&scale, rope, "mscale", 0, e) || json_get_number(&all, rope, "mscale_all_dim", 0, e) ||
        json_get_flag(&truncates, rope, "truncate", true, e))
        return e->code;
    r->keeps_fractions = !truncates;
    double size = scale != 0 && all != 0 ? yarn_size(r->factor, scale) / yarn_size(r->factor, all)
                                         : yarn_size(r->factor, 1);
    return json_get_number(&r->size, rope, "attention_factor", size, e);
}

static enum err_code read_longrope(struct rotation *r, const struct json_fields *rope, struct err *e)
{
    double size = r->factor <= 1 ? 1 : sqrt(1 + log(r->factor) / log(r->original_positions));
    return json_get_number(&r->size, rope, "attention_factor", size, e);
}

/* NTK-aware scaling by a fixed alpha. */
static enum err_code read_alpha(struct rotation *r, const struct arch *a, const struct json_fields *rope, struct err *e)
{
    double alpha = 0, columns = (double)a->head_dim;
    if (!r->takes_alpha)
        return ERR_OK;
    if (json_get_number(&alpha, rope, "alpha", 0, e))
        return e->code;
    r->theta *= alpha != 0 ? pow(alpha, columns / (columns - 2)) : 1;
    return ERR_OK;
}

static enum err_code read_scaling(struct rotation *r, const struct arch *a, const struct source *s,
                                  const struct json_fields *rope, struct err *e)
{
    if (r->type == ROTATION_DEFAULT)
        return read_alpha(r, a, rope, e);
    if (r->type == ROTATION_PROPORTIONAL)
        return json_get_number(&r->factor, rope, "factor", 1, e);
    if (r->type != ROTATION_LINEAR && read_original(r, a, s, rope, e))
        return e->code;
    bool by_lengths = (r->type == ROTATION_YARN || r->type == ROTATION_LONGROPE) && r->original_positions > 0;
    double factor = by_lengths ? (double)a->max_positions / r->original_positions : 0;
    if (json_get_number(&r->factor, rope, "factor", factor, e))
        return e->code;
    if (r->type == ROTATION_YARN)
        return read_yarn(r, rope, e);
    if (r->type == ROTATION_LONGROPE)
        return read_longrope(r, rope, e);
    if (r->type == ROTATION_LINEAR)
        return ERR_OK;
    return json_get_number(&r->low_freq_factor, rope, "low_freq_factor", 0, e)
               ? e->code
               : json_get_number(&r->high_freq_factor, rope, "high_freq_factor", 0, e);
}

/* Layers with a window rotate in their own way, by rotation 1. */
static bool has_two(const struct family *f)
{
    return f->defaults.kinds[1].rotation == 1;
}

/* A class that came after transformers 5 reads no older form, and has no defaults for what a part leaves out. */
static bool has_parts_only(const struct family *f)
{
    return f->defaults.rotations[0].type == ROTATION_PROPORTIONAL;
}

/* The part of rope_parameters that is for the layers of a kind, where it has parts. */
static enum err_code find_part(struct json_fields *rope, const struct source *s, size_t rotation, struct err *e)
{
    static const char *const parts[ARCH_KINDS] = {"full_attention", "sliding_attention"};
    struct json_member m = json_first(rope->object);
    while (m.key && json_kind(m.value) != JSON_KIND_OBJECT)
        m = json_next(m);
    if (!m.key && rope->object && has_parts_only(s->family))
        return source_refuse(s, ERR_FORMAT, rope->part, e,
                             "a model of type %s has a part for each kind of layers: {\"%s\": {...}, \"%s\": {...}}",
                             s->family->name, parts[0], parts[1]);
    if (!m.key)
        return ERR_OK;
    if (!has_two(s->family))
        return source_refuse(s, ERR_UNSUPPORTED, rope->part, e,
                             "%s: a rotation for some of the layers is not supported for a model of type %s", m.key,
                             s->family->name);
    const struct json_fields whole = *rope;
    rope->part = parts[rotation];
    if (has_parts_only(s->family) && json_kind(json_get(whole.object, rope->part)) == JSON_KIND_NONE)
        return source_refuse(s, ERR_FORMAT, whole.part, e, "the part %s is missing", rope->part);
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

/* All columns have a frequency, of which a share is not 0. */
static enum err_code read_proportion(struct rotation *r, const struct source *s, size_t head_dim,
                                     const struct json_fields *rope, struct err *e)
{
    r->rotated = head_dim;
    if (json_get_number(&r->share, rope, share_key, rope->object ? 1 : r->share, e))
        return e->code;
    if (!(r->share >= 0 && r->share <= 1))
        return source_refuse(s, ERR_FORMAT, share_key, e, "%g is out of range: 0 to 1", r->share);
    return ERR_OK;
}

/* The share of a head that rotates. */
static enum err_code read_share(struct rotation *r, struct arch *a, const struct source *s, size_t rotation,
                                const struct json_fields *rope, struct err *e)
{
    double beside, inside, by_class = a->rotated_share;
    size_t head_dim = arch_kind_head_dim(a, rotation); /* of two rotations, each is of the kind of its number */
    if (r->type == ROTATION_PROPORTIONAL && s->family->defaults.rotated_share > 0)
        return source_refuse(s, ERR_UNSUPPORTED, rope->part, e,
                             "rope_type \"proportional\" is not supported for a model of type %s: a share of its heads "
                             "rotates",
                             s->family->name);
    if (r->type == ROTATION_PROPORTIONAL)
        return read_proportion(r, s, head_dim, rope, e);
    if (source_number(&beside, s, share_key, NULL, by_class > 0 ? by_class : 1, e) ||
        json_get_number(&inside, rope, share_key, beside, e))
        return e->code;
    if (by_class == 0 && beside != 1)
        return source_refuse(s, ERR_UNSUPPORTED, share_key, e,
                             "%g is not supported for a model of type %s: its whole heads rotate", beside,
                             s->family->name);
    if (by_class == 0 && inside != 1)
        return source_refuse(s, ERR_UNSUPPORTED, rope->part, e,
                             "%s %g is not supported for a model of type %s: its whole heads rotate", share_key, inside,
                             s->family->name);
    if (!(inside > 0 && inside <= 1))
        return source_refuse(s, ERR_FORMAT, share_key, e, "%g is out of range: above 0, at most 1", inside);
    a->rotated_share = inside;
    r->rotated = (size_t)((double)head_dim * inside);
    if (r->rotated == 0 || r->rotated % 2 != 0)
        return source_refuse(s, ERR_FORMAT, share_key, e, "%g of heads of %zu: an even number of columns has to rotate",
                             inside, head_dim);
    return ERR_OK;
}

static enum err_code read_json(struct rotation *r, struct arch *a, const struct source *s, size_t rotation,
                               struct err *e)
{
    struct json_fields rope;
    double theta;
    if (find_object(&rope, s, rotation, e) || read_type(r, a, s, &rope, e))
        return e->code;
    if (rope.object && has_parts_only(s->family) && json_is_absent(json_get(rope.object, "rope_theta")))
        return source_refuse(s, ERR_FORMAT, rope.part, e, "rope_theta is missing");
    if (source_number(&theta, s, "rope_theta", NULL, r->theta, e) ||
        json_get_number(&r->theta, &rope, "rope_theta", theta, e) || read_share(r, a, s, rotation, &rope, e))
        return e->code;
    if (rotation == 1 && strcmp(rope.part, "sliding_attention") != 0) { /* as transformers 4 has it: never scaled */
        r->type = ROTATION_DEFAULT;
        return source_number(&r->theta, s, "rope_local_base_freq", NULL, s->family->defaults.rotations[1].theta, e);
    }
    return read_scaling(r, a, s, &rope, e);
}

/* ---- GGUF ---- */

/* A file with longrope has its factors, and may leave out the type. */
static bool has_longrope(const struct source *s)
{
    const char *name = s->family->names[STORE_GGUF].longrope[1];
    return name && store_find(s->store, name);
}

static enum err_code read_gguf_longrope(struct rotation *r, const struct arch *a, const struct source *s,
                                        struct err *e)
{
    if (s->family->names[STORE_GGUF].longrope[1] &&
        source_number(&r->size, s, NULL, "rope.scaling.attn_factor", 0, e))
        return e->code;
    if (!has_longrope(s))
        return ERR_OK;
    r->type = ROTATION_LONGROPE;
    if (source_number(&r->original_positions, s, NULL, "rope.scaling.original_context_length", 0, e))
        return e->code;
    r->factor = r->original_positions > 0 ? (double)a->max_positions / r->original_positions : 1;
    return ERR_OK;
}

static enum err_code read_gguf_rotated(struct arch *a, const struct source *s, size_t rotation, const char *name,
                                       struct err *e)
{
    char key[SOURCE_KEY_SIZE];
    size_t head_dim = arch_kind_head_dim(a, rotation), *rotated = &a->rotations[rotation].rotated;
    if (source_size(rotated, s, NULL, name, head_dim, e))
        return e->code;
    if (*rotated != head_dim && a->rotated_share == 0)
        return source_refuse(s, ERR_UNSUPPORTED, source_key(key, s, NULL, name), e,
                             "%zu with heads of %zu: only whole heads rotate here", *rotated, head_dim);
    if (*rotated == 0 || *rotated > head_dim || *rotated % 2 != 0)
        return source_refuse(s, ERR_FORMAT, source_key(key, s, NULL, name), e,
                             "%zu with heads of %zu: an even number of columns has to rotate", *rotated, head_dim);
    return ERR_OK;
}

/* As read_yarn(), with an mscale of 1, which llama.cpp takes for granted where the file has that of all columns. */
static enum err_code read_gguf_yarn(struct rotation *r, const struct arch *a, const struct source *s, struct err *e)
{
    double all;
    r->type = ROTATION_YARN;
    if (source_number(&r->original_positions, s, NULL, "rope.scaling.original_context_length",
                      (double)a->max_positions, e) ||
        source_number(&r->beta_fast, s, NULL, "rope.scaling.yarn_beta_fast", 32, e) ||
        source_number(&r->beta_slow, s, NULL, "rope.scaling.yarn_beta_slow", 1, e) ||
        source_number(&all, s, NULL, "rope.scaling.yarn_log_multiplier", 0, e))
        return e->code;
    r->size = yarn_size(r->factor, 1) / (all != 0 ? yarn_size(r->factor, all) : 1);
    return ERR_OK;
}

static enum err_code read_gguf(struct rotation *r, struct arch *a, const struct source *s,
                               struct err *e)
{
    char key[SOURCE_KEY_SIZE];
    double old_scale;
    if (source_number(&r->theta, s, NULL, "rope.freq_base", 10000, e) ||
        read_gguf_rotated(a, s, 0, "rope.dimension_count", e) ||
        source_number(&old_scale, s, NULL, "rope.scale_linear", 1, e) ||
        source_number(&r->factor, s, NULL, "rope.scaling.factor", old_scale, e))
        return e->code;
    struct gguf_string type = {"linear", 6};
    if (gguf_find(s->store->gguf, source_key(key, s, NULL, "rope.scaling.type")) &&
        gguf_get_string(&type, s->store->gguf, key, e))
        return e->code;
    if (gguf_string_is(&type, "linear"))
        r->type = r->factor == 1 || r->factor == 0 ? ROTATION_DEFAULT : ROTATION_LINEAR;
    else if (gguf_string_is(&type, "yarn"))
        return read_gguf_yarn(r, a, s, e);
    else if (!gguf_string_is(&type, "none") && !(gguf_string_is(&type, "longrope") && has_longrope(s)))
        return source_refuse(s, ERR_UNSUPPORTED, key, e,
                             "\"%.*s\" is not supported; supported are none, linear and yarn",
                             (int)(type.length < 64 ? type.length : 64), type.data);
    return read_gguf_longrope(r, a, s, e);
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
    if (r->type == ROTATION_YARN && !(r->original_positions > 0 && r->beta_fast > 0 && r->beta_slow > 0))
        return source_refuse(s, ERR_FORMAT, scaling, e,
                             "yarn with beta_fast %g, beta_slow %g and original_max_position_embeddings %g",
                             r->beta_fast, r->beta_slow, r->original_positions);
    if (r->type == ROTATION_LONGROPE && !(r->original_positions > 1 && r->original_positions < INT32_MAX))
        return source_refuse(s, ERR_FORMAT, scaling, e, "longrope with original_max_position_embeddings %g",
                             r->original_positions);
    if (!(r->size >= 0) || !isfinite(r->size))
        return source_refuse(s, ERR_FORMAT, scaling, e, "an attention_factor of %g is out of range", r->size);
    return ERR_OK;
}

enum err_code arch_read_rotation(struct arch *a, const struct source *s, struct err *e)
{
    bool gguf = s->store->kind == STORE_GGUF;
    struct rotation *r = a->rotations;
    if ((gguf ? read_gguf(r, a, s, e) : read_json(r, a, s, 0, e)) || check(r, s, e))
        return e->code;
    if (r->type == ROTATION_LONGROPE)
        r[1] = r[0];
    if (!has_two(s->family))
        return ERR_OK;
    if (gguf && read_gguf_rotated(a, s, 1, "rope.dimension_count_swa", e))
        return e->code;
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

/* The column at which a wave turns so often over the original length. */
static double yarn_column(double turns, double columns, const struct rotation *r)
{
    return columns * log(r->original_positions / (turns * 2 * M_PI)) / (2 * log(r->theta));
}

/* From short waves, which stay, to long ones, which are stretched by the factor, over a ramp of columns. */
static void scale_yarn(float *inv_freq, size_t half, const struct rotation *r)
{
    double columns = 2 * (double)half;
    double low = yarn_column(r->beta_fast, columns, r), high = yarn_column(r->beta_slow, columns, r);
    low = fmax(r->keeps_fractions ? low : floor(low), 0);
    high = fmin(r->keeps_fractions ? high : ceil(high), columns - 1);
    high += low == high ? 0.001 : 0;
    for (size_t i = 0; i < half; i++) {
        float ramp = ((float)i - (float)low) / (float)(high - low);
        float kept = 1 - fminf(fmaxf(ramp, 0), 1), wave = powf((float)r->theta, (float)(2 * i) / (float)columns);
        inv_freq[i] = 1 / ((float)r->factor * wave) * (1 - kept) + 1 / wave * kept;
    }
}

/* Each wave is stretched by a factor of its own, which the file lists. */
static enum err_code scale_longrope(float *inv_freq, const struct arch *a, size_t rotation, const struct store *store,
                                    struct err *e)
{
    struct source s = {.store = store, .family = a->family};
    struct json_fields rope = {0};
    const char *key = rotation == 0 ? "short_factor" : "long_factor";
    const struct json_value *list = NULL;
    size_t half = a->rotations[rotation].rotated / 2;
    source_open_json(&s);
    if (find_object(&rope, &s, 0, e) || json_get_value(&list, &rope, key, JSON_KIND_ARRAY, e))
        return e->code;
    if (json_count(list) != half)
        return source_refuse(&s, ERR_FORMAT, rope.part, e, "%s: %zu factors where %zu pairs of columns rotate", key,
                             json_count(list), half);
    for (size_t i = 0; i < half; i++) {
        float factor = (float)json_number(json_at(list, i), 0);
        if (!(factor > 0) || !isfinite(factor))
            return source_refuse(&s, ERR_FORMAT, rope.part, e, "%s: factor %zu is not a number above 0", key, i);
        inv_freq[i] = 1 / (factor * powf((float)a->rotations[0].theta, (float)(2 * i) / (float)(2 * half)));
    }
    return ERR_OK;
}

enum err_code arch_rotation_frequencies(float *inv_freq, const struct arch *a, size_t rotation,
                                        const struct store *store, struct err *e)
{
    const struct rotation *r = &a->rotations[rotation];
    size_t half = r->rotated / 2;
    size_t turning = r->type == ROTATION_PROPORTIONAL ? (size_t)(r->share * (double)r->rotated / 2) : half;
    for (size_t i = 0; i < half; i++) {
        float exponent = (float)(2 * i) / (float)r->rotated;
        float frequency = 1.0F / powf((float)r->theta, exponent);
        if (r->type == ROTATION_LINEAR || r->type == ROTATION_PROPORTIONAL)
            frequency /= (float)r->factor;
        if (r->type == ROTATION_LLAMA3)
            frequency = scale_llama3(frequency, r);
        inv_freq[i] = i < turning ? frequency : 0;
    }
    if (r->type == ROTATION_YARN)
        scale_yarn(inv_freq, half, r);
    const struct store_tensor *divisors = NULL;
    if (store->kind != STORE_GGUF)
        return r->type == ROTATION_LONGROPE ? scale_longrope(inv_freq, a, rotation, store, e) : ERR_OK;
    const struct family_names *names = &a->family->names[STORE_GGUF];
    const char *name = r->type == ROTATION_LONGROPE ? names->longrope[rotation] : names->divisors;
    if (r->type == ROTATION_LONGROPE && store_require(&divisors, store, name, e))
        return e->code;
    if (name && rotation == 0 && !divisors)
        divisors = store_find(store, name);
    return divisors ? divide(inv_freq, half, divisors, e) : ERR_OK;
}
