#include <stdint.h>
#include <stdio.h>

#include "cli/commands.h"
#include "cli/compare.h"
#include "cli/prompt.h"
#include "report/page.h"

static void add_models(struct facts *f, const struct comparison *c)
{
    facts_list(f, "models");
    for (size_t i = 0; i < c->model_count; i++) {
        facts_object(f, NULL);
        facts_text(f, "adapter", c->models[i].adapter);
        facts_int(f, "exact", c->models[i].exact);
        if (c->expected)
            facts_real(f, "exact_match", (double)c->models[i].exact / (double)c->expected);
        facts_end(f);
    }
    facts_end(f);
}

static void add_row(struct facts *f, const struct comparison *c, const struct compare_row *row)
{
    facts_object(f, NULL);
    facts_int(f, "example", row->example);
    facts_text(f, "prompt", row->prompt);
    facts_text(f, "expected", row->expected);
    facts_list(f, "answers");
    for (size_t i = 0; i < c->model_count; i++) {
        facts_object(f, NULL);
        facts_text(f, "answer", row->answers[i].text);
        if (row->expected)
            facts_flag(f, "exact", row->answers[i].exact);
        else
            facts_text(f, "exact", NULL);
        facts_end(f);
    }
    facts_end(f);
    facts_end(f);
}

void compare_add_facts(struct facts *f, const struct comparison *c)
{
    facts_int(f, "examples", c->row_count);
    facts_int(f, "expected", c->expected);
    add_models(f, c);
    facts_list(f, "prompts");
    for (size_t i = 0; i < c->row_count; i++)
        add_row(f, c, &c->rows[i]);
    facts_end(f);
}

static enum err_code print(const struct comparison *c, const struct options *o, struct err *e)
{
    struct facts f;
    struct str text = {0};
    enum err_code code = ERR_OK;
    if (o->json) {
        facts_begin(&f, true);
        compare_add_facts(&f, c);
        code = facts_print(&f, e);
    } else if (!(code = compare_append_text(&text, c, e))) {
        fwrite(text.data, 1, text.length, stdout);
    }
    str_release(&text);
    return !code && *o->html ? compare_write_page(c, o, o->html, e) : code;
}

static enum err_code take_prompt(struct questions *q, struct session *s, struct err *e)
{
    struct ids ids = {0};
    enum err_code code = prompt_encode(&ids, s, e);
    if (!code)
        code = questions_take(q, s, &ids, s->options->chat, e);
    ids_release(&ids);
    return code;
}

/* Collective. */
static enum err_code take_questions(struct questions *q, struct session *s, struct err *e)
{
    const struct options *o = s->options;
    struct dataset data = {0};
    if (!o->data.count)
        return take_prompt(q, s, e);
    if (session_open_prompts(s, &data, &o->data, e))
        return e->code;
    prompt_warn_of_positions(s, &data);
    enum err_code code = dist_agree(s->dist, questions_read(q, s, &data, SIZE_MAX, true, e), e);
    dataset_close(&data);
    return code;
}

static enum err_code check_options(const struct options *o, const struct dist *d, struct err *e)
{
    if (prompt_check_options(o, "", e))
        return e->code;
    return *o->html && d->rank == 0 ? page_check_path(o->html, "--html", e) : ERR_OK;
}

enum err_code cmd_compare(const struct options *o, struct dist *d, struct err *e)
{
    struct session s = {0};
    struct questions questions = {0};
    struct comparison c = {0};
    enum err_code code = dist_agree(d, check_options(o, d, e), e);
    if (!code)
        code = session_open(&s, o, d, e);
    if (code)
        return code;
    code = take_questions(&questions, &s, e);
    if (!code)
        code = compare_run(&c, &questions, e);
    if (!code)
        code = dist_agree(d, d->rank == 0 ? print(&c, o, e) : ERR_OK, e);
    compare_release(&c);
    questions_close(&questions);
    session_close(&s);
    return code;
}
