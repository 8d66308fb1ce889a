/* SentencePiece-style tokenizers, and those of well-known models: the same ids and texts as the library. */
#include "golden_tokenizer.h"

#include <dirent.h>
#include <time.h>

static struct golden_strings strings;

static int set_up(void **state)
{
    golden_strings_open(&strings, "strings_spm");
    return test_folder_make(state);
}

static int tear_down(void **state)
{
    str_release(&strings.bytes);
    return test_folder_remove(state);
}

/* The small vocabulary, renumbered without the tokens that the row leaves out. */
static struct tokenizer *open_variant(const struct json_value *row)
{
    struct str vocab = {0}, merges = {0}, json = {0};
    struct json *all = golden_json("spm_vocab");
    struct tokenizer *t = NULL;
    struct err e;
    int id = 0;
    const struct json_value *left_out = json_get(row, "left_out");
    golden_read(&merges, "spm_merges", ".json");
    for (struct json_member m = json_first(json_root(all)); m.key; m = json_next(m)) {
        bool out = false;
        for (size_t i = 0; i < json_count(left_out); i++)
            out |= strcmp(m.key, json_text(json_at(left_out, i))) == 0;
        if (out)
            continue;
        assert_ok(str_append(&vocab, ",", vocab.length > 0, &e), &e);
        assert_ok(json_append_string(&vocab, m.key, strlen(m.key), &e), &e);
        assert_ok(str_appendf(&vocab, &e, ":%d", id++), &e);
    }
    assert_ok(str_appendf(&json, &e, "{%s,\"model\":{%s,\"vocab\":{%s},\"merges\":%s}}",
                          json_text(json_get(row, "outer")), json_text(json_get(row, "model")), vocab.data,
                          merges.data),
              &e);
    assert_ok(golden_open_texts(&t, json.data, json.length, NULL, &e), &e);
    json_close(all);
    str_release(&vocab);
    str_release(&merges);
    str_release(&json);
    return t;
}

static void same_as_library(void **state)
{
    (void)state;
    struct json *doc = golden_json("spm_variants");
    assert_true(json_count(json_root(doc)) >= 12);
    for (size_t i = 0; i < json_count(json_root(doc)); i++) {
        const struct json_value *row = json_at(json_root(doc), i);
        struct tokenizer *t = open_variant(row);
        char name[64];
        snprintf(name, sizeof name, "spm_%s", json_text(json_get(row, "name")));
        golden_check_hashes(t, &strings, name, 2, 2000);
        golden_check_random_decoding(t, json_get(row, "decoded"));
        tokenizer_close(t);
    }
    json_close(doc);
}

/* Every byte of the text stands for exactly one token's, whatever the stages put in or took out. */
static void offsets_cut_the_text(void **state)
{
    (void)state;
    static const char *const names[] = {"llama2", "gemma", "first", "never"};
    struct json *doc = golden_json("spm_variants");
    struct ids ids = {0};
    struct err e;
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        struct tokenizer *t = open_variant(golden_get(doc, names[n]));
        for (size_t i = 0; i < strings.count; i++) {
            size_t length = strings.at[i].length;
            assert_ok(tokenizer_encode(&ids, t, strings.at[i].text, length, false, &e), &e);
            for (size_t k = 0; k < ids.count; k++) {
                assert_true(ids.start[k] < ids.end[k] && ids.end[k] <= length);
                assert_true(k == 0 || ids.start[k] >= ids.start[k - 1]);
                assert_true(k == 0 || ids.start[k] <= ids.end[k - 1] || n == 3);
            }
            if (ids.count > 0 && n != 3) { /* without bytes, what has no token vanishes */
                assert_int_equal(ids.start[0], 0);
                assert_int_equal(ids.end[ids.count - 1], length);
            }
        }
        tokenizer_close(t);
    }
    ids_release(&ids);
    json_close(doc);
}

