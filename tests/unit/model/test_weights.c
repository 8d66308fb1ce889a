/* Loading the base: layout, conversion, and stores that are wrong in one tensor. */
#include "model/weights.h"

#include <stdlib.h>

#include "linears.h"
#include "tiny_model.h"

static const struct weights_options plain = {.type = DTYPE_F32};

struct doctored {
    struct store store; /* as opened; only these copies are changed */
    struct store_tensor *own, *original;
    struct arch arch;
    struct weights weights;
};

static void doctor_open(struct doctored *d, const char *name)
{
    struct err e;
    assert_ok(store_open(&d->store, tiny_base(name), &e), &e);
    assert_ok(arch_read(&d->arch, &d->store, &e), &e);
    d->original = d->store.tensors;
    d->own = malloc((d->store.tensor_count + 1) * sizeof *d->own);
    memcpy(d->own, d->original, d->store.tensor_count * sizeof *d->own);
    d->store.tensors = d->own;
}

static void doctor_close(struct doctored *d)
{
    free(d->own);
    d->store.tensors = d->original;
    store_close(&d->store);
}

static struct store_tensor *tensor_of(struct doctored *d, const char *name)
{
    const struct store_tensor *t = store_find(&d->store, name);
    assert_non_null(t);
    return &d->own[t - d->own];
}

static enum err_code load(struct doctored *d, struct err *e)
{
    enum err_code code = weights_load(&d->weights, &d->arch, &d->store, &plain, e);
    if (code)
        assert_int_equal(d->weights.arena.total, 0); /* nothing is left behind */
    else
        weights_release(&d->weights);
    return code;
}

static void groups_lie_together(void **state)
{
    (void)state;
    struct doctored d;
    struct err e;
    doctor_open(&d, "tiny_gqa");
    assert_ok(weights_load(&d.weights, &d.arch, &d.store, &plain, &e), &e);
    const struct layer_weights *layer = &d.weights.layers[1];
    for (size_t l = 0; l < arch_head(&d.arch); l++) {
        char name[ARCH_PATH_SIZE + 8];
        enum linear_group g = arch_module(&d.arch, l)->group;
        arch_module_path(name, &d.arch, 1, l);
        strcat(name, ".weight");
        const struct store_tensor *t = tensor_of(&d, name);
        const float *rows = (const float *)layer->weight[g] + arch_row_offset(&d.arch, 1, l) * t->shape[1];
        assert_memory_equal(rows, t->data, t->bytes); /* the file is f32 */
        assert_null(layer->bias[g]);
    }
    assert_memory_equal(d.weights.head, tensor_of(&d, "lm_head.weight")->data,
                        d.arch.vocab * d.arch.width * 4);
    assert_ptr_not_equal(d.weights.head, d.weights.embedding);
    weights_release(&d.weights);
    doctor_close(&d);
    doctor_open(&d, "tiny_tied");
    assert_ok(weights_load(&d.weights, &d.arch, &d.store, &plain, &e), &e);
    assert_ptr_equal(d.weights.head, d.weights.embedding);
    weights_release(&d.weights);
    doctor_close(&d);
}

/* GGUF interleaves the halves of q's and k's heads; v stays. */
static void gguf_rows_are_put_back(void **state)
{
    (void)state;
    struct doctored d;
    struct err e;
    doctor_open(&d, "tiny_gguf");
    const struct store_tensor *bias = tensor_of(&d, "blk.0.attn_k.bias");
    assert_int_equal(bias->type, DTYPE_F32);
    assert_ok(weights_load(&d.weights, &d.arch, &d.store, &plain, &e), &e);
    const float *biases = d.weights.layers[0].bias[GROUP_ATTN_IN];
    const float *loaded = biases + arch_row_offset(&d.arch, 0, linear_of(&d.arch, "k_proj"));
    size_t half = d.arch.head_dim / 2;
    for (size_t row = 0; row < bias->elements; row++) {
        size_t head = row / d.arch.head_dim, place = row % d.arch.head_dim;
        float stored;
        size_t from = head * d.arch.head_dim + (place < half ? 2 * place : 2 * (place - half) + 1);
        memcpy(&stored, (const char *)bias->data + from * sizeof stored, sizeof stored);
        assert_true(loaded[row] == stored);
    }
    const struct store_tensor *value = tensor_of(&d, "blk.0.attn_v.bias");
    assert_memory_equal(biases + arch_row_offset(&d.arch, 0, linear_of(&d.arch, "v_proj")), value->data,
                        value->bytes);
    weights_release(&d.weights);
    doctor_close(&d);
}

