/*
 * Renders templates: each line of stdin is {"template", "context": {...}}, and makes a line of stdout, {"text"} or
 * {"error"}. In the order of the lines, at once; on 26 July 2024. For scripts that hold the interpreter against jinja2.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/template/jinja.h"
#include "io/json.h"

static enum err_code render(struct jinja *j, const struct json_value *line, struct str *out, struct err *e)
{
    struct jinja_template *t = NULL;
    const struct json_value *source = json_get(line, "template");
    if (jinja_template_open(&t, json_text(source), json_text_length(source), "template", e))
        return e->code;
    jinja_begin(j, t, e);
    for (struct json_member m = json_first(json_get(line, "context")); m.key; m = json_next(m)) {
        struct jinja_value v;
        if (jinja_from_json(j, &v, m.value, 0))
            break;
        jinja_set(j, m.key, v);
    }
    if (!e->code && !jinja_render(j)) {
        struct jinja_output output = jinja_output(j);
        str_append(out, "{\"text\":", 8, e);
        json_append_string(out, output.bytes, output.length, e);
    }
    jinja_template_close(t);
    return e->code;
}

int main(void)
{
    struct err e;
    struct jinja *j;
    struct str out = {0};
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    if (jinja_open(&j, &e))
        return 1;
    jinja_set_time(j, &(struct tm){.tm_year = 124, .tm_mon = 6, .tm_mday = 26, .tm_wday = 5, .tm_yday = 207});
    while ((length = getline(&line, &room, stdin)) > 0) {
        struct json *doc = NULL;
        str_clear(&out);
        if (json_open_bytes(&doc, line, (size_t)length, NULL, &e) || render(j, json_root(doc), &out, &e)) {
            struct err again;
            str_clear(&out);
            str_append(&out, "{\"error\":", 9, &again);
            json_append_string(&out, e.message, strlen(e.message), &again);
        }
        json_close(doc);
        printf("%s}\n", out.data);
        fflush(stdout);
    }
    free(line);
    str_release(&out);
    jinja_close(j);
    return 0;
}
