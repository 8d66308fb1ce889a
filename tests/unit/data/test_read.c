/* Tokenizers from tokenizer.json and the files beside it, and from GGUF: what is read, what is refused. */
#include "gguf_build.h"
#include "golden_tokenizer.h"

#include <math.h>

/* ---- damaged and unsupported tokenizer.json ---- */

static const char small[] =
    "{\"added_tokens\":[{\"id\":4,\"content\":\"<e>\",\"special\":true}],\"normalizer\":null,"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<e>\"}},"
    "{\"Sequence\":{\"id\":\"A\"}}],\"special_tokens\":{\"<e>\":{\"ids\":[4]}}},\"decoder\":{\"type\":"
    "\"ByteLevel\"},"
    "\"model\":{\"type\":\"BPE\",\"unk_token\":null,\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"aab\":3},"
    "\"merges\":[\"a b\",[\"a\",\"ab\"]]}}";

/* `small` with the first `from` in it replaced by `to`. */
static enum err_code open_changed(struct tokenizer **t, const char *from, const char *to, struct err *e)
{
    struct str text = {0};
    const char *at = strstr(small, from);
    if (at == NULL)
        fail_msg("'%s' is not in the text", from);
    assert_ok(str_append(&text, small, (size_t)(at - small), e), e);
    assert_ok(str_appendf(&text, e, "%s%s", to, at + strlen(from)), e);
    enum err_code code = golden_open_texts(t, text.data, text.length, NULL, e);
    str_release(&text);
    return code;
}

#define FOUR_8  "4,4,4,4,4,4,4,4,"
#define FOUR_64 FOUR_8 FOUR_8 FOUR_8 FOUR_8 FOUR_8 FOUR_8 FOUR_8 FOUR_8

