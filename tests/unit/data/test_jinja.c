/* The Jinja interpreter: jinja2's texts, marks, limits, places in messages. */
#include "data/template/jinja.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "golden_jinja.h"

static struct jinja *j;

static int set_up(void **state)
{
    (void)state;
    struct err e;
    return jinja_open(&j, &e) ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    jinja_close(j);
    return 0;
}

/* Renders with the members of `context` as variables; ERR_OK or what the template failed with. */
static enum err_code render(const char *source, const struct json_value *context, struct str *out,
                            struct err *e)
{
    struct jinja_template *t;
    if (jinja_template_open(&t, source, strlen(source), "test.jinja", e))
        return e->code;
    jinja_begin(j, t, e);
    for (struct json_member m = json_first(context); m.key; m = json_next(m)) {
        struct jinja_value v;
        assert_int_equal(jinja_from_json(j, &v, m.value, 0), ERR_OK);
        jinja_set(j, m.key, v);
    }
    enum err_code code = jinja_render(j);
    str_clear(out);
    if (!code) {
        struct jinja_output text = jinja_output(j);
        struct err again;
        assert_ok(str_append(out, text.bytes, text.length, &again), &again);
    }
    jinja_template_close(t);
    return code;
}

static void statements_as_jinja2(void **state)
{
    (void)state;
    struct json *golden = golden_jinja_open("statements.json");
    const struct json_value *rows = json_get(json_root(golden), "statements");
    const struct json_value *context = json_get(json_root(golden), "context");
    struct str out = {0};
    size_t wrong = 0;
    assert_true(json_count(rows) >= 400);
    for (size_t i = 0; i < json_count(rows); i++) {
        const char *source = json_text(json_at(json_at(rows, i), 0));
        const struct json_value *wanted = json_at(json_at(rows, i), 1);
        struct err e = {0};
        enum err_code code = render(source, context, &out, &e);
        bool same = json_is_absent(wanted) ? code != ERR_OK
                                           : !code && out.length == json_text_length(wanted) &&
                                                 !memcmp(out.data, json_text(wanted), out.length);
        if (code)
            assert_non_null(strstr(e.message, "test.jinja"));
        if (!same)
            print_message("%s\n  jinja2: %s\n  here:   %s\n", source, json_text(wanted),
                          code ? e.message : out.data);
        wrong += !same;
    }
    assert_int_equal(wrong, 0);
    str_release(&out);
    json_close(golden);
}

static void errors_name_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *source, *message;
        enum err_code code;
    } cases[] = {
        {"a\n  {{ 1 + }}", "test.jinja: line 2, column 10: expected an expression, not '}}'", ERR_FORMAT},
        {"\xC3\xA9 {% iff x %}", "line 1, column 6: unknown tag 'iff'", ERR_FORMAT},
        {"{% if x %}\n\nb", "line 1, column 4: the template ends before the 'elif' of this block",
         ERR_FORMAT},
        {"{{ x|nope }}", "line 1, column 6: there is no filter 'nope'", ERR_FORMAT},
        {"\n\n{{ 'abc }}", "line 3, column 4: this string is not closed", ERR_FORMAT},
        {"{% include 'x' %}", "line 1, column 4: the tag 'include' is not supported", ERR_UNSUPPORTED},
        {"a\r\n\rb{{ missing.x }}", "line 3, column 12: 'missing' is undefined", ERR_DATA},
        {"{{ {'a': 1}.b.c }}", "'dict' has no attribute 'b'", ERR_DATA},
        {"{% for m in [1] %}\n{{ raise_exception('no ' ~ m) }}{% endfor %}", "line 2, column 19: no 1",
         ERR_DATA},
        {"{{ 9223372036854775807 + 1 }}", "line 1, column 24: an integer beyond 64 bits", ERR_DATA},
        {"{{ [].append(1) }}", "the sandbox does not let a template change a list", ERR_DATA},
        {"{{ 'a'.split('a', 1, 2) }}", "method 'split' takes at most 3 arguments, not 4", ERR_DATA},
    };
    struct str out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e;
        assert_error(render(cases[i].source, NULL, &out, &e), &e, cases[i].code, cases[i].message);
    }
    static const char *const zeros[] = {"{{ [1]|select('odd\\0')|list }}",
                                        "{{ 'a'['upper\\0\\0'] is defined }}",
                                        "{{ ['a']|map('upper\\x00')|list }}", "{{ dict(**{'a\\0': 1}) }}"};
    for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++) { /* names with zeros are other names */
        struct err e = {0};
        assert_true(render(zeros[i], NULL, &out, &e) || strcmp(out.data, "False") == 0);
    }
    struct jinja_template *t;
    struct err e;
    assert_error(jinja_template_open(&t, "ab\xFF", 3, "x", &e), &e, ERR_FORMAT,
                 "x: byte 3 is not valid UTF-8");
    str_release(&out);
}

