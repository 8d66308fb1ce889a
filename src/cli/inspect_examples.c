/*
 * `inspect DATA --model MODEL`: the examples as they are trained.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/inspect.h"
#include "data/examples/dataset.h"
#include "data/examples/repeats.h"
#include "report/page.h"
#include "train/session.h"

/* What the commands that train open in a session; here it is one process, without weights. */
struct view {
    const struct options *options;
    struct store store;
    struct tokenizer *tokenizer;
    struct chat *chat;
    struct columns columns;
    struct dataset data;
    struct repeats repeats;
    const char *path; /* of the data */
    struct example example;
    struct example_scratch scratch;
};

/* A stretch of an example's text whose tokens are all trained, or none of them. */
struct stretch {
    const char *bytes;
    size_t length;
    bool supervised;
};

/* ---- the text ---- */

/* A sequence of its own: the whole example, or one side of a pair. */
struct side {
    const char *name; /* NULL: the whole example */
    const int32_t *tokens;
    const uint8_t *supervised;
    size_t count;
};

/* The number of sides. */
static size_t list_sides(struct side sides[2], const struct example *ex)
{
    const size_t first = ex->split ? ex->split : ex->count;
    sides[0] = (struct side){ex->split ? "chosen" : NULL, ex->tokens, ex->supervised, first};
    sides[1] = (struct side){"rejected", ex->tokens + first, ex->supervised + first, ex->count - first};
    return ex->split ? 2 : 1;
}

/* The texts of ids 0..count-1 as one, since what a token decodes to may depend on those in front of it. */
static enum err_code decode(struct str *out, const struct view *v, const struct side *side, size_t count, struct err *e)
{
    str_clear(out);
    return tokenizer_decode(out, v->tokenizer, side->tokens, count, false, e);
}

typedef enum err_code take_stretch(void *context, const struct stretch *s, struct err *e);

static enum err_code walk(const struct view *v, const struct side *side, take_stretch *take, void *context,
                          struct err *e)
{
    struct str text = {0};
    size_t shown = 0;
    enum err_code code = ERR_OK;
    for (size_t i = 0, next; !code && i < side->count; i = next) {
        for (next = i + 1; next < side->count && side->supervised[next] == side->supervised[i];)
            next++;
        code = decode(&text, v, side, next, e);
        if (code || text.length <= shown)
            continue;
        const struct stretch s = {text.data + shown, text.length - shown, side->supervised[i] != 0};
        code = take(context, &s, e);
        shown = text.length;
    }
    str_release(&text);
    return code;
}

struct marker {
    struct str *out;
    const char *open, *close;
};

static enum err_code mark(void *context, const struct stretch *s, struct err *e)
{
    const struct marker *m = context;
    if ((s->supervised && str_append(m->out, m->open, strlen(m->open), e)) ||
        str_append_visible(m->out, s->bytes, s->length, "\n\t", e))
        return e->code;
    return s->supervised ? str_append(m->out, m->close, strlen(m->close), e) : ERR_OK;
}

static enum err_code mark_html(void *context, const struct stretch *s, struct err *e)
{
    struct str *out = context, copy = {0};
    enum err_code code = str_append(&copy, s->bytes, s->length, e);
    if (!code)
        code = str_appendf(out, e, s->supervised ? "<mark>" : "<span>");
    if (!code)
        code = markup_append_text(out, copy.data, e);
    if (!code)
        code = str_appendf(out, e, s->supervised ? "</mark>" : "</span>");
    str_release(&copy);
    return code;
}

/* ---- what is printed of an example ---- */

static void add_numbers(struct facts *f, const char *name, const struct side *side, bool supervised)
{
    facts_list(f, name);
    for (size_t i = 0; i < side->count; i++)
        facts_int(f, NULL, supervised ? side->supervised[i] : (uint64_t)side->tokens[i]);
    facts_end(f);
}

static enum err_code add_side(struct facts *f, const struct view *v, const struct side *side, struct err *e)
{
    struct str text = {0};
    struct marker m = {&text, "", ""};
    enum err_code code = walk(v, side, mark, &m, e);
    if (!code && side->name)
        facts_object(f, side->name);
    if (!code) {
        add_numbers(f, "tokens", side, false);
        add_numbers(f, "supervised", side, true);
        facts_text(f, "text", text.data ? text.data : "");
    }
    if (!code && side->name)
        facts_end(f);
    str_release(&text);
    return code;
}