/* One piece of a million characters: quadratic merging would take minutes. */
static void one_long_word(void **state)
{
    (void)state;
    enum { LENGTH = 1000000 };
    struct json *doc = golden_json("spm_variants");
    struct tokenizer *t = open_variant(golden_get(doc, "llama2"));
    char *text = malloc(LENGTH);
    struct ids ids = {0};
    struct err e;
    assert_non_null(text);
    for (int kind = 0; kind < 2; kind++) {
        for (size_t i = 0; i < LENGTH; i++)
            text[i] = kind == 0 ? (char)('a' + (i * i / 7 + i) % 26) : ' ';
        clock_t begin = clock();
        assert_ok(tokenizer_encode(&ids, t, text, LENGTH, false, &e), &e);
        assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 10);
        assert_int_equal(ids.end[ids.count - 1], LENGTH);
    }
    free(text);
    ids_release(&ids);
    tokenizer_close(t);
    json_close(doc);
}

/* ---- the tokenizer.json of well-known models ---- */

/* Of all strings of both files a hash of the ids, then for each 100 one of the decoded texts' hashes. */
static void check_real(const struct tokenizer *t, const struct golden_strings *both[2], const char *name)
{
    struct str expected = {0}, text = {0}, block = {0};
    struct ids ids = {0};
    struct err e;
    char file[64];
    size_t total = both[0]->count + both[1]->count, bad = 0;
    snprintf(file, sizeof file, "real_%s", name);
    golden_read(&expected, file, ".ids");
    assert_int_equal(expected.length, 2 * (total + total / 100));
    for (size_t i = 0; i < total; i++) {
        const struct golden_strings *s = both[i >= both[0]->count];
        size_t at = i < both[0]->count ? i : i - both[0]->count;
        uint16_t want;
        assert_ok(tokenizer_encode(&ids, t, s->at[at].text, s->at[at].length, true, &e), &e);
        memcpy(&want, expected.data + 2 * i, 2);
        if (want != (golden_hash(ids.id, ids.count * sizeof *ids.id) & 0xFFFF) && bad++ < 10)
            print_error("%s: string %zu '%.*s'\n", name, i, (int)s->at[at].length, s->at[at].text);
        str_clear(&text);
        assert_ok(tokenizer_decode(&text, t, ids.id, ids.count, false, &e), &e);
        uint32_t hash = golden_hash(text.data, text.length);
        assert_ok(str_append(&block, &hash, sizeof hash, &e), &e);
        if (i % 100 == 99) {
            memcpy(&want, expected.data + 2 * (total + i / 100), 2);
            if (want != (golden_hash(block.data, block.length) & 0xFFFF) && bad++ < 10)
                print_error("%s: decoded, strings %zu to %zu\n", name, i - 99, i);
            str_clear(&block);
        }
    }
    assert_int_equal(bad, 0);
    ids_release(&ids);
    str_release(&text);
    str_release(&block);
    str_release(&expected);
}

static void real_tokenizers_same_as_library(void **state)
{
    (void)state;
    static const char *const names[] = {"deepseek_v3", "gemma3", "gptoss", "llama2", "llama3", "qwen3"};
    const size_t count = sizeof names / sizeof *names;
    const char *folder = getenv("MPILORA_TOKENIZERS");
    if (folder == NULL) {
        print_message("skipped: MPILORA_TOKENIZERS does not name what scripts/fetch_tokenizers.sh fetched\n");
        skip();
    }
    struct golden_strings first = {0};
    golden_strings_open(&first, "strings");
    for (size_t i = 0; i < count; i++) {
        struct str json = {0};
        struct tokenizer *t;
        struct err e;
        char path[4096];
        snprintf(path, sizeof path, "%s/%s/tokenizer.json", folder, names[i]);
        test_file_read(&json, path);
        assert_ok(golden_open_texts(&t, json.data, json.length, NULL, &e), &e);
        check_real(t, (const struct golden_strings *[]){&first, &strings}, names[i]);
        tokenizer_close(t);
        str_release(&json);
    }
    str_release(&first.bytes);
    print_message("%zu real tokenizers give the library's ids\n", count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_library),
        cmocka_unit_test(offsets_cut_the_text),
        cmocka_unit_test(one_long_word),
        cmocka_unit_test(real_tokenizers_same_as_library),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