static const struct {
    const char *from, *to;
    enum err_code code;
    const char *message;
} wrong_files[] = {
    {"\"type\":\"BPE\"", "\"type\":\"WordPiece\"", ERR_UNSUPPORTED, "'WordPiece'"},
    {"\"type\":\"BPE\"", "\"type\":\"Unigram\"", ERR_UNSUPPORTED, "'Unigram'"},
    {"\"type\":\"BPE\"", "\"byte_fallback\":true", ERR_UNSUPPORTED, "2 of the 256 bytes"},
    {"\"type\":\"BPE\"", "\"byte_fallback\":1", ERR_FORMAT, "byte_fallback"},
    {"\"type\":\"BPE\"", "\"dropout\":0.1", ERR_UNSUPPORTED, "dropout"},
    {"\"type\":\"BPE\"", "\"end_of_word_suffix\":\"</w>\"", ERR_UNSUPPORTED, "'</w>'"},
    {"\"unk_token\":null", "\"unk_token\":\"?\"", ERR_FORMAT, "'?'"},
    {"\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"aab\":3},", "", ERR_FORMAT, "model: \"vocab\" must be"},
    {"\"vocab\":{\"a\":0", "\"vocab\":{\"a\":\"0\"", ERR_FORMAT, "'a'"},
    {"\"vocab\":{\"a\":0", "\"vocab\":{\"a\":-1", ERR_FORMAT, "'a'"},
    {"\"vocab\":{\"a\":0", "\"vocab\":{\"a\":1", ERR_FORMAT, "both have the id 1"},
    {"\"vocab\":{\"a\":0", "\"vocab\":{\"a\":4194303", ERR_FORMAT, "4194303"},
    {"\"vocab\":{\"a\":0", "\"vocab\":{\"a\":99999999999999", ERR_FORMAT, "'a'"},
    {"\"b\":1", "\"a\":1", ERR_FORMAT, "a"},
    {"\"merges\":[\"a b\"", "\"merges\":[\"a c\"", ERR_FORMAT, "merge 0 names 'c'"},
    {"\"merges\":[\"a b\"", "\"merges\":[\"b a\"", ERR_FORMAT, "merge 0 names 'ba'"},
    {"\"merges\":[\"a b\"", "\"merges\":[\"ab\"", ERR_FORMAT, "merge 0"},
    {"\"merges\":[\"a b\"", "\"merges\":[\"a b \"", ERR_FORMAT, "merge 0"},
    {"\"merges\":[\"a b\"", "\"merges\":[17", ERR_FORMAT, "merge 0"},
    {"[\"a\",\"ab\"]", "[\"a\"]", ERR_FORMAT, "merge 1"},
    {"\"merges\":[\"a b\",[\"a\",\"ab\"]]", "\"merges\":{}", ERR_FORMAT, "model: \"merges\" must be"},
    {"\"id\":4,", "\"id\":3,", ERR_FORMAT, "'<e>' has the id 3"},
    {"\"id\":4,", "\"id\":4000000,", ERR_FORMAT, "4000000"},
    {"\"id\":4,", "", ERR_FORMAT, "'<e>'"},
    {"\"content\":\"<e>\"", "\"content\":\"a\"", ERR_FORMAT, "both the token 'a'"},
    {"\"content\":\"<e>\"", "\"content\":null", ERR_FORMAT, "added token 0"},
    {"\"special\":true", "\"special\":\"yes\"", ERR_FORMAT, "special"},
    {"\"normalizer\":null", "\"normalizer\":{\"type\":\"Nmt\"}", ERR_UNSUPPORTED, "'Nmt'"},
    {"\"normalizer\":null", "\"normalizer\":{\"type\":\"Prepend\"}", ERR_FORMAT, "\"prepend\""},
    {"\"normalizer\":null", "\"normalizer\":{\"type\":\"Replace\",\"content\":\"\"}", ERR_FORMAT,
     "pattern"},
    {"\"normalizer\":null", "\"normalizer\":{\"type\":\"Sequence\"}", ERR_FORMAT, "normalizers"},
    {"{\"type\":\"ByteLevel\",\"add_prefix_space\":false}", "{\"type\":\"Metaspace\"}", ERR_FORMAT,
     "\"replacement\""},
    {"{\"type\":\"ByteLevel\",\"add_prefix_space\":false}",
     "{\"type\":\"Metaspace\",\"replacement\":\"__\"}", ERR_FORMAT, "one character"},
    {"{\"type\":\"ByteLevel\",\"add_prefix_space\":false}",
     "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"add_prefix_space\":false}", ERR_FORMAT, "'always'"},
    {"{\"type\":\"ByteLevel\",\"add_prefix_space\":false}",
     "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"odd\"}", ERR_FORMAT, "'odd'"},
    {"{\"type\":\"ByteLevel\",\"add_prefix_space\":false}", "{\"type\":\"BertPreTokenizer\"}",
     ERR_UNSUPPORTED, "'BertPreTokenizer'"},
    {"{\"type\":\"ByteLevel\",\"add_prefix_space\":false}",
     "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\"},{\"type\":\"Split\",\"pattern\":"
     "{\"Regex\":"
     "\"\\\\w+\"},\"behavior\":\"Isolated\"}]}",
     ERR_UNSUPPORTED, "\\w+"},
    {"{\"type\":\"ByteLevel\",\"add_prefix_space\":false}",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"x\"},\"behavior\":\"Odd\"}", ERR_FORMAT, "'Odd'"},
    {"{\"type\":\"ByteLevel\",\"add_prefix_space\":false}",
     "{\"type\":\"Split\",\"behavior\":\"Isolated\"}", ERR_FORMAT, "pattern"},
    {"\"type\":\"TemplateProcessing\"", "\"type\":\"BertProcessing\"", ERR_UNSUPPORTED,
     "'BertProcessing'"},
    {"\"ids\":[4]", "\"ids\":[" FOUR_64 "4]", ERR_UNSUPPORTED, "more than 64 tokens"},
    {"\"ids\":[4]", "\"ids\":[5]", ERR_FORMAT, "id 5"},
    {"\"ids\":[4]", "\"ids\":4", ERR_FORMAT, "'<e>'"},
    {"{\"Sequence\":{\"id\":\"A\"}}", "{\"Sequence\":{\"id\":\"B\"}}", ERR_UNSUPPORTED,
     "sequence A once"},
    {",{\"Sequence\":{\"id\":\"A\"}}", "", ERR_UNSUPPORTED, "sequence A once"},
    {"\"decoder\":{\"type\":\"ByteLevel\"}", "\"decoder\":{\"type\":\"CTC\"}", ERR_UNSUPPORTED, "'CTC'"},
    {"\"decoder\":{\"type\":\"ByteLevel\"}", "\"decoder\":null", ERR_UNSUPPORTED, "'nothing'"},
    {"\"decoder\":{\"type\":\"ByteLevel\"}",
     "\"decoder\":{\"type\":\"Strip\",\"content\":\"a\",\"start\":-1,\"stop\":0}", ERR_FORMAT, "\"start\""},
};

