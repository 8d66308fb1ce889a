/* Whole tokenizers: the same ids and texts as the `tokenizers` library. */
#include "golden_tokenizer.h"
#include "tiny_tokenizer.h"

#include <time.h>

static struct golden_strings strings;

static int set_up(void **state)
{
    golden_strings_open(&strings, "strings");
    return test_folder_make(state);
}

static int tear_down(void **state)
{
    str_release(&strings.bytes);
    return test_folder_remove(state);
}

/* ---- against the library ---- */

static void same_as_library(void **state)
{
    (void)state;
    struct json *doc = golden_json("variants");
    assert_true(json_count(json_root(doc)) >= 10);
    for (size_t i = 0; i < json_count(json_root(doc)); i++) {
        const struct json_value *row = json_at(json_root(doc), i);
        struct tokenizer *t = golden_open(row, i % 2 == 0, NULL);
        golden_check_hashes(t, &strings, json_text(json_get(row, "name")), 2, 3000);
        golden_check_random_decoding(t, json_get(row, "decoded"));
        tokenizer_close(t);
    }
    json_close(doc);
}

static void real_model_same_as_library(void **state)
{
    (void)state;
    const char *path = getenv("MPILORA_SMOLLM2");
    if (path == NULL || !file_exists(path)) {
        print_message(
            "skipped: MPILORA_SMOLLM2 does not name SmolLM2's GGUF file (scripts/fetch_model.sh)\n");
        skip();
    }
    struct store store = {0};
    struct tokenizer *t;
    struct err e;
    assert_ok(store_open(&store, path, &e), &e);
    assert_ok(tokenizer_open(&t, &store, &e), &e);
    store_close(&store);
    assert_int_equal(tokenizer_vocab_size(t), 49152);
    assert_string_equal(tokenizer_token(t, tokenizer_eos(t)), "<|im_end|>");
    assert_string_equal(tokenizer_token(t, tokenizer_bos(t)), "<|im_start|>");
    golden_check_hashes(t, &strings, "smollm2", 4, 3000);
    tokenizer_close(t);
}

/* ---- properties ---- */

/* Where neither NFC nor spaces change the text, a token's range holds the very bytes that it decodes to, and
 * the ranges follow each other. */
static void offsets_cut_the_text(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "smollm", "llama3", "tekken", "behind", "contiguous"};
    struct json *doc = golden_json("variants");
    struct ids ids = {0};
    struct str text = {0};
    struct err e;
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        struct tokenizer *t = golden_open(golden_get(doc, names[n]), false, NULL);
        for (size_t i = 0; i < 3000; i++) {
            assert_ok(tokenizer_encode(&ids, t, strings.at[i].text, strings.at[i].length, false, &e), &e);
            for (size_t k = 0; k < ids.count; k++) {
                size_t length = ids.end[k] - ids.start[k];
                assert_true(ids.start[k] < ids.end[k] && ids.end[k] <= strings.at[i].length);
                assert_true(k == 0 || ids.start[k] >= ids.end[k - 1]);
                str_clear(&text);
                assert_ok(tokenizer_decode(&text, t, &ids.id[k], 1, false, &e), &e);
                bool broken = text.length > 0 && strstr(text.data, "\uFFFD") != NULL;
                bool spaces =
                    tokenizer_token(t, ids.id[k])[0] == '['; /* [L], [R], [B] take spaces with them */
                if (!broken && !spaces && length == text.length)
                    assert_memory_equal(text.data, strings.at[i].text + ids.start[k], length);
                else if (!broken &&
                         !spaces) /* bytes that the vocabulary lacks vanish inside a token's range */
                    assert_true(length > text.length);
            }
        }
        tokenizer_close(t);
    }
    ids_release(&ids);
    str_release(&text);
    json_close(doc);
}

/* Composed characters stand for the whole of what they were made from. */
static void offsets_survive_nfc(void **state)
{
    (void)state;
    struct json *doc = golden_json("variants");
    struct tokenizer *t = golden_open(golden_get(doc, "qwen2"), false, NULL);
    struct ids ids = {0};
    struct err e;
    const char *text = "xe\u0301 ne\u0301e 1"; /* x 0, e 1-4, space 4, n 5, e 6-9, e 9, space 10, 1 */
    assert_ok(tokenizer_encode(&ids, t, text, strlen(text), false, &e), &e);
    bool found = false;
    for (size_t k = 0; k < ids.count; k++) {
        assert_true(k == 0 || ids.start[k] >= ids.end[k - 1] || ids.start[k] == ids.start[k - 1]);
        assert_false(ids.start[k] == 2 || ids.end[k] == 2); /* between e and its accent */
        if (strcmp(tokenizer_token(t, ids.id[k]), "ne\u0301e") == 0) {
            found = true;
            assert_int_equal(ids.start[k], 5);
            assert_int_equal(ids.end[k], 10);
        }
    }
    assert_true(found);
    assert_int_equal(ids.end[ids.count - 1], strlen(text));
    ids_release(&ids);
    tokenizer_close(t);
    json_close(doc);
}