static enum err_code add_json(struct facts *f, const struct view *v, const char *place, struct err *e)
{
    struct side sides[2];
    const size_t count = list_sides(sides, &v->example);
    facts_object(f, NULL);
    facts_text(f, "place", place);
    facts_text(f, "form", example_form_name(v->example.form));
    for (size_t k = 0; k < count; k++)
        if (add_side(f, v, &sides[k], e))
            return e->code;
    facts_end(f);
    return ERR_OK;
}

static enum err_code add_text(struct str *out, const struct view *v, const char *place, struct err *e)
{
    const bool colour = facts_coloured();
    const char *const bold = colour ? "\033[1m" : "", *const plain = colour ? "\033[0m" : "";
    struct marker m = {out, colour ? "\033[32m" : "[[", colour ? plain : "]]"};
    struct side sides[2];
    const size_t count = list_sides(sides, &v->example);
    if (str_appendf(out, e, "\n%s--- %s: %s, %zu tokens, %zu of them trained%s\n", bold, place,
                    example_form_name(v->example.form), v->example.count, v->example.supervised_count, plain))
        return e->code;
    for (size_t k = 0; k < count; k++)
        if ((sides[k].name && str_appendf(out, e, "%s%s:%s\n", bold, sides[k].name, plain)) ||
            walk(v, &sides[k], mark, &m, e) || str_append(out, "\n", 1, e))
            return e->code;
    return ERR_OK;
}

static enum err_code add_html(struct str *out, const struct view *v, const char *place, struct err *e)
{
    struct side sides[2];
    const size_t count = list_sides(sides, &v->example);
    if (str_appendf(out, e, "<h2>") || markup_append_text(out, place, e) ||
        str_appendf(out, e, "<small>%s, %zu tokens, %zu of them trained</small></h2>\n",
                    example_form_name(v->example.form), v->example.count, v->example.supervised_count))
        return e->code;
    for (size_t k = 0; k < count; k++)
        if ((sides[k].name && str_appendf(out, e, "<h3>%s</h3>\n", sides[k].name)) || str_appendf(out, e, "<pre>") ||
            walk(v, &sides[k], mark_html, out, e) || str_appendf(out, e, "</pre>\n"))
            return e->code;
    return ERR_OK;
}

static enum err_code each_example(struct view *v, struct facts *f, struct str *text, struct str *html, struct err *e)
{
    size_t count = (size_t)v->options->examples;
    count = count < v->data.count ? count : v->data.count;
    if (f->json)
        facts_list(f, "shown");
    for (size_t i = 0; i < count; i++) {
        char place[512];
        dataset_place(place, sizeof place, &v->data, i);
        if (dataset_read(&v->example, &v->scratch, &v->data, i, e) ||
            (f->json ? add_json(f, v, place, e) : add_text(text, v, place, e)) || add_html(html, v, place, e))
            return e->code;
    }
    if (f->json)
        facts_end(f);
    return ERR_OK;
}

/* ---- examples that stand in the evaluation data, too ---- */

/* How many examples of --eval-data are those of the data, to the token. */
static enum err_code count_shared(size_t *shared, struct view *v, struct err *e)
{
    const struct opt_list *paths = &v->options->eval_data;
    struct dataset eval_data;
    *shared = 0;
    if (dataset_init(&eval_data, paths->items, paths->count, v->tokenizer, &v->data.options, true, e))
        return err_wrap(e, "--eval-data");
    dataset_keep_prints(&eval_data);
    enum err_code code = dataset_fill(&eval_data, e);
    if (code)
        err_wrap(e, "--eval-data");
    else
        code = repeats_count_shared(shared, &v->data, &eval_data, e);
    dataset_close(&eval_data);
    return code;
}

/* ---- the page ---- */

static void put_warning(void *context, const char *text)
{
    struct markup *m = context;
    markup_put(m, "<p class=\"warning\">");
    markup_text(m, text);
    markup_put(m, "</p>\n");
}