static void wrong_files_are_refused(void **state)
{
    (void)state;
    struct tokenizer *t;
    struct err e;
    for (size_t i = 0; i < sizeof wrong_files / sizeof *wrong_files; i++) {
        assert_error(open_changed(&t, wrong_files[i].from, wrong_files[i].to, &e), &e, wrong_files[i].code,
                     wrong_files[i].message);
        assert_non_null(strstr(e.message, "tokenizer.json"));
    }
    for (size_t length = 0; length < sizeof small - 1; length++)
        assert_true(golden_open_texts(&t, small, length, NULL, &e) != ERR_OK);
    assert_error(golden_open_texts(&t, "[]", 2, NULL, &e), &e, ERR_FORMAT, "object");
    struct store nowhere = {.kind = STORE_HF, .path = test_path("absent")};
    assert_error(tokenizer_open(&t, &nowhere, &e), &e, ERR_UNSUPPORTED, "absent/tokenizer.json");
}

/* ---- what lies beside tokenizer.json ---- */

static struct json *parse(const char *text)
{
    struct json *doc = NULL;
    struct err e;
    if (text != NULL)
        assert_ok(json_open_bytes(&doc, text, strlen(text), "test", &e), &e);
    return doc;
}

static void check_ids(const struct tokenizer *t, const char *text, bool special, size_t count,
                      const int32_t *expected)
{
    struct ids ids = {0};
    struct err e;
    assert_ok(tokenizer_encode(&ids, t, text, strlen(text), special, &e), &e);
    assert_int_equal(ids.count, count);
    assert_memory_equal(ids.id, expected, count * sizeof *expected);
    ids_release(&ids);
}

static void end_of_text_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *tokenizer_config, *generation_config, *config;
        int32_t eos, bos;
    } cases[] = {
        {"{\"eos_token\":\"<e>\",\"bos_token\":{\"content\":\"ab\"}}", "{\"eos_token_id\":1}",
         "{\"eos_token_id\":0}", 4, 2},
        {"{\"eos_token\":null}", "{\"eos_token_id\":[3,1],\"bos_token_id\":0}", "{\"eos_token_id\":0}", 3, 0},
        {NULL, "{}", "{\"eos_token_id\":2,\"bos_token_id\":null}", 2, -1},
        {NULL, NULL, NULL, -1, -1},
    };
    struct tokenizer *t;
    struct err e;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct store store = {.kind = STORE_HF,
                              .path = "model",
                              .tokenizer_config = parse(cases[i].tokenizer_config),
                              .generation_config = parse(cases[i].generation_config),
                              .config = parse(cases[i].config)};
        golden_add_text(&store, "tokenizer.json", small, sizeof small - 1);
        assert_ok(tokenizer_open(&t, &store, &e), &e);
        assert_int_equal(tokenizer_eos(t), cases[i].eos);
        assert_int_equal(tokenizer_bos(t), cases[i].bos);
        tokenizer_close(t);
        json_close(store.tokenizer_config);
        json_close(store.generation_config);
        json_close(store.config);
    }
    assert_error(golden_open_texts(&t, small, sizeof small - 1, "{\"eos_token\":\"\"}", &e), &e, ERR_FORMAT,
                 "eos_token ''");
    struct store beyond = {.kind = STORE_HF, .path = "model", .config = parse("{\"eos_token_id\":5}")};
    golden_add_text(&beyond, "tokenizer.json", small, sizeof small - 1);
    assert_error(tokenizer_open(&t, &beyond, &e), &e, ERR_FORMAT, "beyond the vocabulary");
    json_close(beyond.config);
}

