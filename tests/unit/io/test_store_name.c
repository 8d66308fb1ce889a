/* What a model is called, as its files and its place say. */
#include "io_files.h"

#include "gguf_build.h"
#include "io/store/store.h"

static void expect(const char *path, const char *name)
{
    struct store s;
    struct err e;
    assert_ok(store_open(&s, test_path(path), &e), &e);
    assert_string_equal(store_name(&s), name ? name : test_path(path));
    store_close(&s);
}

static void write_text(const char *path, const char *text)
{
    test_file_write(test_path(path), text, strlen(text));
}

/* A folder with one tensor, whose config.json has this text. */
static void write_folder(const char *folder, const char *config)
{
    static const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    struct err e;
    struct str s = {0};
    char path[256];
    assert_ok(file_make_folders(test_path(folder), &e), &e);
    snprintf(path, sizeof path, "%s/config.json", folder);
    write_text(path, config);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    put_u64(&s, strlen(header));
    put(&s, header, strlen(header));
    put(&s, "abcd", 4);
    test_file_write(test_path(path), s.data, s.length);
    str_release(&s);
}

static void of_a_folder(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *config, *name;
    } cases[] = {
        {"plain", "{}", NULL},
        {"plain", "{\"_name_or_path\": \"owner/name-1.7B\"}", "owner/name-1.7B"},
        {"plain", "{\"_name_or_path\": \"/home/somebody/model\"}", NULL},
        {"plain", "{\"_name_or_path\": \"./out/model\"}", NULL},
        {"plain", "{\"_name_or_path\": \"owner/name/checkpoint-500\"}", NULL},
        {"plain", "{\"_name_or_path\": \"own er/name\"}", NULL},
        {"plain", "{\"_name_or_path\": \"gpt2\"}", NULL},
        {"plain", "{\"_name_or_path\": 7}", NULL},
        {"hub/models--owner--name/snapshots/1f2e", "{}", "owner/name"},
        {"cache/owner--name", "{\"_name_or_path\": \"other/base\"}", "owner/name"}, /* what it was trained from */
        {"cache/owner--name--v2", "{}", "owner/name"},
        {"cache/--name", "{}", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_folder(cases[i].folder, cases[i].config);
        expect(cases[i].folder, cases[i].name);
    }
}

static void put_name(struct str *s, const char *key, const char *text)
{
    put_text(s, key);
    put_u32(s, GGUF_STRING);
    put_text(s, text);
}

static void of_a_gguf(void **state)
{
    (void)state;
    static const struct {
        const char *key, *text, *name;
    } cases[] = {
        {"general.source.repo_url", "https://huggingface.co/owner/name", "owner/name"},
        {"general.source.huggingface.repository", "owner/name", "owner/name"},
        {"general.repo_url", "https://example.org/owner/name", "A Name 135M"},
        {"general.base_model.0.repo_url", "https://huggingface.co/owner/base", "A Name 135M"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str s = {0};
        const float value = 1;
        put_head(&s, 3, 1, 2);
        put_name(&s, "general.name", "A Name 135M");
        put_name(&s, cases[i].key, cases[i].text);
        put_tensor(&s, "a", 1, (const uint64_t[]){1}, 0, 0);
        put_padding(&s, 32);
        put(&s, &value, sizeof value);
        test_file_write(test_path("m.gguf"), s.data, s.length);
        str_release(&s);
        expect("m.gguf", cases[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_folder),
        cmocka_unit_test(of_a_gguf),
    };
    return cmocka_run_group_tests(tests, test_folder_make, test_folder_remove);
}
