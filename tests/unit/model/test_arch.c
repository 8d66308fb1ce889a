/* Architectures from config.json and GGUF keys: both generations, defaults, and every refusal. */
#include "model/family.h"

#include <stdlib.h>
#include <math.h>

#include "gguf_build.h"
#include "linears.h"
#include "read_config.h"
#include "tiny_model.h"

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
    assert_true(a.norm_eps == 1e-6F && a.rotations[0].theta == 10000);
    assert_false(a.tied || a.bias[GROUP_ATTN_IN] || a.bias[GROUP_MLP_IN]);
    assert_true(a.attention_scale == 1.0F / sqrtf(128));
    a = read_good("{\"model_type\": \"mistral\", \"sliding_window\": null}");
    assert_int_equal(a.kv_heads, 8);
    assert_int_equal(a.ffn, 14336);
    assert_int_equal(a.max_positions, 131072);
    a = read_good("{\"model_type\": \"mistral\", \"sliding_window\": null, \"num_key_value_heads\": null}");
    assert_int_equal(a.kv_heads, 32);
    assert_int_equal(arch_kind(&a, 31)->window, 0);
    a = read_good("{\"model_type\": \"mistral\"}");
    assert_int_equal(arch_kind(&a, 31)->window, 4096);
}

/* The windows of the layers, one character each: f for all keys, w for a window. */
static void caps_and_scales_are_read(void **state)
{
    (void)state;
    struct arch a = read_good("{\"model_type\": \"gemma2\"}");
    assert_true(a.attention_cap == 50 && a.logit_cap == 30 && a.attention_scale == 0.0625F);
    assert_true(a.activation == ACT_GELU_TANH && a.norm_offset && a.embedding_scale == 48);
    a = read_good("{\"model_type\": \"gemma2\", \"attn_logit_softcapping\": null, \"final_logit_softcapping\": 20.0, "
                  "\"query_pre_attn_scalar\": 144}");
    assert_true(a.attention_cap == 0 && a.logit_cap == 20 && a.attention_scale == 1.0F / 12);
    a = read_good("{\"model_type\": \"gemma\", \"hidden_act\": \"gelu\"}");
    assert_true(a.activation == ACT_GELU_TANH);
}