/* What stands in the files beside tokenizer.json: the ids that transformers 5.24 gives (small has 0 to 4). */
static const struct {
    const char *config, *map, *added; /* tokenizer_config.json, special_tokens_map.json, added_tokens.json */
    const char *text;
    size_t count;
    int32_t ids[4];
} beside[] = {
    {"{\"added_tokens_decoder\":{\"7\":{\"content\":\"<y>\",\"special\":false},\"6\":{\"content\":\"<x>\"}}}",
     NULL, NULL, "a<y>b<x>", 4, {0, 6, 1, 5}},
    {"{\"additional_special_tokens\":[\"<x>\",\"<e>\",{\"content\":\"<y>\"}]}",
     NULL, NULL, "<y><x><e>", 3, {6, 5, 4}},
    {"{\"extra_special_tokens\":{\"image\":\"<x>\"},\"pad_token\":\"<p>\"}", NULL, NULL, "<x><p>", 2, {6, 5}},
    {"{\"image_token\":\"<x>\",\"mask_token\":{\"content\":\"<m>\",\"lstrip\":true}}",
     NULL, NULL, "a<m><x>", 3, {0, 5, 6}},
    {"{\"pad_token\":\"<p>\"}", "{\"pad_token\":{\"content\":\"<q>\"},\"additional_special_tokens\":[\"<x>\"]}",
     "{\"<z>\":77}", "<z><q><x>", 3, {5, 6, 7}},
    /* an added_tokens_decoder makes the two older files void */
    {"{\"added_tokens_decoder\":{}}", "{\"pad_token\":\"<q>\"}", "{\"aa\":77}", "aab", 1, {3}},
};

static void tokens_beside_the_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        struct store store = {
            .kind = STORE_HF, .path = "model", .tokenizer_config = parse(beside[i].config)};
        struct tokenizer *t;
        struct err e;
        golden_add_text(&store, "tokenizer.json", small, sizeof small - 1);
        if (beside[i].map)
            golden_add_text(&store, "special_tokens_map.json", beside[i].map, strlen(beside[i].map));
        if (beside[i].added)
            golden_add_text(&store, "added_tokens.json", beside[i].added, strlen(beside[i].added));
        assert_ok(tokenizer_open(&t, &store, &e), &e);
        check_ids(t, beside[i].text, false, beside[i].count, beside[i].ids);
        tokenizer_close(t);
        json_close(store.tokenizer_config);
    }
}

static void wrong_tokens_beside_the_file(void **state)
{
    (void)state;
    struct tokenizer *t;
    struct err e;
    assert_error(golden_open_texts(&t, small, sizeof small - 1,
                                   "{\"added_tokens_decoder\":{\"x\":{\"content\":\"y\"}}}", &e),
                 &e, ERR_FORMAT, "\"x\" is no id");
    assert_error(golden_open_texts(&t, small, sizeof small - 1, "{\"added_tokens_decoder\":{\"9\":{}}}", &e), &e,
                 ERR_FORMAT, "\"content\" must be");
    assert_error(golden_open_texts(&t, small, sizeof small - 1, "{\"added_tokens_decoder\":[]}", &e), &e,
                 ERR_FORMAT, "added_tokens_decoder");
    assert_error(golden_open_texts(&t, small, sizeof small - 1, "{\"split_special_tokens\":true}", &e), &e,
                 ERR_UNSUPPORTED, "\"split_special_tokens\" is true");
    assert_ok(golden_open_texts(&t, small, sizeof small - 1, "{\"split_special_tokens\":false}", &e), &e);
    tokenizer_close(t);
}

/* The pattern of Mistral Small 3.1's file is not its vocabulary's. */
static void wrong_pattern_is_warned_of(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *token;
        bool warned;
    } cases[] = {{"\\\\p{L}+|\\\\p{N}{1,3}", "[AVAILABLE_TOOLS]", true},
                 {"[\\\\p{Lu}]*[\\\\p{Ll}]+|\\\\p{N}", "[AVAILABLE_TOOLS]", false},
                 {"\\\\p{L}+|\\\\p{N}{1,3}", "[OTHER]", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str text = {0};
        struct tokenizer *t;
        struct err e;
        assert_ok(str_appendf(&text, &e,
                              "{\"added_tokens\":[{\"id\":1,\"content\":\"[INST]\"},{\"id\":2,\"content\":\"%s\"}],"
                              "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
                              "\"pattern\":{\"Regex\":\"%s\"},\"behavior\":\"Isolated\"},{\"type\":\"ByteLevel\","
                              "\"use_regex\":false}]},\"decoder\":{\"type\":\"ByteLevel\"},"
                              "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
                              cases[i].token, cases[i].pattern),
                  &e);
        assert_ok(golden_open_texts(&t, text.data, text.length, NULL, &e), &e);
        assert_int_equal(tokenizer_warning(t) != NULL, cases[i].warned);
        tokenizer_close(t);
        str_release(&text);
    }
}

