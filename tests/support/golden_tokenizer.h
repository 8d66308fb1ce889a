/*
 * The tokenizers and strings that scripts/make_golden_tokenizer.py wrote into tests/golden/tokenizer.
 */
#ifndef MPILORA_TESTS_GOLDEN_TOKENIZER_H
#define MPILORA_TESTS_GOLDEN_TOKENIZER_H

#include "data/tokenizer/tokenizer.h"
#include "io/json.h"
#include "io_files.h"

#define GOLDEN_MAX_STRINGS 8192

struct golden_strings {
    struct str bytes;
    struct {
        const char *text;
        size_t length;
    } at[GOLDEN_MAX_STRINGS];
    size_t count;
};

static inline void golden_read(struct str *out, const char *name, const char *suffix)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/tokenizer/%s%s", getenv("GOLDEN"), name, suffix);
    test_file_read(out, path);
}

static inline void golden_strings_open(struct golden_strings *s, const char *name)
{
    golden_read(&s->bytes, name, ".bin");
    s->count = 0;
    for (size_t i = 0; i < s->bytes.length; s->count++) {
        size_t length = (unsigned char)s->bytes.data[i++];
        if (length > 127)
            length = (length & 127) | (size_t)(unsigned char)s->bytes.data[i++] << 7;
        assert_true(s->count < GOLDEN_MAX_STRINGS && length <= s->bytes.length - i);
        s->at[s->count].text = s->bytes.data + i;
        s->at[s->count].length = length;
        i += length;
    }
}

static inline uint32_t golden_hash(const void *bytes, size_t length)
{
    uint32_t h = 0x811C9DC5u;
    for (size_t i = 0; i < length; i++)
        h = (h ^ ((const unsigned char *)bytes)[i]) * 0x01000193u;
    return h;
}

static inline const struct json_value *golden_get(const struct json *doc, const char *name)
{
    for (size_t i = 0; i < json_count(json_root(doc)); i++) {
        const struct json_value *row = json_at(json_root(doc), i);
        if (strcmp(json_text(json_get(row, "name")), name) == 0)
            return row;
    }
    fail_msg("no variant '%s'", name);
    return NULL;
}

/* A text of the model's folder: the caller's bytes. */
static inline void golden_add_text(struct store *s, const char *name, const char *bytes, size_t length)
{
    const struct file_map map = {.data = length ? (const unsigned char *)bytes : NULL, .size = length};
    s->texts[s->text_count++] = (struct store_file){.name = name, .path = name, .map = map};
}

/* Opens the tokenizer.json and tokenizer_config.json of these contents; config NULL: there is none. */
static inline enum err_code golden_open_texts(struct tokenizer **t, const char *tokenizer, size_t length,
                                              const char *config, struct err *e)
{
    struct store store = {.kind = STORE_HF, .path = "model"};
    golden_add_text(&store, "tokenizer.json", tokenizer, length);
    if (config != NULL)
        assert_ok(
            json_open_bytes(&store.tokenizer_config, config, strlen(config), "tokenizer_config.json", e), e);
    *t = NULL;
    enum err_code code = tokenizer_open(t, &store, e);
    json_close(store.tokenizer_config);
    assert_true((code == ERR_OK) == (*t != NULL));
    return code;
}

/* The tokenizer of a row of variants.json, put together with the vocabulary and merges (in one of both
 * notations). */
static inline struct tokenizer *golden_open(const struct json_value *row, bool text_merges,
                                            const char *config)
{
    struct str vocab = {0}, merges = {0}, json = {0};
    struct tokenizer *t = NULL;
    struct err e;
    golden_read(&vocab, "vocab", ".json");
    golden_read(&merges, text_merges ? "merges_text" : "merges", ".json");
    const char *extra = json_text(json_get(row, "extra"));
    assert_ok(str_appendf(&json, &e, "{%s,\"model\":{%s,\"vocab\":%.*s%s%s},\"merges\":%s}}",
                          json_text(json_get(row, "outer")), json_text(json_get(row, "model")),
                          (int)vocab.length - 1, vocab.data, *extra ? "," : "", extra, merges.data),
              &e);
    assert_ok(golden_open_texts(&t, json.data, json.length, config, &e), &e);
    str_release(&vocab);
    str_release(&merges);
    str_release(&json);
    return t;
}

static inline struct json *golden_json(const char *name)
{
    struct str text = {0};
    struct json *doc = NULL;
    struct err e;
    golden_read(&text, name, ".json");
    assert_ok(json_open_bytes(&doc, text.data, text.length, name, &e), &e);
    str_release(&text);
    return doc;
}

/* ---- against the library ---- */

/* Expected: a hash of `size` bytes for each string's ids, then for each string's decoded text. */
static inline void golden_check_hashes(const struct tokenizer *t, const struct golden_strings *strings,
                                       const char *name, size_t size, size_t least)
{
    struct str expected = {0}, text = {0};
    struct ids ids = {0};
    struct err e;
    golden_read(&expected, name, ".ids");
    size_t count = expected.length / size / 2, bad = 0;
    assert_true(count >= least && count <= strings->count);
    for (size_t i = 0; i < count; i++) {
        uint32_t got[2], want[2] = {0, 0};
        assert_ok(tokenizer_encode(&ids, t, strings->at[i].text, strings->at[i].length, true, &e), &e);
        got[0] = golden_hash(ids.id, ids.count * sizeof *ids.id);
        str_clear(&text);
        assert_ok(tokenizer_decode(&text, t, ids.id, ids.count, false, &e), &e);
        got[1] = golden_hash(text.data, text.length);
        for (size_t k = 0; k < 2; k++) {
            memcpy(&want[k], expected.data + (k * count + i) * size, size);
            if (size == 2)
                got[k] &= 0xFFFF;
            if (got[k] != want[k] && bad++ < 10)
                print_error("%s: string %zu '%.*s' (%s)\n", name, i, (int)strings->at[i].length,
                            strings->at[i].text, k == 0 ? "ids" : "decoded");
        }
    }
    assert_int_equal(bad, 0);
    ids_release(&ids);
    str_release(&text);
    str_release(&expected);
}

/* Random ids decode to much broken UTF-8; the generator is the script's. */
static inline void golden_check_random_decoding(const struct tokenizer *t,
                                                const struct json_value *expected)
{
    uint64_t state = 1;
    struct str text = {0};
    struct err e;
    for (size_t i = 0; i < json_count(expected); i++) {
        int32_t ids[8];
        uint64_t draws[9], n = 1;
        for (size_t k = 0; k <= n; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            draws[k] = state >> 33;
            if (k == 0)
                n = 1 + draws[0] % 8;
            else
                ids[k - 1] = (int32_t)(draws[k] % (uint64_t)tokenizer_vocab_size(t));
        }
        str_clear(&text);
        assert_ok(tokenizer_decode(&text, t, ids, (size_t)n, true, &e), &e);
        assert_int_equal(golden_hash(text.data, text.length), json_int(json_at(expected, i), -1));
    }
    str_release(&text);
}

#endif
