/* Chat templates: the texts of apply_chat_template, and what of them is to be learnt. */
#include "data/template/chat_template.h"

#include <string.h>

#include "golden_jinja.h"

static struct json *golden;
static struct chat_renderer *renderer;

static int set_up(void **state)
{
    (void)state;
    struct err e;
    golden = golden_jinja_open("conversations.json");
    return chat_renderer_open(&renderer, &e) ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    chat_renderer_close(renderer);
    json_close(golden);
    return 0;
}

/* The special tokens of the golden file: at each place the longest. */
static bool find_special(const void *context, const char *text, size_t length, size_t *start, size_t *end)
{
    for (size_t at = 0; at < length; at++) {
        size_t longest = 0;
        for (size_t i = 0; i < json_count(context); i++) {
            const struct json_value *token = json_at(context, i);
            size_t size = json_text_length(token);
            if (size > longest && size <= length - at && !memcmp(text + at, json_text(token), size))
                longest = size;
        }
        *start = at;
        *end = at + longest;
        if (longest)
            return true;
    }
    return false;
}

static struct chat_setup setup(void)
{
    const struct json_value *root = json_root(golden);
    return (struct chat_setup){.variables = json_get(root, "variables"),
                               .now = {.tm_year = 124, .tm_mon = 6, .tm_mday = 26, .tm_wday = 5},
                               .find_special = find_special,
                               .context = json_get(root, "specials")};
}

static uint32_t fnv(struct jinja_output text)
{
    uint32_t h = 0x811C9DC5u;
    for (size_t i = 0; i < text.length; i++)
        h = (h ^ (unsigned char)text.bytes[i]) * 0x01000193u;
    return h;
}

static struct chat_template *open_template(const struct json_value *source)
{
    struct chat_setup s = setup();
    struct chat_template *t;
    struct err e;
    assert_ok(chat_template_open(&t, json_text(source), json_text_length(source), "golden", &s, &e), &e);
    return t;
}

static enum err_code render(struct chat_text *text, const struct chat_template *t, size_t conversation,
                            bool prompt, struct err *e)
{
    const struct json_value *c = json_at(json_get(json_root(golden), "conversations"), conversation);
    return chat_template_render(text, renderer, t, json_get(c, "messages"), json_get(c, "tools"),
                                json_get(c, "documents"), prompt, e);
}

/* The bytes from start on of which the turns are: of adjacent ones all. Goes on to the next turn. */
static bool next_range(size_t *start, size_t *end, size_t *turn, const struct chat_text *text)
{
    if (*turn == text->turn_count)
        return false;
    *start = text->turns[*turn].start;
    assert_true(*start >= *end);
    do {
        assert_true(text->turns[*turn].end > text->turns[*turn].start);
        *end = text->turns[(*turn)++].end;
    } while (*turn < text->turn_count && text->turns[*turn].start == *end);
    assert_true(*end <= text->output.length);
    return true;
}

/* The text with [[ and ]] around the turns. */
static void show(struct str *out, const struct chat_text *text)
{
    size_t at = 0, start, end = 0, turn = 0;
    struct err e;
    while (next_range(&start, &end, &turn, text)) {
        assert_ok(str_append(out, text->output.bytes + at, start - at, &e), &e);
        assert_ok(str_append(out, "[[", 2, &e), &e);
        assert_ok(str_append(out, text->output.bytes + start, end - start, &e), &e);
        assert_ok(str_append(out, "]]", 2, &e), &e);
        at = end;
    }
    assert_ok(str_append(out, text->output.bytes + at, text->output.length - at, &e), &e);
}

static bool same_turns(const struct chat_text *text, const struct json_value *ranges)
{
    size_t start, end = 0, turn = 0, i = 0;
    bool same = true;
    for (; next_range(&start, &end, &turn, text); i++) {
        const struct json_value *range = json_at(ranges, i);
        same &= (int64_t)start == json_int(json_at(range, 0), -1) &&
                (int64_t)end == json_int(json_at(range, 1), -1);
    }
    return same && i == json_count(ranges);
}

static size_t check(const struct chat_template *t, const struct json_value *row, size_t conversation,
                    bool tagged)
{
    const struct json_value *result = json_at(json_get(row, "results"), conversation);
    const struct json_value *ranges = json_at(result, 2);
    const char *name = json_text(json_get(row, "name"));
    struct chat_text text;
    struct err e = {0};
    enum err_code code = render(&text, t, conversation, false, &e);
    if (json_is_absent(result) || code) {
        if (!code != json_is_absent(result))
            return 0;
        print_message("%s, conversation %zu: %s\n", name, conversation, code ? e.message : "must fail");
        return 1;
    }
    size_t wrong = (int64_t)fnv(text.output) != json_int(json_at(result, 0), -1);
    if (wrong)
        print_message("%s, conversation %zu: another text:\n%s\n", name, conversation, text.output.bytes);
    if (!json_is_absent(ranges) && !same_turns(&text, ranges)) {
        struct str shown = {0};
        show(&shown, &text);
        print_message("%s%s, conversation %zu: other turns:\n%s\n", name, tagged ? ", tagged" : "",
                      conversation, shown.data);
        str_release(&shown);
        wrong = 1;
    }
    code = render(&text, t, conversation, true, &e);
    if (code ? !json_is_absent(json_at(result, 1))
             : (int64_t)fnv(text.output) != json_int(json_at(result, 1), -1)) {
        print_message("%s, conversation %zu: another generation prompt\n", name, conversation);
        wrong = 1;
    }
    return wrong;
}