/* The decoder is the text_config, and paths are those of the class that serves the whole. */
static void wrappers_are_read(void **state)
{
    (void)state;
    char name[ARCH_NAME_SIZE], path[ARCH_PATH_SIZE];
    struct arch a = read_good("{\"model_type\": \"gemma3\", \"text_config\": {\"num_hidden_layers\": 7}}");
    assert_string_equal(a.family->name, "gemma3_text");
    check_kinds(&a, "wwwwwfw", 4096);
    assert_true(a.tied); /* where nobody says so: there is no head */
    arch_module_path(path, &a, 6, 0);
    assert_string_equal(path, "model.language_model.layers.6.self_attn.q_proj");
    arch_norm_path(path, &a, 0, AT_FINAL);
    assert_string_equal(path, "model.language_model.norm");
    arch_embedding_path(path, &a);
    assert_string_equal(path, "model.language_model.embed_tokens");
    a.spelling = 1;
    arch_norm_tensor(name, &a, STORE_HF, 3, AT_Q, "weight");
    assert_string_equal(name, "language_model.model.layers.3.self_attn.q_norm.weight");
    arch_module_tensor(name, &a, STORE_HF, 0, arch_head(&a), "weight");
    assert_string_equal(name, "language_model.lm_head.weight");
    arch_module_path(path, &a, 0, arch_head(&a));
    assert_string_equal(path, "lm_head");
    assert_true(arch_is_other_part(&a, "vision_tower.x"));
    assert_false(arch_is_other_part(&a, "language_model.model.norm.weight"));
    a = read_good("{\"model_type\": \"gemma4_unified\", \"text_config\": {}}");
    assert_string_equal(a.family->name, "gemma4_unified_text");
    assert_true(arch_is_other_part(&a, "model.embed_vision.patch_dense.weight"));
    arch_block_scale_tensor(name, &a, STORE_HF, 3);
    assert_string_equal(name, "model.language_model.layers.3.layer_scalar");
    a = read_good("{\"model_type\": \"mistral3\", \"tie_word_embeddings\": false, \"text_config\": {" SIZES
                  ", \"tie_word_embeddings\": true}}");
    assert_string_equal(a.family->name, "mistral");
    assert_false(a.tied);
    struct err e;
    assert_error(read_config(&a, "{\"model_type\": \"gemma3\"}", &e), &e, ERR_FORMAT, "text_config");
    assert_error(read_config(&a, "{\"model_type\": \"gemma3\", \"text_config\": {\"model_type\": \"new\"}}", &e),
                 &e, ERR_UNSUPPORTED, "text_config: model_type: \"new\" is not supported");
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
    assert_int_equal(old.rotations[0].type, ROTATION_LLAMA3);
    assert_true(old.rotations[0].factor == 8 && old.rotations[0].original_positions == 8192 &&
                old.rotations[0].theta == 500000);
    struct arch a =
        read_good("{\"model_type\": \"llama\", " SIZES
                  ", \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 2.0}, \"head_dim\": 16, "
                  "\"num_key_value_heads\": 2, \"tie_word_embeddings\": true, \"attention_bias\": true}");
    assert_int_equal(a.rotations[0].type, ROTATION_LINEAR);
    assert_true(a.rotations[0].factor == 2 && a.rotations[0].theta == 10000);
    assert_int_equal(a.head_dim, 16);
    assert_true(a.tied && a.bias[GROUP_ATTN_IN] && a.bias[GROUP_ATTN_OUT]);
    assert_false(a.bias[GROUP_MLP_IN] || a.bias[GROUP_MLP_OUT]);
    a = read_good("{\"model_type\": \"llama\", " SIZES ", \"rope_scaling\": null, \"head_dim\": null, "
                  "\"max_position_embeddings\": 77}");
    assert_int_equal(a.rotations[0].type, ROTATION_DEFAULT);
    assert_int_equal(a.head_dim, 8);
}

/* Qwen2's window holds only where use_sliding_window says so; its biases stand in no key. */
static void qwen2_has_its_biases_and_no_window(void **state)
{
    (void)state;
    struct arch a = read_good("{\"model_type\": \"qwen2\", \"hidden_size\": 896, \"num_attention_heads\": 14, "
                  "\"num_key_value_heads\": 2, \"sliding_window\": 32768, \"use_sliding_window\": false, "
                  "\"max_window_layers\": 21, \"rope_theta\": 1000000.0, \"tie_word_embeddings\": true}");
    assert_true(a.bias[GROUP_ATTN_IN] && a.tied && a.rotations[0].theta == 1e6 && a.kinds[0].window == 0);
    assert_false(a.bias[GROUP_ATTN_OUT] || a.bias[GROUP_MLP_IN] || a.bias[GROUP_MLP_OUT]);
    assert_int_equal(a.head_dim, 64);
    assert_int_equal(a.kv_heads, 2);
    assert_int_equal(a.ffn, 22016);
}

/* Keys that change the mathematics, at the values that leave it as it is. */
static void neutral_values_are_taken(void **state)
{
    (void)state;
    read_good("{\"model_type\": \"llama\", \"hidden_act\": \"silu\", \"sliding_window\": null, "
              "\"is_causal\": true, "
              "\"use_sliding_window\": false, \"layer_types\": [\"full_attention\", \"full_attention\"], "
              "\"num_experts\": 0, \"quantization_config\": null, \"attn_logit_softcapping\": null, "
              "\"residual_multiplier\": 1.0, \"partial_rotary_factor\": 1, \"no_rope_layers\": [1, 1], "
              "\"pretraining_tp\": 2, \"rope_scaling\": {}}");
    read_good("{\"model_type\": \"gemma4_unified_text\", \"use_bidirectional_attention\": \"vision\"}");
}