static void wrong_tensors_are_named(void **state)
{
    (void)state;
    struct doctored d;
    struct err e;
    char other[ARCH_PATH_SIZE + 16];
    doctor_open(&d, "tiny_bias");
    for (size_t i = 0; i < d.store.tensor_count; i++) {
        struct store_tensor *t = &d.own[i];
        const struct store_tensor was = *t;
        t->shape[t->dims - 1]++;
        assert_error(load(&d, &e), &e, ERR_MISMATCH, was.name);
        *t = was;
        t->dims = 3 - t->dims;
        assert_error(load(&d, &e), &e, ERR_MISMATCH, was.name);
        *t = was;
        float *broken = calloc(was.elements, sizeof *broken);
        broken[was.elements - 1] = i % 2 ? INFINITY : NAN;
        t->type = DTYPE_F32;
        t->data = broken;
        assert_error(load(&d, &e), &e, ERR_NUMERIC, was.name);
        free(broken);
        *t = was;
        snprintf(other, sizeof other, "%s2", was.name); /* sorts at the same place */
        t->name = other;
        assert_error(load(&d, &e), &e, ERR_FORMAT, was.name);
        *t = was;
    }
    assert_ok(load(&d, &e), &e);
    doctor_close(&d);
}

static void surplus_tensors_are_refused_unless_harmless(void **state)
{
    (void)state;
    static const struct {
        const char *model, *name;
        bool fine;
    } cases[] = {
        {"tiny_tied", "zzz", false},
        {"tiny_tied", "model.layers.2.mlp.up_proj.weight", false},
        {"tiny_tied", "model.layers.0.self_attn.q_proj.bias", false},
        {"tiny_gqa", "model.layers.0.self_attn.rotary_emb.inv_freq", true},
        {"tiny_gqa", "lm_head.bias", false},
        {"tiny_gguf", "blk.0.attn_q_norm.weight", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct doctored d;
        struct err e;
        doctor_open(&d, cases[i].model);
        size_t place = 0;
        while (place < d.store.tensor_count && strcmp(d.own[place].name, cases[i].name) < 0)
            place++;
        memmove(d.own + place + 1, d.own + place, (d.store.tensor_count - place) * sizeof *d.own);
        d.own[place] = (struct store_tensor){.name = cases[i].name, .file = "extra"};
        d.store.tensor_count++;
        if (cases[i].fine)
            assert_ok(load(&d, &e), &e);
        else
            assert_error(load(&d, &e), &e, ERR_UNSUPPORTED, cases[i].name);
        d.store.tensor_count--;
        doctor_close(&d);
    }
}

/* A copy of the embedding is fine; a head of its own is another model than the configuration says. */
static void a_tied_head_is_the_embedding(void **state)
{
    (void)state;
    struct doctored d;
    struct err e;
    doctor_open(&d, "tiny_tied");
    struct store_tensor table = {0}; /* sorts after lm_head */
    size_t count = d.store.tensor_count;
    for (size_t i = 0; i < count; i++)
        if (strcmp(d.own[i].name, "model.embed_tokens.weight") == 0)
            table = d.own[i];
    assert_non_null(table.data);
    memmove(d.own + 1, d.own, count * sizeof *d.own);
    d.own[0] = table;
    d.own[0].name = "lm_head.weight";
    d.store.tensor_count++;
    assert_ok(load(&d, &e), &e);
    unsigned char *other = malloc(table.bytes);
    memcpy(other, table.data, table.bytes);
    other[table.bytes - 1] ^= 1;
    d.own[0].data = other;
    assert_error(load(&d, &e), &e, ERR_MISMATCH, "lm_head.weight is not model.embed_tokens.weight");
    free(other);
    d.store.tensor_count--;
    doctor_close(&d);
}

/* A configuration that promises more than the file has takes no memory for it. */
static void promised_sizes_are_checked_first(void **state)
{
    (void)state;
    struct doctored d;
    struct err e;
    doctor_open(&d, "tiny_gqa");
    d.arch.vocab = INT32_MAX;
    assert_error(load(&d, &e), &e, ERR_MISMATCH, "tensor model.embed_tokens.weight is [64, 16]");
    d.arch.vocab = 64;
    d.arch.ffn = (size_t)1 << 30;
    assert_error(load(&d, &e), &e, ERR_MISMATCH, "mlp.gate_proj.weight is [24, 16]");
    d.arch.ffn = 24;
    d.arch.layers = 3;
    assert_error(load(&d, &e), &e, ERR_FORMAT, "tensor model.layers.2.input_layernorm.weight is missing");
    doctor_close(&d);
}

/* In memory of the caller's: the same values; filled before, they are taken as they are. */
static void weights_lie_where_the_caller_wants(void **state)
{
    (void)state;
    static const char *const models[] = {"tiny_gqa", "tiny_bias", "tiny_tied", "tiny_gguf"};
    for (size_t i = 0; i < 2 * sizeof models / sizeof *models; i++) {
        const struct weights_options options = {.type = i % 2 ? DTYPE_BF16 : DTYPE_F32};
        struct doctored d;
        struct weights placed, again;
        struct err e;
        size_t size;
        doctor_open(&d, models[i / 2]);
        assert_ok(weights_load(&d.weights, &d.arch, &d.store, &options, &e), &e);
        assert_ok(weights_size(&size, &d.arch, &d.store, &options, &e), &e);
        struct weights_place place = {.memory = aligned_alloc(ARENA_ALIGN, size)};
        assert_ok(weights_load_at(&placed, &d.arch, &d.store, &options, &place, &e), &e);
        assert_int_equal(placed.placed, size);
        size_t last = d.arch.layers - 1;
        const char *in = weights_group(&placed, last, GROUP_ATTN_IN);
        assert_memory_equal(in, weights_group(&d.weights, last, GROUP_ATTN_IN),
                            arch_group_rows(&d.arch, 0, GROUP_ATTN_IN) * d.arch.width *
                                dtype_info(options.type)->block_bytes);
        assert_true(in >= (char *)place.memory && in < (char *)place.memory + size);
        place.filled = true;
        memset(place.memory, 0, size);
        assert_ok(weights_load_at(&again, &d.arch, &d.store, &options, &place, &e), &e);
        assert_ptr_equal(weights_group(&again, last, GROUP_ATTN_IN), in);
        assert_int_equal(in[0], 0);
        weights_release(&again);
        weights_release(&placed);
        weights_release(&d.weights);
        free(place.memory);
        doctor_close(&d);
    }
}

static bool lies_in_file(const struct doctored *d, const void *p)
{
    const struct file_map *map = &d->store.files[0].map;
    return (const unsigned char *)p >= map->data && (const unsigned char *)p < map->data + map->size;
}

/* What needs no change is used in the mapping of the file; what is to lie together does not lie so there. */
static void matrices_that_fit_stay_where_they_are(void **state)
{
    (void)state;
    struct doctored d;
    struct err e;
    doctor_open(&d, "tiny_gqa");
    assert_ok(weights_load(&d.weights, &d.arch, &d.store, &plain, &e), &e);
    const struct layer_weights *layer = &d.weights.layers[1];
    assert_true(lies_in_file(&d, d.weights.embedding) && lies_in_file(&d, d.weights.head));
    assert_true(lies_in_file(&d, layer->weight[GROUP_ATTN_OUT]));
    assert_true(lies_in_file(&d, layer->weight[GROUP_MLP_OUT]));
    assert_false(lies_in_file(&d, layer->weight[GROUP_ATTN_IN]));
    assert_false(lies_in_file(&d, layer->norm[AT_MLP_IN]));
    size_t bytes = 4 * d.arch.width * (2 * d.arch.vocab + d.arch.layers * (d.arch.width + d.arch.ffn));
    assert_in_range(d.weights.mapped, bytes, bytes + 4 * d.arch.layers * 2 * d.arch.ffn * d.arch.width);
    weights_release(&d.weights);
    const struct weights_options half = {.type = DTYPE_BF16};
    assert_ok(weights_load(&d.weights, &d.arch, &d.store, &half, &e), &e);
    assert_false(lies_in_file(&d, d.weights.embedding));
    assert_int_equal(d.weights.mapped, 0);
    weights_release(&d.weights);
    doctor_close(&d);
}

static void bf16_is_f32_rounded_to_nearest_even(void **state)
{
    (void)state;
    static const char *const models[] = {"tiny_gqa", "tiny_gguf"};
    const struct weights_options half = {.type = DTYPE_BF16};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct doctored d;
        struct weights w;
        struct err e;
        doctor_open(&d, models[i]);
        assert_ok(weights_load(&d.weights, &d.arch, &d.store, &plain, &e), &e);
        assert_ok(weights_load(&w, &d.arch, &d.store, &half, &e), &e);
        for (int g = 0; g <= GROUP_COUNT; g++) {
            const float *wide = weights_group(&d.weights, 1, (enum linear_group)g);
            const uint16_t *bits = weights_group(&w, 1, (enum linear_group)g);
            size_t count = arch_group_rows(&d.arch, 0, (enum linear_group)g) *
                           arch_group_columns(&d.arch, 0, (enum linear_group)g);
            for (size_t k = 0; k < count; k++)
                assert_int_equal(bits[k], dtype_f32_to_bf16(wide[k]));
        }
        assert_memory_equal(w.norm, d.weights.norm, d.arch.width * sizeof *w.norm);
        weights_release(&w);
        weights_release(&d.weights);
        doctor_close(&d);
    }
}

