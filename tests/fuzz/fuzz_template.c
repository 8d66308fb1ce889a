/* A template; after a cut the variables, as JSON. What is rendered has marks that cover it. */
#include "fuzz.h"

#include <string.h>

#include "base/str.h"
#include "data/template/jinja.h"

static const char variables[] =
    "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi <\\u00e9>\"}, {\"role\": \"assistant\", "
    "\"content\": \"a b\","
    " \"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\": {\"x\": [1, 2.5, null]}}}]}],"
    " \"tools\": [{\"a\": {\"b\": true}}], \"bos_token\": \"<s>\", \"add_generation_prompt\": true}";

static enum err_code set_variables(struct jinja *j, const struct json_value *root, struct err *e)
{
    uint32_t origin = 0;
    for (struct json_member m = json_first(root); m.key; m = json_next(m)) {
        struct jinja_value v;
        if (jinja_from_json(j, &v, m.value, origin++))
            return e->code;
        jinja_set(j, m.key, v);
    }
    return ERR_OK;
}

static void check_marks(struct jinja_output text)
{
    size_t start = 0;
    for (size_t i = 0; i < text.mark_count; i++) {
        fuzz_check(text.marks[i].end > start, "an empty mark");
        start = text.marks[i].end;
    }
    fuzz_check(start == text.length, "marks that do not end with the text");
    fuzz_check(str_utf8_valid_prefix(text.bytes, text.length) == text.length, "a text that is not UTF-8");
}

enum err_code fuzz_read(const char *bytes, size_t size, struct err *e)
{
    static struct jinja *j;
    struct fuzz_part rest = {bytes, size}, source = fuzz_next(&rest);
    struct jinja_template *t;
    struct json *doc;
    const char *name = fuzz_path("chat_template.jinja");
    if (!j)
        fuzz_need(jinja_open(&j, e), e);
    if (!rest.size)
        rest = (struct fuzz_part){variables, sizeof variables - 1};
    if (jinja_template_open(&t, source.bytes, source.size, name, e))
        return e->code;
    enum err_code code = json_open_bytes(&doc, rest.bytes, rest.size, name, e);
    if (!code) {
        jinja_begin(j, t, e);
        if (!(code = set_variables(j, json_root(doc), e)) && !(code = jinja_render(j)))
            check_marks(jinja_output(j));
    }
    json_close(doc);
    jinja_template_close(t);
    return code;
}