static const struct {
    const char *text, *message;
    enum err_code code;
} refused[] = {
    {"{\"model_type\": \"reformer\"}", "model_type: \"reformer\" is not supported; supported: ",
     ERR_UNSUPPORTED},
    {"{}", "config.json: \"model_type\" must be a string, not nothing", ERR_FORMAT},
    {"{\"model_type\": 3}", "config.json: \"model_type\" must be a string, not an integer", ERR_FORMAT},
    {"[]", "config.json: not a JSON object", ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"hidden_act\": \"quick_gelu\"}", "hidden_act: \"quick_gelu\" is not supported",
     ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"hidden_act\": 3}", "\"hidden_act\" must be a string, not an integer", ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"quantization_config\": {\"bits\": 4}}",
     "quantization_config: an object is not supported for a model of type llama: quantised", ERR_UNSUPPORTED},
    {"{\"model_type\": \"gemma2\", \"num_hidden_layers\": 2, \"layer_types\": [\"full_attention\"]}",
     "layer_types: 1 types for 2 layers", ERR_FORMAT},
    {"{\"model_type\": \"gemma2\", \"num_hidden_layers\": 1, \"layer_types\": [\"linear_attention\"]}",
     "layer_types: \"linear_attention\" of layer 0 is not supported", ERR_UNSUPPORTED},
    {"{\"model_type\": \"smollm3\", \"num_hidden_layers\": 1, \"no_rope_layers\": [2]}",
     "no_rope_layers: \"an integer\" of layer 0 is not supported; supported: 0, 1", ERR_UNSUPPORTED},
    {"{\"model_type\": \"smollm3\", \"use_sliding_window\": true, \"sliding_window\": 8}",
     "use_sliding_window: true is not", ERR_UNSUPPORTED},
    {"{\"model_type\": \"smollm3\", \"no_rope_layer_interval\": 0}", "no_rope_layer_interval: 0 is out of range",
     ERR_FORMAT},
    {"{\"model_type\": \"gemma2\", \"use_bidirectional_attention\": true}", "use_bidirectional_attention: true is not",
     ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"sliding_window\": 0.5}",
     "sliding_window: 0.5 is not supported for a model of type llama", ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"use_sliding_window\": true}", "use_sliding_window: true is not",
     ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"layer_types\": [\"full_attention\", \"sliding_attention\"]}",
     "layer_types: \"sliding_attention\" is not", ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"is_causal\": false}",
     "is_causal: false is not supported for a model of type llama: attention in both directions",
     ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"attn_logit_softcapping\": 50.0}", "attn_logit_softcapping: 50 is not",
     ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"final_logit_softcapping\": 30}", "final_logit_softcapping: 30 is not",
     ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"num_local_experts\": 8}",
     "num_local_experts: 8 is not supported for a model of type llama: experts", ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"num_experts\": 8}", "num_experts: 8 is not", ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"embedding_multiplier\": 12.0}", "embedding_multiplier: 12 is not",
     ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"logits_scaling\": 8}", "logits_scaling: 8 is not", ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"residual_multiplier\": 0.22}", "residual_multiplier: 0.22 is not",
     ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"attention_multiplier\": 0.0078125}",
     "attention_multiplier: 0.0078125 is not", ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"no_rope_layers\": [1, 1, 1, 0]}", "no_rope_layers: 0 is not",
     ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"per_layer_config\": {}}", "per_layer_config: an object is not",
     ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"partial_rotary_factor\": 0.5}",
     "partial_rotary_factor: 0.5 is not supported", ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"rope_parameters\": {\"partial_rotary_factor\": 0.5}}",
     "rope_parameters: partial_rotary_factor 0.5", ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"rope_parameters\": {\"full_attention\": {\"rope_theta\": 1e6}}}",
     "rope_parameters: full_attention: a rotation for some of the layers", ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"rope_scaling\": {\"rope_type\": \"axial\", \"factor\": 4}}",
     "rope_scaling: rope_type \"axial\" is not supported", ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"max_position_embeddings\": 0, \"rope_parameters\": {\"rope_type\": \"dynamic\"}}",
     "rope_parameters: rope_type \"dynamic\"", ERR_UNSUPPORTED},
    {"{\"model_type\": \"llama\", \"rope_scaling\": {\"type\": \"linear\"}}",
     "rope_scaling: a scaling factor of 0", ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8}}",
     "rope_scaling: llama3 with low_freq_factor 0", ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"rope_scaling\": 3}", "\"rope_scaling\" must be an object, not an integer",
     ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"rope_theta\": 0}", "rope_theta: 0 is out of range", ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"hidden_size\": \"big\"}",
     "\"hidden_size\" must be a whole number, not a string", ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"hidden_size\": -1}", "\"hidden_size\" must not be negative", ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"hidden_size\": 0, \"head_dim\": 8}", "hidden_size: 0 is out of range",
     ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"hidden_size\": null}", "hidden_size: 0 is out of range: 1 to",
     ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"hidden_size\": 100}", "hidden_size: 100 is not a multiple of 32 heads",
     ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"num_hidden_layers\": 0}", "num_hidden_layers: 0 is out of range",
     ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"num_hidden_layers\": 2000000000}",
     "num_hidden_layers: 2000000000 is out of range: 1 to 1024", ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"num_attention_heads\": 0}", "num_attention_heads: 0 is out of range",
     ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"num_attention_heads\": null}", "num_attention_heads: 0 is out of range",
     ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"num_key_value_heads\": 0}", "num_key_value_heads: 0 is out of range",
     ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"num_key_value_heads\": 5}",
     "num_key_value_heads: 32 heads cannot share 5", ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"head_dim\": 0}", "head_dim: 0 is out of range", ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"head_dim\": 7}", "head_dim: heads of 7;", ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"rms_norm_eps\": -1}", "rms_norm_eps: -1 is out of range", ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"rms_norm_eps\": true}", "\"rms_norm_eps\" must be a number, not",
     ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"vocab_size\": 4000000000000}",
     "vocab_size: 4000000000000 is out of range", ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"head_dim\": 2000000000}",
     "self_attn.q_proj: it would have more than 2^40", ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"intermediate_size\": 2000000000}",
     "mlp.gate_proj: it would have more than 2^40", ERR_FORMAT},
    {"{\"model_type\": \"gemma4_text\"}", "hidden_size_per_layer_input: 256 is not supported: layers with inputs",
     ERR_UNSUPPORTED},
    {"{\"model_type\": \"gemma4_text\", \"hidden_size_per_layer_input\": 0, \"num_kv_shared_layers\": 2}",
     "num_kv_shared_layers: 2 is not supported", ERR_UNSUPPORTED},
    {"{\"model_type\": \"gemma4_text\", \"hidden_size_per_layer_input\": 0, \"enable_moe_block\": true}",
     "enable_moe_block: true is not supported", ERR_UNSUPPORTED},
    {"{\"model_type\": \"gemma4_unified_text\", \"use_bidirectional_attention\": \"all\"}",
     "use_bidirectional_attention: \"all\" is not supported", ERR_UNSUPPORTED},
    {"{\"model_type\": \"gemma4_unified_text\", \"attention_k_eq_v\": true, \"num_global_key_value_heads\": 3}",
     "num_global_key_value_heads: 8 heads cannot share 3", ERR_FORMAT},
    {"{\"model_type\": \"gemma4_unified_text\", \"global_head_dim\": 9}", "global_head_dim: heads of 9;", ERR_FORMAT},
    {"{\"model_type\": \"llama\", \"tie_word_embeddings\": 1}",
     "\"tie_word_embeddings\" must be true or false", ERR_FORMAT},
};

