#include <math.h>
#include <string.h>

#include "../linear.h"
#include "base/mark.h"
#include "base/prof.h"
#include "parts.h"

/* Lists the tokens that predict a supervised one, with what belongs to each: in the order of the supervised ones, so
 * that the last token of a prefix comes once for each example that begins with it. */
static size_t list_rows(const struct step *s, double loss_scale)
{
    const struct acts *acts = s->acts;
    size_t count = 0;
    for (uint32_t example = 0, whole = 0; example < s->in->examples; example++) {
        const uint32_t first = s->in->offsets[example], prefix = step_prefix(s->in, example);
        double weight = s->weights ? s->weights[example] : 1;
        whole = prefix ? whole : first;
        for (uint32_t i = prefix ? first : first + 1; i < s->in->offsets[example + 1]; i++) {
            const uint8_t mark = s->in->supervised[i];
            if (mark == MARK_NONE)
                continue;
            acts->rows[count] = i > first ? i - 1 : whole + prefix - 1;
            acts->targets[count] = s->in->tokens[i];
            acts->owners[count] = example;
            if (loss_scale != 0)
                acts->dlosses[count] = (float)(loss_scale * (mark == MARK_LIKELIHOOD ? s->in->likelihood : weight));
            count++;
        }
    }
    return count;
}

/* Is row number i of the list in the prefix of the example that it predicts a token of? */
static bool is_in_prefix(const struct step *s, size_t i)
{
    return s->acts->rows[i] < s->in->offsets[s->acts->owners[i]];
}

/* The mark of the token that row number i of the list predicts. */
static uint8_t predicted_mark(const struct step *s, size_t i)
{
    return s->in->supervised[is_in_prefix(s, i) ? s->in->offsets[s->acts->owners[i]] : s->acts->rows[i] + 1];
}

static struct step_rows gather(const struct step *s, const uint32_t *rows, size_t count)
{
    const struct acts *acts = s->acts;
    size_t width = s->m->arch.width;
    for (size_t i = 0; i < count; i++) {
        memcpy(acts->head_h + i * width, acts->residual + rows[i] * width, width * sizeof(float));
        acts->head_samples[i] = acts->samples[rows[i]];
        acts->head_positions[i] = s->in->positions[rows[i]];
    }
    return (struct step_rows){count, acts->head_samples, acts->head_positions};
}

/* The final norm, over rows of x. */
static struct norm_site final_norm(const struct step *s, size_t n, const float *x)
{
    const struct acts *acts = s->acts;
    return (struct norm_site){.weight = s->m->weights.norm,
                              .bias = s->m->weights.norm_bias,
                              .n = n,
                              .width = s->m->arch.width,
                              .x = x,
                              .copy = acts->head_copy,
                              .kept = acts->head_copy ? acts->head_copy : (const void *)x,
                              .rstd = acts->head_rstd,
                              .mean = acts->head_mean,
                              .y = acts->head_normed};
}

void head_logits(const struct step *s, const struct step_rows *rows, float *logits, const float *x)
{
    const struct norm_site norm = final_norm(s, rows->n, x);
    norm_forward(s, &norm);
    if (s->trace) {
        char path[ARCH_PATH_SIZE];
        arch_norm_path(path, &s->m->arch, 0, AT_FINAL);
        step_check(s, s->type, norm.y, norm.width, norm.n, norm.width, path);
    }
    linear_forward(s, rows, 0, GROUP_HEAD, logits, s->m->arch.vocab, s->acts->head_normed);
    if (s->m->arch.logit_cap > 0)
        s->kern->cap_logits(logits, rows->n, s->m->arch.vocab, s->m->arch.logit_cap);
}

/* Of the gradient of the logits, which lies on them row on row, in reals. */
static size_t gradient_stride(const struct step *s)
{
    return s->m->arch.vocab * (sizeof(float) / s->real->size);
}

/* From the gradient of the logits of a chunk, whose first row is number `first` of the list, to the head's adapter and
 * to dh. */
