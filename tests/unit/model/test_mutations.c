/*
 * Do the tiny models see each switch of their family's record? One field of it after the other is changed before the
 * weights are read: then these do not fit, or the logits are no longer those of torch and transformers. Each change has
 * to be seen by a model of each family that it means anything to.
 *
 * The lists below have every field of struct arch and of its parts, in their order: a field that is in none does not
 * compile.
 */
#include "family_changes.h"
#include "tiny_model.h"

#define TOLERANCE 1e-5 /* model.golden's */
#define SEEN      (3 * TOLERANCE)

/*
 * A change makes way `way` of changing a field; false: there is none, or it means nothing to this record. Ways of an
 * array's field are its elements'.
 */
struct change {
    const char *name;
    size_t offset; /* of the field in struct arch */
    bool (*make)(struct arch *a, void *field, size_t way);
    size_t ways;
};

static bool grow_size(struct arch *a, void *field, size_t way)
{
    (void)a;
    ((size_t *)field)[way] += 2;
    return true;
}

static bool flip(struct arch *a, void *field, size_t way)
{
    (void)a;
    ((bool *)field)[way] = !((bool *)field)[way];
    return true;
}

static bool scale(struct arch *a, void *field, size_t way)
{
    float *x = (float *)field + way;
    (void)a;
    *x = *x != 0 ? *x * 1.1F : 1.1F;
    return true;
}

/* A norm undoes a factor of what it reads. */
static bool change_output(struct arch *a, void *field, size_t way)
{
    bool after_attention = arch_has_norm(a, AT_ATTN_OUT);
    bool undone = (way == GROUP_ATTN_IN && after_attention && arch_has_norm(a, AT_Q)) ||
                  (way == GROUP_ATTN_OUT && after_attention) ||
                  (way == GROUP_MLP_OUT && arch_has_norm(a, AT_MLP_OUT));
    return scale(a, field, way) && !undone;
}

static bool raise_eps(struct arch *a, void *field, size_t way)
{
    (void)a, (void)way;
    *(float *)field *= 100;
    return true;
}

static bool change_cap(struct arch *a, void *field, size_t way)
{
    float *cap = field;
    (void)a;
    if (way == 1 && *cap == 0)
        return false;
    *cap = way == 1 ? *cap * 1.1F : *cap > 0 ? 0 : 3;
    return true;
}

static bool change_activation(struct arch *a, void *field, size_t way)
{
    (void)field;
    bool other = a->activation != (enum kern_act)way;
    a->activation = (enum kern_act)way;
    return other;
}

/* With one key head the order is the same. */
static bool change_grouped(struct arch *a, void *field, size_t way)
{
    return flip(a, field, way) && a->kv_heads > 1;
}

/* GGUF files have the 1 added already. */
static bool flip_offset(struct arch *a, void *field, size_t way)
{
    return !is_gguf && flip(a, field, way);
}

static bool flip_of_heads(struct arch *a, void *field, size_t way)
{
    return arch_has_norm(a, AT_Q) && flip(a, field, way);
}

static bool flip_block_scales(struct arch *a, void *field, size_t way)
{
    return flip(a, field, way) && a->family->names[STORE_HF].block_scale;
}

static bool grow_experts(struct arch *a, void *field, size_t way)
{
    return arch_has_experts(a) && grow_size(a, field, way);
}

static bool change_experts_a_token(struct arch *a, void *field, size_t way)
{
    size_t *count = field;
    if (!arch_has_experts(a) || (way == 0 ? *count == 1 : *count == a->experts))
        return false;
    *count += way == 0 ? (size_t)-1 : 1;
    return true;
}

static bool flip_shares(struct arch *a, void *field, size_t way)
{
    return arch_has_experts(a) && flip(a, field, way);
}

/* Experts have no biases. */
static bool flip_bias(struct arch *a, void *field, size_t way)
{
    const struct arch_range range = arch_group(a->family, (enum linear_group)way);
    return flip(a, field, way) && range.end > range.first;
}

static bool change_spelling(struct arch *a, void *field, size_t way)
{
    (void)field, (void)way;
    a->spelling = 1 - a->spelling;
    return !is_gguf;
}

static bool change_old_head(struct arch *a, void *field, size_t way)
{
    (void)field, (void)way;
    a->old_head = !a->old_head;
    return !is_gguf && !a->tied && a->family->names[STORE_HF].old_head;
}

static bool unwrap(struct arch *a, void *field, size_t way)
{
    (void)field, (void)way;
    bool wrapped = a->wrapper != NULL;
    a->wrapper = NULL;
    return wrapped;
}

