/* Architectures from config.json and GGUF keys: both generations, defaults, and every refusal. */
#include "model/arch.h"

#include <stdlib.h>
#include <math.h>

#include "gguf_build.h"
#include "linears.h"
#include "tiny_model.h"

#define SIZES                                                                                                \
    "\"hidden_size\": 64, \"intermediate_size\": 96, \"num_hidden_layers\": 3, \"num_attention_heads\": 8, " \
    "\"vocab_size\": 100"

static enum err_code read_config(struct arch *a, const char *text, struct err *e)
{
    struct store s = {.kind = STORE_HF, .path = "model"};
    assert_ok(json_open_bytes(&s.config, text, strlen(text), "config.json", e), e);
    enum err_code code = arch_read(a, &s, e);
    json_close(s.config);
    return code;
}

static struct arch read_good(const char *text)
{
    struct arch a;
    struct err e;
    assert_ok(read_config(&a, text, &e), &e);
    return a;
}

static void absent_keys_mean_class_defaults(void **state)
{
    (void)state;
    struct arch a = read_good("{\"model_type\": \"llama\"}");
    assert_string_equal(a.family->name, "llama");
    assert_int_equal(a.width, 4096);
    assert_int_equal(a.ffn, 11008);
    assert_int_equal(a.layers, 32);
    assert_int_equal(a.heads, 32);
    assert_int_equal(a.kv_heads, 32);
    assert_int_equal(a.head_dim, 128);
    assert_int_equal(a.vocab, 32000);
    assert_int_equal(a.max_positions, 2048);
    assert_true(a.norm_eps == 1e-6F && a.rope_theta == 10000);
    assert_false(a.tied || a.attention_bias || a.mlp_bias);
    a = read_good("{\"model_type\": \"mistral\", \"sliding_window\": null}");
    assert_int_equal(a.kv_heads, 8);
    assert_int_equal(a.ffn, 14336);
    assert_int_equal(a.max_positions, 131072);
    a = read_good("{\"model_type\": \"mistral\", \"sliding_window\": null, \"num_key_value_heads\": null}");
    assert_int_equal(a.kv_heads, 32);
    /* Without the key a Mistral model has a window of 4096: it matters only where positions go beyond. */
    read_good("{\"model_type\": \"mistral\", \"max_position_embeddings\": 4096}");
}

static void both_generations_are_read(void **state)
{
    (void)state;
    struct arch old =
        read_good("{\"model_type\": \"llama\", " SIZES
                  ", \"rope_theta\": 500000.0, \"torch_dtype\": \"bfloat16\", \"pretraining_tp\": 2, "
                  "\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, "
                  "\"high_freq_factor\": 4, \"original_max_position_embeddings\": 8192}}");
    struct arch new = read_good("{\"model_type\": \"llama\", " SIZES
                                ", \"dtype\": \"bfloat16\", \"rope_parameters\": {\"rope_theta\": 500000.0, "
                                "\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0, "
                                "\"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8192}}");
    assert_memory_equal(&old, &new, sizeof old);
    assert_int_equal(old.rope_type, ROPE_LLAMA3);
    assert_true(old.rope_factor == 8 && old.rope_original_positions == 8192 && old.rope_theta == 500000);
    struct arch a =
        read_good("{\"model_type\": \"llama\", " SIZES
                  ", \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 2.0}, \"head_dim\": 16, "
                  "\"num_key_value_heads\": 2, \"tie_word_embeddings\": true, \"attention_bias\": true}");
    assert_int_equal(a.rope_type, ROPE_LINEAR);
    assert_true(a.rope_factor == 2 && a.rope_theta == 10000);
    assert_int_equal(a.head_dim, 16);
    assert_true(a.tied && a.attention_bias && !a.mlp_bias);
    a = read_good("{\"model_type\": \"llama\", " SIZES ", \"rope_scaling\": null, \"head_dim\": null, "
                  "\"max_position_embeddings\": 77}");
    assert_int_equal(a.rope_type, ROPE_DEFAULT);
    assert_int_equal(a.head_dim, 8);
}