/* A begin token that older programs put there, and neither this one nor transformers 5. */
static void missing_begin_is_warned_of(void **state)
{
    (void)state;
    static const char config[] = "{\"add_bos_token\":true,\"bos_token\":\"<e>\"}";
    struct str without = {0};
    struct tokenizer *t;
    struct err e;
    assert_ok(golden_open_texts(&t, small, sizeof small - 1, config, &e), &e);
    assert_null(tokenizer_warning(t));
    tokenizer_close(t);
    const char *from = strstr(small, "\"post_processor\""), *to = strstr(small, "\"decoder\"");
    assert_ok(str_appendf(&without, &e, "%.*s%s", (int)(from - small), small, to), &e);
    assert_ok(golden_open_texts(&t, without.data, without.length, config, &e), &e);
    assert_non_null(strstr(tokenizer_warning(t), "\"add_bos_token\""));
    tokenizer_close(t);
    str_release(&without);
}

/* A token for padding that the model has no row for: an error only in a text that has it. */
static void tokens_beyond_the_matrix(void **state)
{
    (void)state;
    struct tokenizer *t;
    struct ids ids = {0};
    struct err e;
    size_t beyond;
    const char *first;
    assert_ok(golden_open_texts(&t, small, sizeof small - 1,
                                "{\"pad_token\":\"<p>\",\"eos_token\":\"<e>\"}", &e),
              &e);
    assert_ok(tokenizer_limit(&beyond, &first, t, 6, &e), &e);
    assert_int_equal(beyond, 0);
    assert_ok(tokenizer_limit(&beyond, &first, t, 5, &e), &e);
    assert_int_equal(beyond, 1);
    assert_string_equal(first, "<p>");
    assert_ok(tokenizer_encode(&ids, t, "ab<e>", 5, true, &e), &e);
    assert_error(tokenizer_encode(&ids, t, "ab<p>", 5, true, &e), &e, ERR_DATA, "'<p>' at byte 2, whose id 5");
    assert_error(tokenizer_limit(&beyond, &first, t, 4, &e), &e, ERR_MISMATCH, "end of text, '<e>', is id 4");
    assert_error(tokenizer_limit(&beyond, &first, t, 3, &e), &e, ERR_MISMATCH, "do not belong together");
    ids_release(&ids);
    tokenizer_close(t);
}

static void chat_template_is_found(void **state)
{
    (void)state;
    static const char named[] = "{\"chat_template\":[{\"name\":\"tools\",\"template\":\"T\"},"
                                "{\"name\":\"default\",\"template\":\"D\"}]}";
    struct tokenizer *t;
    struct err e;
    char hash[FILE_HASH_SIZE];
    assert_ok(golden_open_texts(&t, small, sizeof small - 1, "{\"chat_template\":\"C\"}", &e), &e);
    assert_string_equal(tokenizer_chat_template(t), "C");
    memcpy(hash, tokenizer_hash(t), sizeof hash);
    tokenizer_close(t);
    assert_ok(golden_open_texts(&t, small, sizeof small - 1, "{\"chat_template\":\"C\"}", &e), &e);
    assert_string_equal(tokenizer_hash(t), hash);
    tokenizer_close(t);
    assert_ok(golden_open_texts(&t, small, sizeof small - 1, named, &e), &e);
    assert_string_equal(tokenizer_chat_template(t), "D");
    assert_string_not_equal(tokenizer_hash(t), hash);
    tokenizer_close(t);
    struct store store = {.kind = STORE_HF, .path = "model", .tokenizer_config = parse(named)};
    golden_add_text(&store, "tokenizer.json", small, sizeof small - 1);
    golden_add_text(&store, "chat_template.jinja", "J\n", 2);
    assert_ok(tokenizer_open(&t, &store, &e), &e);
    assert_string_equal(tokenizer_chat_template(t), "J\n");
    assert_null(tokenizer_tool_template(t));
    tokenizer_close(t);
    golden_add_text(&store, STORE_TOOL_TEMPLATE, "U", 1);
    assert_ok(tokenizer_open(&t, &store, &e), &e);
    assert_string_equal(tokenizer_tool_template(t), "U");
    tokenizer_close(t);
    store.texts[1].map = (struct file_map){.data = (const unsigned char *)"{\"a\": 1}", .size = 8};
    assert_error(tokenizer_open(&t, &store, &e), &e, ERR_FORMAT, "a chat template (Jinja) is wanted here");
    store.texts[1].map.size = (1 << 20) + 1;
    assert_error(tokenizer_open(&t, &store, &e), &e, ERR_FORMAT, "chat_template.jinja has 1048577 bytes");
    json_close(store.tokenizer_config);
    assert_ok(golden_open_texts(&t, small, sizeof small - 1, NULL, &e), &e);
    assert_null(tokenizer_chat_template(t));
    tokenizer_close(t);
}

