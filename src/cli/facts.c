#include "cli/facts.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/json.h"

static void append(struct facts *f, const char *text, size_t length)
{
    if (!f->code)
        f->code = str_append(&f->out, text, length, &f->e);
}

static void append_text(struct facts *f, const char *text)
{
    append(f, text, strlen(text));
}

/* Nothing that others have written acts on a terminal, in neither form: JSON itself lets DEL and C1 pass. */
static void append_visible(struct facts *f, const char *text, size_t length)
{
    if (!f->code)
        f->code = str_append_visible(&f->out, text, length, "", &f->e);
}

static void append_quoted(struct facts *f, const char *text)
{
    struct str quoted = {0};
    if (!f->code)
        f->code = json_append_string(&quoted, text, strlen(text), &f->e);
    append_visible(f, quoted.data, quoted.length);
    str_release(&quoted);
}

static bool in_list(const struct facts *f)
{
    return f->lists >> f->depth & 1;
}

/* What stands before a value: its name and what separates it from the one before. */
static void append_name(struct facts *f, const char *name)
{
    assert(!name == in_list(f));
    if (f->json) {
        append_text(f, f->fresh ? "" : ", ");
        if (name) {
            append_quoted(f, name);
            append_text(f, ": ");
        }
    } else {
        append_text(f, f->out.length ? "\n" : "");
        for (int i = 0; i < f->depth; i++)
            append_text(f, "  ");
        append_visible(f, name ? name : "-", strlen(name ? name : "-"));
        append_text(f, name ? ":" : "");
    }
    f->fresh = false;
}

/* A value that reads the same in both. */
static void append_value(struct facts *f, const char *name, const char *value)
{
    append_name(f, name);
    append_text(f, f->json ? "" : " ");
    append_text(f, value);
}

void facts_begin(struct facts *f, bool json)
{
    *f = (struct facts){.json = json, .fresh = true};
    append_text(f, json ? "{" : "");
}

void facts_begin_list(struct facts *f, bool json)
{
    *f = (struct facts){.json = json, .fresh = true, .lists = 1};
    append_text(f, json ? "[" : "");
}

enum err_code facts_print(struct facts *f, struct err *e)
{
    assert(f->depth == 0);
    append_text(f, !f->json ? "\n" : in_list(f) ? "]\n" : "}\n");
    if (f->code)
        *e = f->e;
    else
        fwrite(f->out.data, 1, f->out.length, stdout);
    str_release(&f->out);
    return f->code;
}

void facts_int(struct facts *f, const char *name, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, value);
    append_value(f, name, text);
}

void facts_real(struct facts *f, const char *name, double value)
{
    struct str text = {0};
    if (!f->code)
        f->code = json_append_real(&text, value, &f->e);
    if (!f->code)
        append_value(f, name, text.data);
    str_release(&text);
}

void facts_flag(struct facts *f, const char *name, bool value)
{
    append_value(f, name, f->json ? value ? "true" : "false" : value ? "yes" : "no");
}

void facts_text(struct facts *f, const char *name, const char *value)
{
    if (!value) {
        append_value(f, name, f->json ? "null" : "none");
        return;
    }
    append_name(f, name);
    if (f->json) {
        append_quoted(f, value);
    } else {
        append_text(f, " ");
        append_visible(f, value, strlen(value));
    }
}

static void open_level(struct facts *f, const char *name, bool list)
{
    append_name(f, name);
    append_text(f, !f->json ? "" : list ? "[" : "{");
    f->depth++;
    assert(f->depth < 64);
    f->lists = (f->lists & ~(UINT64_C(1) << f->depth)) | (uint64_t)list << f->depth;
    f->fresh = true;
}

void facts_object(struct facts *f, const char *name)
{
    open_level(f, name, false);
}

void facts_list(struct facts *f, const char *name)
{
    open_level(f, name, true);
}

void facts_end(struct facts *f)
{
    if (f->json)
        append_text(f, in_list(f) ? "]" : "}");
    else
        append_text(f, f->fresh ? " none" : "");
    f->depth--;
    f->fresh = false;
}

enum err_code facts_print_each(const struct opt_list *adapters, bool json, facts_add *add, const void *results,
                               struct err *e)
{
    const bool several = adapters->count > 1;
    struct facts f;
    if (several && json)
        facts_begin_list(&f, json);
    else
        facts_begin(&f, json);
    if (!several)
        add(&f, results, 0);
    for (size_t i = 0; several && i < adapters->count; i++) {
        facts_object(&f, json ? NULL : adapters->items[i]);
        if (json)
            facts_text(&f, "adapter", adapters->items[i]);
        add(&f, results, i);
        facts_end(&f);
    }
    return facts_print(&f, e);
}

bool facts_coloured(void)
{
    return isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
}

enum err_code facts_print_text(const char *text, size_t length, struct err *e)
{
    struct str visible = {0};
    enum err_code code = ERR_OK;
    if (!isatty(STDOUT_FILENO))
        fwrite(text, 1, length, stdout);
    else if (!(code = str_append_visible(&visible, text, length, "\n\t", e)))
        fwrite(visible.data ? visible.data : "", 1, visible.length, stdout);
    str_release(&visible);
    return code;
}
