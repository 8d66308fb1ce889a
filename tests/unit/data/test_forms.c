/* Every form of data against a conversion, rendering and tokenising of its own (scripts/make_golden_forms.py), with the
 * templates of several families; and what of a line is refused. */
#include <inttypes.h>

#include "data/examples/example.h"
#include "golden_tokenizer.h"

static struct json *golden;

static int set_up(void **state)
{
    char path[4096];
    struct err e;
    snprintf(path, sizeof path, "%s/forms/forms.json", getenv("GOLDEN"));
    return json_open_file(&golden, path, 1 << 20, &e) ? -1 : test_folder_make(state);
}

static int tear_down(void **state)
{
    json_close(golden);
    return test_folder_remove(state);
}

static struct tokenizer *open_with(const char *template)
{
    const struct json_value *root = json_root(golden), *tokenizer = json_get(root, "tokenizer");
    struct str config = {0};
    struct tokenizer *t = NULL;
    struct err e;
    const char *variables = json_text(json_get(root, "config"));
    assert_ok(str_append(&config, variables, strlen(variables) - 1, &e), &e);
    if (template) {
        assert_ok(str_appendf(&config, &e, ", \"chat_template\": "), &e);
        assert_ok(json_append_string(&config, template, strlen(template), &e), &e);
    }
    assert_ok(str_append(&config, "}", 1, &e), &e);
    assert_ok(golden_open_texts(&t, json_text(tokenizer), json_text_length(tokenizer), config.data, &e), &e);
    str_release(&config);
    return t;
}

static enum example_train_on train_on_of(const char *word)
{
    return !strcmp(word, "all") ? TRAIN_ON_ALL : !strcmp(word, "last") ? TRAIN_ON_LAST : TRAIN_ON_ANSWERS;
}

/* Expected: the number of tokens, a hash of their ids, and how many in turn are not trained and are. */
static bool is_as_expected(const struct example *ex, const struct json_value *expected)
{
    const struct json_value *runs = json_at(expected, 2);
    size_t at = 0;
    bool same = ex->count == (size_t)json_int(json_at(expected, 0), -1) &&
                golden_hash(ex->tokens, ex->count * sizeof *ex->tokens) == (uint32_t)json_int(json_at(expected, 1), -1);
    for (size_t i = 0; same && i < json_count(runs); i++)
        for (int64_t k = json_int(json_at(runs, i), 0); same && k > 0; k--, at++)
            same = ex->supervised[at] == i % 2;
    return same;
}

static struct example ex;
static struct example_scratch scratch;

static void check_row(const struct tokenizer *t, const struct chat *chat, const struct json_value *row,
                      const struct json_value *expected, const char *name)
{
    struct columns columns;
    struct err e;
    const char *line = json_text(json_get(row, "line")), *train_on = json_text(json_get(row, "train_on"));
    assert_ok(columns_parse(&columns, json_text(json_get(row, "columns")), &e), &e);
    const struct example_options options = {
        .max_length = 10000, .train_on = train_on_of(train_on), .chat = chat, .columns = &columns,
        .pairs = PAIRS_TAKEN};
    enum err_code code = example_parse(&ex, &scratch, t, line, strlen(line), &options, &e);
    if (json_kind(expected) == JSON_KIND_ARRAY) {
        if (code || !is_as_expected(&ex, expected)) {
            for (size_t i = 0; !code && i < ex.count; i++)
                print_error("%s%s", tokenizer_token(t, ex.tokens[i]), ex.supervised[i] ? "* " : " ");
            fail_msg("%s, %s: %s: %s", name, train_on, line, code ? e.message : "another text or mask");
        }
    } else if (json_kind(expected) == JSON_KIND_NULL) {
        if (code != ERR_DATA)
            fail_msg("%s, %s: %s: is not refused", name, train_on, line);
    }
    columns_release(&columns);
}