/* ---- GGUF ---- */

struct gguf_case {
    const char *model, *pre; /* NULL: the key is missing */
    const char *merge;
    uint32_t eos;
    int add_bos; /* -1: the key is missing */
    size_t types;
};

static void put_texts(struct str *s, const char *name, const char *const *texts, size_t count)
{
    put_text(s, name);
    put_u32(s, GGUF_ARRAY);
    put_u32(s, GGUF_STRING);
    put_u64(s, count);
    for (size_t i = 0; i < count; i++)
        put_text(s, texts[i]);
}

static void put_string_key(struct str *s, const char *name, const char *value)
{
    put_text(s, name);
    put_u32(s, GGUF_STRING);
    put_text(s, value);
}

/* The tokenizer of a GGUF file of these bytes, which are released. */
static enum err_code open_written(struct tokenizer **t, struct str *s, struct err *e)
{
    struct file_map map = {.data = (const unsigned char *)s->data, .size = s->length};
    struct store store = {.kind = STORE_GGUF, .path = "small.gguf"};
    assert_ok(gguf_parse(&store.gguf, &map, "small.gguf", &store.arena, e), e);
    *t = NULL;
    enum err_code code = tokenizer_open(t, &store, e);
    arena_release(&store.arena);
    str_release(s);
    return code;
}

static enum err_code open_gguf(struct tokenizer **t, const struct gguf_case *c, struct err *e)
{
    static const char *const tokens[] = {"<s>", "</s>", "a", "1", "aa", "11", "<u>", "\u0120"};
    static const int32_t types[] = {3, 3, 1, 1, 1, 1, 4, 1};
    const char *const merges[] = {c->merge, "1 1"};
    unsigned char yes = (unsigned char)c->add_bos;
    struct str s = {0};
    uint32_t bos = 0;
    put_head(&s, 3, 0, (uint64_t)(5 + (c->model != NULL) + (c->pre != NULL) + (c->add_bos >= 0)));
    put_texts(&s, "tokenizer.ggml.tokens", tokens, 8);
    put_texts(&s, "tokenizer.ggml.merges", merges, 2);
    put_text(&s, "tokenizer.ggml.token_type");
    put_u32(&s, GGUF_ARRAY);
    put_u32(&s, GGUF_I32);
    put_u64(&s, c->types);
    put(&s, types, c->types * sizeof *types);
    put_key(&s, "tokenizer.ggml.bos_token_id", GGUF_U32, &bos, sizeof bos);
    put_key(&s, "tokenizer.ggml.eos_token_id", GGUF_U32, &c->eos, sizeof c->eos);
    if (c->model != NULL)
        put_string_key(&s, "tokenizer.ggml.model", c->model);
    if (c->pre != NULL)
        put_string_key(&s, "tokenizer.ggml.pre", c->pre);
    if (c->add_bos >= 0)
        put_key(&s, "tokenizer.ggml.add_bos_token", GGUF_BOOL, &yes, 1);
    return open_written(t, &s, e);
}

static void gguf_vocabulary(void **state)
{
    (void)state;
    struct gguf_case c = {
        .model = "gpt2", .pre = "smollm", .merge = "a a", .eos = 1, .add_bos = -1, .types = 8};
    const char *text = "aa11</s><u> ";
    struct tokenizer *t;
    struct str decoded = {0};
    struct err e;
    assert_ok(open_gguf(&t, &c, &e), &e);
    assert_int_equal(tokenizer_eos(t), 1);
    check_ids(t, text, true, 6, (int32_t[]){4, 3, 3, 1, 6, 7}); /* each digit by itself */
    assert_ok(tokenizer_decode(&decoded, t, (int32_t[]){4, 1, 6, 7}, 4, true, &e), &e);
    assert_string_equal(decoded.data, "aa<u> "); /* a user's token is not special */
    tokenizer_close(t);
    c.pre = "gpt-2";
    assert_ok(open_gguf(&t, &c, &e), &e);
    check_ids(t, text, true, 5, (int32_t[]){4, 5, 1, 6, 7});
    tokenizer_close(t);
    c.pre = "llama-bpe"; /* BOS unless the file says no */
    assert_ok(open_gguf(&t, &c, &e), &e);
    check_ids(t, "aa", true, 2, (int32_t[]){0, 4});
    check_ids(t, "aa", false, 1, (int32_t[]){4});
    tokenizer_close(t);
    c.add_bos = 0;
    assert_ok(open_gguf(&t, &c, &e), &e);
    check_ids(t, "aa", true, 1, (int32_t[]){4});
    tokenizer_close(t);
    c = (struct gguf_case){
        .model = "gpt2", .pre = "qwen2", .merge = "a a", .eos = 1, .add_bos = 1, .types = 8};
    assert_ok(open_gguf(&t, &c, &e), &e);
    check_ids(t, "11", true, 3, (int32_t[]){0, 3, 3});
    tokenizer_close(t);
    str_release(&decoded);
}

