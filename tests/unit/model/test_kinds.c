/* Which layers are of which kind, and what the layers of a kind have of their own. */
#include "model/family.h"

#include <math.h>
#include <stdio.h>

#include "gguf_build.h"
#include "linears.h"
#include "model/lora.h"
#include "read_config.h"

static void windows_are_those_of_the_layers(void **state)
{
    (void)state;
    struct arch a = read_good("{\"model_type\": \"qwen3\", \"num_hidden_layers\": 4, \"use_sliding_window\": true, "
                              "\"sliding_window\": 7, \"max_window_layers\": 1}");
    check_kinds(&a, "fwww", 7);
    a = read_good("{\"model_type\": \"qwen3\", \"num_hidden_layers\": 4, \"use_sliding_window\": false, "
                  "\"sliding_window\": 7, \"max_window_layers\": 1}");
    check_kinds(&a, "ffff", 7);
    a = read_good("{\"model_type\": \"qwen2\", \"num_hidden_layers\": 4, \"use_sliding_window\": true, "
                  "\"max_window_layers\": 2}");
    check_kinds(&a, "ffww", 4096);
    a = read_good("{\"model_type\": \"gemma2\", \"num_hidden_layers\": 5}");
    check_kinds(&a, "wfwfw", 4096);
    a = read_good("{\"model_type\": \"gemma3_text\", \"num_hidden_layers\": 7, \"sliding_window\": 9}");
    check_kinds(&a, "wwwwwfw", 9);
    assert_true(arch_kind(&a, 0)->rotation == 1 && arch_kind(&a, 5)->rotation == 0);
    a = read_good("{\"model_type\": \"gemma3_text\", \"num_hidden_layers\": 3, \"sliding_window\": 9, "
                  "\"sliding_window_pattern\": 2}");
    check_kinds(&a, "wfw", 9);
    a = read_good("{\"model_type\": \"gemma3_text\", \"num_hidden_layers\": 3, \"sliding_window\": 9, "
                  "\"layer_types\": [\"full_attention\", \"sliding_attention\", \"full_attention\"]}");
    check_kinds(&a, "fwf", 9);
}

/* The layers that rotate, one character each. */
static void check_rotated(const struct arch *a, const char *expected)
{
    assert_int_equal(a->layers, strlen(expected));
    for (size_t layer = 0; layer < a->layers; layer++)
        assert_int_equal(arch_kind(a, layer)->unrotated, expected[layer] == '-');
}

static void some_layers_do_not_rotate(void **state)
{
    (void)state;
    struct arch a = read_good("{\"model_type\": \"smollm3\", \"num_hidden_layers\": 5}");
    check_rotated(&a, "rrr-r");
    a = read_good("{\"model_type\": \"smollm3\", \"num_hidden_layers\": 4, \"no_rope_layer_interval\": 2}");
    check_rotated(&a, "r-r-");
    a = read_good("{\"model_type\": \"smollm3\", \"num_hidden_layers\": 4, \"no_rope_layers\": [0, 1, 1, 0]}");
    check_rotated(&a, "-rr-");
}

/* Both generations of transformers, with the scaling of the layers without a window only. */
static void rotations_are_those_of_the_kinds(void **state)
{
    (void)state;
    struct arch a = read_good("{\"model_type\": \"gemma3_text\", \"rope_theta\": 5e5, \"rope_local_base_freq\": 2e4, "
                              "\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 8.0}}");
    assert_true(a.rotations[0].theta == 5e5 && a.rotations[0].type == ROTATION_LINEAR && a.rotations[0].factor == 8);
    assert_true(a.rotations[1].theta == 2e4 && a.rotations[1].type == ROTATION_DEFAULT);
    a = read_good("{\"model_type\": \"gemma3_text\", \"rope_parameters\": {\"full_attention\": "
                  "{\"rope_type\": \"linear\", \"factor\": 8.0, \"rope_theta\": 5e5}, "
                  "\"sliding_attention\": {\"rope_theta\": 2e4}}}");
    assert_true(a.rotations[0].theta == 5e5 && a.rotations[0].type == ROTATION_LINEAR && a.rotations[0].factor == 8);
    assert_true(a.rotations[1].theta == 2e4 && a.rotations[1].type == ROTATION_DEFAULT);
    a = read_good("{\"model_type\": \"gemma3_text\"}");
    assert_true(a.rotations[0].theta == 1e6 && a.rotations[1].theta == 1e4);
}

