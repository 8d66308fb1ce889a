/* Chat templates: the text that transformers' apply_chat_template renders, the ids, and which tokens are
 * supervised. */
#include "data/template/chat.h"
#include "data/template/chat_template.h"
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

static size_t read_messages(struct chat_message *messages, size_t room, const struct json_value *list)
{
    assert_true(json_count(list) <= room);
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json_value *content = json_get(json_at(list, i), "content");
        const char *role = json_text(json_get(json_at(list, i), "role"));
        messages[i].role = role[0] == 's' ? CHAT_SYSTEM : role[0] == 'u' ? CHAT_USER : CHAT_ASSISTANT;
        messages[i].content = json_text(content);
        messages[i].length = json_text_length(content);
    }
    return json_count(list);
}

/* The ids and mask of a rendered conversation; a token is supervised when it lies wholly inside a span. */
static void check_tokens(const struct tokenizer *t, const struct str *text, const struct chat_span *spans,
                         size_t count, const struct json_value *expected)
{
    struct ids ids = {0};
    struct err e;
    const struct json_value *want_ids = json_get(expected, "ids"), *want_mask = json_get(expected, "mask");
    assert_ok(tokenizer_encode(&ids, t, text->data, text->length, false, &e), &e);
    assert_int_equal(ids.count, json_count(want_ids));
    for (size_t i = 0; i < ids.count; i++) {
        bool inside = false;
        for (size_t k = 0; k < count; k++)
            inside |= ids.start[i] >= spans[k].start && ids.end[i] <= spans[k].end;
        assert_int_equal(ids.id[i], json_int(json_at(want_ids, i), -1));
        assert_int_equal(inside, json_int(json_at(want_mask, i), -1));
    }
    ids_release(&ids);
}

static void render_case(struct str *text, struct chat_span *spans, size_t *count, const struct tokenizer *t,
                        const struct json_value *row)
{
    const struct chat_format *format;
    struct chat_message messages[8];
    struct err e;
    size_t message_count = read_messages(messages, 8, json_get(row, "messages"));
    assert_ok(chat_find(&format, t, &e), &e);
    str_clear(text);
    assert_ok(chat_render(text, spans, count, format, messages, message_count,
                          json_bool(json_get(row, "generation_prompt"), false), &e),
              &e);
    assert_string_equal(text->data, json_text(json_get(row, "text")));
    size_t assistants = 0;
    for (size_t i = 0; i < message_count; i++) {
        if (messages[i].role != CHAT_ASSISTANT)
            continue;
        const struct chat_span *span = &spans[assistants++];
        assert_int_equal(span->end - span->start, messages[i].length + strlen("<|im_end|>"));
        assert_memory_equal(text->data + span->start, messages[i].content, messages[i].length);
        assert_memory_equal(text->data + span->end - 10, "<|im_end|>", 10);
    }
    assert_int_equal(*count, assistants);
}

static void same_as_transformers(void **state)
{
    (void)state;
    const struct json_value *templates = json_get(json_root(golden), "templates");
    const struct json_value *cases = json_get(json_root(golden), "small");
    struct str text = {0};
    assert_true(json_count(templates) >= 4 && json_count(cases) >= 50);
    for (size_t i = 0; i < json_count(templates); i++) {
        struct tokenizer *t = open_with_template(json_text(json_at(templates, i)));
        for (size_t k = 0; k < json_count(cases); k++) {
            const struct json_value *row = json_at(cases, k);
            struct chat_span spans[8];
            size_t count;
            if ((size_t)json_int(json_get(row, "template"), -1) != i)
                continue;
            render_case(&text, spans, &count, t, row);
            check_tokens(t, &text, spans, count, row);
        }
        tokenizer_close(t);
    }
    str_release(&text);
}