/* Kept in the file, every group comes out with the bits that it has when all is expanded, changed or not. */
static void groups_kept_in_the_file_have_the_same_bits(void **state)
{
    (void)state;
    static const char *const models[] = {"tiny_gqa",  "tiny_tied",   "tiny_bias",
                                         "tiny_gguf", "tiny_gemma4", "tiny_gemma4_gguf"};
    for (size_t i = 0; i < 2 * sizeof models / sizeof *models; i++) {
        const struct weights_options expanded = {.type = i % 2 ? DTYPE_BF16 : DTYPE_F32};
        const struct weights_options kept = {.type = expanded.type, .keep_file = true};
        struct doctored d;
        struct weights w;
        struct err e;
        size_t most, least, size = dtype_info(kept.type)->block_bytes;
        doctor_open(&d, models[i / 2]);
        assert_ok(weights_load(&d.weights, &d.arch, &d.store, &expanded, &e), &e);
        assert_ok(weights_load(&w, &d.arch, &d.store, &kept, &e), &e);
        assert_ok(weights_size(&most, &d.arch, &d.store, &expanded, &e), &e);
        assert_ok(weights_size(&least, &d.arch, &d.store, &kept, &e), &e);
        assert_true(least < most && w.mapped > d.weights.mapped);
        float row[3][64];
        for (int step = 0; step < 3; step++) {
            for (size_t layer = 0; layer < d.arch.layers; layer++)
                for (int g = 0; g <= GROUP_COUNT; g++)
                    assert_memory_equal(weights_group(&w, layer, (enum linear_group)g),
                                        weights_group(&d.weights, layer, (enum linear_group)g),
                                        arch_group_rows(&d.arch, layer, (enum linear_group)g) *
                                            arch_group_columns(&d.arch, layer, (enum linear_group)g) * size);
            weights_read(row[step], &w, &d.arch, 1, linear_of(&d.arch, "k_proj"), 2, 1);
            struct weights *both[] = {&w, &d.weights};
            for (int k = 0; k < 2 && step == 0; k++) {
                const float other[64] = {1, 2, 3};
                assert_ok(weights_change(both[k], &d.arch, 1, linear_of(&d.arch, "k_proj"), &e), &e);
                weights_write(both[k], &d.arch, 1, linear_of(&d.arch, "k_proj"), 2, 1, other);
            }
            for (int k = 0; k < 2 && step == 1; k++)
                weights_restore(both[k]);
        }
        assert_true(row[1][0] == 1 && row[1][1] == 2 && row[1][2] == 3 && row[1][3] == 0);
        assert_memory_equal(row[0], row[2], d.arch.width * sizeof(float));
        weights_release(&w);
        weights_release(&d.weights);
        doctor_close(&d);
    }
}

