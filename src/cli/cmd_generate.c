#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/facts.h"
#include "data/examples/example.h"
#include "io/json.h"
#include "model/generate.h"
#include "train/session.h"

/* The prompt's ids: the text as it stands, or as a user's message with the assistant's turn begun. */
static enum err_code encode_prompt(struct ids *ids, const struct session *s, struct err *e)
{
    const char *prompt = s->options->prompt;
    if (!s->options->chat) {
        bool had_bos;
        if (example_encode_prompt(ids, &had_bos, s->tokenizer, prompt, strlen(prompt), e))
            return e->code;
        if (had_bos)
            log_warn(
                "--prompt begins with %s, which the tokenizer puts there by itself: it stands there once",
                tokenizer_token(s->tokenizer, tokenizer_bos(s->tokenizer)));
        return ERR_OK;
    }
    return chat_encode_question(ids, s->chat, s->tokenizer, prompt, strlen(prompt), e);
}

/* The answer on its way to stdout. A character may be spread over tokens: ids wait until they end in a whole
 * one. */
struct answer {
    const struct tokenizer *tokenizer;
    int32_t *waiting; /* [max_new_tokens] */
    size_t count;
    struct str text;
    enum err_code code;
    struct err *e;
};

static bool print_waiting(struct answer *a, bool last)
{
    static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD: what an unfinished character decodes to */
    str_clear(&a->text);
    a->code = tokenizer_decode(&a->text, a->tokenizer, a->waiting, a->count, true, a->e);
    if (a->code)
        return false;
    if (!a->text.length || (!last && str_ends_with(a->text.data, replacement)))
        return true;
    a->code = facts_print_text(a->text.data, a->text.length, a->e);
    a->count = 0;
    return !a->code && !fflush(stdout); /* main() reports it */
}

static bool take_token(int32_t token, void *context)
{
    struct answer *a = context;
    a->waiting[a->count++] = token;
    return print_waiting(a, false);
}

/* Ids that end an answer. */
struct stops {
    int32_t id[32];
    size_t count;
};

static void add_stop(struct stops *stops, int64_t id)
{
    if (id >= 0 && id <= INT32_MAX && stops->count < sizeof stops->id / sizeof *stops->id)
        stops->id[stops->count++] = (int32_t)id;
}

/* The tokenizer's, all that the model declares, and in a chat the end of the assistant's turn. */
static void find_stops(struct stops *stops, const struct session *s)
{
    const struct json *declared[] = {s->store.generation_config, s->store.config};
    *stops = (struct stops){0};
    add_stop(stops, tokenizer_eos(s->tokenizer));
    for (size_t i = 0; i < sizeof declared / sizeof *declared; i++) {
        const struct json_value *ids = declared[i] ? json_get(json_root(declared[i]), "eos_token_id") : NULL;
        if (json_kind(ids) == JSON_KIND_INT)
            add_stop(stops, json_int(ids, -1));
        for (size_t k = 0; json_kind(ids) == JSON_KIND_ARRAY && k < json_count(ids); k++)
            add_stop(stops, json_int(json_at(ids, k), -1));
    }
    if (s->options->chat)
        add_stop(stops, chat_turn_end(s->chat));
}

static enum err_code run(struct session *s, const struct ids *prompt, struct err *e)
{
    const struct options *o = s->options;
    struct stops stops;
    size_t tokens = (size_t)tokenizer_vocab_size(s->tokenizer), rows = s->model.arch.vocab;
    find_stops(&stops, s);
    struct generate_options options = {.max_new_tokens = (size_t)o->max_new_tokens,
                                       .temperature = o->temperature,
                                       .top_p = o->top_p,
                                       .seed = (uint64_t)o->seed,
                                       .vocab = tokens < rows ? tokens : rows,
                                       .stop = stops.id,
                                       .stop_count = stops.count};
    size_t limit = s->model.arch.max_positions;
    if (limit && prompt->count + options.max_new_tokens > limit)
        log_warn("prompt (%zu tokens) and answer (up to %zu) may pass the %zu positions that this model was "
                 "made for",
                 prompt->count, options.max_new_tokens, limit);
    struct answer answer = {.tokenizer = s->tokenizer, .e = e};
    answer.waiting = calloc(options.max_new_tokens + 1, sizeof *answer.waiting);
    if (!answer.waiting)
        return err_set(e, ERR_MEMORY, "no memory for an answer of %zu tokens", options.max_new_tokens);
    enum err_code code = generate_run(&s->model, prompt->id, prompt->count, &options, take_token, &answer, e);
    if (!code && !answer.code) {
        print_waiting(&answer, true);
        putchar('\n');
    }
    free(answer.waiting);
    str_release(&answer.text);
    return code ? code : answer.code;
}

enum err_code cmd_generate(const struct options *o, struct dist *d, struct err *e)
{
    struct session s = {0};
    struct ids prompt = {0};
    enum err_code code = session_open(&s, o, d, e);
    if (!code && *o->adapter)
        code = session_load_adapter(&s, o->adapter, e);
    if (!code)
        code = encode_prompt(&prompt, &s, e);
    if (!code && !prompt.count)
        code = err_set(e, ERR_USAGE,
                       "--prompt has no tokens, and this model begins a text with none of its own");
    if (!code)
        code = run(&s, &prompt, e);
    ids_release(&prompt);
    session_close(&s);
    return code;
}
