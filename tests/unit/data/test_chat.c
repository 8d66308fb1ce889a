/* The chat templates of a tokenizer: the text that transformers' apply_chat_template renders, the ids, which tokens are
 * supervised, and what the options say. */
#include "data/examples/chat.h"
#include "golden_tokenizer.h"

static struct json *golden, *variants;

static int set_up(void **state)
{
    golden = golden_json("chat");
    variants = golden_json("variants");
    return test_folder_make(state);
}

static int tear_down(void **state)
{
    json_close(golden);
    json_close(variants);
    return test_folder_remove(state);
}

/* A small tokenizer whose model has this chat template; NULL: none. */
static struct tokenizer *open_with_template(const char *template)
{
    struct str config = {0};
    struct err e;
    assert_ok(str_appendf(&config, &e, "{"), &e);
    if (template != NULL) {
        assert_ok(str_appendf(&config, &e, "\"chat_template\":"), &e);
        assert_ok(json_append_string(&config, template, strlen(template), &e), &e);
    }
    assert_ok(str_appendf(&config, &e, "}"), &e);
    struct tokenizer *t = golden_open(golden_get(variants, "smollm"), false, config.data);
    str_release(&config);
    return t;
}

/* The ids and mask of a rendered conversation; a token is supervised when it lies wholly inside a turn. */
static void check_tokens(const struct tokenizer *t, const struct chat_text *text, const struct json_value *expected)
{
    struct ids ids = {0};
    struct err e;
    const struct json_value *want_ids = json_get(expected, "ids"), *want_mask = json_get(expected, "mask");
    assert_ok(tokenizer_encode(&ids, t, text->output.bytes, text->output.length, false, &e), &e);
    assert_int_equal(ids.count, json_count(want_ids));
    for (size_t i = 0; i < ids.count; i++) {
        bool inside = false;
        for (size_t k = 0; k < text->turn_count; k++)
            inside |= ids.start[i] >= text->turns[k].start && ids.end[i] <= text->turns[k].end;
        assert_int_equal(ids.id[i], json_int(json_at(want_ids, i), -1));
        assert_int_equal(inside, json_int(json_at(want_mask, i), -1));
    }
    ids_release(&ids);
}

static struct chat *open_chat(const struct tokenizer *t, const char *variables, const char *date)
{
    const struct chat_options options = {.variables = variables, .date = date};
    struct chat *chat;
    struct err e;
    assert_ok(chat_open(&chat, t, &options, &e), &e);
    return chat;
}

/* Rows `from` and on of both lists, of this template. */
static void check_cases(const struct tokenizer *t, const struct json_value *cases,
                        const struct json_value *expected, int64_t template)
{
    struct chat *chat = open_chat(t, "", "");
    struct chat_renderer *renderer;
    const struct chat_template *found;
    struct err e;
    assert_true(chat_exists(chat));
    assert_ok(chat_template_of(&found, chat, false, &e), &e);
    assert_string_equal(chat_template_ending(found), "<|im_end|>");
    assert_int_equal(chat_turn_end(chat), tokenizer_id(t, "<|im_end|>"));
    assert_ok(chat_renderer_open(&renderer, &e), &e);
    for (size_t k = 0; k < json_count(expected); k++) {
        const struct json_value *row = json_at(cases, k);
        struct chat_text text;
        if (json_int(json_get(row, "template"), -1) != template)
            continue;
        assert_ok(chat_template_render(&text, renderer, found, json_get(row, "messages"), NULL, NULL,
                                       json_bool(json_get(row, "generation_prompt"), false), &e),
                  &e);
        assert_string_equal(text.output.bytes, json_text(json_get(row, "text")));
        check_tokens(t, &text, json_at(expected, k));
    }
    chat_renderer_close(renderer);
    chat_close(chat);
}

static void same_as_transformers(void **state)
{
    (void)state;
    const struct json_value *templates = json_get(json_root(golden), "templates");
    const struct json_value *cases = json_get(json_root(golden), "small");
    assert_true(json_count(templates) >= 4 && json_count(cases) >= 50);
    for (size_t i = 0; i < json_count(templates); i++) {
        struct tokenizer *t = open_with_template(json_text(json_at(templates, i)));
        check_cases(t, cases, cases, (int64_t)i);
        tokenizer_close(t);
    }
}