/* What ranks share of an expanded file, but for the vectors, takes half in bf16. */
static void bf16_takes_half(void **state)
{
    (void)state;
    const struct weights_options half = {.type = DTYPE_BF16};
    struct doctored d;
    struct err e;
    size_t wide, narrow, matrices;
    doctor_open(&d, "tiny_gguf");
    struct weights w;
    assert_ok(weights_size(&wide, &d.arch, &d.store, &plain, &e), &e);
    assert_ok(weights_load(&w, &d.arch, &d.store, &plain, &e), &e);
    wide += w.mapped; /* what is used where it lies */
    weights_release(&w);
    assert_ok(weights_size(&narrow, &d.arch, &d.store, &half, &e), &e);
    assert_ok(weights_load(&w, &d.arch, &d.store, &half, &e), &e);
    narrow += w.mapped;
    weights_release(&w);
    matrices = d.arch.vocab * d.arch.width;
    for (int g = 0; g < GROUP_COUNT; g++)
        matrices += d.arch.layers * arch_group_rows(&d.arch, 0, (enum linear_group)g) *
                    arch_group_columns(&d.arch, 0, (enum linear_group)g);
    assert_int_equal(wide - narrow, matrices * (sizeof(float) - sizeof(uint16_t)));
    doctor_close(&d);
}