static bool rotates(const struct arch *a)
{
    bool any = false;
    for (size_t layer = 0; layer < a->layers; layer++)
        any |= !arch_kind(a, layer)->unrotated;
    return any;
}

static bool flip_pairs(struct arch *a, void *field, size_t way)
{
    return flip(a, field, way) && rotates(a);
}

static bool change_kind_of(struct arch *a, void *field, size_t way)
{
    const struct layer_kind *x = &a->kinds[0], *y = &a->kinds[1];
    (void)field;
    if (way >= a->layers || (x->window == y->window && x->rotation == y->rotation && x->unrotated == y->unrotated &&
                             x->kv_heads == y->kv_heads && x->head_dim == y->head_dim &&
                             x->values_are_keys == y->values_are_keys))
        return false;
    a->kind_of[way] = 1 - a->kind_of[way];
    return true;
}

/* ---- of a rotation ---- */

static bool is_used_rotation(const struct arch *a, const struct rotation *r)
{
    return rotates(a) && r < a->rotations + (arch_short_positions(a) ? 1 : arch_rotation_count(a));
}

static bool change_type(struct arch *a, void *field, size_t way)
{
    struct rotation *r = field; /* its first field */
    bool used = is_used_rotation(a, r);
    (void)way;
    if (r->type == ROTATION_DEFAULT)
        *r = (struct rotation){.type = ROTATION_LINEAR, .theta = r->theta, .factor = 2, .rotated = r->rotated};
    else
        r->type = ROTATION_DEFAULT;
    return used;
}

#define ROTATION_OF(field, name) ((struct rotation *)(void *)((char *)(field) - offsetof(struct rotation, name)))

static bool change_theta(struct arch *a, void *field, size_t way)
{
    (void)way;
    *(double *)field *= 2;
    return is_used_rotation(a, ROTATION_OF(field, theta));
}

static bool change_factor(struct arch *a, void *field, size_t way)
{
    const struct rotation *r = ROTATION_OF(field, factor);
    (void)way;
    *(double *)field *= 1.1;
    return is_used_rotation(a, r) && r->type != ROTATION_DEFAULT && r->type != ROTATION_LONGROPE;
}

static bool change_low(struct arch *a, void *field, size_t way)
{
    const struct rotation *r = ROTATION_OF(field, low_freq_factor);
    (void)way;
    *(double *)field *= 1.1;
    return is_used_rotation(a, r) && r->type == ROTATION_LLAMA3;
}

static bool change_high(struct arch *a, void *field, size_t way)
{
    const struct rotation *r = ROTATION_OF(field, high_freq_factor);
    (void)way;
    *(double *)field *= 1.1;
    return is_used_rotation(a, r) && r->type == ROTATION_LLAMA3;
}

static bool change_original(struct arch *a, void *field, size_t way)
{
    const struct rotation *r = ROTATION_OF(field, original_positions);
    (void)way;
    *(double *)field *= 2;
    return is_used_rotation(a, r) && r->type != ROTATION_DEFAULT && r->type != ROTATION_LINEAR &&
           r->type != ROTATION_PROPORTIONAL;
}

static bool change_fast(struct arch *a, void *field, size_t way)
{
    const struct rotation *r = ROTATION_OF(field, beta_fast);
    (void)way;
    *(double *)field *= 8;
    return is_used_rotation(a, r) && r->type == ROTATION_YARN;
}

static bool change_slow(struct arch *a, void *field, size_t way)
{
    const struct rotation *r = ROTATION_OF(field, beta_slow);
    (void)way;
    *(double *)field *= 8;
    return is_used_rotation(a, r) && r->type == ROTATION_YARN;
}

static bool flip_fractions(struct arch *a, void *field, size_t way)
{
    const struct rotation *r = ROTATION_OF(field, keeps_fractions);
    flip(a, field, way);
    return is_used_rotation(a, r) && r->type == ROTATION_YARN;
}

static bool change_share(struct arch *a, void *field, size_t way)
{
    const struct rotation *r = ROTATION_OF(field, share);
    double *share = field;
    (void)way;
    *share = *share > 0.5 ? *share / 2 : *share * 2;
    return is_used_rotation(a, r) && r->type == ROTATION_PROPORTIONAL;
}

/* A norm after the rotation undoes a size. */
static bool change_rotation_size(struct arch *a, void *field, size_t way)
{
    (void)way;
    *(double *)field = *(double *)field != 0 ? *(double *)field * 1.1 : 1.1;
    return is_used_rotation(a, ROTATION_OF(field, size)) && !a->norms_rotated;
}