static void what_is_not_supported_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct arch a;
        struct err e;
        assert_error(read_config(&a, refused[i].text, &e), &e, refused[i].code, refused[i].message);
        assert_int_equal(strncmp(e.message, "model/config.json: ", 19), 0);
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
    assert_true(a.tied && a.rotations[0].theta == 5000 && a.norm_eps == 1e-5F);
    const struct edit linear = {"llama.rope.scaling.factor", GGUF_F32, 0, 4, NULL};
    assert_ok(read_gguf(&a, &linear, false, &e), &e);
    assert_int_equal(a.rotations[0].type, ROTATION_LINEAR);
    assert_true(a.rotations[0].factor == 4);
    const struct edit yarn = {"llama.rope.scaling.type", GGUF_STRING, 0, 0, "yarn"};
    assert_ok(read_gguf(&a, &yarn, false, &e), &e);
    assert_int_equal(a.rotations[0].type, ROTATION_YARN);
    assert_true(a.rotations[0].original_positions == 512 && a.rotations[0].beta_fast == 32 &&
                a.rotations[0].beta_slow == 1 && a.rotations[0].size == 1);
    const struct edit window = {"llama.attention.sliding_window", GGUF_U32, 4096, 0, NULL};
    assert_ok(read_gguf(&a, &window, false, &e), &e);
    assert_int_equal(a.most_positions, 4096);
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
        {{"general.architecture", GGUF_STRING, 0, 0, "reformer"},
         false,
         "model.gguf: general.architecture: \"reformer\" is not supported; supported: ",
         ERR_UNSUPPORTED},
        {{"general.architecture", GGUF_STRING, 0, 0, ""},
         true,
         "general.architecture: this key is missing",
         ERR_FORMAT},
        {{"general.type", GGUF_STRING, 0, 0, "adapter"},
         false,
         "general.type: \"adapter\": not a model",
         ERR_UNSUPPORTED},
        {{"llama.block_count", GGUF_U32, 0, 0, NULL},
         true,
         "model.gguf: llama.block_count: this key is missing",
         ERR_FORMAT},
        {{"llama.block_count", GGUF_F32, 0, 1, NULL}, false, "llama.block_count", ERR_FORMAT},
        {{"llama.expert_count", GGUF_U32, 8, 0, NULL},
         false,
         "model.gguf: llama.expert_used_count: this key is missing", /* Mixtral's */
         ERR_FORMAT},
        {{"llama.attention.sliding_window", GGUF_F32, 0, 0.5, NULL}, false, "window: 0.5 is not", ERR_UNSUPPORTED},
        {{"llama.attention.causal", GGUF_BOOL, 0, 0, NULL},
         false,
         "llama.attention.causal: false is not",
         ERR_UNSUPPORTED},
        {{"llama.final_logit_softcapping", GGUF_F32, 0, 30, NULL},
         false,
         "llama.final_logit_softcapping: 30 is not",
         ERR_UNSUPPORTED},
        {{"llama.rope.scaling.type", GGUF_STRING, 0, 0, "dynamic"},
         false,
         "llama.rope.scaling.type: \"dynamic\"",
         ERR_UNSUPPORTED},
        {{"llama.rope.scaling.yarn_attn_factor", GGUF_F32, 0, 1, NULL},
         false,
         "llama.rope.scaling.yarn_attn_factor: 1 is not",
         ERR_UNSUPPORTED},
        {{"llama.rope.dimension_count", GGUF_U32, 4, 0, NULL},
         false,
         "llama.rope.dimension_count: 4 with heads of 8",
         ERR_UNSUPPORTED},
        {{"llama.attention.value_length", GGUF_U32, 4, 0, NULL},
         false,
         "llama.attention.value_length: keys of 8 and values of 4",
         ERR_UNSUPPORTED},
        {{"llama.attention.head_count", GGUF_U32, 0, 0, NULL},
         false,
         "model.gguf: llama.attention.head_count: 0 is out of range",
         ERR_FORMAT},
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
    assert_int_equal(arch_rows(&a, 0, linear_of(&a, "q_proj")), 80);
    assert_int_equal(arch_rows(&a, 0, linear_of(&a, "k_proj")), 20);
    assert_int_equal(arch_columns(&a, 0, linear_of(&a, "o_proj")), 80);
    assert_int_equal(arch_rows(&a, 0, linear_of(&a, "lm_head")), 100);
    assert_int_equal(arch_columns(&a, 0, linear_of(&a, "lm_head")), 64);
    assert_int_equal(arch_group_rows(&a, 0, GROUP_ATTN_IN), 120);
    assert_int_equal(arch_row_offset(&a, 0, linear_of(&a, "v_proj")), 100);
    assert_int_equal(arch_row_offset(&a, 0, linear_of(&a, "up_proj")), 96);
    assert_int_equal(arch_group_columns(&a, 0, GROUP_MLP_OUT), 96);
    assert_int_equal(arch_group_rows(&a, 0, GROUP_HEAD), 100);
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
    struct arch a = {.family = &family_llama, .head_dim = 8, .rotations = {{.theta = 10000, .rotated = 8}}};
    float f[32];
    assert_ok(arch_rotation_frequencies(f, &a, 0, &store, &e), &e);
    for (int i = 0; i < 4; i++)
        assert_true(fabs((double)f[i] * pow(10, i) - 1) < 1e-6);
    a.rotations[0].type = ROTATION_LINEAR;
    a.rotations[0].factor = 4;
    assert_ok(arch_rotation_frequencies(f, &a, 0, &store, &e), &e);
    for (int i = 0; i < 4; i++)
        assert_true(fabs((double)f[i] * pow(10, i) - 0.25) < 1e-6);
    a.head_dim = a.rotations[0].rotated = 64;
    a.rotations[0] = (struct rotation){.type = ROTATION_LLAMA3,
                                       .theta = 500000,
                                       .factor = 8,
                                       .low_freq_factor = 1,
                                       .high_freq_factor = 4,
                                       .original_positions = 8192, .rotated = 64};
    assert_ok(arch_rotation_frequencies(f, &a, 0, &store, &e), &e);
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
    struct arch a = {.family = &family_llama, .head_dim = 8, .rotations = {{.theta = 10000, .rotated = 8}}};
    float f[4];
    assert_ok(arch_rotation_frequencies(f, &a, 0, &store, &e), &e);
    for (int i = 0; i < 4; i++)
        assert_true(fabs((double)f[i] * pow(20, i) - 1) < 1e-6);
    tensor.data = (const float[]){1, 0, 1, 1};
    assert_error(arch_rotation_frequencies(f, &a, 0, &store, &e), &e, ERR_FORMAT, "element 1 is 0");
    tensor.elements = 3;
    assert_error(arch_rotation_frequencies(f, &a, 0, &store, &e), &e, ERR_FORMAT, "should be f32 [4]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_keys_mean_class_defaults),
        cmocka_unit_test(wrappers_are_read),
        cmocka_unit_test(both_generations_are_read),
        cmocka_unit_test(caps_and_scales_are_read),
        cmocka_unit_test(what_is_not_supported_is_named),
        cmocka_unit_test(neutral_values_are_taken),
        cmocka_unit_test(qwen2_has_its_biases_and_no_window),
        cmocka_unit_test(gguf_keys_are_read),
        cmocka_unit_test(gguf_variants_are_named),
        cmocka_unit_test(shapes_and_paths),
        cmocka_unit_test(frequencies_are_scaled),
        cmocka_unit_test(frequency_factors_of_gguf_divide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
