#include "train/question.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mark.h"
#include "io/json.h"
#include "model/generate.h"

#define GROUP           8    /* most of the gain: the weights are read once for all */
#define GROUP_POSITIONS 8192 /* of caches, beyond the first question's */
_Static_assert(GROUP <= GENERATE_BATCH_MAX, "they are generated at once");

static void add_stop(struct question_stops *stops, int64_t id)
{
    if (id >= 0 && id <= INT32_MAX && stops->count < sizeof stops->id / sizeof *stops->id)
        stops->id[stops->count++] = (int32_t)id;
}

void question_find_stops(struct question_stops *stops, const struct session *s, bool chat)
{
    const struct json *declared[] = {s->store.generation_config, s->store.config};
    *stops = (struct question_stops){0};
    add_stop(stops, tokenizer_eos(s->tokenizer));
    for (size_t i = 0; i < sizeof declared / sizeof *declared; i++) {
        const struct json_value *ids = declared[i] ? json_get(json_root(declared[i]), "eos_token_id") : NULL;
        if (json_kind(ids) == JSON_KIND_INT)
            add_stop(stops, json_int(ids, -1));
        for (size_t k = 0; json_kind(ids) == JSON_KIND_ARRAY && k < json_count(ids); k++)
            add_stop(stops, json_int(json_at(ids, k), -1));
    }
    if (chat)
        add_stop(stops, chat_turn_end(s->chat));
}

static bool is_stop(const struct question_stops *stops, int32_t token)
{
    for (size_t i = 0; i < stops->count; i++)
        if (stops->id[i] == token)
            return true;
    return false;
}

/* The last stretch of supervised tokens; of a pair, of its chosen side. */
static void find_answer(size_t *begin, size_t *end, const struct example *ex)
{
    *end = ex->split ? ex->split : ex->count;
    while (*end > 0 && ex->supervised[*end - 1] != MARK_ANSWER)
        --*end;
    *begin = *end;
    while (*begin > 0 && ex->supervised[*begin - 1] == MARK_ANSWER)
        --*begin;
}

/* *found is false if there is nothing before the answer. */
static enum err_code take(struct question *q, bool *found, const struct example *ex, size_t number,
                          const struct session *s, struct arena *a, struct err *e)
{
    struct question_stops stops;
    size_t begin, end;
    find_answer(&begin, &end, ex);
    if (ex->unanswered)
        begin = end = ex->count;
    *found = begin > 0 && (ex->unanswered || ex->form != EXAMPLE_TEXT);
    if (!*found)
        return ERR_OK;
    const bool chat = example_form_talks(ex->form) && chat_exists(s->chat);
    question_find_stops(&stops, s, chat);
    while (!ex->unanswered && end > begin && is_stop(&stops, ex->tokens[end - 1]))
        end--;
    int32_t *tokens = arena_alloc(a, end, sizeof *tokens, "prompts", e);
    if (!tokens)
        return e->code;
    memcpy(tokens, ex->tokens, end * sizeof *tokens);
    *q = (struct question){
        .example = number, .tokens = tokens, .prompt = begin, .expected = end - begin,
        .answered = !ex->unanswered, .chat = chat};
    return ERR_OK;
}

enum err_code question_read(struct question *questions, size_t *taken, const struct dataset *d, size_t first,
                            size_t most, bool all, const struct session *s, struct arena *a, struct err *e)
{
    struct example ex = {0};
    struct example_scratch scratch = {0};
    enum err_code code = ERR_OK;
    *taken = 0;
    for (size_t i = first; i < d->count && *taken < most && !code; i++) {
        bool found = false;
        code = dataset_read(&ex, &scratch, d, i, e);
        if (!code)
            code = take(&questions[*taken], &found, &ex, i, s, a, e);
        if (!code && !found && all) {
            char place[512];
            dataset_place(place, sizeof place, d, i);
            code = err_set(e, ERR_DATA, "%s: there is no prompt before the answer", place);
        }
        *taken += found;
    }
    example_release(&ex);
    example_scratch_release(&scratch);
    return code;
}

struct question_options question_options_of(const struct options *o)
{
    return (struct question_options){.max_new_tokens = (size_t)o->max_new_tokens,
                                     .temperature = o->temperature,
                                     .top_p = o->top_p,
                                     .seed = (uint64_t)o->seed};
}

size_t question_group(const uint32_t *lengths, size_t count, size_t max_new_tokens)
{
    size_t positions = 0, taken = 0;
    for (; taken < count && taken < GROUP; taken++) {
        positions += lengths[taken] + max_new_tokens;
        if (taken && positions > GROUP_POSITIONS)
            break;
    }
    return taken;
}

struct answer {
    int32_t *tokens; /* [count] */
    size_t count;
    bool exact; /* the data has an answer with exactly these tokens */
};

/* Tokens that an answer may have: a model whose attention changes after so many positions stops there. */
static size_t room(const struct question *q, const struct session *s, size_t wanted)
{
    const size_t most = s->model.arch.most_positions, left = most > q->prompt ? most - q->prompt : 0;
    return most && left < wanted ? left : wanted;
}

static bool take_token(size_t question, int32_t token, void *answers)
{
    struct answer *a = (struct answer *)answers + question;
    a->tokens[a->count++] = token;
    return true;
}

