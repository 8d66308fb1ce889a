#include "train/questions.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

static enum err_code make_groups(struct questions *q, struct err *e)
{
    const size_t new_tokens = (size_t)q->session->options->max_new_tokens;
    uint32_t *lengths = arena_alloc(&q->arena, q->count, sizeof *lengths, "prompts", e);
    q->groups = arena_alloc(&q->arena, q->count + 1, sizeof *q->groups, "prompts", e);
    if (!lengths || !q->groups)
        return e->code;
    for (size_t i = 0; i < q->count; i++)
        lengths[i] = (uint32_t)q->list[i].prompt;
    for (size_t i = 0; i < q->count; q->groups[++q->group_count] = i)
        i += question_group(lengths + i, q->count - i, new_tokens);
    return ERR_OK;
}

enum err_code questions_read(struct questions *q, struct session *s, const struct dataset *d, size_t most, bool all,
                             struct err *e)
{
    *q = (struct questions){.session = s};
    most = most < d->count ? most : d->count;
    q->list = arena_alloc(&q->arena, most, sizeof *q->list, "prompts", e);
    if (!q->list || question_read(q->list, &q->count, d, 0, most, all, s, &q->arena, e))
        return e->code;
    return q->count ? make_groups(q, e) : ERR_OK;
}

enum err_code questions_take(struct questions *q, struct session *s, const struct ids *prompt, bool chat,
                             struct err *e)
{
    *q = (struct questions){.session = s};
    int32_t *tokens = arena_alloc(&q->arena, prompt->count, sizeof *tokens, "the prompt", e);
    q->list = arena_alloc(&q->arena, 1, sizeof *q->list, "the prompt", e);
    if (!tokens || !q->list)
        return e->code;
    memcpy(tokens, prompt->id, prompt->count * sizeof *tokens);
    q->list[q->count++] = (struct question){.tokens = tokens, .prompt = prompt->count, .chat = chat};
    return make_groups(q, e);
}

void questions_close(struct questions *q)
{
    arena_release(&q->arena);
    *q = (struct questions){0};
}

enum err_code questions_answer(const struct questions *q, size_t first, const struct question_options *options,
                               const char *begin, struct str *out, struct err *e)
{
    struct dist *d = q->session->dist;
    struct str lines = {0};
    const size_t mine = first + (size_t)d->rank;
    enum err_code code = ERR_OK;
    if (mine < q->group_count)
        code = question_answer_lines(&lines, q->list + q->groups[mine], q->groups[mine + 1] - q->groups[mine],
                                     q->session, options, begin, e);
    code = dist_agree(d, code, e);
    if (!code)
        code = question_gather(out, d, &lines, e);
    str_release(&lines);
    return code;
}

void questions_show_progress(const struct questions *q, size_t groups, const char *what)
{
    char line[80];
    const size_t done = q->groups[groups < q->group_count ? groups : q->group_count];
    snprintf(line, sizeof line, "answering: %zu of %zu %s", done, q->count, what);
    log_progress(line);
}
