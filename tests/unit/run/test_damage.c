/*
 * Files from strangers: every byte of one changed, and every length that it can be cut to, through all that
 * reads it. There is an answer each time, without a crash, a hang or an allocation beyond all measure; an
 * error names the file.
 */
#include "small_lora.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "data/examples/dataset.h"
#include "data/tokenizer/tokenizer.h"
#include "io/store/store.h"
#include "model/model.h"
#include "scratch.h"
#include "run/adapter.h"
#include "ckpt_write.h"
#include "run/options.h"
#include "run/export/gguf_adapter.h"
#include "run/export/peft.h"

#define MEMORY_MAX   ((rlim_t)2 << 30) /* address space; what a lying size asks for is more */
#define SECONDS_EACH 20

static struct scratch folder;
static struct lora adapter;
static struct lora_moments moments;

static void put(const char *name, const void *bytes, size_t length)
{
    const char *path = scratch_path(&folder, name);
    unlink(path); /* a new file: file systems flush one that is cut to nothing and written again */
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, length, f), length);
    assert_int_equal(fclose(f), 0);
}

static void copy_golden(const char *name)
{
    char path[PATH_MAX];
    struct err e;
    struct str bytes = {0};
    snprintf(path, sizeof path, "%s/tiny_tied/%s", getenv("GOLDEN"), name);
    assert_ok(file_read_all(&bytes, path, 1 << 20, &e), &e);
    put(name, bytes.data, bytes.length);
    str_release(&bytes);
}

static const char tokenizer_text[] =
    "{\"added_tokens\":[{\"id\":4,\"content\":\"<e>\",\"special\":true}],\"normalizer\":{\"type\":\"NFC\"},"
    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\",\"individual_digits\":"
    "true},"
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\" ?[a-z]+|.\"},\"behavior\":\"Isolated\",\"invert\":false},"
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]},"
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<e>\"}},"
    "{\"Sequence\":{\"id\":\"A\"}}],\"special_tokens\":{\"<e>\":{\"ids\":[4]}}},\"decoder\":{\"type\":"
    "\"ByteLevel\"},"
    "\"model\":{\"type\":\"BPE\",\"unk_token\":null,\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"aab\":3},"
    "\"merges\":[\"a b\",[\"a\",\"ab\"]]}}";
static const char tokenizer_config[] = "{\"eos_token\":\"<e>\",\"add_bos_token\":false}";
static const char lines[] = "{\"text\": \"ab \\u00e9 aab\"}\n"
                            "\n"
                            "{\"prompt\": \"a b\", \"completion\": \"\\ud83d\\ude00 b\"}\r\n";
static const char config_text[] =
    "# a run\nmodel: \"a b\"\nlora-rank: 3\ndata: [x.jsonl, 'y z.jsonl']\nshuffle: true\n";

static const struct ckpt_identity identity = {.base = "00112233445566778899aabbccddeeff",
                                              .tokenizer = "10112233445566778899aabbccddeeff",
                                              .data = "20112233445566778899aabbccddeeff"};

static int make_files(void **state)
{
    (void)state;
    struct err e;
    const struct ckpt_state at = {.step = 7, .cursor = 70};
    if (!scratch_open(&folder))
        return -1;
    copy_golden("config.json");
    copy_golden("model.safetensors");
    put("tokenizer.json", tokenizer_text, sizeof tokenizer_text - 1);
    put("tokenizer_config.json", tokenizer_config, sizeof tokenizer_config - 1);
    put("data.jsonl", lines, sizeof lines - 1);
    put("config.yaml", config_text, sizeof config_text - 1);
    small_make(&adapter, "model.layers.0.self_attn.q_proj", 2, 4);
    moments = small_moments(&adapter);
    assert_ok(peft_write(folder.folder, &adapter, &small_arch, &small_base, 0, &e), &e);
    assert_ok(gguf_adapter_write(scratch_path(&folder, "adapter.gguf"), &adapter, &small_arch, &small_base, &e), &e);
    assert_ok(ckpt_write(scratch_path(&folder, "step.h5"), &adapter, &moments, &at, &identity, config_text,
                         "normal", NULL, &e),
              &e);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    lora_release(&adapter);
    scratch_close(&folder);
    return 0;
}

static enum err_code read_model(struct err *e)
{
    struct store s = {0};
    struct model m = {0};
    enum err_code code = store_open(&s, folder.folder, e);
    if (!code)
        code = model_load(&m, &s, &(struct weights_options){.type = DTYPE_F32}, e);
    model_release(&m);
    store_close(&s);
    return code;
}

/* The data through the tokenizer. */
static enum err_code read_text(struct err *e)
{
    struct store s = {0};
    struct tokenizer *t = NULL;
    struct dataset d = {0};
    const struct example_options options = {.max_length = 16};
    const char *path = scratch_path(&folder, "data.jsonl");
    enum err_code code = store_open(&s, folder.folder, e);
    if (!code)
        code = tokenizer_open(&t, &s, e);
    if (!code)
        code = dataset_open(&d, &path, 1, t, &options, true, e);
    if (!code)
        dataset_close(&d);
    tokenizer_close(t);
    store_close(&s);
    return code;
}

static enum err_code read_lines(struct err *e)
{
    struct dataset d = {0};
    const char *path = scratch_path(&folder, "data.jsonl");
    const struct example_options options = {0};
    enum err_code code = dataset_open(&d, &path, 1, NULL, &options, false, e);
    if (!code)
        dataset_close(&d);
    return code;
}

