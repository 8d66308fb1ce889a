/* The hash of a model: the same however it is written, another for whatever computes something else. */
#include "io_files.h"

#include "gguf_build.h"
#include "io/store/store.h"

static char first[FILE_HASH_SIZE], other[FILE_HASH_SIZE];

static void hash_of(char hash[FILE_HASH_SIZE], const char *name)
{
    struct store s;
    struct err e;
    assert_ok(store_open(&s, test_path(name), &e), &e);
    assert_ok(store_hash(&s, NULL, &e), &e);
    memcpy(hash, s.hash, FILE_HASH_SIZE);
    store_close(&s);
}

/* A safetensors file with these bytes. */
static void write_tensors(const char *name, const char *header, const char *data)
{
    struct str s = {0};
    put_u64(&s, strlen(header));
    put(&s, header, strlen(header));
    put(&s, data, strlen(data));
    test_file_write(test_path(name), s.data, s.length);
    str_release(&s);
}

#define TENSOR(name, type, shape, begin, end)                                                                \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"
#define A TENSOR("a", "F16", "[2,1]", 0, 4)
#define B TENSOR("b", "F32", "[1]", 4, 8)

static void write_config(const char *text)
{
    test_file_write(test_path("m/config.json"), text, strlen(text));
}

#define CONFIG "{\"model_type\": \"llama\", \"rope_theta\": 10000.0, \"bias\": false, \"list\": [1, 2]}"

/* The model of which `first` is the hash. */
static void make_model(void)
{
    struct err e;
    assert_ok(file_make_folders(test_path("m"), &e), &e);
    write_config(CONFIG);
    write_tensors("m/model.safetensors", "{" A "," B "}", "abcdefgh");
    hash_of(first, "m");
}

static void writing_does_not_enter(void **state)
{
    (void)state;
    static const char *const configs[] = {
        CONFIG "\n", "{\"list\":[1,2],\"bias\":false,\"rope_theta\":10000,\"model_type\":\"llama\"}",
        "{\"model_type\": \"llama\", \"rope_theta\": 1e4, \"bias\": false, \"list\": [1, 2], \"nothing\": "
        "null}",
        "{\"model_type\": \"llama\", \"rope_theta\": 1e4, \"bias\": false, \"list\": [1, 2], "
        "\"transformers_version\": \"5.23.0\", \"_name_or_path\": \"x\", \"torch_dtype\": \"float16\", "
        "\"use_cache\": "
        "true, \"eos_token_id\": [1, 2]}"};
    make_model();
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        write_config(configs[i]);
        hash_of(other, "m");
        assert_string_equal(first, other);
    }
    /* The order and the place of tensors, what else is in the header, and shards. */
    write_tensors("m/model.safetensors",
                  "{\"__metadata__\":{\"format\":\"pt\"}, " TENSOR("b", "F32", "[1]", 0, 4) "," TENSOR(
                      "a", "F16", "[2,1]", 4, 8) "} ",
                  "efghabcd");
    hash_of(other, "m");
    assert_string_equal(first, other);
    static const char index[] = "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}}";
    unlink(test_path("m/model.safetensors"));
    write_tensors("m/one.safetensors", "{" A "}", "abcd");
    write_tensors("m/two.safetensors", "{" TENSOR("b", "F32", "[1]", 0, 4) "}", "efgh");
    test_file_write(test_path("m/model.safetensors.index.json"), index, strlen(index));
    hash_of(other, "m");
    assert_string_equal(first, other);
    unlink(test_path("m/model.safetensors.index.json"));
    test_file_write(test_path("m/generation_config.json"), "{}", 2);
    write_tensors("m/model.safetensors", "{" A "," B "}", "abcdefgh");
    hash_of(other, "m");
    assert_string_equal(first, other);
}

/* Leaving such a key out means a default of its family, null means none. */
static void null_is_not_the_default(void **state)
{
    (void)state;
    static const char *const keys[] = {"attn_logit_softcapping", "final_logit_softcapping", "head_dim",
                                       "max_window_layers",      "num_key_value_heads",     "sliding_window",
                                       "sliding_window_pattern"};
    make_model();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char config[256];
        snprintf(config, sizeof config,
                 "{\"model_type\": \"llama\", \"rope_theta\": 10000.0, \"bias\": false, \"list\": [1, 2], "
                 "\"%s\": null}",
                 keys[i]);
        write_config(config);
        hash_of(other, "m");
        assert_string_not_equal(first, other);
    }
}