static bool change_rotated(struct arch *a, void *field, size_t way)
{
    size_t *rotated = field;
    if (!is_used_rotation(a, ROTATION_OF(field, rotated)) || (way == 0 ? *rotated <= 2 : *rotated + 2 > a->head_dim))
        return false;
    *rotated += way == 0 ? (size_t)-2 : 2;
    return true;
}

/* ---- of a kind of layer ---- */

static bool is_used_kind(const struct arch *a, const struct layer_kind *kind)
{
    bool used = false;
    for (size_t layer = 0; layer < a->layers; layer++)
        used |= arch_kind(a, layer) == kind;
    return used;
}

static bool change_window(struct arch *a, void *field, size_t way)
{
    size_t *window = field; /* its first field */
    bool used = is_used_kind(a, field);
    if (way == 1 && *window < 2)
        return false;
    *window = way == 1 ? *window - 1 : *window ? *window + 1 : 3;
    return used;
}

#define KIND_OF(field, name) ((struct layer_kind *)(void *)((char *)(field) - offsetof(struct layer_kind, name)))

static bool change_rotation(struct arch *a, void *field, size_t way)
{
    struct layer_kind *kind = KIND_OF(field, rotation);
    bool two = arch_rotation_count(a) == 2 && !arch_short_positions(a) && !kind->unrotated;
    (void)way;
    kind->rotation = 1 - kind->rotation;
    return two && is_used_kind(a, kind);
}

static bool flip_rotated(struct arch *a, void *field, size_t way)
{
    return flip(a, field, way) && is_used_kind(a, KIND_OF(field, unrotated));
}

static bool grow_own_kv_heads(struct arch *a, void *field, size_t way)
{
    struct layer_kind *kind = KIND_OF(field, kv_heads);
    (void)way;
    kind->kv_heads = (kind->kv_heads ? kind->kv_heads : a->kv_heads) + 2;
    return is_used_kind(a, kind);
}

static bool grow_own_head_dim(struct arch *a, void *field, size_t way)
{
    struct layer_kind *kind = KIND_OF(field, head_dim);
    (void)way;
    kind->head_dim = (kind->head_dim ? kind->head_dim : a->head_dim) + 2;
    return is_used_kind(a, kind);
}

static bool flip_values(struct arch *a, void *field, size_t way)
{
    return flip(a, field, way) && is_used_kind(a, KIND_OF(field, values_are_keys));
}

/* ---- the lists: field, change, ways; A: it has elements, P: elements with parts ---- */

#define IN_PARTS   NULL, 0 /* the lists of its parts follow */
#define NO_SWITCH  NULL, 0 /* other fields are made from it as a file is read, or it limits the length of examples */

#define ARCH_FIELDS(F, A, P)                                                                                    \
    F(family, change_family, FAMILY_WAYS)                                                                    \
    F(wrapper, unwrap, 1)                                                                                    \
    F(spelling, change_spelling, 1)                                                                          \
    F(old_head, change_old_head, 1)                                                                          \
    F(layers, grow_size, 1)                                                                                  \
    F(width, grow_size, 1)                                                                                   \
    F(ffn, grow_size, 1)                                                                                     \
    F(heads, grow_size, 1)                                                                                   \
    F(kv_heads, grow_size, 1)                                                                                \
    F(head_dim, grow_size, 1)                                                                                \
    F(vocab, grow_size, 1)                                                                                   \
    F(experts, grow_experts, 1)                                                                              \
    F(experts_a_token, change_experts_a_token, 2)                                                            \
    F(experts_share_one, flip_shares, 1)                                                                     \
    F(max_positions, NO_SWITCH)                                                                              \
    F(norm_eps, raise_eps, 1)                                                                                \
    F(norm_offset, flip_offset, 1)                                                                           \
    F(activation, change_activation, ACT_COUNT)                                                              \
    F(attention_scale, scale, 1)                                                                             \
    F(attention_cap, change_cap, 2)                                                                          \
    F(logit_cap, change_cap, 2)                                                                              \
    F(embedding_scale, scale, 1)                                                                             \
    F(centred_norms, flip, 1)                                                                                \
    F(norm_bias, flip, 1)                                                                                    \
    F(parallel, flip, 1)                                                                                     \
    F(wide_norms, flip_of_heads, 1)                                                                          \
    F(norms_rotated, flip_of_heads, 1)                                                                       \
    F(normed_values, flip, 1)                                                                                \
    F(block_scales, flip_block_scales, 1)                                                                    \
    A(bias, flip_bias, GROUP_HEAD + 1)                                                                       \
    F(grouped_qkv, change_grouped, 1)                                                                          \
    A(scale, change_output, GROUP_HEAD + 1)                                                                  \
    F(tied, flip, 1)                                                                                         \
    F(rotated_share, NO_SWITCH)                                                                              \
    F(rotates_pairs, flip_pairs, 1)                                                                          \
    F(most_positions, NO_SWITCH)                                                                             \
    P(rotations, IN_PARTS)                                                                                   \
    P(kinds, IN_PARTS)                                                                                       \
    A(pattern, NO_SWITCH)                                                                                    \
    A(kind_of, change_kind_of, 8)

