#include "train/compare.h"

#include <stdio.h>
#include <string.h>

#include "io/json.h"

/* The last `parts` parts of a path. */
static const char *last_parts(const char *path, size_t parts)
{
    const char *at = path + strlen(path);
    while (at > path && at[-1] == '/')
        at--;
    for (; at > path; at--)
        if (at[-1] == '/' && !--parts)
            break;
    return at;
}

static bool are_distinct(const struct opt_list *paths, size_t parts)
{
    for (size_t i = 0; i < paths->count; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(paths->items[i], paths->items[k]) != 0 &&
                !strcmp(last_parts(paths->items[i], parts), last_parts(paths->items[k], parts)))
                return false;
    return true;
}

static enum err_code open_models(struct comparison *c, const struct questions *q, struct err *e)
{
    const struct opt_list *paths = &q->session->options->adapter;
    size_t parts = 1;
    c->model_count = paths->count + 1;
    c->row_count = q->count;
    c->models = arena_alloc(&c->arena, c->model_count, sizeof *c->models, "models", e);
    c->rows = arena_alloc(&c->arena, c->row_count, sizeof *c->rows, "answers", e);
    if (!c->models || !c->rows)
        return e->code;
    while (!are_distinct(paths, parts))
        parts++;
    c->models[0].name = "base model";
    for (size_t i = 0; i < paths->count; i++)
        c->models[i + 1] =
            (struct compare_model){.adapter = paths->items[i], .name = last_parts(paths->items[i], parts)};
    for (size_t i = 0; i < c->row_count; i++) {
        c->rows[i].answers = arena_alloc(&c->arena, c->model_count, sizeof *c->rows[i].answers, "answers", e);
        if (!c->rows[i].answers)
            return e->code;
    }
    return ERR_OK;
}

static enum err_code take_text(const char **text, struct comparison *c, const struct json_fields *f, const char *key,
                               struct err *e)
{
    const char *found = NULL;
    if (json_get_text(&found, f, key, NULL, e))
        return e->code;
    *text = found ? arena_strndup(&c->arena, found, strlen(found), e) : NULL;
    return found && !*text ? e->code : ERR_OK;
}

static enum err_code take_line(struct comparison *c, size_t row, size_t model, const struct json_value *line,
                               struct err *e)
{
    const struct json_fields f = {.object = line};
    struct compare_row *r = &c->rows[row];
    struct compare_answer *answer = &r->answers[model];
    if (json_need_size(&r->example, &f, "example", e) || json_get_flag(&answer->exact, &f, "exact", false, e) ||
        take_text(&answer->text, c, &f, "answer", e))
        return e->code;
    c->models[model].exact += answer->exact;
    if (model > 0) /* the prompt is the same for all */
        return ERR_OK;
    if (take_text(&r->prompt, c, &f, "prompt", e) || take_text(&r->expected, c, &f, "expected", e))
        return e->code;
    c->expected += r->expected != NULL;
    return ERR_OK;
}

static enum err_code take_lines(struct comparison *c, size_t model, const struct str *lines, struct err *e)
{
    enum err_code code = ERR_OK;
    size_t at = 0;
    for (size_t row = 0; !code && at < lines->length; row++) {
        struct json *doc = NULL;
        const char *line = lines->data + at;
        const size_t length = (size_t)(strchr(line, '\n') - line);
        code = json_open_bytes(&doc, line, length, NULL, e);
        if (!code)
            code = take_line(c, row, model, json_root(doc), e);
        json_close(doc);
        at += length + 1;
    }
    return code;
}

/* Collective. Adds the answers of the session's model. */
static enum err_code answer(struct comparison *c, size_t model, const struct questions *q, struct err *e)
{
    struct dist *d = q->session->dist;
    const struct question_options options = question_options_of(q->session->options);
    struct str lines = {0};
    enum err_code code = ERR_OK;
    char what[64];
    snprintf(what, sizeof what, "prompts, model %zu of %zu", model + 1, c->model_count);
    for (size_t first = 0; !code && first < q->group_count; first += (size_t)d->world) {
        code = questions_answer(q, first, &options, "{", &lines, e);
        if (!code)
            questions_show_progress(q, first + (size_t)d->world, what);
    }
    if (!code)
        code = dist_agree(d, d->rank == 0 ? take_lines(c, model, &lines, e) : ERR_OK, e);
    str_release(&lines);
    return code;
}

enum err_code compare_run(struct comparison *c, const struct questions *q, struct err *e)
{
    struct session *s = q->session;
    *c = (struct comparison){0};
    if (dist_agree(s->dist, open_models(c, q, e), e) || session_check_adapters(s, NULL, e))
        return e->code;
    enum err_code code = answer(c, 0, q, e);
    for (size_t i = 1; !code && i < c->model_count; i++) {
        code = session_use_adapter(s, i - 1, e);
        if (!code)
            code = answer(c, i, q, e);
    }
    return code;
}

void compare_release(struct comparison *c)
{
    arena_release(&c->arena);
    *c = (struct comparison){0};
}