/* What never ends, or takes too much, comes to an end. */
static void limits_hold(void **state)
{
    (void)state;
    static const struct {
        const char *source, *message;
    } cases[] = {
        {"{% for a in range(100000) %}{% for b in range(1000) %}{{ b }}{% endfor %}{% endfor %}", "steps"},
        {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "macros inside of each other"},
        {"{{ 'a' * 300000000 }}", "too long"},
        {"{% set x = 'a' * 100000000 %}{{ x }}{{ x }}{{ x }}{{ x }}", "bytes of output"},
        {"{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(50) %}{% set ns.x = ns.x + ns.x "
         "%}{% endfor %}",
         "bytes of memory"},
        {"{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}", "inside of each other"},
        {"{% set ns = namespace(x=[]) %}{% for i in range(5000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ "
         "ns.x|tojson }}",
         "inside of each other"},
        {"{% for x in [[1]] recursive %}{{ loop([x]) }}{% endfor %}", "macros inside of each other"},
        {"{{ '%9999999999d' % 1 }}", "too large"},
    };
    struct str out = {0};
    struct err e;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_error(render(cases[i].source, NULL, &out, &e), &e, ERR_DATA, cases[i].message);
    static const char *const nested[] = {"(", "[", "-", "not ", "{{% if 1 %}}", "1 if 1 else ", "x[", "{1:"};
    for (size_t i = 0; i < sizeof nested / sizeof *nested;
         i++) { /* parsers that call themselves have an end, too */
        struct str source = {0};
        assert_ok(str_append(&source, "{{ ", 3, &e), &e);
        for (int k = 0; k < 50000; k++)
            assert_ok(str_append(&source, nested[i], strlen(nested[i]), &e), &e);
        assert_int_not_equal(render(source.data, NULL, &out, &e), ERR_OK);
        str_release(&source);
    }
    struct str chain = {0};
    assert_ok(str_append(&chain, "{{ 1", 4, &e), &e);
    for (int k = 0; k < 50000; k++)
        assert_ok(str_append(&chain, "+1", 2, &e), &e);
    assert_ok(str_append(&chain, " }}", 3, &e), &e);
    assert_error(render(chain.data, NULL, &out, &e), &e, ERR_DATA, "inside of each other");
    str_release(&chain);
    assert_ok(render("{{ 'still ' ~ 'well' }}", NULL, &out, &e), &e);
    assert_string_equal(out.data, "still well");
    str_release(&out);
}

/* The output with its marks: [origin@scope text], {generation}. */
static void show(struct str *out, struct jinja_output text)
{
    struct err e;
    size_t start = 0;
    str_clear(out);
    for (size_t i = 0; i < text.mark_count; i++) {
        const struct jinja_mark *m = &text.marks[i];
        assert_true(m->end > start);
        assert_ok(str_appendf(out, &e, "%s", m->generation ? "{" : ""), &e);
        if (m->origin || m->scope)
            assert_ok(str_appendf(out, &e, "[%u@%u ", m->origin, m->scope), &e);
        assert_ok(str_append(out, text.bytes + start, m->end - start, &e), &e);
        assert_ok(str_appendf(out, &e, "%s%s", m->origin || m->scope ? "]" : "", m->generation ? "}" : ""),
                  &e);
        start = m->end;
    }
    assert_int_equal(start, text.length);
}