#define ROTATION_FIELDS(F)                                                                                   \
    F(type, change_type, 1)                                                                                  \
    F(theta, change_theta, 1)                                                                                \
    F(factor, change_factor, 1)                                                                              \
    F(low_freq_factor, change_low, 1)                                                                        \
    F(high_freq_factor, change_high, 1)                                                                      \
    F(original_positions, change_original, 1)                                                                \
    F(beta_fast, change_fast, 1)                                                                             \
    F(beta_slow, change_slow, 1)                                                                             \
    F(keeps_fractions, flip_fractions, 1)                                                                    \
    F(size, change_rotation_size, 1)                                                                         \
    F(rotated, change_rotated, 2)                                                                            \
    F(share, change_share, 1)                                                                                \
    F(takes_alpha, NO_SWITCH)

#define KIND_FIELDS(F)                                                                                       \
    F(window, change_window, 2)                                                                              \
    F(rotation, change_rotation, 1)                                                                          \
    F(unrotated, flip_rotated, 1)                                                                            \
    F(kv_heads, grow_own_kv_heads, 1)                                                                        \
    F(head_dim, grow_own_head_dim, 1)                                                                        \
    F(values_are_keys, flip_values, 1)

/* -Wmissing-field-initializers: as many as there are fields. */
#define ZERO(field, ...)  0,
#define ZEROS(field, ...) {0},
#define PARTS(field, ...) {{0}},
static const struct arch all_of_arch __attribute__((unused)) = {ARCH_FIELDS(ZERO, ZEROS, PARTS)};
static const struct rotation all_of_rotation __attribute__((unused)) = {ROTATION_FIELDS(ZERO)};
static const struct layer_kind all_of_kind __attribute__((unused)) = {KIND_FIELDS(ZERO)};

#define OF_ARCH(field, ...)       {#field, offsetof(struct arch, field), __VA_ARGS__},
#define OF_ROTATION_0(field, ...) {"rotations[0]." #field, offsetof(struct arch, rotations[0].field), __VA_ARGS__},
#define OF_ROTATION_1(field, ...) {"rotations[1]." #field, offsetof(struct arch, rotations[1].field), __VA_ARGS__},
#define OF_KIND_0(field, ...)     {"kinds[0]." #field, offsetof(struct arch, kinds[0].field), __VA_ARGS__},
#define OF_KIND_1(field, ...)     {"kinds[1]." #field, offsetof(struct arch, kinds[1].field), __VA_ARGS__},
static const struct change changes[] = {
    ARCH_FIELDS(OF_ARCH, OF_ARCH, OF_ARCH) ROTATION_FIELDS(OF_ROTATION_0) ROTATION_FIELDS(OF_ROTATION_1)
        KIND_FIELDS(OF_KIND_0)
        KIND_FIELDS(OF_KIND_1)};
#define CHANGES   (sizeof changes / sizeof changes[0])
#define MOST_WAYS FAMILY_WAYS

/* ---- whether a change is seen ---- */

/* Norms after branches come in pairs and take no mean away: parts obey no other record. */
static bool can_be(const struct arch *a)
{
    bool after = arch_has_norm(a, AT_ATTN_OUT);
    return after == arch_has_norm(a, AT_MLP_OUT) && !(after && a->centred_norms);
}

/* The distance of the logits from those of the golden file; infinity where the weights do not fit the record, below 0
 * where there cannot be such a record. */