static void wrong_gguf_is_refused(void **state)
{
    (void)state;
    const struct gguf_case good = {
        .model = "gpt2", .pre = "gpt-2", .merge = "a a", .eos = 1, .add_bos = -1, .types = 8};
    struct gguf_case c = good;
    struct tokenizer *t;
    struct err e;
    c.pre = "mystery";
    assert_error(open_gguf(&t, &c, &e), &e, ERR_UNSUPPORTED, "'mystery'");
    assert_non_null(strstr(e.message, "smollm"));
    c.pre = NULL;
    assert_error(open_gguf(&t, &c, &e), &e, ERR_UNSUPPORTED, "tokenizer.ggml.pre");
    c = good;
    c.model = "t5";
    assert_error(open_gguf(&t, &c, &e), &e, ERR_UNSUPPORTED, "'t5'");
    c.model = "llama";
    assert_error(open_gguf(&t, &c, &e), &e, ERR_FORMAT, "tokenizer.ggml.scores");
    c.model = NULL;
    assert_error(open_gguf(&t, &c, &e), &e, ERR_UNSUPPORTED, "tokenizer.ggml.model");
    c = good;
    c.merge = "a b";
    assert_error(open_gguf(&t, &c, &e), &e, ERR_FORMAT, "'b'");
    c.merge = "aa";
    assert_error(open_gguf(&t, &c, &e), &e, ERR_FORMAT, "merge 0");
    c = good;
    c.eos = 8;
    assert_error(open_gguf(&t, &c, &e), &e, ERR_FORMAT, "eos_token_id");
    c = good;
    c.types = 7;
    assert_error(open_gguf(&t, &c, &e), &e, ERR_FORMAT, "7 token types");
}

/* SentencePiece's BPE: the token of the highest score first, whatever it is made of; bytes for the rest. */
struct scored_case {
    const char *model, *name;
    int prefix; /* -1: the key is missing */
    float score_of_ab;
    uint64_t scores;
};

static enum err_code open_scored(struct tokenizer **t, const struct scored_case *c, struct err *e)
{
    static const char *const tokens[] = {"<unk>", "<s>", "<0x0A>", "<0xC3>", "<0xA9>", "\u2581",
                                         "a",     "b",   "c",      "ab",     "bc",     "\u2581ab",
                                         "<|end|>"};
    static const int32_t types[] = {2, 3, 6, 6, 6, 1, 1, 1, 1, 1, 1, 1, 3};
    float scores[] = {0, 0, 0, 0, 0, -9, -9, -9, -9, c->score_of_ab, -2, -3, 0};
    const char *const merges[] = {"b c", "\u2581 ab", "a b"};
    uint32_t bos = 1, unknown = 0;
    unsigned char prefix = (unsigned char)c->prefix;
    bool by_scores = strcmp(c->model, "llama") == 0;
    struct str s = {0};
    put_head(&s, 3, 0, (uint64_t)(7 + (c->prefix >= 0)));
    put_string_key(&s, "general.name", c->name);
    put_string_key(&s, "tokenizer.ggml.model", c->model);
    put_texts(&s, "tokenizer.ggml.tokens", tokens, 13);
    put_text(&s, "tokenizer.ggml.token_type");
    put_u32(&s, GGUF_ARRAY);
    put_u32(&s, GGUF_I32);
    put_u64(&s, 13);
    put(&s, types, sizeof types);
    put_key(&s, "tokenizer.ggml.bos_token_id", GGUF_U32, &bos, sizeof bos);
    put_key(&s, "tokenizer.ggml.unknown_token_id", GGUF_U32, &unknown, sizeof unknown);
    if (by_scores) {
        put_text(&s, "tokenizer.ggml.scores");
        put_u32(&s, GGUF_ARRAY);
        put_u32(&s, GGUF_F32);
        put_u64(&s, c->scores);
        put(&s, scores, c->scores * sizeof *scores);
    } else {
        put_texts(&s, "tokenizer.ggml.merges", merges, 3);
    }
    if (c->prefix >= 0)
        put_key(&s, "tokenizer.ggml.add_space_prefix", GGUF_BOOL, &prefix, 1);
    return open_written(t, &s, e);
}