/* Text and turns of every template and conversation; with {% generation %} blocks, and without. */
static void texts_and_turns_as_transformers(void **state)
{
    (void)state;
    const struct json_value *rows = json_get(json_root(golden), "templates");
    size_t wrong = 0;
    assert_true(json_count(rows) >= 50);
    for (size_t i = 0; i < json_count(rows); i++) {
        const struct json_value *row = json_at(rows, i);
        for (int tagged = 0; tagged < 2; tagged++) {
            const struct json_value *source = json_get(row, tagged ? "tagged" : "source");
            if (json_is_absent(source))
                continue;
            struct chat_template *t = open_template(source);
            for (size_t k = 0; k < json_count(json_get(row, "results")); k++)
                wrong += check(t, row, k, tagged);
            chat_template_close(t);
        }
    }
    assert_int_equal(wrong, 0);
}

/* tests/golden/jinja/masks.txt, which is for people: made anew here. */
static void masks_as_written_down(void **state)
{
    (void)state;
    const struct json_value *rows = json_get(json_root(golden), "templates");
    const struct json_value *which = json_get(json_root(golden), "shown");
    struct str made = {0}, wanted = {0};
    char path[4096];
    struct err e;
    for (size_t i = 0; i < json_count(rows); i++) {
        const struct json_value *row = json_at(rows, i), *results = json_get(row, "results");
        struct chat_template *t = open_template(json_get(row, "source"));
        for (size_t k = 0; k < json_count(which); k++) {
            size_t conversation = (size_t)json_int(json_at(which, k), 0);
            struct chat_text text;
            if (json_is_absent(json_at(json_at(results, conversation), 2)))
                continue;
            assert_ok(render(&text, t, conversation, false, &e), &e);
            assert_ok(str_appendf(&made, &e, "=== %s, conversation %zu\n", json_text(json_get(row, "name")),
                                  conversation),
                      &e);
            show(&made, &text);
            assert_ok(str_append(&made, "\n", 1, &e), &e);
        }
        chat_template_close(t);
    }
    snprintf(path, sizeof path, "%s/jinja/masks.txt", getenv("GOLDEN"));
    assert_ok(file_read_all(&wanted, path, (size_t)1 << 24, &e), &e);
    assert_int_equal(made.length, wanted.length);
    assert_memory_equal(made.data, wanted.data, made.length);
    str_release(&made);
    str_release(&wanted);
}

static void shown(const char *source, const char *messages, const char *wanted)
{
    struct json *doc;
    struct chat_template *t;
    struct chat_text text;
    struct chat_setup s = setup();
    struct str out = {0};
    struct err e;
    assert_ok(json_open_bytes(&doc, messages, strlen(messages), "messages", &e), &e);
    assert_ok(chat_template_open(&t, source, strlen(source), "test", &s, &e), &e);
    assert_ok(chat_template_render(&text, renderer, t, json_root(doc), NULL, NULL, false, &e), &e);
    show(&out, &text);
    assert_string_equal(out.data, wanted);
    str_release(&out);
    chat_template_close(t);
    json_close(doc);
}

/* Templates that no family has, and the headers that they have or lack. */
static void odd_templates(void **state)
{
    (void)state;
    static const char two[] =
        "[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"a\"}]";
    shown("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}", two,
          "user: q\nassistant: [[a]]\n");
    shown("{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}", two, "q</s>[[a</s>]]");
    shown("{% for m in messages %}{{ m.content }}{% endfor %}{{ eos_token }}", two, "q[[a</s>]]");
    shown("{{ messages[0].content }}|{{ messages[1].content }}<|end|>.", two, "q[[|a<|end|>]].");
    shown("{% set ns = namespace(t='') %}{% for m in messages %}{% set b %}<|{{ m.role }}|>{{ m.content "
          "}}<|end|>"
          "{% endset %}{% set ns.t = ns.t + b %}{% endfor %}{{ ns.t }}{{ '<|assistant|>' if "
          "add_generation_prompt }}",
          two, "<|user|>q<|end|><|assistant|>[[a<|end|>]]");
    shown("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}", two, "q");
    shown("{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}|{% endfor %}", two,
          "[[q]]|[[a]]|");
}

static void bad_conversations(void **state)
{
    (void)state;
    static const char source[] =
        "{% if messages[0].role != 'user' %}{{ raise_exception('begin with a user') }}{% endif %}";
    static const struct {
        const char *messages, *message;
    } cases[] = {{"[1]", "message 0 must be an object, this is an integer"},
                 {"[{\"role\": \"system\"}]", "golden: line 1, column 54: begin with a user"}};
    struct chat_setup s = setup();
    struct chat_template *t;
    struct chat_text text;
    struct err e;
    assert_ok(chat_template_open(&t, source, strlen(source), "golden", &s, &e), &e);
    assert_string_equal(chat_template_header(t), "");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *doc;
        assert_ok(json_open_bytes(&doc, cases[i].messages, strlen(cases[i].messages), "messages", &e), &e);
        assert_error(chat_template_render(&text, renderer, t, json_root(doc), NULL, NULL, false, &e), &e,
                     ERR_DATA, cases[i].message);
        json_close(doc);
    }
    chat_template_close(t);
    assert_error(chat_template_open(&t, "{% if %}", 8, "golden", &s, &e), &e, ERR_FORMAT,
                 "golden: line 1, column 7");
    assert_null(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_and_turns_as_transformers),
        cmocka_unit_test(masks_as_written_down),
        cmocka_unit_test(odd_templates),
        cmocka_unit_test(bad_conversations),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