static double distance(struct tiny *t)
{
    struct err e;
    struct model *m = &t->model;
    const struct weights_options options = {.type = DTYPE_F32};
    const struct model_plan plan = {.tokens = 32, .examples = 2, .longest = 16, .threads = 1};
    size_t half = arch_most_rotated(&m->arch) / 2, count = arch_rotation_count(&m->arch), vocab = m->arch.vocab;
    double worst = 0;
    m->inv_freq = arena_alloc(&m->arena, count * half, sizeof *m->inv_freq, "frequencies", &e);
    enum err_code code = m->inv_freq ? ERR_OK : e.code;
    for (size_t i = 0; i < count && !code; i++)
        code = arch_rotation_frequencies(m->inv_freq + i * half, &m->arch, i, &t->base, &e);
    if (code || weights_load(&m->weights, &m->arch, &t->base, &options, &e))
        return INFINITY;
    if (!can_be(&m->arch))
        return -1;
    tiny_make_lora(t);
    assert_ok(model_plan_memory(m, &plan, &e), &e);
    float *logits = malloc(t->in.n * vocab * sizeof *logits);
    assert_ok(model_logits(m, &t->in, logits, &e), &e);
    for (int i = 0; i < 2; i++) {
        char name[32];
        snprintf(name, sizeof name, "logits.%d", i);
        float *golden = tiny_golden(t, name, NULL);
        double d = numbers_distance(logits + t->offsets[i] * vocab, golden,
                                    (t->offsets[i + 1] - t->offsets[i]) * vocab);
        worst = isnan(d) ? INFINITY : fmax(worst, d);
        free(golden);
    }
    free(logits);
    return worst;
}

/* A change of one family: whether it means anything to it, and the largest distance of its models. */
struct verdict {
    bool meant;
    double distance;
};

static void release(struct tiny *t)
{
    model_release(&t->model);
    lora_release(&t->lora);
    arena_release(&t->arena);
}

static void change_model(const char *name, const struct arch *arch, struct tiny *t,
                         struct verdict verdicts[CHANGES][MOST_WAYS])
{
    for (size_t i = 0; i < CHANGES; i++)
        for (size_t way = 0; way < changes[i].ways; way++) {
            t->model = (struct model){.arch = *arch};
            if (!changes[i].make(&t->model.arch, (char *)&t->model.arch + changes[i].offset, way))
                continue;
            double d = distance(t);
            release(t);
            if (d < 0)
                continue;
            verdicts[i][way].meant = true;
            verdicts[i][way].distance = fmax(verdicts[i][way].distance, d);
            if (getenv("SHOW"))
                print_message("%s, %s %zu: %.2g\n", name, changes[i].name, way, d);
        }
}

static void open_model(struct tiny *t, const char *name)
{
    struct err e;
    memset(t, 0, sizeof *t);
    assert_ok(store_open(&t->base, tiny_base(name), &e), &e);
    assert_ok(store_open_safetensors(&t->golden, tiny_path(name, "golden.safetensors"), &e), &e);
    assert_ok(arch_read(&t->model.arch, &t->base, &e), &e);
    is_gguf = t->base.kind == STORE_GGUF;
    tiny_clear(t);
    tiny_add_golden(t, 0);
    tiny_add_golden(t, 1);
}

static void each_switch_is_seen(void **state)
{
    const struct family *f = *state;
    static struct tiny t;
    static struct verdict verdicts[CHANGES][MOST_WAYS];
    size_t models = 0, seen = 0, unseen = 0;
    memset(verdicts, 0, sizeof verdicts);
    gemm_set_threads(1);
    for (char **name = tiny_names(); *name; name++) {
        open_model(&t, *name);
        const struct arch arch = t.model.arch;
        if (arch.family == f) {
            models++;
            assert_true(distance(&t) < TOLERANCE);
            release(&t);
            change_model(*name, &arch, &t, verdicts);
        }
        tiny_close(&t);
    }
    for (size_t i = 0; i < CHANGES; i++)
        for (size_t way = 0; way < changes[i].ways; way++) {
            const struct verdict *v = &verdicts[i][way];
            seen += v->meant && v->distance > SEEN;
            if (!v->meant || v->distance > SEEN)
                continue;
            unseen++;
            print_message("%s: %s, way %zu, moves no logit by more than %.2g\n", f->name, changes[i].name, way,
                          v->distance);
        }
    print_message("%s: %zu models, %zu changes seen\n", f->name, models, seen);
    assert_true(models > 0);
    assert_int_equal(unseen, 0);
}

int main(void)
{
    int failed = 0;
    for (const struct family *const *f = families; *f; f++) {
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_prestate(each_switch_is_seen, (void *)(uintptr_t)*f),
        };
        failed += cmocka_run_group_tests_name((*f)->name, tests, NULL, NULL);
    }
    return failed;
}