static void tell_warnings(const struct view *v, void (*tell)(void *context, const char *text), void *context)
{
    char text[256], repeats[1280];
    const uint64_t bad = v->data.counts.bad_lines;
    snprintf(text, sizeof text,
             "%" PRIu64 " line%s cannot be used: train and eval stop at the first, or with --skip-bad-lines leave %s "
             "out",
             bad, bad == 1 ? "" : "s", bad == 1 ? "it" : "them");
    if (bad)
        tell(context, text);
    size_t length = dataset_describe_cut(text, sizeof text, &v->data) ? strlen(text) : 0;
    if (length) {
        snprintf(text + length, sizeof text - length, ": --max-length %" PRIu64 " cuts none", v->data.longest);
        tell(context, text);
    }
    if (repeats_describe(repeats, sizeof repeats, &v->repeats, &v->data))
        tell(context, repeats);
    dataset_tell_warnings(&v->data, UINT_MAX, tell, context);
}

static enum err_code write_page(const struct view *v, const struct str *examples, struct err *e)
{
    struct str page = {0};
    struct markup m = {&page, e};
    const struct dataset_counts *c = &v->data.counts;
    e->code = ERR_OK;
    page_begin(&m, "examples", 960);
    markup_put(&m, "<h1>");
    markup_text(&m, v->data.paths[0]);
    markup_put(&m, "</h1>\n<p>%zu examples, %llu tokens, %llu of them trained. <mark>What is trained</mark> is marked; "
                   "the rest is read only.</p>\n",
               v->data.count, (unsigned long long)c->tokens, (unsigned long long)c->supervised);
    tell_warnings(v, put_warning, &m);
    if (!e->code && examples->length)
        str_append(&page, examples->data, examples->length, e);
    page_end(&m);
    return page_write(&m, v->options->html);
}

/* ---- the whole ---- */

static void add_warning(void *context, const char *text)
{
    facts_text(context, NULL, text);
}

static void add_facts(struct facts *f, const struct view *v, size_t shared)
{
    inspect_add_data(f, &v->data);
    facts_int(f, "tokens", v->data.counts.tokens);
    facts_int(f, "supervised_tokens", v->data.counts.supervised);
    facts_int(f, "longest_tokens", v->data.longest);
    facts_int(f, "max_length", v->data.options.max_length);
    facts_int(f, "truncated", v->data.counts.truncated);
    facts_list(f, "warnings");
    tell_warnings(v, add_warning, f);
    facts_end(f);
    if (v->options->eval_data.count)
        facts_int(f, "shared_with_eval_data", shared);
}

static enum err_code open_view(struct view *v, const char *path, struct err *e)
{
    const struct options *o = v->options;
    enum err_code code = store_open(&v->store, o->model, e);
    if (!code)
        code = tokenizer_open(&v->tokenizer, &v->store, e);
    if (!code)
        code = session_open_chat(&v->chat, v->tokenizer, o, e);
    if (!code)
        code = columns_parse(&v->columns, o->columns, e);
    const struct example_options options = {.max_length = (size_t)o->max_length,
                                            .train_on = o->train_on,
                                            .chat = v->chat,
                                            .columns = &v->columns,
                                            .pairs = PAIRS_TAKEN};
    v->path = path;
    if (!code)
        code = dataset_init(&v->data, &v->path, 1, v->tokenizer, &options, true, e);
    if (!code)
        code = dataset_keep_bad(&v->data, INSPECT_BAD_LINES, e);
    dataset_keep_prints(&v->data);
    if (!code)
        code = dataset_fill(&v->data, e);
    return code ? code : repeats_find(&v->repeats, &v->data, e);
}

enum err_code inspect_examples(struct facts *f, struct str *text, const char *path, const struct options *o,
                               struct err *e)
{
    struct view v = {.options = o};
    struct str html = {0};
    size_t shared = 0;
    enum err_code code = *o->html ? page_check_path(o->html, "--html", e) : ERR_OK;
    if (!code)
        code = open_view(&v, path, e);
    if (!code && o->eval_data.count)
        code = count_shared(&shared, &v, e);
    if (!code && shared)
        log_warn("%zu of the examples of --eval-data are also in %s: evaluating on them measures memorisation", shared,
                 path);
    if (!code) {
        add_facts(f, &v, shared);
        code = each_example(&v, f, text, &html, e);
    }
    if (!code && *o->html)
        code = write_page(&v, &html, e);
    example_release(&v.example);
    example_scratch_release(&v.scratch);
    dataset_close(&v.data);
    columns_release(&v.columns);
    chat_close(v.chat);
    tokenizer_close(v.tokenizer);
    store_close(&v.store);
    str_release(&html);
    return code;
}