#define GEMMA4                                                                                               \
    "\"model_type\": \"gemma4_text\", \"num_hidden_layers\": 4, \"hidden_size\": 64, \"vocab_size\": 100, "     \
    "\"intermediate_size\": 96, \"hidden_size_per_layer_input\": 0, "                                         \
    "\"layer_types\": [\"sliding_attention\", \"full_attention\", \"sliding_attention\", \"full_attention\"]"

static void kinds_have_sizes_of_their_own(void **state)
{
    (void)state;
    struct arch a = read_good("{" GEMMA4 "}");
    const size_t q = linear_of(&a, "q_proj"), k = linear_of(&a, "k_proj"), v = linear_of(&a, "v_proj");
    check_kinds(&a, "wfwf", 512);
    assert_int_equal(arch_rows(&a, 0, q), 8 * 256);
    assert_int_equal(arch_rows(&a, 1, q), 8 * 512);
    assert_int_equal(arch_rows(&a, 1, k), 4 * 512);
    assert_int_equal(arch_rows(&a, 1, v), 4 * 512);
    a = read_good("{" GEMMA4 ", \"num_global_key_value_heads\": 2}"); /* without the other key it does not count */
    assert_int_equal(arch_rows(&a, 1, k), 4 * 512);
    a = read_good("{" GEMMA4
                  ", \"attention_k_eq_v\": true, \"num_global_key_value_heads\": 2, \"global_head_dim\": 384}");
    assert_int_equal(arch_rows(&a, 0, v), 4 * 256);
    assert_int_equal(arch_rows(&a, 1, k), 2 * 384);
    assert_int_equal(arch_rows(&a, 1, v), 0);
    assert_false(arch_has_slot(&a, arch_head(&a) + v));
    assert_true(arch_has_slot(&a, v));
    assert_int_equal(arch_group_rows(&a, 1, GROUP_ATTN_IN), 10 * 384);
    assert_int_equal(arch_qkv_columns(&a, 1), 12 * 384);
    assert_int_equal(arch_value_column(&a, 1), 10 * 384);
    assert_int_equal(arch_columns(&a, 1, linear_of(&a, "o_proj")), 8 * 384);
    assert_int_equal(a.rotations[0].rotated, 384);
    assert_int_equal(a.rotations[1].rotated, 256);
}