static void what_is_computed_enters(void **state)
{
    (void)state;
    static const char *const configs[] = {
        "{\"model_type\": \"qwen\", \"rope_theta\": 10000.0, \"bias\": false, \"list\": [1, 2]}",
        "{\"model_type\": \"llama\", \"rope_theta\": 10000.1, \"bias\": false, \"list\": [1, 2]}",
        "{\"model_type\": \"llama\", \"rope_theta\": 10000.0, \"bias\": true, \"list\": [1, 2]}",
        "{\"model_type\": \"llama\", \"rope_theta\": 10000.0, \"bias\": false, \"list\": [2, 1]}",
        "{\"model_type\": \"llama\", \"rope_theta\": 10000.0, \"bias\": false, \"list\": [12]}",
        "{\"model_type\": \"llama\", \"rope_theta\": 10000.0, \"bias\": false, \"list\": [1, 2], \"new\": 0}",
        "{\"model_type\": \"llama\", \"rope_theta\": 10000.0, \"bias\": false, \"list\": {\"1\": 2}}"};
    make_model();
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        write_config(configs[i]);
        hash_of(other, "m");
        assert_string_not_equal(first, other);
    }
    static const struct {
        const char *header, *data;
    } files[] = {{"{" A "," B "}", "abcdefgi"},
                 {"{" TENSOR("a", "F16", "[1,2]", 0, 4) "," B "}", "abcdefgh"},
                 {"{" TENSOR("a", "BF16", "[2,1]", 0, 4) "," B "}", "abcdefgh"},
                 {"{" TENSOR("c", "F16", "[2,1]", 0, 4) "," B "}", "abcdefgh"},
                 {"{" A "}", "abcd"}};
    write_config(CONFIG);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        write_tensors("m/model.safetensors", files[i].header, files[i].data);
        hash_of(other, "m");
        assert_string_not_equal(first, other);
    }
}

/* A GGUF with these keys besides its architecture, and one tensor that begins so. */
static void write_gguf(uint64_t keys, const struct str *more, unsigned char begin)
{
    struct str s = {0};
    put_head(&s, 3, 1, 1 + keys);
    struct str name = {0};
    put_text(&name, "llama");
    put_key(&s, "general.architecture", GGUF_STRING, name.data, name.length);
    put(&s, more->data, more->length);
    put_tensor(&s, "a_norm.weight", 1, (const uint64_t[]){2}, 0, 0);
    put_padding(&s, 32);
    for (unsigned char i = 0; i < 8; i++)
        put(&s, &(unsigned char){(unsigned char)(i + begin)}, 1);
    test_file_write(test_path("m.gguf"), s.data, s.length);
    str_release(&s);
    str_release(&name);
}

static void put_number(struct str *s, const char *name, uint32_t value)
{
    put_key(s, name, GGUF_U32, &value, sizeof value);
}

static void gguf_by_its_architecture(void **state)
{
    (void)state;
    struct str keys = {0};
    put_number(&keys, "llama.block_count", 2);
    put_number(&keys, "llama.context_length", 64);
    write_gguf(2, &keys, 0);
    hash_of(first, "m.gguf");
    str_clear(&keys);
    put_key(&keys, "llama.context_length", GGUF_U64, &(uint64_t){64}, 8);
    put_number(&keys, "general.quantized_by", 7);
    put_number(&keys, "tokenizer.ggml.eos_token_id", 7);
    put_number(&keys, "llama.block_count", 2);
    write_gguf(4, &keys, 0);
    hash_of(other, "m.gguf");
    assert_string_equal(first, other);
    write_gguf(4, &keys, 1);
    hash_of(other, "m.gguf");
    assert_string_not_equal(first, other);
    str_clear(&keys);
    put_number(&keys, "llama.block_count", 2);
    put_number(&keys, "llama.context_length", 65);
    write_gguf(2, &keys, 0);
    hash_of(other, "m.gguf");
    assert_string_not_equal(first, other);
    str_release(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writing_does_not_enter),
        cmocka_unit_test(null_is_not_the_default),
        cmocka_unit_test(what_is_computed_enters),
        cmocka_unit_test(gguf_by_its_architecture),
    };
    return cmocka_run_group_tests(tests, test_folder_make, test_folder_remove);
}