static enum err_code open_answers(struct answer *answers, struct generate_prompt *prompts,
                                  const struct question *questions, size_t count, const struct session *s,
                                  size_t max_new_tokens, struct arena *a, struct err *e)
{
    for (size_t i = 0; i < count; i++) {
        const struct question *q = &questions[i];
        const size_t most = room(q, s, max_new_tokens);
        answers[i] = (struct answer){.tokens = arena_alloc(a, most, sizeof(int32_t), "an answer", e)};
        if (!answers[i].tokens)
            return e->code;
        prompts[i] = (struct generate_prompt){.tokens = q->tokens,
                                              .count = q->prompt,
                                              .max_new_tokens = most,
                                              .number = q->example,
                                              .stop = q->chat ? chat_turn_end(s->chat) : -1};
        if (!most)
            return err_set(e, ERR_UNSUPPORTED,
                           "example %zu: a prompt of %zu tokens leaves no room for an answer, since this model's "
                           "attention changes after %zu, which is not supported",
                           q->example, q->prompt, s->model.arch.most_positions);
    }
    return ERR_OK;
}

/* Memory from `a`. */
static enum err_code answer(struct answer *answers, const struct question *questions, size_t count,
                            const struct session *s, const struct question_options *options, struct arena *a,
                            struct err *e)
{
    const size_t tokens = (size_t)tokenizer_vocab_size(s->tokenizer), rows = s->model.arch.vocab;
    struct generate_prompt prompts[GROUP];
    struct question_stops stops;
    assert(count <= GROUP);
    question_find_stops(&stops, s, false);
    const struct generate_options generate = {.max_new_tokens = options->max_new_tokens,
                                              .temperature = options->temperature,
                                              .top_p = options->top_p,
                                              .seed = options->seed,
                                              .vocab = tokens < rows ? tokens : rows,
                                              .stop = stops.id,
                                              .stop_count = stops.count};
    if (open_answers(answers, prompts, questions, count, s, options->max_new_tokens, a, e) ||
        generate_batch(&s->model, prompts, count, &generate, take_token, answers, e))
        return e->code;
    for (size_t i = 0; i < count; i++) {
        const struct question *q = &questions[i];
        answers[i].exact = q->answered && answers[i].count == q->expected &&
                           !memcmp(answers[i].tokens, q->tokens + q->prompt, q->expected * sizeof *q->tokens);
    }
    return ERR_OK;
}

/* A model may answer with the byte 0, which readers of JSON refuse, also ours: it becomes U+FFFD, as other bytes
 * that are no text. */
static enum err_code append_without_nul(struct str *out, const struct str *text, struct err *e)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    for (size_t at = 0, length; at < text->length; at += length + 1) {
        length = strlen(text->data + at);
        if (str_append(out, text->data + at, length, e) ||
            (at + length < text->length && str_append(out, replacement, sizeof replacement - 1, e)))
            return e->code;
    }
    return ERR_OK;
}

static enum err_code append_text(struct str *object, const char *key, const struct tokenizer *t, const int32_t *tokens,
                                 size_t count, bool skip_special, struct err *e)
{
    struct str text = {0}, clean = {0};
    enum err_code code = tokenizer_decode(&text, t, tokens, count, skip_special, e);
    if (!code)
        code = append_without_nul(&clean, &text, e);
    if (!code)
        code = str_appendf(object, e, ", \"%s\": ", key);
    if (!code)
        code = json_append_string(object, clean.length ? clean.data : "", clean.length, e);
    str_release(&text);
    str_release(&clean);
    return code;
}

static enum err_code append_line(struct str *object, const char *begin, const struct question *q,
                                 const struct answer *answer, const struct tokenizer *t, struct err *e)
{
    if (str_appendf(object, e, "%s\"example\": %zu", begin, q->example) ||
        append_text(object, "prompt", t, q->tokens, q->prompt, false, e) ||
        (q->answered ? append_text(object, "expected", t, q->tokens + q->prompt, q->expected, true, e)
                     : str_appendf(object, e, ", \"expected\": null")) ||
        append_text(object, "answer", t, answer->tokens, answer->count, true, e))
        return e->code;
    return str_appendf(object, e, ", \"exact\": %s}\n", !q->answered ? "null" : answer->exact ? "true" : "false");
}

enum err_code question_answer_lines(struct str *lines, const struct question *questions, size_t count,
                                    const struct session *s, const struct question_options *options,
                                    const char *begin, struct err *e)
{
    struct arena arena = {0};
    struct answer *answers = arena_alloc(&arena, count, sizeof *answers, "answers", e);
    enum err_code code = answers ? answer(answers, questions, count, s, options, &arena, e) : ERR_MEMORY;
    for (size_t i = 0; !code && i < count; i++)
        code = append_line(lines, begin, &questions[i], &answers[i], s->tokenizer, e);
    arena_release(&arena);
    return code;
}

enum err_code question_gather(struct str *out, struct dist *d, const struct str *lines, struct err *e)
{
    size_t bytes = 0;
    void *all = NULL;
    enum err_code code = dist_gather_all(d, &all, &bytes, NULL, lines->length ? lines->data : "", lines->length, e);
    if (!code)
        code = dist_agree(d, d->rank == 0 ? str_append(out, all, bytes, e) : ERR_OK, e);
    free(all);
    return code;
}