/* The same by the interpreter, which knows none of these templates; the tokenizer says where turns end. */
static void interpreted_same_as_transformers(void **state)
{
    (void)state;
    const struct json_value *templates = json_get(json_root(golden), "templates");
    const struct json_value *cases = json_get(json_root(golden), "small");
    struct chat_renderer *renderer;
    struct str copy = {0};
    struct err e;
    assert_ok(chat_renderer_open(&renderer, &e), &e);
    for (size_t i = 0; i < json_count(templates); i++) {
        const char *source = json_text(json_at(templates, i));
        struct tokenizer *t = open_with_template(source);
        struct chat_setup setup = {.find_special = tokenizer_find_special, .context = t};
        struct chat_template *template;
        assert_ok(chat_template_open(&template, source, strlen(source), "golden", &setup, &e), &e);
        for (size_t k = 0; k < json_count(cases); k++) {
            const struct json_value *row = json_at(cases, k);
            struct chat_span spans[8];
            struct chat_text text;
            if ((size_t)json_int(json_get(row, "template"), -1) != i)
                continue;
            assert_ok(chat_template_render(&text, renderer, template, json_get(row, "messages"), NULL, NULL,
                                           json_bool(json_get(row, "generation_prompt"), false), &e),
                      &e);
            assert_string_equal(text.output.bytes, json_text(json_get(row, "text")));
            assert_true(text.turn_count <= 8);
            for (size_t n = 0; n < text.turn_count; n++) {
                spans[n] = (struct chat_span){text.turns[n].start, text.turns[n].end};
                assert_true(text.turns[n].ends);
            }
            str_clear(&copy);
            assert_ok(str_append(&copy, text.output.bytes, text.output.length, &e), &e);
            check_tokens(t, &copy, spans, text.turn_count, row);
        }
        chat_template_close(template);
        tokenizer_close(t);
    }
    str_release(&copy);
    chat_renderer_close(renderer);
}

static void real_model_same_as_transformers(void **state)
{
    (void)state;
    const char *path = getenv("MPILORA_SMOLLM2");
    const struct json_value *cases = json_get(json_root(golden), "small");
    const struct json_value *real = json_get(json_root(golden), "smollm2");
    if (path == NULL || !file_exists(path)) {
        print_message(
            "skipped: MPILORA_SMOLLM2 does not name SmolLM2's GGUF file (scripts/fetch_model.sh)\n");
        skip();
    }
    struct store store = {0};
    struct str text = {0};
    struct tokenizer *t;
    struct err e;
    assert_ok(store_open(&store, path, &e), &e);
    assert_ok(tokenizer_open(&t, &store, &e), &e);
    store_close(&store);
    for (size_t i = 0; i < json_count(real); i++) {
        struct chat_span spans[8];
        size_t count;
        render_case(&text, spans, &count, t, json_at(cases, i));
        check_tokens(t, &text, spans, count, json_at(real, i));
    }
    str_release(&text);
    tokenizer_close(t);
}

/* The same program to Jinja, in another spelling; and texts that are not quite a known one. */
static void only_exact_templates_are_known(void **state)
{
    (void)state;
    const char *known = json_text(json_at(json_get(json_root(golden), "templates"), 0));
    const struct chat_format *format;
    struct str text = {0};
    struct err e;
    struct tokenizer *t = open_with_template(NULL);
    assert_error(chat_find(&format, t, &e), &e, ERR_UNSUPPORTED, "no chat template");
    tokenizer_close(t);
    static const struct {
        const char *before, *after;
        enum err_code code;
    } cases[] = {{"", "", ERR_OK},
                 {"", "\n", ERR_OK}, /* Jinja drops the last newline */
                 {"", "\n\n", ERR_UNSUPPORTED},
                 {" ", "", ERR_UNSUPPORTED},
                 {"", "x", ERR_UNSUPPORTED}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        str_clear(&text);
        assert_ok(str_appendf(&text, &e, "%s%s%s", cases[i].before, known, cases[i].after), &e);
        t = open_with_template(text.data);
        assert_int_equal(chat_find(&format, t, &e), cases[i].code);
        if (cases[i].code != ERR_OK)
            assert_non_null(strstr(e.message, "prompt"));
        tokenizer_close(t);
    }
    for (size_t cut = 0; cut < strlen(known); cut += 37) {
        str_clear(&text);
        assert_ok(str_append(&text, known, cut, &e), &e);
        t = open_with_template(text.data ? text.data : "");
        assert_int_equal(chat_find(&format, t, &e), ERR_UNSUPPORTED);
        tokenizer_close(t);
    }
    str_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_transformers),
        cmocka_unit_test(interpreted_same_as_transformers),
        cmocka_unit_test(real_model_same_as_transformers),
        cmocka_unit_test(only_exact_templates_are_known),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
