/* The hash of a tokenizer: the same however its files are written, another for whatever gives other ids. */
#include "golden_tokenizer.h"

#define STAGES                                                                                               \
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"decoder\":{\"type\":\"ByteLevel\"}"
#define MODEL     "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}"
#define ADDED     "{\"id\":3,\"content\":\"<e>\",\"special\":true}"
#define CONFIG    "{\"eos_token\":\"<e>\"}"
#define BESIDE    "{\"eos_token\":\"<e>\",\"added_tokens_decoder\":{\"3\":{\"content\":\"<e>\",\"special\":true}}}"
#define TWO       ADDED ",{\"id\":4,\"content\":\"<x>\"}"
#define FILE_OF(added, model, stages)                                                                        \
    "{\"version\":\"1.0\",\"added_tokens\":[" added "],\"model\":" model "," stages "}"

static void hash_of(char hash[FILE_HASH_SIZE], const char *file, const char *config)
{
    struct tokenizer *t;
    struct err e;
    assert_ok(golden_open_texts(&t, file, strlen(file), config, &e), &e);
    memcpy(hash, tokenizer_hash(t), FILE_HASH_SIZE);
    tokenizer_close(t);
}

static void writing_does_not_enter(void **state)
{
    (void)state;
    static const struct {
        const char *file, *config;
    } same[] = {
        {"{\n  " STAGES ",\n\"model\": {\"dropout\": null, \"merges\": [[\"a\", \"b\"]],\n"
         "\"vocab\": {\"ab\": 2, \"a\": 0, \"b\": 1}, \"type\": \"BPE\"}, \"normalizer\": null,\n"
         "\"truncation\": {\"max_length\": 8}, \"padding\": {\"pad_id\": 3}, \"added_tokens\": [" ADDED "]}",
         CONFIG},
        {FILE_OF(ADDED, MODEL, STAGES), "{\"eos_token\":{\"content\":\"<e>\"},\"model_max_length\":8}"},
        {FILE_OF(ADDED, MODEL, STAGES), BESIDE},
        {FILE_OF("", MODEL, STAGES), BESIDE},
    };
    char first[FILE_HASH_SIZE], other[FILE_HASH_SIZE];
    hash_of(first, FILE_OF(ADDED, MODEL, STAGES), CONFIG);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        hash_of(other, same[i].file, same[i].config);
        assert_string_equal(first, other);
    }
    hash_of(first, FILE_OF(TWO, MODEL, STAGES), CONFIG);
    hash_of(other, FILE_OF("{\"id\":4,\"content\":\"<x>\"}," ADDED, MODEL, STAGES), CONFIG);
    assert_string_equal(first, other);
}

static void what_is_computed_enters(void **state)
{
    (void)state;
    static const struct {
        const char *file, *config;
    } others[] = {
        {FILE_OF(ADDED, "{\"type\":\"BPE\",\"vocab\":{\"a\":1,\"b\":0,\"ab\":2},\"merges\":[\"a b\"]}", STAGES),
         CONFIG},
        {FILE_OF(ADDED, "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[]}", STAGES), CONFIG},
        {FILE_OF(ADDED, "{\"type\":\"BPE\",\"ignore_merges\":true,\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},"
                        "\"merges\":[\"a b\"]}", STAGES), CONFIG},
        {FILE_OF(ADDED, MODEL, "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true},"
                               "\"decoder\":{\"type\":\"ByteLevel\"}"), CONFIG},
        {FILE_OF(ADDED, MODEL, "\"normalizer\":{\"type\":\"NFC\"}," STAGES), CONFIG},
        {FILE_OF("{\"id\":3,\"content\":\"<e>\",\"special\":true,\"lstrip\":true}", MODEL, STAGES), CONFIG},
        {FILE_OF("{\"id\":4,\"content\":\"<e>\",\"special\":true}", MODEL, STAGES), CONFIG},
        {FILE_OF(TWO, MODEL, STAGES), CONFIG},
        {FILE_OF(ADDED, MODEL, STAGES), "{\"eos_token\":\"a\"}"},
        {FILE_OF(ADDED, MODEL, STAGES), "{\"eos_token\":\"<e>\",\"chat_template\":\"x\"}"},
    };
    char first[FILE_HASH_SIZE], other[FILE_HASH_SIZE];
    hash_of(first, FILE_OF(ADDED, MODEL, STAGES), CONFIG);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        hash_of(other, others[i].file, others[i].config);
        assert_string_not_equal(first, other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writing_does_not_enter),
        cmocka_unit_test(what_is_computed_enters),
    };
    return cmocka_run_group_tests(tests, test_folder_make, test_folder_remove);
}