static void same_as_the_reference(void **state)
{
    (void)state;
    const struct json_value *root = json_root(golden), *rows = json_get(root, "rows"),
                            *templates = json_get(root, "templates");
    assert_true(json_count(rows) >= 60 && json_count(templates) >= 8);
    for (size_t i = 0; i < json_count(templates); i++) {
        const struct json_value *template = json_at(templates, i);
        struct tokenizer *t = open_with(json_text(json_at(template, 1)));
        const struct chat_options options = {.variables = "", .date = "2024-07-26"};
        struct chat *chat;
        struct err e;
        assert_ok(chat_open(&chat, t, &options, &e), &e);
        for (size_t k = 0; k < json_count(rows); k++)
            check_row(t, chat, json_at(rows, k), json_at(json_get(json_at(rows, k), "results"), i),
                      json_text(json_at(template, 0)));
        chat_close(chat);
        tokenizer_close(t);
    }
}

static enum err_code parse(const char *line, const char *columns_text, const char *template, struct err *e)
{
    const struct chat_options chat_options = {.variables = "", .date = "2024-07-26"};
    struct tokenizer *t = open_with(template);
    struct chat *chat;
    struct columns columns;
    assert_ok(chat_open(&chat, t, &chat_options, e), e);
    assert_ok(columns_parse(&columns, columns_text, e), e);
    const struct example_options options = {
        .max_length = 10000, .chat = chat, .columns = &columns, .pairs = PAIRS_TAKEN};
    enum err_code code = example_parse(&ex, &scratch, t, line, strlen(line), &options, e);
    columns_release(&columns);
    chat_close(chat);
    tokenizer_close(t);
    return code;
}

static const char chatml[] = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
                             "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

static void bad_lines(void **state)
{
    (void)state;
#define HUMAN "{\"from\":\"human\",\"value\":\"u\"}"
#define GPT   "{\"from\":\"gpt\",\"value\":\"a\"}"
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"{\"conversations\":[]}", "at least one"},
        {"{\"conversations\":[" HUMAN ",{\"from\":\"bot\",\"value\":\"a\"}]}",
         "\"conversations\"[1]: \"from\" is \"bot\""},
        {"{\"conversations\":[{\"role\":\"user\",\"content\":\"a\"}]}", "--columns messages=conversations"},
        {"{\"conversations\":[{\"from\":\"gpt\",\"value\":null}]}", "\"value\" must be a string, not null"},
        {"{\"conversations\":[{\"from\":\"function_call\",\"value\":\"f()\"}]}", "a function call must be JSON"},
        {"{\"conversations\":[{\"from\":\"function_call\",\"value\":\"[]\"}]}", "a function call must be {"},
        {"{\"conversations\":[{\"from\":\"function_call\",\"value\":\"{\\\"name\\\": \\\"f\\\"}\"}]}",
         "a function call must be {"},
        {"{\"conversations\":[{\"from\":\"function_call\",\"value\":\"{\\\"name\\\": 1, \\\"arguments\\\": {}}\"}]}",
         "a function call must be {"},
        {"{\"conversations\":[" HUMAN "," GPT "],\"tools\":\"[{]\"}", "\"tools\""},
        {"{\"conversations\":[" HUMAN "," GPT "],\"tools\":\"{}\"}", "\"tools\" must be an array"},
        {"{\"conversations\":[{\"from\":\"human\",\"value\":\"u\",\"train\":true}," GPT "]}", "only an assistant's"},
        {"{\"conversations\":[" HUMAN ",{\"from\":\"gpt\",\"value\":\"a\",\"weight\":0.5}]}",
         "\"weight\" must be 0 or 1"},
        {"{\"conversations\":[" HUMAN ",{\"from\":\"gpt\",\"value\":\"a\",\"train\":0}]}",
         "\"train\" must be true or false"},
        {"{\"conversations\":[" HUMAN ",{\"from\":\"gpt\",\"value\":\"a\",\"train\":false}]}", "no supervised token"},
        {"{\"instruction\":\"a\",\"output\":\"b\",\"history\":[[\"a\"]]}",
         "\"history\"[0] must be [instruction, output]"},
        {"{\"instruction\":\"a\",\"output\":\"b\",\"history\":\"x\"}", "\"history\" must be a list"},
        {"{\"instruction\":\"a\",\"output\":\"b\",\"input\":7}", "\"input\" must be a string"},
        {"{\"instruction\":\"a\"}", "has \"instruction\" but no \"output\""},
        {"{\"instruction\":\"a\",\"output\":\"b\",\"text\":\"c\"}",
         "(--columns text=a,unused=instruction leaves that out)"},
        {"{\"prompt\":\"a\",\"completion\":[]}", "\"prompt\" must be a list of messages"},
        {"{\"prompt\":[],\"completion\":[]}", "at least one message"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}", "is of the type \"image_url\""},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}", "\"content\"[0]: \"text\" must be"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":7}]}", "must be a string or a list of parts, not an integer"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"tool_calls\":[7]}]}",
         "\"tool_calls\"[0] must be an object"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"documents\":\"x\"}",
         "\"documents\" must be an array"},
        {"{\"a\":\"x\",\"text\":\"y\"}", "has \"text\", and \"a\", which --columns gives the same name"},
    };
    struct err e;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_error(parse(cases[i].line, "text=a", chatml, &e), &e, ERR_DATA, cases[i].message);
    assert_error(parse("{\"messages\":[{\"role\":\"user\",\"content\":\"u\"}]}", "",
                       "{{ raise_exception('roles must ' ~ 'alternate') }}", &e),
                 &e, ERR_DATA, "roles must alternate");
}