static void marks(const char *source, const char *wanted)
{
    static const char context[] =
        "{\"a\": \"one two\", \"b\": \"<x>\", \"c\": {\"k\": [1, \"z\"], \"n\": 2.5}, "
        "\"list\": [{\"t\": \"first\"}, {\"t\": \"second\"}]}";
    struct json *doc;
    struct jinja_template *t;
    struct jinja_value v, list;
    struct str out = {0};
    struct err e;
    assert_ok(json_open_bytes(&doc, context, sizeof context - 1, "context", &e), &e);
    assert_ok(jinja_template_open(&t, source, strlen(source), "test.jinja", &e), &e);
    jinja_begin(j, t, &e);
    for (uint32_t i = 0; i < 3; i++) {
        static const char *const names[] = {"a", "b", "c"};
        assert_ok(jinja_from_json(j, &v, json_get(json_root(doc), names[i]), i + 1), &e);
        jinja_set(j, names[i], v);
    }
    assert_ok(jinja_new_list(j, &list, 2), &e);
    for (uint32_t i = 0; i < 2; i++) {
        assert_ok(jinja_from_json(j, &v, json_at(json_get(json_root(doc), "list"), i), 10 + i), &e);
        assert_ok(jinja_list_add(j, list.list, v), &e);
    }
    jinja_set(j, "list", list);
    assert_ok(jinja_render(j), &e);
    show(&out, jinja_output(j));
    assert_string_equal(out.data, wanted);
    str_release(&out);
    jinja_template_close(t);
    json_close(doc);
}

static void marks_follow_the_bytes(void **state)
{
    (void)state;
    marks("x{{ a }}y", "x[1@0 one two]y");
    marks("{{ 'x' + a + b ~ 'y' }}", "x[1@0 one two][2@0 <x>]y");
    marks("{{ (a + b)[4:8] }}", "[1@0 two][2@0 <]");
    marks("{{ (a + b)[::-2] }}", "[2@0 ><][1@0 w n]");
    marks("{{ (' ' + a + ' ')|trim }}", "[1@0 one two]");
    marks("{{ a.split(' ')|join('+') }}", "[1@0 one]+[1@0 two]");
    marks("{{ a.replace('one', b) }}", "[2@0 <x>][1@0  two]");
    marks("{{ a|replace('one', 'ONE')|upper }}", "ONE[1@0  TWO]");
    marks("{{ b|e }}|{{ a|length }}", "[2@0 &lt;x&gt;]|7");
    marks("{{ c|tojson }}", "[3@0 {\"k\": [1, \"z\"], \"n\": 2.5}]");
    marks("{{ {'a': a}|tojson }}{{ [c.n] }}", "{\"a\": [1@0 \"one two\"]}[[3@0 2.5]]");
    marks("{{ '%s!' % a }}{{ '<{}>'.format(a) }}", "[1@0 one two]!<[1@0 one two]>");
    marks("{% for k in c.k %}{{ k }}.{% endfor %}", "[3@3 1][0@3 .][3@3 z][0@3 .]");
    marks("{% for m in list %}<{{ m.t }}>{% endfor %}.",
          "[0@10 <][10@10 first][0@10 >][0@11 <][11@11 second][0@11 >].");
    marks("{% set s %}{% for m in list %}-{{ m.t }}{% endfor %}{% endset %}{{ s[1:9] }}",
          "[10@10 first][0@11 -][11@11 se]");
    marks("{% macro f(x) %}({{ x }}){% endmacro %}{% for m in list[:1] %}{{ f(m.t) }}{% endfor %}{{ f(a) }}",
          "[0@10 (][10@10 first][0@10 )]([1@0 one two])");
    marks("{% set ns = namespace(t='') %}{% for m in list %}{% set ns.t = ns.t + m.t + '\n' %}{% endfor %}{{ "
          "ns.t }}",
          "[10@0 first]\n[11@0 second]\n");
    marks("a{% generation %}b{{ a[:3] }}{% endgeneration %}c", "a{b}{[1@0 one]}c");
}

static void a_machine_is_used_again(void **state)
{
    (void)state;
    struct str out = {0};
    struct err e;
    struct tm now = {.tm_year = 124, .tm_mon = 6, .tm_mday = 26, .tm_wday = 5};
    jinja_set_time(j, &now);
    for (int i = 0; i < 1000; i++) {
        assert_ok(render("{% for x in range(50) %}{{ x }}{{ 'abc' * x }}{% endfor %}", NULL, &out, &e), &e);
        assert_error(render("{{ nothing.at.all }}", NULL, &out, &e), &e, ERR_DATA, "undefined");
    }
    assert_ok(render("{{ strftime_now('%d %b %Y, %A') }}{{ gone }}", NULL, &out, &e), &e);
    assert_string_equal(out.data, "26 Jul 2024, Friday");
    str_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statements_as_jinja2),
        cmocka_unit_test(errors_name_their_place),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(marks_follow_the_bytes),
        cmocka_unit_test(a_machine_is_used_again),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