static void decoding_gives_the_text_back(void **state)
{
    (void)state;
    struct tokenizer *t = tiny_tokenizer_open(0);
    struct ids ids = {0};
    struct str text = {0};
    struct err e;
    for (size_t i = 0; i < strings.count; i++) {
        str_clear(&text);
        assert_ok(tokenizer_encode(&ids, t, strings.at[i].text, strings.at[i].length, false, &e), &e);
        assert_ok(tokenizer_decode(&text, t, ids.id, ids.count, false, &e), &e);
        assert_int_equal(text.length, strings.at[i].length);
        if (text.length > 0)
            assert_memory_equal(text.data, strings.at[i].text, text.length);
        assert_true((ids.count == 0) == (strings.at[i].length == 0));
    }
    ids_release(&ids);
    str_release(&text);
    tokenizer_close(t);
}

static void threads_share_a_tokenizer(void **state)
{
    (void)state;
    struct json *doc = golden_json("variants");
    struct tokenizer *t = golden_open(golden_get(doc, "prefix"), false, NULL);
    uint32_t *alone = calloc(strings.count, sizeof *alone);
    size_t different = 0;
    assert_non_null(alone);
    for (int pass = 0; pass < 2; pass++) {
#pragma omp parallel num_threads(pass == 0 ? 1 : 4) reduction(+ : different)
        {
            struct ids ids = {0};
            struct err e;
#pragma omp for schedule(dynamic)
            for (size_t i = 0; i < strings.count; i++) {
                bool bad =
                    tokenizer_encode(&ids, t, strings.at[i].text, strings.at[i].length, true, &e) != ERR_OK;
                uint32_t hash = golden_hash(ids.id, ids.count * sizeof *ids.id);
                if (pass == 0)
                    alone[i] = hash;
                different += bad || alone[i] != hash;
            }
            ids_release(&ids);
        }
    }
    assert_int_equal(different, 0);
    free(alone);
    tokenizer_close(t);
    json_close(doc);
}

/* Quadratic merging would take minutes here. */
static void one_long_word(void **state)
{
    (void)state;
    enum { LENGTH = 1000000 };
    struct json *doc = golden_json("variants");
    struct tokenizer *t = golden_open(golden_get(doc, "llama3"), false, NULL);
    char *text = malloc(LENGTH);
    struct ids ids = {0};
    struct err e;
    assert_non_null(text);
    for (size_t i = 0; i < LENGTH; i++)
        text[i] = (char)('a' + (i * i / 7 + i) % 26);
    clock_t begin = clock();
    assert_ok(tokenizer_encode(&ids, t, text, LENGTH, false, &e), &e);
    assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 10);
    assert_true(ids.count > LENGTH / 20 && ids.end[ids.count - 1] == LENGTH);
    memset(text, ' ', LENGTH);
    assert_ok(tokenizer_encode(&ids, t, text, LENGTH, false, &e), &e);
    assert_int_equal(ids.end[ids.count - 1], LENGTH);
    free(text);
    ids_release(&ids);
    tokenizer_close(t);
    json_close(doc);
}

static void broken_text_is_refused(void **state)
{
    (void)state;
    struct tokenizer *t = tiny_tokenizer_open(0);
    struct ids ids = {0};
    struct str text = {0};
    struct err e;
    assert_error(tokenizer_encode(&ids, t,
                                  "abc\xFF"
                                  "d",
                                  5, true, &e),
                 &e, ERR_DATA, "byte 3");
    assert_error(tokenizer_encode(&ids, t, "\xED\xA0\x80", 3, true, &e), &e, ERR_DATA, "byte 0");
    assert_error(tokenizer_encode(&ids, t, "\u00e9\xC3", 3, true, &e), &e, ERR_DATA, "byte 2");
    int32_t bad[] = {0, tokenizer_vocab_size(t)};
    assert_error(tokenizer_decode(&text, t, bad, 2, false, &e), &e, ERR_DATA, "not in the vocabulary");
    bad[1] = -1;
    assert_error(tokenizer_decode(&text, t, bad, 2, false, &e), &e, ERR_DATA, "place 1");
    assert_int_equal(tokenizer_id(t, "no such token"), -1);
    assert_null(tokenizer_token(t, -1));
    ids_release(&ids);
    str_release(&text);
    tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_library),
        cmocka_unit_test(real_model_same_as_library),
        cmocka_unit_test(offsets_cut_the_text),
        cmocka_unit_test(offsets_survive_nfc),
        cmocka_unit_test(decoding_gives_the_text_back),
        cmocka_unit_test(threads_share_a_tokenizer),
        cmocka_unit_test(one_long_word),
        cmocka_unit_test(broken_text_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