/* What a template passes over, or prints in a way that nobody wants. */
static void notes_are_taken(void **state)
{
    (void)state;
#define SAID(more) "{\"messages\":[" more "{\"role\":\"assistant\",\"content\":\"xy\"}]}"
    static const char deaf[] = "{% for m in messages if m.role != 'system' %}<|im_start|>{{ m.role }}\n{{ m.content }}"
                               "<|im_end|>\n{% endfor %}";
    static const char no_tool[] = "{% for m in messages if m.role != 'tool' %}<|im_start|>{{ m.role }}\n{{ m.content }}"
                                  "<|im_end|>\n{% endfor %}";
    static const char with_tools[] = "{{ tools|tojson }}{% for m in messages %}<|im_start|>{{ m.role }}\n"
                                     "{{ m.content }}<|im_end|>\n{% endfor %}";
    static const char open_end[] = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}";
    static const struct {
        const char *line, *template;
        unsigned notes;
    } cases[] = {
        {SAID("{\"role\":\"system\",\"content\":\"S\"},"), chatml, 0},
        {SAID("{\"role\":\"system\",\"content\":\"S\"},"), deaf, 1U << NOTE_LOST_SYSTEM},
        {SAID("{\"role\":\"system\",\"content\":\" \"},"), deaf, 0},
        {SAID("{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"name\":\"f\"}]},"), chatml,
         1U << NOTE_LOST_CALLS},
        {SAID("{\"role\":\"tool\",\"content\":\"T\"},"), no_tool, 1U << NOTE_LOST_CONTENT},
        {SAID("{\"role\":\"tool\",\"content\":\"\"},"), no_tool, 0},
        {"{\"messages\":[{\"role\":\"assistant\",\"content\":\"xy\",\"reasoning\":\"R\"}]}", chatml,
         1U << NOTE_LOST_REASONING},
        {"{\"messages\":[{\"role\":\"assistant\",\"content\":\"xy\",\"reasoning\":\"R\"},{\"role\":\"user\","
         "\"content\":\"u\"}]}", chatml, 0},
        {"{\"tools\":[{\"name\":\"f\"}],\"documents\":[{\"title\":\"t\"}],\"messages\":[{\"role\":\"assistant\","
         "\"content\":\"xy\"}]}", chatml, 1U << NOTE_LOST_TOOLS | 1U << NOTE_LOST_DOCUMENTS},
        {"{\"tools\":[{\"name\":\"f\"}],\"messages\":[{\"role\":\"assistant\",\"content\":\"xy\"}]}", with_tools, 0},
        {SAID("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"u\"}]},"), chatml,
         1U << NOTE_BARE_PARTS},
        {SAID("{\"role\":\"user\",\"content\":\"u\"},"), open_end, 1U << NOTE_UNENDED},
    };
    struct err e;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(parse(cases[i].line, "", cases[i].template, &e), &e);
        if (ex.notes != cases[i].notes)
            fail_msg("%s: notes %x, not %x", cases[i].line, ex.notes, cases[i].notes);
    }
}