static enum err_code read_config(struct err *e)
{
    struct options o = {0};
    struct str text = {0};
    const char *path = scratch_path(&folder, "config.yaml");
    enum err_code code = file_read_all(&text, path, LIMIT_YAML, e);
    if (!code)
        code = opt_init(&o.set, &options_table, &o, "train", e);
    if (!code)
        code = opt_read_config(&o.set, path, text.data, text.length, e);
    options_release(&o);
    str_release(&text);
    return code;
}

static enum err_code read_adapter(struct err *e)
{
    const struct adapter_check check = {.model = "", .base_hash = "", .allow_base_mismatch = true, .silent = true};
    struct lora l = {0};
    enum err_code code = adapter_load(&l, &small_arch, folder.folder, &check, e);
    lora_release(&l);
    return code;
}

static enum err_code read_gguf_adapter(struct err *e)
{
    const struct adapter_check check = {.base_hash = "", .allow_base_mismatch = true, .silent = true};
    struct lora l = {0};
    enum err_code code = adapter_load(&l, &small_arch, scratch_path(&folder, "adapter.gguf"), &check, e);
    lora_release(&l);
    return code;
}

/* The one reader that must not be fooled: there is a content hash. */
static enum err_code read_checkpoint(struct err *e)
{
    struct ckpt c;
    struct lora l = {0};
    struct lora_moments own;
    if (ckpt_open(&c, scratch_path(&folder, "step.h5"), e))
        return e->code;
    enum err_code code = lora_create_given(&l, &small_arch, c.modules, c.module_count, e);
    if (!code)
        code = lora_moments_init(&own, &l.layout, false, &l.arena, e);
    if (!code)
        code = ckpt_read(&c, &l, &own, e);
    if (!code) {
        small_equal(l.params, adapter.params, l.layout.size);
        small_equal(own.m, moments.m, l.layout.size);
        small_equal(own.v, moments.v, l.layout.size);
        assert_true(c.state.step == 7 && c.state.cursor == 70 && !c.state.finished);
        assert_string_equal(c.config, config_text);
    }
    lora_release(&l);
    ckpt_close(&c);
    return code;
}

struct tally {
    size_t tried, refused;
};

static void try_bytes(struct tally *t, const char *name, enum err_code (*read)(struct err *),
                      const char *bytes, size_t length)
{
    struct err e = {0};
    put(name, bytes, length);
    alarm(SECONDS_EACH);
    enum err_code code = read(&e);
    alarm(0);
    t->tried++;
    t->refused += code != ERR_OK;
    if (code == ERR_MEMORY || (code && !strstr(e.message, folder.folder)))
        fail_msg("%s of %zu bytes: code %d: %s", name, length, (int)code, e.message);
}

static void scan(const char *name, enum err_code (*read)(struct err *))
{
    struct err e;
    struct str whole = {0}, bytes = {0};
    struct tally flips = {0}, cuts = {0};
    assert_ok(file_read_all(&whole, scratch_path(&folder, name), 1 << 20, &e), &e);
    assert_ok(str_append(&bytes, whole.data, whole.length, &e), &e);
    for (size_t i = 0; i < whole.length; i++) {
        bytes.data[i] = (char)(whole.data[i] ^ (1 << i % 8));
        try_bytes(&flips, name, read, bytes.data, bytes.length);
        bytes.data[i] = "\0\"9-}\xff"[i % 6];
        try_bytes(&flips, name, read, bytes.data, bytes.length);
        bytes.data[i] = whole.data[i];
    }
    for (size_t length = 0; length < whole.length; length++)
        try_bytes(&cuts, name, read, bytes.data, length);
    put(name, whole.data, whole.length);
    assert_ok(read(&e), &e);
    print_message("%s: %zu changed bytes, %zu refused; %zu lengths, %zu refused\n", name, flips.tried,
                  flips.refused, cuts.tried, cuts.refused);
    assert_true(cuts.refused > 0);
    str_release(&whole);
    str_release(&bytes);
}

#define SCAN(test, name, read)                                                                               \
    static void test(void **state)                                                                           \
    {                                                                                                        \
        (void)state;                                                                                         \
        scan(name, read);                                                                                    \
    }
SCAN(config_of_a_model, "config.json", read_model)
SCAN(tokenizer_json, "tokenizer.json", read_text)
SCAN(tokenizer_config_json, "tokenizer_config.json", read_text)
SCAN(lines_by_themselves, "data.jsonl", read_lines)
SCAN(lines_through_the_tokenizer, "data.jsonl", read_text)
SCAN(configuration, "config.yaml", read_config)
SCAN(config_of_an_adapter, "adapter_config.json", read_adapter)
SCAN(tensors_of_an_adapter, "adapter_model.safetensors", read_adapter)
SCAN(adapter_as_gguf, "adapter.gguf", read_gguf_adapter)
SCAN(checkpoint, "step.h5", read_checkpoint)

int main(void)
{
#ifndef __SANITIZE_ADDRESS__ /* whose shadow is beyond any limit */
    setrlimit(RLIMIT_AS, &(struct rlimit){MEMORY_MAX, MEMORY_MAX});
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_of_a_model),
        cmocka_unit_test(tokenizer_json),
        cmocka_unit_test(tokenizer_config_json),
        cmocka_unit_test(lines_by_themselves),
        cmocka_unit_test(lines_through_the_tokenizer),
        cmocka_unit_test(configuration),
        cmocka_unit_test(config_of_an_adapter),
        cmocka_unit_test(tensors_of_an_adapter),
        cmocka_unit_test(adapter_as_gguf),
        cmocka_unit_test(checkpoint),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