static void real_model_same_as_transformers(void **state)
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
    check_cases(t, json_get(json_root(golden), "small"), json_get(json_root(golden), "smollm2"), 0);
    tokenizer_close(t);
}

/* What a template prints for a question, as text. */
static void check_question(const struct tokenizer *t, const struct chat *chat, const char *expected)
{
    struct ids ids = {0};
    struct str text = {0};
    struct err e;
    assert_ok(chat_encode_question(&ids, chat, t, "Q", 1, &e), &e);
    assert_ok(tokenizer_decode(&text, t, ids.id, ids.count, false, &e), &e);
    assert_string_equal(text.data, expected);
    str_release(&text);
    ids_release(&ids);
}

static void options_reach_the_template(void **state)
{
    (void)state;
    struct err e;
    struct chat *chat;
    struct tokenizer *t = open_with_template("{{ strftime_now('%A %d %b %Y') }}|{{ x }}|{{ y.z }}|{{ eos_token }}|"
                                             "{{ messages[0].content }}");
    chat = open_chat(t, "{\"x\": [1, true], \"y\": {\"z\": \"w\"}}", "2024-02-29");
    check_question(t, chat, "Thursday 29 Feb 2024|[1, True]|w||Q");
    chat_close(chat);
    static const struct {
        const char *variables, *date, *message;
    } bad[] = {{"", "2023-02-29", "--chat-date 2023-02-29"},
               {"", "today", "--chat-date today"},
               {"", "2024-2-9", "YYYY-MM-DD"},
               {"[1]", "", "--chat-template-kwargs: must be a JSON object"},
               {"{\"a\": }", "", "--chat-template-kwargs: line 1, column"},
               {"{\"messages\": []}", "", "\"messages\" is the conversation's own"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct chat_options options = {bad[i].variables, bad[i].date};
        assert_error(chat_open(&chat, t, &options, &e), &e, ERR_USAGE, bad[i].message);
    }
    tokenizer_close(t);
}

/* A text that cannot be used is an error where it is needed, and names the place. */
static void templates_that_cannot_be_used(void **state)
{
    (void)state;
    static const struct {
        const char *source, *message;
        enum err_code code;
    } cases[] = {{"a\n{% if %}", "tokenizer_config.json: chat_template: line 2, column", ERR_FORMAT},
                 {"{% include 'x' %}", "include", ERR_UNSUPPORTED},
                 {"{% for m in messages %}{{ m.content }}<|done|>{% endfor %}", "<|done|>, which the chat template",
                  ERR_UNSUPPORTED},
                 {NULL, "this model has no chat template", ERR_UNSUPPORTED}};
    const struct chat_template *found;
    struct err e;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tokenizer *t = open_with_template(cases[i].source);
        struct chat *chat = open_chat(t, "", "");
        assert_int_equal(chat_exists(chat), cases[i].source != NULL);
        assert_error(chat_template_of(&found, chat, false, &e), &e, cases[i].code, cases[i].message);
        assert_error(chat_template_of(&found, chat, true, &e), &e, cases[i].code, cases[i].message);
        assert_int_equal(chat_turn_end(chat), -1);
        chat_close(chat);
        tokenizer_close(t);
    }
    assert_error(chat_template_of(&found, NULL, false, &e), &e, ERR_UNSUPPORTED, "no chat template");
}

/* Another template in the place of the model's: the same source is the same tokenizer. */
static void a_template_is_replaced(void **state)
{
    (void)state;
    struct err e;
    char before[FILE_HASH_SIZE];
    struct tokenizer *t = open_with_template("A{{ messages[0].content }}");
    memcpy(before, tokenizer_hash(t), sizeof before);
    assert_ok(tokenizer_replace_chat_template(t, "f", "A{{ messages[0].content }}", 26, &e), &e);
    assert_string_equal(tokenizer_hash(t), before);
    assert_ok(tokenizer_replace_chat_template(t, "f", "B{{ messages[0].content }}", 26, &e), &e);
    assert_string_not_equal(tokenizer_hash(t), before);
    assert_string_equal(tokenizer_template_place(t), "f");
    struct chat *chat = open_chat(t, "", "");
    check_question(t, chat, "BQ");
    chat_close(chat);
    tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_transformers),          cmocka_unit_test(real_model_same_as_transformers),
        cmocka_unit_test(options_reach_the_template),    cmocka_unit_test(templates_that_cannot_be_used),
        cmocka_unit_test(a_template_is_replaced),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