/* A template that looks at the answers while it prints the prompt; a header that goes on is no other prompt. */
static void prompts_of_pairs_are_the_same(void **state)
{
    (void)state;
#define ANSWERS(chosen, rejected) \
    "{\"prompt\":[{\"role\":\"user\",\"content\":\"u\"}]," \
    "\"chosen\":[{\"role\":\"assistant\"," chosen "}],\"rejected\":[{\"role\":\"assistant\"," rejected "}]}"
#define TURNS "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    static const char knowing[] = "\u00e9{{ messages[-1].content }} " TURNS "{{ m.content }}<|im_end|>\n{% endfor %}";
    static const char thinking[] =
        TURNS "{% if m.role == 'assistant' %}<think>\n{{ m.thought or '' }}\n</think>\n\n{% endif %}{{ m.content }}"
              "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    static const char plain[] = ANSWERS("\"content\":\"yes\"", "\"content\":\"no\"");
    struct err e;
    assert_error(parse(plain, "", knowing, &e), &e, ERR_DATA,
                 "the chat template prints another prompt before \"chosen\" than before \"rejected\": from byte 2 on "
                 "\"yes <|im_start|>user");
    assert_ok(parse(plain, "", chatml, &e), &e);
    assert_ok(parse(plain, "", thinking, &e), &e);
    assert_ok(parse(ANSWERS("\"content\":\"yes\",\"thought\":\"t\"", "\"content\":\"no\""), "", thinking, &e), &e);
}

/* Without a chat template an alpaca line is a prompt and its completion. */
static void alpaca_without_a_template(void **state)
{
    (void)state;
    struct err e;
    struct example want = {0};
    assert_ok(parse("{\"prompt\":\"the\\ntwo\",\"completion\":\"in\"}", "", NULL, &e), &e);
    want = ex;
    ex = (struct example){0};
    assert_ok(parse("{\"instruction\":\"the\",\"input\":\"two\",\"output\":\"in\",\"system\":\"\",\"history\":[]}",
                    "", NULL, &e),
              &e);
    assert_int_equal(ex.form, EXAMPLE_ALPACA);
    assert_true(ex.notes & 1U << NOTE_JOINED);
    assert_int_equal(ex.count, want.count);
    assert_memory_equal(ex.tokens, want.tokens, want.count * sizeof *want.tokens);
    assert_memory_equal(ex.supervised, want.supervised, want.count);
    assert_error(parse("{\"instruction\":\"a\",\"output\":\"b\",\"system\":\"S\"}", "", NULL, &e), &e, ERR_DATA,
                 "has \"system\", which needs a chat template");
    assert_error(parse("{\"instruction\":\"a\",\"output\":\"b\",\"history\":[[\"x\",\"y\"]]}",
                       "", NULL, &e), &e, ERR_DATA,
                 "has \"history\", which needs a chat template");
    example_release(&want);
    example_release(&ex);
    example_scratch_release(&scratch);
}

static void bad_columns(void **state)
{
    (void)state;
    static const char *const texts[] = {"a", "a=", "=b", "a=b,", "a=b=c", "a=b,a=c", "a=b,c=b"};
    struct columns c;
    struct err e;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_error(columns_parse(&c, texts[i], &e), &e, ERR_USAGE, texts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_the_reference),
        cmocka_unit_test(bad_lines),
        cmocka_unit_test(notes_are_taken),
        cmocka_unit_test(prompts_of_pairs_are_the_same),
        cmocka_unit_test(alpaca_without_a_template),
        cmocka_unit_test(bad_columns),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
