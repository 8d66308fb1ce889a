#include "train/question.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

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

/* The last stretch of supervised tokens. */
static void find_answer(size_t *begin, size_t *end, const struct example *ex)
{
    *end = ex->count;
    while (*end > 0 && !ex->supervised[*end - 1])
        --*end;
    *begin = *end;
    while (*begin > 0 && ex->supervised[*begin - 1])
        --*begin;
}

enum err_code question_take(struct question *q, bool *found, const struct example *ex, size_t number,
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
    const bool chat = ex->form != EXAMPLE_TEXT && ex->form != EXAMPLE_COMPLETION && chat_exists(s->chat);
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

/* Tokens that an answer may have: a model whose attention changes after so many positions stops there. */
static size_t room(const struct question *q, const struct session *s, size_t wanted)
{
    const size_t most = s->model.arch.most_positions, left = most > q->prompt ? most - q->prompt : 0;
    return most && left < wanted ? left : wanted;
}

static bool take_token(size_t question, int32_t token, void *answers)
{
    struct question_answer *a = (struct question_answer *)answers + question;
    a->tokens[a->count++] = token;
    return true;
}

static enum err_code open_answers(struct question_answer *answers, struct generate_prompt *prompts,
                                  const struct question *questions, size_t count, const struct session *s,
                                  size_t max_new_tokens, struct arena *a, struct err *e)
{
    for (size_t i = 0; i < count; i++) {
        const struct question *q = &questions[i];
        const size_t most = room(q, s, max_new_tokens);
        answers[i] = (struct question_answer){.tokens = arena_alloc(a, most, sizeof(int32_t), "an answer", e)};
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

enum err_code question_answer(struct question_answer *answers, const struct question *questions, size_t count,
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

static enum err_code append_text(struct str *object, const char *key, const struct tokenizer *t, const int32_t *tokens,
                                 size_t count, bool skip_special, struct err *e)
{
    struct str text = {0};
    enum err_code code = tokenizer_decode(&text, t, tokens, count, skip_special, e);
    if (!code)
        code = str_appendf(object, e, ", \"%s\": ", key);
    if (!code)
        code = json_append_string(object, text.length ? text.data : "", text.length, e);
    str_release(&text);
    return code;
}

enum err_code question_append(struct str *object, const struct question *q, const struct question_answer *answer,
                              const struct tokenizer *t, struct err *e)
{
    if (str_appendf(object, e, "\"example\": %zu", q->example) ||
        append_text(object, "prompt", t, q->tokens, q->prompt, false, e) ||
        (q->answered ? append_text(object, "expected", t, q->tokens + q->prompt, q->expected, true, e)
                     : str_appendf(object, e, ", \"expected\": null")) ||
        append_text(object, "answer", t, answer->tokens, answer->count, true, e))
        return e->code;
    return str_appendf(object, e, ", \"exact\": %s", !q->answered ? "null" : answer->exact ? "true" : "false");
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