static void gguf_scores(void **state)
{
    (void)state;
    struct scored_case c = {.model = "llama", .name = "Tiny", .prefix = -1, .score_of_ab = -1, .scores = 13};
    struct tokenizer *t;
    struct str decoded = {0};
    struct err e;
    assert_ok(open_scored(&t, &c, &e), &e);
    check_ids(t, "abc ab", true, 4, (int32_t[]){1, 11, 8, 11}); /* BOS unless the file says no */
    check_ids(t, "\u00e9\n", false, 4, (int32_t[]){5, 3, 4, 2});
    check_ids(t, "\u6f22\u6f22", false, 2, (int32_t[]){5, 0}); /* bytes without a token: one unknown token */
    check_ids(t, "<|end|> a", false, 4, (int32_t[]){12, 5, 5, 6});
    assert_ok(tokenizer_decode(&decoded, t, (int32_t[]){1, 11, 8, 5, 3, 4}, 6, true, &e), &e);
    assert_string_equal(decoded.data, "abc \u00e9");
    tokenizer_close(t);
    c.score_of_ab = -2.5f; /* now bc comes first */
    assert_ok(open_scored(&t, &c, &e), &e);
    check_ids(t, "abc", false, 3, (int32_t[]){5, 6, 10});
    tokenizer_close(t);
    c.score_of_ab = -2; /* as good: the left one first */
    assert_ok(open_scored(&t, &c, &e), &e);
    check_ids(t, "abc", false, 2, (int32_t[]){11, 8});
    tokenizer_close(t);
    c.prefix = 0;
    assert_ok(open_scored(&t, &c, &e), &e);
    check_ids(t, "ab ab", false, 2, (int32_t[]){9, 11});
    str_clear(&decoded);
    assert_ok(tokenizer_decode(&decoded, t, (int32_t[]){11}, 1, true, &e), &e);
    assert_string_equal(decoded.data, " ab");
    tokenizer_close(t);
    c.name = "Phi-3 mini"; /* whose special tokens take the spaces after them */
    assert_ok(open_scored(&t, &c, &e), &e);
    check_ids(t, "<|end|> a", false, 2, (int32_t[]){12, 6});
    check_ids(t, "<s> a", false, 3, (int32_t[]){1, 5, 6});
    tokenizer_close(t);
    c = (struct scored_case){.model = "gemma4", .name = "Tiny", .prefix = -1};
    assert_ok(open_scored(&t, &c, &e), &e);
    check_ids(t, "abc ab\n", true, 5, (int32_t[]){1, 6, 10, 11, 2});
    tokenizer_close(t);
    c = (struct scored_case){.model = "llama", .name = "", .prefix = -1, .score_of_ab = NAN, .scores = 13};
    assert_error(open_scored(&t, &c, &e), &e, ERR_FORMAT, "score of token 9");
    c.scores = 12;
    assert_error(open_scored(&t, &c, &e), &e, ERR_FORMAT, "12 scores for 13 tokens");
    str_release(&decoded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_files_are_refused), cmocka_unit_test(end_of_text_is_found),
        cmocka_unit_test(chat_template_is_found),  cmocka_unit_test(gguf_vocabulary),
        cmocka_unit_test(tokens_beside_the_file),  cmocka_unit_test(wrong_tokens_beside_the_file),
        cmocka_unit_test(missing_begin_is_warned_of),
        cmocka_unit_test(tokens_beyond_the_matrix), cmocka_unit_test(wrong_pattern_is_warned_of),
        cmocka_unit_test(gguf_scores),             cmocka_unit_test(wrong_gguf_is_refused),
    };
    return cmocka_run_group_tests(tests, test_folder_make, test_folder_remove);
}
