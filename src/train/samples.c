#include "train/samples.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/cpu.h"
#include "base/log.h"

static enum err_code read_questions(struct samples *s, const struct dataset *d, size_t most, struct err *e)
{
    struct example ex = {0};
    struct example_scratch scratch = {0};
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < d->count && s->count < most && !code; i++) {
        bool found = false;
        code = dataset_read(&ex, &scratch, d, i, e);
        if (!code)
            code = question_take(&s->questions[s->count], &found, &ex, i, s->session, &s->arena, e);
        s->count += found;
    }
    example_release(&ex);
    example_scratch_release(&scratch);
    if (!code && !s->count)
        code = err_set(e, ERR_USAGE, "--sample-prompts: no example of %s has a prompt before its answer", d->paths[0]);
    return code;
}

static enum err_code make_groups(struct samples *s, struct err *e)
{
    const size_t new_tokens = (size_t)s->session->options->max_new_tokens;
    uint32_t *lengths = arena_alloc(&s->arena, s->count, sizeof *lengths, "sample prompts", e);
    s->groups = arena_alloc(&s->arena, s->count + 1, sizeof *s->groups, "sample prompts", e);
    if (!lengths || !s->groups)
        return e->code;
    for (size_t i = 0; i < s->count; i++)
        lengths[i] = (uint32_t)s->questions[i].prompt;
    for (size_t i = 0; i < s->count; s->groups[++s->group_count] = i)
        i += question_group(lengths + i, s->count - i, new_tokens);
    return ERR_OK;
}

static enum err_code open_questions(struct samples *s, const struct dataset *d, struct err *e)
{
    const size_t wanted = (size_t)s->session->options->sample_prompts, most = wanted < d->count ? wanted : d->count;
    s->questions = arena_alloc(&s->arena, most, sizeof *s->questions, "sample prompts", e);
    if (!s->questions || read_questions(s, d, most, e))
        return e->code;
    return make_groups(s, e);
}

enum err_code samples_open(struct samples *s, struct session *session, const struct dataset *d, struct err *e)
{
    *s = (struct samples){.session = session};
    enum err_code code = dist_agree(session->dist, open_questions(s, d, e), e);
    if (code)
        samples_close(s);
    return code;
}

void samples_close(struct samples *s)
{
    arena_release(&s->arena);
    *s = (struct samples){0};
}

/* This rank's lines. */
static enum err_code answer(struct str *lines, const struct samples *s, size_t group, uint64_t step, struct err *e)
{
    const size_t first = s->groups[group], count = s->groups[group + 1] - first;
    const struct question_options options = {.max_new_tokens = (size_t)s->session->options->max_new_tokens,
                                             .top_p = 1};
    struct arena arena = {0};
    struct question_answer *answers = arena_alloc(&arena, count, sizeof *answers, "answers", e);
    enum err_code code = answers ? ERR_OK : ERR_MEMORY;
    if (!code)
        code = question_answer(answers, s->questions + first, count, s->session, &options, &arena, e);
    for (size_t i = 0; !code && i < count; i++)
        if (str_appendf(lines, e, "{\"step\": %" PRIu64 ", ", step) ||
            question_append(lines, &s->questions[first + i], &answers[i], s->session->tokenizer, e) ||
            str_append(lines, "}\n", 2, e))
            code = e->code;
    arena_release(&arena);
    return code;
}

/* Collective. Groups first, first + 1, ..., one for each rank. */
static enum err_code take_round(const struct samples *s, size_t first, uint64_t step, struct str *out, struct err *e)
{
    struct dist *d = s->session->dist;
    struct str lines = {0};
    const size_t mine = first + (size_t)d->rank;
    double begun = cpu_seconds();
    enum err_code code = mine < s->group_count ? answer(&lines, s, mine, step, e) : ERR_OK;
    code = dist_agree(d, code, e);
    if (!code)
        code = question_gather(out, d, &lines, e);
    deadline_note_work(&s->session->deadline, cpu_seconds() - begun);
    str_release(&lines);
    return code ? err_wrap(e, "sample answers") : ERR_OK;
}

static void show_progress(const struct samples *s, size_t done)
{
    char line[80];
    snprintf(line, sizeof line, "answering: %zu of %zu sample prompts",
             s->groups[done < s->group_count ? done : s->group_count], s->count);
    log_progress(line);
}

enum err_code samples_take(const struct samples *s, uint64_t step, struct str *out, enum stop_reason *stop,
                           struct err *e)
{
    struct dist *d = s->session->dist;
    const size_t before = out->length;
    *stop = STOP_NOT;
    for (size_t first = 0; first < s->group_count; first += (size_t)d->world) {
        const enum stop_reason mine = deadline_or_signal(&s->session->deadline);
        uint64_t reasons[] = {mine == STOP_SIGNAL, mine == STOP_TIME};
        if (dist_max_u64(d, reasons, 2, e))
            return e->code;
        *stop = reasons[0] ? STOP_SIGNAL : reasons[1] ? STOP_TIME : STOP_NOT;
        if (*stop) {
            out->length = before;
            return ERR_OK;
        }
        if (take_round(s, first, step, out, e))
            return e->code;
        show_progress(s, first + (size_t)d->world);
    }
    return ERR_OK;
}