static void what_is_not_supported_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
        enum err_code code;
    } cases[] = {
        {"{\"model_type\": \"qwen2\"}", "model_type \"qwen2\"", ERR_UNSUPPORTED},
        {"{}", "\"model_type\" should be a string, not nothing", ERR_FORMAT},
        {"[]", "not a JSON object", ERR_FORMAT},
        {"{\"model_type\": \"llama\", \"hidden_act\": \"gelu\"}", "hidden_act \"gelu\"", ERR_UNSUPPORTED},
        {"{\"model_type\": \"llama\", \"quantization_config\": {\"bits\": 4}}", "quantization_config",
         ERR_UNSUPPORTED},
        {"{\"model_type\": \"mistral\", \"sliding_window\": 4096}", "sliding_window 4096", ERR_UNSUPPORTED},
        {"{\"model_type\": \"mistral\"}", "\"sliding_window\": null", ERR_UNSUPPORTED},
        {"{\"model_type\": \"llama\", \"is_causal\": false}", "is_causal false", ERR_UNSUPPORTED},
        {"{\"model_type\": \"llama\", \"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4}}",
         "rope type \"yarn\"", ERR_UNSUPPORTED},
        {"{\"model_type\": \"llama\", \"rope_parameters\": {\"rope_type\": \"dynamic\"}}",
         "rope type \"dynamic\"", ERR_UNSUPPORTED},
        {"{\"model_type\": \"llama\", \"rope_scaling\": {\"type\": \"linear\"}}", "scaling factor is 0",
         ERR_FORMAT},
        {"{\"model_type\": \"llama\", \"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8}}",
         "llama3 rope", ERR_FORMAT},
        {"{\"model_type\": \"llama\", \"rope_scaling\": 3}",
         "\"rope_scaling\" should be an object, not an integer", ERR_FORMAT},
        {"{\"model_type\": \"llama\", \"partial_rotary_factor\": 0.5}", "partial_rotary_factor 0.5",
         ERR_UNSUPPORTED},
        {"{\"model_type\": \"llama\", \"hidden_size\": \"big\"}",
         "\"hidden_size\" should be an integer, not a string", ERR_FORMAT},
        {"{\"model_type\": \"llama\", \"hidden_size\": -1}", "\"hidden_size\" is -1", ERR_FORMAT},
        {"{\"model_type\": \"llama\", \"hidden_size\": 0, \"head_dim\": 8}", "width: 0", ERR_FORMAT},
        {"{\"model_type\": \"llama\", \"hidden_size\": 100}", "not a multiple of 32 heads", ERR_FORMAT},
        {"{\"model_type\": \"llama\", \"num_attention_heads\": 0}", "\"num_attention_heads\" is 0",
         ERR_FORMAT},
        {"{\"model_type\": \"llama\", \"num_key_value_heads\": 5}", "cannot share 5", ERR_FORMAT},
        {"{\"model_type\": \"llama\", \"head_dim\": 7}", "head size of 7", ERR_FORMAT},
        {"{\"model_type\": \"llama\", \"rms_norm_eps\": -1}", "epsilon is -1", ERR_FORMAT},
        {"{\"model_type\": \"llama\", \"rope_theta\": 0}", "rope_theta is 0", ERR_FORMAT},
        {"{\"model_type\": \"llama\", \"vocab_size\": 4000000000000}", "vocabulary", ERR_FORMAT},
        {"{\"model_type\": \"llama\", \"head_dim\": 2000000000}", "2^40", ERR_FORMAT},
        {"{\"model_type\": \"llama\", \"intermediate_size\": 2000000000}", "2^40", ERR_FORMAT},
        {"{\"model_type\": \"llama\", \"num_hidden_layers\": 2000000000}", "layers", ERR_FORMAT},
        {"{\"model_type\": \"llama\", \"tie_word_embeddings\": 1}", "true or false", ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arch a;
        struct err e;
        assert_error(read_config(&a, cases[i].text, &e), &e, cases[i].code, cases[i].message);
    }
}

/* A GGUF header: the base's keys, with one more or with one left out. */
struct edit {
    const char *name;
    enum gguf_type type;
    uint32_t number;
    float real;
    const char *text;
};

static enum err_code read_gguf(struct arch *a, const struct edit *edit, bool leave_out, struct err *e)
{
    static const struct edit keys[] = {
        {"general.architecture", GGUF_STRING, 0, 0, "llama"},
        {"llama.block_count", GGUF_U32, 2, 0, NULL},
        {"llama.embedding_length", GGUF_U32, 64, 0, NULL},
        {"llama.feed_forward_length", GGUF_U32, 96, 0, NULL},
        {"llama.attention.head_count", GGUF_U32, 8, 0, NULL},
        {"llama.attention.head_count_kv", GGUF_U32, 2, 0, NULL},
        {"llama.context_length", GGUF_U32, 512, 0, NULL},
        {"llama.rope.freq_base", GGUF_F32, 0, 5000, NULL},
        {"llama.attention.layer_norm_rms_epsilon", GGUF_F32, 0, 1e-5F, NULL},
    };
    struct str body = {0}, s = {0};
    uint64_t count = 0;
    for (size_t i = 0; i <= sizeof keys / sizeof keys[0]; i++) {
        const struct edit *k = i < sizeof keys / sizeof keys[0] ? &keys[i] : edit;
        bool replaced = k && edit && k != edit && strcmp(k->name, edit->name) == 0;
        if (!k || replaced || (k == edit && leave_out))
            continue;
        if (k->type == GGUF_STRING) {
            put_text(&body, k->name);
            put_u32(&body, k->type);
            put_text(&body, k->text);
        } else if (k->type == GGUF_F32) {
            put_key(&body, k->name, k->type, &k->real, 4);
        } else {
            put_key(&body, k->name, k->type, &k->number, 4);
        }
        count++;
    }
    put_head(&s, 3, 0, count);
    put(&s, body.data, body.length);
    put_padding(&s, 32);
    struct store_tensor table = {.name = "token_embd.weight", .dims = 2, .shape = {100, 64}};
    struct store store = {.kind = STORE_GGUF, .path = "model.gguf", .tensors = &table, .tensor_count = 1};
    struct arena arena = {0};
    const struct file_map map = {.data = (const unsigned char *)s.data, .size = s.length};
    assert_ok(gguf_parse(&store.gguf, &map, store.path, &arena, e), e);
    enum err_code code = arch_read(a, &store, e);
    arena_release(&arena);
    str_release(&body);
    str_release(&s);
    return code;
}