static void backward_chunk(const struct step *s, const struct step_rows *rows, size_t first)
{
    const struct acts *acts = s->acts;
    size_t width = s->m->arch.width;
    bool below = s->layout->lowest_layer < s->m->arch.layers;
    linear_backward(s, rows, 0, GROUP_HEAD, below ? acts->head_dnormed : NULL, acts->logits,
                    gradient_stride(s), acts->head_normed);
    if (!below)
        return;
    memset(acts->head_dh, 0, rows->n * width * sizeof(float));
    const struct norm_site norm = final_norm(s, rows->n, acts->head_h);
    norm_backward(s, &norm, acts->head_dh, NULL, acts->head_dnormed);
    for (size_t i = 0; i < rows->n; i++) {
        float *dh = acts->dh + acts->rows[first + i] * width;
        const float *dx = acts->head_dh + i * width;
        if (is_in_prefix(s, first + i))
            s->kern->axpy(dh, 1, dx, width);
        else
            memcpy(dh, dx, width * sizeof *dh);
    }
}

/* Adds the chunk of rows from `first` to the result. */
static void count_chunk(const struct step *s, struct model_result *result, double *log_prob, size_t first,
                        size_t count)
{
    const struct acts *acts = s->acts;
    for (size_t i = 0; i < count; i++) {
        size_t example = acts->owners[first + i];
        bool correct = acts->best[i] == acts->targets[first + i];
        acts->wrong[example] += (acts->wrong[example] < 0) + !correct;
        result->correct += correct;
        result->loss_sum += acts->losses[i];
        if (predicted_mark(s, first + i) == MARK_LIKELIHOOD)
            result->likelihood -= acts->losses[i];
        else if (log_prob)
            log_prob[example] -= acts->losses[i];
        if (!isfinite(acts->losses[i]) && result->first_nonfinite == s->in->examples)
            result->first_nonfinite = example;
    }
}

static void count_exact(const struct step *s, struct model_result *result, uint8_t *exact_of)
{
    for (size_t i = 0; i < s->in->examples; i++) {
        bool exact = s->acts->wrong[i] == 0;
        result->exact += exact;
        if (exact_of)
            exact_of[i] = exact;
    }
}

void head_run(const struct step *s, double loss_scale, struct model_result *result,
              const struct model_each *each)
{
    const struct acts *acts = s->acts;
    const struct model_each wanted = each ? *each : (struct model_each){0};
    enum prof_phase before = prof_enter(PROF_HEAD);
    size_t supervised = list_rows(s, loss_scale), vocab = s->m->arch.vocab;
    *result = (struct model_result){.supervised = supervised, .first_nonfinite = s->in->examples};
    memset(acts->wrong, 0xff, s->in->examples * sizeof *acts->wrong);
    for (size_t i = 0; i < s->in->examples && wanted.log_prob; i++)
        wanted.log_prob[i] = 0;
    if (loss_scale != 0)
        memset(acts->dh, 0, s->in->n * s->m->arch.width * sizeof *acts->dh);
    for (size_t first = 0; first < supervised; first += acts->size.chunk) {
        size_t count = supervised - first < acts->size.chunk ? supervised - first : acts->size.chunk;
        const struct step_rows rows = gather(s, acts->rows + first, count);
        bool found_before = s->trace && s->trace->found;
        head_logits(s, &rows, acts->logits, acts->head_h);
        if (s->trace && s->trace->found && !found_before)
            s->trace->row = acts->rows[first + s->trace->row];
        s->real->cross_entropy(acts->losses, acts->best, acts->logits, gradient_stride(s), acts->logits,
                               vocab, acts->targets + first, count, vocab,
                               loss_scale != 0 ? acts->dlosses + first : NULL, s->m->arch.logit_cap);
        count_chunk(s, result, wanted.log_prob, first, count);
        if (loss_scale != 0)
            backward_chunk(s, &rows, first);
    }
    if (loss_scale != 0 && acts->dh_copy)
        s->real->from_f32(acts->dh_copy, acts->dh, s->in->n * s->m->arch.width);
    count_exact(s, result, wanted.exact);
    prof_enter(before);
}