/* So has the gradient of a step. */
static void a_step_on_the_file_has_the_same_bits(void **state)
{
    (void)state;
    static struct tiny t;
    const struct weights_options kept = {.type = DTYPE_F32, .keep_file = true};
    for (char **model = tiny_names(); *model; model++) {
        struct err e;
        tiny_open(&t, *model);
        double loss = tiny_grad(&t);
        float *grads = numbers_copy(t.grads.values, t.lora.layout.size);
        weights_release(&t.model.weights);
        assert_ok(weights_load(&t.model.weights, &t.model.arch, &t.base, &kept, &e), &e);
        assert_true(tiny_grad(&t) == loss);
        assert_memory_equal(t.grads.values, grads, t.lora.layout.size * sizeof *grads);
        free(grads);
        tiny_close(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_lie_together),
        cmocka_unit_test(weights_lie_where_the_caller_wants),
        cmocka_unit_test(matrices_that_fit_stay_where_they_are),
        cmocka_unit_test(bf16_is_f32_rounded_to_nearest_even),
        cmocka_unit_test(groups_kept_in_the_file_have_the_same_bits),
        cmocka_unit_test(bf16_takes_half),
        cmocka_unit_test(a_step_on_the_file_has_the_same_bits),
        cmocka_unit_test(gguf_rows_are_put_back),
        cmocka_unit_test(wrong_tensors_are_named),
        cmocka_unit_test(surplus_tensors_are_refused_unless_harmless),
        cmocka_unit_test(a_tied_head_is_the_embedding),
        cmocka_unit_test(promised_sizes_are_checked_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
