#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/facts.h"
#include "cli/prompt.h"
#include "model/generate.h"
#include "train/answers.h"
#include "train/question.h"
#include "train/session.h"

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

static enum err_code run(struct session *s, const struct ids *prompt, struct err *e)
{
    const struct options *o = s->options;
    struct question_stops stops;
    size_t tokens = (size_t)tokenizer_vocab_size(s->tokenizer), rows = s->model.arch.vocab;
    question_find_stops(&stops, s, o->chat);
    struct generate_options options = {.max_new_tokens = (size_t)o->max_new_tokens,
                                       .temperature = o->temperature,
                                       .top_p = o->top_p,
                                       .seed = (uint64_t)o->seed,
                                       .vocab = tokens < rows ? tokens : rows,
                                       .stop = stops.id,
                                       .stop_count = stops.count};
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

/* The answer of each of several adapters, under its name. */
static enum err_code run_each(struct session *s, const struct ids *prompt, struct err *e)
{
    const struct opt_list *adapters = &s->options->adapter;
    struct str name = {0};
    enum err_code code = session_check_adapters(s, NULL, e);
    for (size_t i = 0; !code && i < adapters->count; i++) {
        str_clear(&name);
        code = session_use_adapter(s, i, e);
        if (!code)
            code = str_append_visible(&name, adapters->items[i], strlen(adapters->items[i]), "", e);
        if (!code)
            printf("%s--- %s\n", i ? "\n" : "", name.data);
        if (!code)
            code = run(s, prompt, e);
    }
    str_release(&name);
    return code;
}

static enum err_code answer_prompt(struct session *s, struct err *e)
{
    struct ids prompt = {0};
    enum err_code code = prompt_encode(&prompt, s, e);
    if (!code)
        code = s->options->adapter.count > 1 ? run_each(s, &prompt, e) : run(s, &prompt, e);
    ids_release(&prompt);
    return code;
}

static void add_result(struct facts *f, const void *results, size_t i)
{
    const struct answers_result *r = (const struct answers_result *)results + i;
    facts_int(f, "examples", r->examples);
    facts_int(f, "expected", r->expected);
    facts_int(f, "exact", r->exact);
    if (r->expected)
        facts_real(f, "exact_match", (double)r->exact / (double)r->expected);
}

static enum err_code answer_data(struct session *s, struct err *e)
{
    const struct options *o = s->options;
    struct dataset data = {0};
    struct answers_result *results = NULL;
    if (session_open_prompts(s, &data, &o->data, e))
        return e->code;
    prompt_warn_of_positions(s, &data);
    session_compare_prompts(s, &data);
    enum err_code code = answers_run(&results, s, &data, o->output, e);
    dataset_close(&data);
    if (!code && s->dist->rank == 0)
        code = facts_print_each(&o->adapter, o->json, add_result, results, e);
    free(results);
    return code;
}

static enum err_code check_options(const struct options *o, struct err *e)
{
    if (prompt_check_options(o, " with --output FILE.jsonl", e))
        return e->code;
    if (!o->data.count && (*o->output || o->json))
        return err_set(e, ERR_USAGE, "%s is for the answers to --data; that to --prompt is printed",
                       *o->output ? "--output" : "--json");
    return o->data.count ? answers_check_output(o->output, e) : ERR_OK;
}

enum err_code cmd_generate(const struct options *o, struct dist *d, struct err *e)
{
    struct session s = {0};
    enum err_code code = dist_agree(d, check_options(o, e), e);
    if (!code)
        code = session_open(&s, o, d, e);
    if (code)
        return code;
    if (o->adapter.count == 1)
        code = session_use_adapter(&s, 0, e);
    if (!code)
        code = o->data.count ? answer_data(&s, e) : answer_prompt(&s, e);
    session_close(&s);
    return code;
}
