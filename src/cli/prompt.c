#include "cli/prompt.h"

#include <string.h>

#include "base/log.h"
#include "data/examples/example.h"

enum err_code prompt_check_options(const struct options *o, const char *also, struct err *e)
{
    const bool prompt = options_given(o, "prompt");
    if (!prompt && !o->data.count)
        return err_set(e, ERR_USAGE, "give --prompt TEXT, or --data FILE%s", also);
    if (prompt && o->data.count)
        return err_set(e, ERR_USAGE, "--prompt and --data are two things to answer: give one of them");
    if (o->data.count && o->chat)
        return err_set(e, ERR_USAGE, "--chat is for --prompt: data that is to go through the chat template has "
                                     "\"messages\"");
    return ERR_OK;
}

static enum err_code encode(struct ids *ids, const struct session *s, struct err *e)
{
    const char *prompt = s->options->prompt;
    if (!s->options->chat) {
        bool had_bos;
        if (example_encode_prompt(ids, &had_bos, s->tokenizer, prompt, strlen(prompt), e))
            return e->code;
        if (had_bos)
            log_warn("--prompt begins with %s, which the tokenizer adds anyway: it is used only once",
                     tokenizer_token(s->tokenizer, tokenizer_bos(s->tokenizer)));
        return ERR_OK;
    }
    return chat_encode_question(ids, s->chat, s->tokenizer, prompt, strlen(prompt), e);
}

enum err_code prompt_encode(struct ids *ids, const struct session *s, struct err *e)
{
    const size_t limit = s->model.arch.max_positions, answer = (size_t)s->options->max_new_tokens;
    if (encode(ids, s, e))
        return e->code;
    if (!ids->count)
        return err_set(e, ERR_USAGE, "--prompt has no tokens, and this model adds none at the start of a text");
    if (limit && ids->count + answer > limit)
        log_warn("prompt (%zu tokens) and answer (up to %zu) may pass the %zu positions that this model was made for",
                 ids->count, answer, limit);
    return ERR_OK;
}

void prompt_warn_of_positions(const struct session *s, const struct dataset *data)
{
    const size_t limit = s->model.arch.max_positions, answer = (size_t)s->options->max_new_tokens;
    size_t count = 0, longest = 0;
    for (size_t i = 0; limit && i < data->count; i++) {
        const size_t prompt = data->entries[i].tokens - data->entries[i].supervised;
        count += prompt + answer > limit;
        longest = prompt > longest ? prompt : longest;
    }
    if (count)
        log_warn("%zu of %zu prompts (the longest: %zu tokens) may with their answers (up to %zu) pass the %zu "
                 "positions that this model was made for",
                 count, data->count, longest, answer, limit);
}