static void gguf_keys_are_read(void **state)
{
    (void)state;
    struct arch a;
    struct err e;
    assert_ok(read_gguf(&a, NULL, false, &e), &e);
    assert_int_equal(a.layers, 2);
    assert_int_equal(a.width, 64);
    assert_int_equal(a.ffn, 96);
    assert_int_equal(a.heads, 8);
    assert_int_equal(a.kv_heads, 2);
    assert_int_equal(a.head_dim, 8);
    assert_int_equal(a.vocab, 100);
    assert_int_equal(a.max_positions, 512);
    assert_true(a.tied && a.rope_theta == 5000 && a.norm_eps == 1e-5F);
    const struct edit linear = {"llama.rope.scaling.factor", GGUF_F32, 0, 4, NULL};
    assert_ok(read_gguf(&a, &linear, false, &e), &e);
    assert_int_equal(a.rope_type, ROPE_LINEAR);
    assert_true(a.rope_factor == 4);
    const struct edit head = {"llama.attention.head_count_kv", GGUF_U32, 0, 0, NULL};
    assert_ok(read_gguf(&a, &head, true, &e), &e);
    assert_int_equal(a.kv_heads, 8);
}

static void gguf_variants_are_named(void **state)
{
    (void)state;
    static const struct {
        struct edit edit;
        bool leave_out;
        const char *message;
        enum err_code code;
    } cases[] = {
        {{"general.architecture", GGUF_STRING, 0, 0, "qwen2"},
         false,
         "\"qwen2\" is not supported",
         ERR_UNSUPPORTED},
        {{"general.architecture", GGUF_STRING, 0, 0, ""},
         true,
         "general.architecture is missing",
         ERR_FORMAT},
        {{"general.type", GGUF_STRING, 0, 0, "adapter"}, false, "not a model", ERR_UNSUPPORTED},
        {{"llama.block_count", GGUF_U32, 0, 0, NULL}, true, "llama.block_count is missing", ERR_FORMAT},
        {{"llama.block_count", GGUF_F32, 0, 1, NULL}, false, "llama.block_count", ERR_FORMAT},
        {{"llama.expert_count", GGUF_U32, 8, 0, NULL}, false, "llama.expert_count is 8", ERR_UNSUPPORTED},
        {{"llama.attention.sliding_window", GGUF_U32, 4096, 0, NULL},
         false,
         "sliding_window is 4096",
         ERR_UNSUPPORTED},
        {{"llama.attention.causal", GGUF_BOOL, 0, 0, NULL},
         false,
         "attention.causal is false",
         ERR_UNSUPPORTED},
        {{"llama.final_logit_softcapping", GGUF_F32, 0, 30, NULL},
         false,
         "softcapping is 30",
         ERR_UNSUPPORTED},
        {{"llama.rope.scaling.type", GGUF_STRING, 0, 0, "yarn"}, false, "\"yarn\"", ERR_UNSUPPORTED},
        {{"llama.rope.dimension_count", GGUF_U32, 4, 0, NULL},
         false,
         "dimension_count is 4",
         ERR_UNSUPPORTED},
        {{"llama.attention.value_length", GGUF_U32, 4, 0, NULL}, false, "values of 4", ERR_UNSUPPORTED},
        {{"llama.attention.head_count", GGUF_U32, 0, 0, NULL}, false, "0 heads", ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arch a;
        struct err e;
        assert_error(read_gguf(&a, &cases[i].edit, cases[i].leave_out, &e), &e, cases[i].code,
                     cases[i].message);
    }
}

static void shapes_and_paths(void **state)
{
    (void)state;
    char path[ARCH_PATH_SIZE];
    struct arch a =
        read_good("{\"model_type\": \"llama\", " SIZES ", \"num_key_value_heads\": 2, \"head_dim\": 10, "
                  "\"mlp_bias\": true}");
    assert_int_equal(arch_rows(&a, linear_of(&a, "q_proj")), 80);
    assert_int_equal(arch_rows(&a, linear_of(&a, "k_proj")), 20);
    assert_int_equal(arch_columns(&a, linear_of(&a, "o_proj")), 80);
    assert_int_equal(arch_rows(&a, linear_of(&a, "lm_head")), 100);
    assert_int_equal(arch_columns(&a, linear_of(&a, "lm_head")), 64);
    assert_int_equal(arch_group_rows(&a, GROUP_ATTN_IN), 120);
    assert_int_equal(arch_row_offset(&a, linear_of(&a, "v_proj")), 100);
    assert_int_equal(arch_row_offset(&a, linear_of(&a, "up_proj")), 96);
    assert_int_equal(arch_group_columns(&a, GROUP_MLP_OUT), 96);
    assert_int_equal(arch_group_rows(&a, GROUP_HEAD), 100);
    arch_module_path(path, &a, 99999, linear_of(&a, "gate_proj"));
    assert_string_equal(path, "model.layers.99999.mlp.gate_proj");
    arch_module_path(path, &a, 0, linear_of(&a, "lm_head"));
    assert_string_equal(path, "lm_head");
    uint64_t block = 2 * 64 + 64 * (80 + 20 + 20) + 80 * 64 + 3 * 64 * 96 + 96 + 96 + 64;
    assert_int_equal(arch_parameters(&a), 3 * block + 64 + 2 * 100 * 64);
}

/* transformers' values for head_dim 8, theta 10000, and Llama 3.1's scaling of 64 wide heads (from torch,
 * f32). */
static void frequencies_are_scaled(void **state)
{
    (void)state;
    struct err e;
    struct store store = {.kind = STORE_HF};
    struct arch a = {.head_dim = 8, .rope_theta = 10000};
    float f[32];
    assert_ok(arch_rope_frequencies(f, &a, &store, &e), &e);
    for (int i = 0; i < 4; i++)
        assert_true(fabs((double)f[i] * pow(10, i) - 1) < 1e-6);
    a.rope_type = ROPE_LINEAR;
    a.rope_factor = 4;
    assert_ok(arch_rope_frequencies(f, &a, &store, &e), &e);
    for (int i = 0; i < 4; i++)
        assert_true(fabs((double)f[i] * pow(10, i) - 0.25) < 1e-6);
    a = (struct arch){.head_dim = 64,
                      .rope_theta = 500000,
                      .rope_type = ROPE_LLAMA3,
                      .rope_factor = 8,
                      .rope_low_freq_factor = 1,
                      .rope_high_freq_factor = 4,
                      .rope_original_positions = 8192};
    assert_ok(arch_rope_frequencies(f, &a, &store, &e), &e);
    for (int i = 0; i < 32; i++) {
        double plain = pow(500000, -i / 32.0), wave = 2 * M_PI / plain, wanted = plain;
        double smooth = (8192 / wave - 1) / 3;
        if (wave > 8192)
            wanted = plain / 8;
        else if (wave > 2048)
            wanted = (1 - smooth) * plain / 8 + smooth * plain;
        assert_true(fabs((double)f[i] / wanted - 1) < 1e-5);
    }
}

static void frequency_factors_of_gguf_divide(void **state)
{
    (void)state;
    struct err e;
    const float factors[4] = {1, 2, 4, 8};
    struct store_tensor tensor = {.name = "rope_freqs.weight",
                                  .dims = 1,
                                  .shape = {4},
                                  .elements = 4,
                                  .data = factors,
                                  .bytes = sizeof factors,
                                  .file = "m.gguf"};
    struct store store = {.kind = STORE_GGUF, .tensors = &tensor, .tensor_count = 1};
    struct arch a = {.head_dim = 8, .rope_theta = 10000};
    float f[4];
    assert_ok(arch_rope_frequencies(f, &a, &store, &e), &e);
    for (int i = 0; i < 4; i++)
        assert_true(fabs((double)f[i] * pow(20, i) - 1) < 1e-6);
    tensor.data = (const float[]){1, 0, 1, 1};
    assert_error(arch_rope_frequencies(f, &a, &store, &e), &e, ERR_FORMAT, "element 1 is 0");
    tensor.elements = 3;
    assert_error(arch_rope_frequencies(f, &a, &store, &e), &e, ERR_FORMAT, "should be f32 [4]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_keys_mean_class_defaults), cmocka_unit_test(both_generations_are_read),
        cmocka_unit_test(what_is_not_supported_is_named),  cmocka_unit_test(gguf_keys_are_read),
        cmocka_unit_test(gguf_variants_are_named),         cmocka_unit_test(shapes_and_paths),
        cmocka_unit_test(frequencies_are_scaled),          cmocka_unit_test(frequency_factors_of_gguf_divide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
