#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/str.h"
#include "parser.h"
#include "value.h"

/* The source with "\r\n" and "\r" made "\n", and without one newline at its end. */
static enum err_code copy_source(struct jinja_template *t, const char *source, size_t length,
                                 const char *name, struct err *e)
{
    size_t valid = str_utf8_valid_prefix(source, length), used = 0;
    if (length > LIMIT_CHAT_TEMPLATE)
        return err_set(e, ERR_FORMAT, "%s: %zu bytes; a template has at most %d", name, length,
                       LIMIT_CHAT_TEMPLATE);
    if (valid < length)
        return err_set(e, ERR_FORMAT, "%s: byte %zu is not valid UTF-8", name, valid + 1);
    char *bytes = arena_alloc(&t->arena, length + 1, 1, "template", e);
    t->source.name = arena_strndup(&t->arena, name, strlen(name), e);
    if (!bytes || !t->source.name)
        return e->code;
    for (size_t i = 0; i < length; i++) {
        if (source[i] != '\r')
            bytes[used++] = source[i];
        else if (i + 1 == length || source[i + 1] != '\n')
            bytes[used++] = '\n';
    }
    used -= used > 0 && bytes[used - 1] == '\n';
    t->source.bytes = bytes;
    t->source.length = used;
    return ERR_OK;
}

static enum err_code parse_template(struct jinja_template *t, struct err *e)
{
    struct arena tokens = {0};
    struct jinja_token *first;
    size_t count;
    struct jinja_parser p = {.t = t, .e = e};
    enum err_code code = jinja_tokenize(&first, &count, &t->source, &tokens, e);
    if (code)
        goto out;
    p.tokens = first;
    if ((code = jinja_parse_name_id(&p, "loop", 4, &t->loop_name)) ||
        (code = jinja_parse_name_id(&p, "caller", 6, &t->caller_name)) ||
        (code = jinja_parse_name_id(&p, "varargs", 7, &t->varargs_name)) ||
        (code = jinja_parse_name_id(&p, "kwargs", 6, &t->kwargs_name)) || (code = jinja_parse(&p, &t->body)))
        goto out;
    t->globals = arena_alloc(&t->arena, t->name_count, sizeof *t->globals, "template", e);
    if (!t->globals) {
        code = e->code;
        goto out;
    }
    for (size_t i = 0; i < t->name_count; i++) {
        const struct jinja_function *f = jinja_find_global(t->names[i]);
        t->globals[i] = jinja_make(f ? JINJA_FUNCTION : JINJA_MISSING, 0);
        t->globals[i].function = f;
    }
out:
    arena_release(&tokens);
    return code;
}

enum err_code jinja_template_open(struct jinja_template **t, const char *source, size_t length,
                                  const char *name, struct err *e)
{
    *t = NULL;
    struct jinja_template *made = calloc(1, sizeof *made);
    if (!made)
        return err_set(e, ERR_MEMORY, "%s: no memory for a template", name);
    if (copy_source(made, source, length, name, e) || parse_template(made, e)) {
        jinja_template_close(made);
        return e->code;
    }
    *t = made;
    return ERR_OK;
}

void jinja_template_close(struct jinja_template *t)
{
    if (!t)
        return;
    arena_release(&t->arena);
    free(t);
}

bool jinja_template_has_generation(const struct jinja_template *t)
{
    return t->generation;
}

bool jinja_template_mentions(const struct jinja_template *t, const char *name)
{
    for (size_t i = 0; i < t->name_count; i++)
        if (!strcmp(t->names[i], name))
            return true;
    return false;
}
