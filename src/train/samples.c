#include "train/samples.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/cpu.h"

static enum err_code read_questions(struct samples *s, struct session *session, const struct dataset *d, struct err *e)
{
    const size_t most = (size_t)session->options->sample_prompts;
    enum err_code code = questions_read(&s->questions, session, d, most, false, e);
    if (!code && !s->questions.count)
        code = err_set(e, ERR_USAGE, "--sample-prompts: no example of %s has a prompt before its answer", d->paths[0]);
    return code;
}

enum err_code samples_open(struct samples *s, struct session *session, const struct dataset *d, struct err *e)
{
    enum err_code code = dist_agree(session->dist, read_questions(s, session, d, e), e);
    if (code)
        samples_close(s);
    return code;
}

void samples_close(struct samples *s)
{
    questions_close(&s->questions);
}

/* Collective. Groups first, first + 1, ..., one for each rank. */
static enum err_code take_round(const struct samples *s, size_t first, uint64_t step, struct str *out, struct err *e)
{
    struct session *session = s->questions.session;
    const struct question_options options = {.max_new_tokens = (size_t)session->options->max_new_tokens, .top_p = 1};
    char begin[48];
    double begun = cpu_seconds();
    snprintf(begin, sizeof begin, "{\"step\": %" PRIu64 ", ", step);
    enum err_code code = questions_answer(&s->questions, first, &options, begin, out, e);
    deadline_note_work(&session->deadline, cpu_seconds() - begun);
    return code ? err_wrap(e, "sample answers") : ERR_OK;
}

enum err_code samples_take(const struct samples *s, uint64_t step, struct str *out, enum stop_reason *stop,
                           struct err *e)
{
    const struct questions *q = &s->questions;
    struct dist *d = q->session->dist;
    const size_t before = out->length;
    *stop = STOP_NOT;
    for (size_t first = 0; first < q->group_count; first += (size_t)d->world) {
        const enum stop_reason mine = deadline_or_signal(&q->session->deadline);
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
        questions_show_progress(q, first + (size_t)d->world, "sample prompts");
    }
    return ERR_OK;
}