/* As transformers 5 writes them; what the kinds would have without is overruled. */
static void sizes_of_single_layers_are_read(void **state)
{
    (void)state;
    struct arch a = read_good("{" GEMMA4 ", \"attention_k_eq_v\": true, \"per_layer_config\": "
                              "{\"1\": {\"head_dim\": 64, \"num_key_value_heads\": 1}, "
                              "\"03\": {\"head_dim\": 64, \"num_key_value_heads\": 1}}}");
    assert_int_equal(arch_head_dim(&a, 0), 256);
    assert_int_equal(arch_head_dim(&a, 3), 64);
    assert_int_equal(arch_kv_heads(&a, 3), 1);
    a = read_good("{" GEMMA4 ", \"per_layer_config\": {}}");
    assert_int_equal(arch_head_dim(&a, 1), 256);
    static const struct {
        const char *sizes, *expected;
    } bad[] = {
        {"{\"1\": {\"head_dim\": 64}}", "layers 1 and 3 are of one type, but not of the same sizes"},
        {"{\"4\": {\"head_dim\": 64}}", "4 is not the number of one of 4 layers"},
        {"{\"x\": {\"head_dim\": 64}}", "x is not the number of one of 4 layers"},
        {"{\"1\": {\"intermediate_size\": 64}}", "intermediate_size of layer 1"},
        {"{\"1\": 3}", "per_layer_config"},
        {"[]", "per_layer_config"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[1024];
        struct err e;
        snprintf(text, sizeof text, "{" GEMMA4 ", \"per_layer_config\": %s}", bad[i].sizes);
        assert_int_not_equal(read_config(&a, text, &e), ERR_OK);
        if (!strstr(e.message, bad[i].expected))
            fail_msg("%s: %s", bad[i].sizes, e.message);
    }
}

static void put_number(struct str *out, const char *name, uint32_t value)
{
    put_key(out, name, GGUF_U32, &value, sizeof value);
}

static void put_list(struct str *out, const char *name, enum gguf_type type, uint64_t count, const void *values,
                     size_t size)
{
    put_text(out, name);
    put_u32(out, GGUF_ARRAY);
    put_u32(out, type);
    put_u64(out, count);
    put(out, values, count * size);
}

/* A GGUF file of Gemma 4 with a layer under a window and one that sees all. */
struct gemma4 {
    const char *name; /* one key more */
    uint32_t value;
    uint64_t kv_count; /* in the list of key heads; 1: a number, 0: the key is missing */
    int32_t kv_heads[3];
};

static enum err_code read_gemma4(struct arch *a, const struct gemma4 *file, struct err *e)
{
    static const struct {
        const char *name;
        uint32_t value;
    } keys[] = {{"gemma4.block_count", 2},           {"gemma4.embedding_length", 64},
                {"gemma4.feed_forward_length", 96},  {"gemma4.attention.head_count", 8},
                {"gemma4.attention.key_length", 32}, {"gemma4.attention.key_length_swa", 16},
                {"gemma4.context_length", 512},      {"gemma4.attention.sliding_window", 4}};
    static const bool pattern[] = {true, false};
    struct str body = {0}, s = {0};
    uint64_t count = sizeof keys / sizeof keys[0] + 2 + (file->name != NULL) + (file->kv_count > 0);
    put_text(&body, "general.architecture");
    put_u32(&body, GGUF_STRING);
    put_text(&body, "gemma4");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        put_number(&body, keys[i].name, keys[i].value);
    put_list(&body, "gemma4.attention.sliding_window_pattern", GGUF_BOOL, 2, pattern, sizeof pattern[0]);
    if (file->name)
        put_number(&body, file->name, file->value);
    if (file->kv_count == 1)
        put_number(&body, "gemma4.attention.head_count_kv", (uint32_t)file->kv_heads[0]);
    else if (file->kv_count > 1)
        put_list(&body, "gemma4.attention.head_count_kv", GGUF_I32, file->kv_count, file->kv_heads,
                 sizeof file->kv_heads[0]);
    put_head(&s, 3, 0, count);
    put(&s, body.data, body.length);
    put_padding(&s, 32);
    struct store_tensor tensors[] = {{.name = "blk.0.attn_v.weight"},
                                     {.name = "token_embd.weight", .dims = 2, .shape = {100, 64}}};
    struct store store = {.kind = STORE_GGUF, .path = "model.gguf", .tensors = tensors, .tensor_count = 2};
    struct arena arena = {0};
    const struct file_map map = {.data = (const unsigned char *)s.data, .size = s.length};
    assert_ok(gguf_parse(&store.gguf, &map, store.path, &arena, e), e);
    enum err_code code = arch_read(a, &store, e);
    arena_release(&arena);
    str_release(&body);
    str_release(&s);
    return code;
}

static void kinds_of_gguf_files_are_read(void **state)
{
    (void)state;
    struct arch a;
    struct err e;
    assert_ok(read_gemma4(&a, &(struct gemma4){.kv_count = 2, .kv_heads = {2, 1}}, &e), &e);
    const size_t v = linear_of(&a, "v_proj");
    check_kinds(&a, "wf", 4);
    assert_int_equal(arch_kv_heads(&a, 0), 2);
    assert_int_equal(arch_kv_heads(&a, 1), 1);
    assert_int_equal(arch_head_dim(&a, 0), 16);
    assert_int_equal(arch_head_dim(&a, 1), 32);
    assert_int_equal(arch_rows(&a, 0, v), 32);
    assert_int_equal(arch_rows(&a, 1, v), 0);
    assert_int_equal(a.rotations[0].rotated, 32);
    assert_int_equal(a.rotations[1].rotated, 16);
    assert_true(a.attention_scale == 1 && !a.block_scales && a.logit_cap == 0);
    assert_ok(read_gemma4(&a, &(struct gemma4){.kv_count = 1, .kv_heads = {4}}, &e), &e);
    assert_int_equal(arch_kv_heads(&a, 0), 4);
    assert_int_equal(arch_kv_heads(&a, 1), 4);
    static const struct {
        struct gemma4 file;
        const char *message;
        enum err_code code;
    } bad[] = {
        {{NULL, 0, 0, {0}}, "gemma4.attention.head_count_kv: this key is missing", ERR_FORMAT},
        {{NULL, 0, 3, {2, 2, 2}}, "gemma4.attention.head_count_kv: 3 numbers for 2 layers", ERR_FORMAT},
        {{NULL, 0, 2, {2, 0}}, "gemma4.attention.head_count_kv: 0 of layer 1 is out of range", ERR_FORMAT},
        {{NULL, 0, 1, {3}}, "8 heads cannot share 3", ERR_FORMAT},
        {{"gemma4.attention.shared_kv_layers", 1, 1, {2}}, "attention.shared_kv_layers: 1 is not", ERR_UNSUPPORTED},
        {{"gemma4.embedding_length_per_layer_input", 256, 1, {2}},
         "gemma4.embedding_length_per_layer_input: 256 is not supported: layers with inputs",
         ERR_UNSUPPORTED},
        {{"gemma4.expert_count", 8, 1, {2}}, "gemma4.expert_count: 8 is not supported", ERR_UNSUPPORTED},
        {{"gemma4.rope.dimension_count_swa", 8, 1, {2}},
         "rope.dimension_count_swa: 8 with heads of 16",
         ERR_UNSUPPORTED},
        {{"gemma4.rope.dimension_count", 16, 1, {2}}, "rope.dimension_count: 16 with heads of 32", ERR_UNSUPPORTED},
        {{"gemma4.attention.value_length_swa", 8, 1, {2}}, "keys of 16 and values of 8", ERR_UNSUPPORTED},
        {{"gemma4.attention.value_length", 16, 1, {2}}, "keys of 32 and values of 16", ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_error(read_gemma4(&a, &bad[i].file, &e), &e, bad[i].code, bad[i].message);
}

static void adapters_are_where_a_layer_has_a_matrix(void **state)
{
    (void)state;
    struct lora l;
    struct err e;
    const struct arch a = read_good("{" GEMMA4 ", \"attention_k_eq_v\": true}");
    const size_t v = linear_of(&a, "v_proj");
    struct lora_spec spec = {.rank = 1, .alpha = 1, .init = LORA_NORMAL};
    assert_ok(lora_create(&l, &a, &spec, &e), &e);
    assert_int_equal(l.layout.count, 4 * 7 - 2);
    assert_non_null(lora_at(&l.layout, 2, v));
    assert_null(lora_at(&l.layout, 1, v));
    assert_int_equal(lora_at(&l.layout, 3, linear_of(&a, "o_proj"))->in, 8 * 512);
    lora_release(&l);
    static const char *const targets[] = {"v_proj", ".*\\.v_proj$"};
    for (size_t i = 0; i < 2; i++) {
        spec.targets = targets[i];
        assert_ok(lora_create(&l, &a, &spec, &e), &e);
        assert_int_equal(l.layout.count, 2);
        assert_int_equal(l.layout.modules[1].layer, 2);
        lora_release(&l);
    }
    const struct lora_given given = {"model.layers.1.self_attn.v_proj", 1, 1};
    assert_error(lora_create_given(&l, &a, &given, 1, &e), &e, ERR_MISMATCH,
                 "no linear layer model.layers.1.self_attn.v_proj");
}

static void the_last_layer_sees_all(void **state)
{
    (void)state;
    struct arch a = read_good("{\"model_type\": \"gemma4_unified_text\", \"num_hidden_layers\": 8}");
    check_kinds(&a, "wwwwwfwf", 1024);
    a = read_good("{\"model_type\": \"gemma4_unified_text\", \"num_hidden_layers\": 2, "
                  "\"layer_types\": [\"full_attention\", \"sliding_attention\"]}");
    check_kinds(&a, "ff", 1024);
}

#define SLIDING_PART "\"sliding_attention\": {\"rope_type\": \"default\", \"rope_theta\": 50}"
#define FULL_PART    "\"full_attention\": {\"rope_type\": \"proportional\", \"rope_theta\": 1e4}"
#define LISTED       "\"num_hidden_layers\": 2, \"layer_types\": [\"sliding_attention\", \"full_attention\"]"

/* Configurations with which transformers 5.24 makes no model, or one that computes nothing. */
static void what_transformers_refuses_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
        enum err_code code;
    } cases[] = {
        {"{\"model_type\": \"qwen2\", " LISTED ", \"use_sliding_window\": false, \"sliding_window\": 8}",
         "layer_types: layer 0 is of \"sliding_attention\", and there is no window: give the size as sliding_window "
         "(and use_sliding_window true, if it is there), or call the layer \"full_attention\"",
         ERR_FORMAT},
        {"{\"model_type\": \"qwen3\", " LISTED ", \"sliding_window\": 8}", "layer 0 is of \"sliding_attention\"",
         ERR_FORMAT},
        {"{\"model_type\": \"qwen3\", \"num_hidden_layers\": 2, \"use_sliding_window\": true, \"sliding_window\": 0, "
         "\"max_window_layers\": 1}",
         "layer 1 is of \"sliding_attention\"", ERR_FORMAT},
        {"{\"model_type\": \"gemma2\", \"sliding_window\": null}", "layer 0 is of \"sliding_attention\"",
         ERR_FORMAT},
        {"{\"model_type\": \"cohere2\", \"sliding_window\": 0}", "layer 0 is of \"sliding_attention\"", ERR_FORMAT},
        {"{" GEMMA4 ", \"sliding_window\": null}", "layer 0 is of \"sliding_attention\"", ERR_FORMAT},
        {"{" GEMMA4 ", \"sliding_window\": 0}", "layer 0 is of \"sliding_attention\"", ERR_FORMAT},
        {"{\"model_type\": \"mistral\", \"sliding_window\": 0}", "sliding_window: 0 is out of range", ERR_FORMAT},
        {"{\"model_type\": \"llama\", \"tie_word_embeddings\": null}",
         "tie_word_embeddings: null is neither true nor false: say whether", ERR_FORMAT},
        {"{\"model_type\": \"mistral3\", \"tie_word_embeddings\": null, \"text_config\": {\"model_type\": "
         "\"mistral\"}}",
         "config.json: tie_word_embeddings: null is neither", ERR_FORMAT},
        {"{\"model_type\": \"mistral3\", \"text_config\": {\"model_type\": \"mistral\", "
         "\"tie_word_embeddings\": null}}",
         "text_config: tie_word_embeddings: null is neither", ERR_FORMAT},
        {"{" GEMMA4 ", \"rope_scaling\": {\"rope_type\": \"proportional\", \"rope_theta\": 1e4}}",
         "rope_scaling: a model of type gemma4_text has a part for each kind of layers: {\"full_attention\": {...}",
         ERR_FORMAT},
        {"{" GEMMA4 ", \"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 1e4}}",
         "rope_parameters: a model of type gemma4_text has a part", ERR_FORMAT},
        {"{" GEMMA4 ", \"rope_parameters\": {" FULL_PART "}}", "rope_parameters: the part sliding_attention is missing",
         ERR_FORMAT},
        {"{" GEMMA4 ", \"rope_parameters\": {" SLIDING_PART "}}", "rope_parameters: the part full_attention is missing",
         ERR_FORMAT},
        {"{" GEMMA4 ", \"rope_parameters\": {\"full_attention\": {\"rope_type\": \"proportional\"}, " SLIDING_PART "}}",
         "full_attention: rope_theta is missing", ERR_FORMAT},
        {"{\"model_type\": \"phi\", \"rope_scaling\": {\"rope_type\": \"proportional\", \"rope_theta\": 1e4}}",
         "rope_scaling: rope_type \"proportional\" is not supported for a model of type phi", ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arch a;
        struct err e;
        assert_error(read_config(&a, cases[i].text, &e), &e, cases[i].code, cases[i].message);
    }
    /* What it takes. */
    struct arch a = read_good("{\"model_type\": \"qwen2\", \"num_hidden_layers\": 2, \"use_sliding_window\": true, "
                              "\"sliding_window\": null, \"max_window_layers\": 1}");
    check_kinds(&a, "ff", 0);
    a = read_good("{\"model_type\": \"qwen2\", " LISTED ", \"use_sliding_window\": true, \"sliding_window\": 8}");
    check_kinds(&a, "wf", 8);
    a = read_good("{" GEMMA4 ", \"rope_scaling\": {" FULL_PART ", " SLIDING_PART "}}");
    assert_true(a.rotations[0].type == ROTATION_PROPORTIONAL && a.rotations[1].theta == 50);
    a = read_good("{\"model_type\": \"seed_oss\", \"num_hidden_layers\": 2, \"sliding_window\": 0}");
    check_kinds(&a, "ff", 0);
}

static void a_share_of_the_frequencies_turns(void **state)
{
    (void)state;
    struct err e;
    float f[256];
    struct store store = {.kind = STORE_HF};
    struct arch a = read_good("{" GEMMA4 "}");
    assert_true(a.rotations[0].type == ROTATION_PROPORTIONAL && a.rotations[1].type == ROTATION_DEFAULT);
    assert_ok(arch_rotation_frequencies(f, &a, 0, &store, &e), &e);
    for (int i = 0; i < 256; i++)
        assert_true(i < 64 ? fabs((double)f[i] / pow(1e6, -2.0 * i / 512) - 1) < 1e-5 : f[i] == 0);
    a = read_good("{" GEMMA4 ", \"global_head_dim\": 8, \"rope_parameters\": {\"full_attention\": {\"rope_type\": "
                  "\"proportional\", \"rope_theta\": 1e4, \"factor\": 2, \"partial_rotary_factor\": 0.5}, "
                  "\"sliding_attention\": {\"rope_type\": \"default\", \"rope_theta\": 50}}}");
    assert_ok(arch_rotation_frequencies(f, &a, 0, &store, &e), &e);
    assert_true(f[0] == 0.5F && fabs((double)f[1] - 0.05) < 1e-7 && f[2] == 0 && f[3] == 0);
    assert_true(a.rotations[1].theta == 50);
    a = read_good("{" GEMMA4 ", \"rope_parameters\": {\"full_attention\": {\"rope_type\": \"proportional\", "
                  "\"rope_theta\": 1e4}, " SLIDING_PART "}}");
    assert_true(a.rotations[0].share == 1); /* where the class has an object without the key */
    assert_error(read_config(&a,
                             "{" GEMMA4 ", \"rope_parameters\": {\"full_attention\": {\"rope_type\": "
                             "\"proportional\", \"rope_theta\": 1e4, \"partial_rotary_factor\": 1.5}, " SLIDING_PART
                             "}}",
                             &e),
                 &e, ERR_FORMAT, "1.5 is out of range: 0 to 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_are_those_of_the_layers),  cmocka_unit_test(some_layers_do_not_rotate),
        cmocka_unit_test(rotations_are_those_of_the_kinds), cmocka_unit_test(kinds_have_sizes_of_their_own),
        cmocka_unit_test(sizes_of_single_layers_are_read),  cmocka_unit_test(adapters_are_where_a_layer_has_a_matrix),
        cmocka_unit_test(kinds_of_gguf_files_are_read),
        cmocka_unit_test(the_last_layer_sees_all),          cmocka_unit_test(a_share_of_the_frequencies_turns),
        cmocka_unit_test(what_transformers_refuses_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
