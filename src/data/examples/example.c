#include "data/examples/example.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conversation.h"
#include "example_keys.h"
#include "fields.h"
#include "io/json.h"
#include "pair.h"

void example_release(struct example *ex)
{
    free(ex->tokens);
    free(ex->supervised);
    *ex = (struct example){0};
}

void example_scratch_release(struct example_scratch *s)
{
    ids_release(&s->ids);
    str_release(&s->line);
    str_release(&s->text);
    str_release(&s->prompt);
    str_release(&s->chosen);
    example_release(&s->rejected);
    chat_renderer_close(s->renderer);
    *s = (struct example_scratch){0};
}

static void clear(struct example *ex)
{
    ex->count = ex->split = ex->shared = ex->supervised_count = ex->whole_count = 0;
    ex->columns = 0;
    ex->truncated = ex->had_bos = ex->unanswered = false;
    ex->notes = 0;
}

/* Appends `count` tokens, all supervised or none. */
static enum err_code append(struct example *ex, const int32_t *tokens, size_t count, bool supervised,
                            struct err *e)
{
    size_t needed = ex->count + count;
    if (needed > ex->capacity) {
        size_t capacity = needed > 2 * ex->capacity ? needed : 2 * ex->capacity;
        int32_t *new_tokens = reallocarray(ex->tokens, capacity, sizeof *new_tokens);
        if (new_tokens)
            ex->tokens = new_tokens;
        uint8_t *new_supervised = realloc(ex->supervised, capacity);
        if (new_supervised)
            ex->supervised = new_supervised;
        if (!new_tokens || !new_supervised)
            return err_set(e, ERR_MEMORY, "not enough memory for an example of %zu tokens", needed);
        ex->capacity = capacity;
    }
    if (count) {
        memcpy(ex->tokens + ex->count, tokens, count * sizeof *tokens);
        memset(ex->supervised + ex->count, supervised, count);
    }
    ex->count = needed;
    return ERR_OK;
}

/* A text that begins with the BOS token's own text needs no second one from the post-processor. */
static bool drop_second_bos(struct ids *ids, const struct tokenizer *t)
{
    int32_t bos = tokenizer_bos(t);
    if (bos < 0 || ids->count < 2 || ids->id[0] != bos || ids->id[1] != bos || ids->start[0] != ids->end[0])
        return false;
    ids->count--;
    memmove(ids->id, ids->id + 1, ids->count * sizeof *ids->id);
    memmove(ids->start, ids->start + 1, ids->count * sizeof *ids->start);
    memmove(ids->end, ids->end + 1, ids->count * sizeof *ids->end);
    return true;
}

enum err_code example_encode_prompt(struct ids *ids, bool *had_bos, const struct tokenizer *t,
                                    const char *text, size_t length, struct err *e)
{
    if (tokenizer_encode_prompt(ids, t, text, length, e))
        return e->code;
    *had_bos = drop_second_bos(ids, t);
    return ERR_OK;
}

static enum err_code append_eos(struct example *ex, const struct tokenizer *t, struct err *e)
{
    int32_t eos = tokenizer_eos(t);
    if (eos < 0)
        return err_set(
            e, ERR_UNSUPPORTED,
            "the model declares no end-of-sequence token, which must end a \"text\" or \"completion\": "
            "set eos_token in tokenizer_config.json, or eos_token_id in config.json (in a GGUF: "
            "tokenizer.ggml.eos_token_id)");
    return append(ex, &eos, 1, true, e);
}

/* EOS, unless the ids that the example ends with have it. */
static enum err_code end_answer(struct example *ex, const struct ids *ids, const struct tokenizer *t, struct err *e)
{
    int32_t eos = tokenizer_eos(t);
    bool ends = eos >= 0 && ids->count > 0 && ids->id[ids->count - 1] == eos;
    return ends ? ERR_OK : append_eos(ex, t, e);
}

/* A prompt without its answer. */
static enum err_code encode_prompt(struct example *ex, struct ids *ids, const struct tokenizer *t, const char *prompt,
                                   struct err *e)
{
    ex->unanswered = true;
    if (!t)
        return ERR_OK;
    return example_encode_prompt(ids, &ex->had_bos, t, prompt, strlen(prompt), e)
               ? e->code
               : append(ex, ids->id, ids->count, false, e);
}

static enum err_code parse_text(struct example *ex, struct example_scratch *s, const struct tokenizer *t,
                                const struct line *l, const struct example_options *options, struct err *e)
{
    const char *text = NULL;
    if (conversation_need_text(&text, l, "text", e))
        return e->code;
    if (!t)
        return ERR_OK;
    if (options->asks)
        return encode_prompt(ex, &s->ids, t, text, e);
    if (tokenizer_encode(&s->ids, t, text, strlen(text), true, e))
        return e->code;
    ex->had_bos = drop_second_bos(&s->ids, t);
    if (append(ex, s->ids.id, s->ids.count, true, e))
        return e->code;
    return append_eos(ex, t, e);
}

static bool is_blank(const char *text)
{
    return !text || !text[strspn(text, " \n\r\t")];
}

/* In scripts that have spaces between words. */
static bool is_glued(const char *prompt, const char *completion)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", ends[] = ".?!,;:";
    const size_t length = strlen(prompt);
    const char *last = prompt + length - (length > 0);
    return *last && *completion && strchr(letters, *completion) && (strchr(letters, *last) || strchr(ends, *last));
}

static enum err_code encode_completion(struct example *ex, struct ids *ids, const struct tokenizer *t,
                                       const char *prompt, const char *completion, struct err *e)
{
    ex->notes |= (unsigned)is_blank(prompt) << NOTE_NO_PROMPT | (unsigned)is_blank(completion) << NOTE_NO_ANSWER;
    if (ex->form == EXAMPLE_COMPLETION)
        ex->notes |= (unsigned)is_glued(prompt, completion) << NOTE_GLUED;
    else
        ex->notes |= 1U << NOTE_JOINED;
    if (!t)
        return ERR_OK;
    if (example_encode_prompt(ids, &ex->had_bos, t, prompt, strlen(prompt), e) ||
        append(ex, ids->id, ids->count, false, e) ||
        tokenizer_encode(ids, t, completion, strlen(completion), false, e) ||
        append(ex, ids->id, ids->count, true, e))
        return e->code;
    return end_answer(ex, ids, t, e);
}

static enum err_code parse_completion(struct example *ex, struct example_scratch *s, const struct tokenizer *t,
                                      const struct line *l, const struct example_options *options, struct err *e)
{
    const char *prompt = NULL, *completion = NULL;
    if (conversation_need_text(&prompt, l, "prompt", e))
        return e->code;
    if (options->asks && json_is_absent(line_get(l, l->answer)))
        return encode_prompt(ex, &s->ids, t, prompt, e);
    if (conversation_need_text(&completion, l, l->answer, e))
        return e->code;
    return encode_completion(ex, &s->ids, t, prompt, completion, e);
}

static bool wants_turn(const struct chat_turn *turn, const struct conversation *c,
                       const struct example_options *options)
{
    if (options->asks)
        return turn->message == json_count(c->messages) - 1;
    return turn->message == SIZE_MAX || conversation_trains(c, options->train_on, turn->message);
}

/* Which tokens lie wholly inside a turn that is trained. */
static enum err_code mark_turns(struct example *ex, const struct ids *ids, const struct chat_text *text,
                                const struct conversation *c, const struct example_options *options, struct err *e)
{
    for (size_t k = 0, i = 0; k < text->turn_count; k++) {
        const struct chat_turn *turn = &text->turns[k];
        if (turn->message == SIZE_MAX && !options->asks && conversation_selects(c, options->train_on))
            return err_set(e, ERR_DATA,
                           "the chat template marks what is to be trained outside of its messages, so that no "
                           "message can be left out");
        if (!wants_turn(turn, c, options))
            continue;
        while (i < ex->count && ids->start[i] < turn->start)
            i++;
        for (; i < ex->count && ids->end[i] <= turn->end; i++)
            ex->supervised[i] = ids->start[i] < ids->end[i];
    }
    return ERR_OK;
}

/* What the template passes over of a message. */
static unsigned find_lost_of(const struct json_value *message, size_t number, bool is_last,
                             const struct chat_text *text)
{
    static const char bare_part[] = "[{'type': 'text', 'text': ";
    static const char *const reasoning[] = {"reasoning_content", "reasoning", "thinking"};
    const char *role = json_text(json_get(message, "role"));
    const struct json_value *content = json_get(message, "content");
    const bool system = !strcmp(role, "system") || !strcmp(role, "developer");
    unsigned notes = 0;
    if (!is_blank(json_text(content)) && !chat_text_shows(text, number, CHAT_CONTENT))
        notes |= 1U << (system ? NOTE_LOST_SYSTEM : NOTE_LOST_CONTENT);
    if (json_kind(content) == JSON_KIND_ARRAY &&
        memmem(text->output.bytes, text->output.length, bare_part, sizeof bare_part - 1))
        notes |= 1U << NOTE_BARE_PARTS;
    if (json_count(json_get(message, "tool_calls")) && !chat_text_shows(text, number, CHAT_OTHER))
        notes |= 1U << NOTE_LOST_CALLS;
    for (size_t i = 0; i < sizeof reasoning / sizeof *reasoning && is_last; i++)
        if (!is_blank(json_text(json_get(message, reasoning[i]))) && !chat_text_shows(text, number, CHAT_REASONING))
            notes |= 1U << NOTE_LOST_REASONING;
    return notes;
}

/* What it passes over of the conversation. */
static unsigned find_lost(const struct conversation *c, const struct chat_template *template,
                          const struct chat_text *text)
{
    const size_t count = json_count(c->messages);
    unsigned notes = 0;
    for (size_t i = 0; i < count; i++)
        notes |= find_lost_of(json_at(c->messages, i), i, i + 1 == count, text);
    if (c->tools && !chat_template_mentions(template, "tools"))
        notes |= 1U << NOTE_LOST_TOOLS;
    if (c->documents && !chat_template_mentions(template, "documents"))
        notes |= 1U << NOTE_LOST_DOCUMENTS;
    return notes;
}

/* The text before the first message that answers the prompt. */
static enum err_code keep_prompt(struct str *prompt, const struct chat_text *text, const struct conversation *c,
                                 struct err *e)
{
    size_t k = 0;
    while (k < text->turn_count && text->turns[k].message < c->first)
        k++;
    str_clear(prompt);
    return k < text->turn_count ? str_append(prompt, text->output.bytes, text->turns[k].start, e) : ERR_OK;
}

static enum err_code encode_conversation(struct example *ex, struct example_scratch *s, const struct tokenizer *t,
                                         const struct conversation *c, const struct example_options *options,
                                         struct err *e)
{
    const struct chat_template *template = NULL;
    struct chat_text text = {0};
    ex->unanswered = options->asks && !conversation_is_answered(c);
    if (chat_template_of(&template, options->chat, c->tools != NULL, e) ||
        (!s->renderer && chat_renderer_open(&s->renderer, e)) ||
        chat_template_render(&text, s->renderer, template, c->messages, c->tools, c->documents, ex->unanswered, e) ||
        tokenizer_encode(&s->ids, t, text.output.bytes, text.output.length, false, e) ||
        append(ex, s->ids.id, s->ids.count, false, e) ||
        (options->pairs != PAIRS_REFUSED && keep_prompt(&s->prompt, &text, c, e)))
        return e->code;
    ex->notes |= find_lost(c, template, &text);
    return mark_turns(ex, &s->ids, &text, c, options, e);
}

/* Messages that say nothing, where there is something to ask or to learn. */
static unsigned find_blank(const struct conversation *c, const struct example_options *options)
{
    static const char *const others[] = {"tool_calls", "reasoning_content", "reasoning", "thinking"};
    unsigned notes = 0;
    for (size_t i = 0; i < json_count(c->messages); i++) {
        const struct json_value *message = json_at(c->messages, i), *content = json_get(message, "content");
        const char *role = json_text(json_get(message, "role"));
        bool blank = json_kind(content) == JSON_KIND_ARRAY ? !json_count(content) : is_blank(json_text(content));
        for (size_t k = 0; k < sizeof others / sizeof *others; k++)
            blank = blank && json_is_absent(json_get(message, others[k]));
        if (blank && !strcmp(role, "user"))
            notes |= 1U << NOTE_NO_PROMPT;
        if (blank && !strcmp(role, "assistant") && conversation_trains(c, options->train_on, i))
            notes |= 1U << NOTE_NO_ANSWER;
    }
    return notes;
}

static enum err_code parse_conversation(struct example *ex, struct example_scratch *s, const struct tokenizer *t,
                                        const struct line *l, const struct example_options *options,
                                        struct err *e)
{
    struct conversation c;
    enum err_code code = conversation_read(&c, &s->text, l, ex->form, e);
    if (!code)
        ex->notes |= find_blank(&c, options);
    if (!code && t)
        code = encode_conversation(ex, s, t, &c, options, e);
    const bool teaches = options->asks || options->train_on == TRAIN_ON_ALL || !ex->count ||
                         memchr(ex->supervised, 1, ex->count) || conversation_has_assistant(&c);
    if (!code && !teaches)
        code = err_set(e, ERR_DATA,
                       "no supervised token: no message has the role \"assistant\"; that of the last is \"%.32s\"",
                       json_text(json_get(json_at(c.messages, json_count(c.messages) - 1), "role")));
    conversation_release(&c);
    return code;
}

/* Without a chat template there is no place for a system message or earlier turns. */
static enum err_code parse_alpaca(struct example *ex, struct example_scratch *s, const struct tokenizer *t,
                                  const struct line *l, const struct example_options *options, struct err *e)
{
    static const char *const turns[] = {"system", "history"};
    const char *output = NULL;
    if (!t || chat_exists(options->chat))
        return parse_conversation(ex, s, t, l, options, e);
    for (size_t i = 0; i < sizeof turns / sizeof *turns; i++) {
        const struct json_value *v = line_get(l, turns[i]);
        const char *text = json_text(v);
        if (!json_is_absent(v) && (text ? *text != '\0' : json_kind(v) != JSON_KIND_ARRAY || json_count(v)))
            return err_set(e, ERR_DATA,
                           "has \"%s\", which needs a chat template, and this model has none (--chat-template FILE)",
                           turns[i]);
    }
    str_clear(&s->text);
    if (form_join_alpaca(&s->text, l, e))
        return e->code;
    if (options->asks && json_is_absent(line_get(l, "output")))
        return encode_prompt(ex, &s->ids, t, s->text.data, e);
    if (conversation_need_text(&output, l, "output", e))
        return e->code;
    return encode_completion(ex, &s->ids, t, s->text.data, output, e);
}

static unsigned find_notes(const struct example *ex, const struct tokenizer *t, const struct example_options *options)
{
    const int32_t bos = tokenizer_bos(t), eos = tokenizer_eos(t);
    const int32_t turn_end = options->chat ? chat_turn_end(options->chat) : -1;
    const size_t last = ex->count - 1;
    unsigned notes = 1U << NOTE_UNENDED;
    for (size_t i = 0; i < ex->count; i++)
        if (ex->supervised[i] && ex->tokens[i] >= 0 && (ex->tokens[i] == eos || ex->tokens[i] == turn_end))
            notes = 0;
    if (ex->count > 1 && bos >= 0 && ex->tokens[0] == bos && ex->tokens[1] == bos)
        notes |= 1U << NOTE_DOUBLED_BOS;
    if (ex->truncated && ex->supervised[last] && ex->tokens[last] != eos && ex->tokens[last] != turn_end)
        notes |= 1U << NOTE_CUT_ANSWER;
    /* A prompt of one token leaves all the others to the completion. */
    const bool is_whole = ex->form != EXAMPLE_TEXT && ex->form != EXAMPLE_COMPLETION;
    if (ex->supervised_count == last && is_whole && options->train_on != TRAIN_ON_ALL &&
        !(ex->notes >> NOTE_NO_PROMPT & 1))
        notes |= 1U << NOTE_FULL;
    return notes;
}

/* An answer that is a string, and begins with its prompt if there is none. */
static enum err_code parse_side(struct example *ex, struct example_scratch *s, const struct tokenizer *t,
                                const struct line *l, const struct example_options *options, struct err *e)
{
    const char *text = NULL;
    if (!json_is_absent(line_get(l, "prompt")))
        return parse_completion(ex, s, t, l, options, e);
    if (conversation_need_text(&text, l, l->answer, e))
        return e->code;
    if (!t)
        return ERR_OK;
    if (example_encode_prompt(&s->ids, &ex->had_bos, t, text, strlen(text), e) ||
        append(ex, s->ids.id, s->ids.count, false, e))
        return e->code;
    return end_answer(ex, &s->ids, t, e);
}

/* Appends the rejected side to the chosen one, without what they share. */
static enum err_code join_pair(struct example *ex, struct example_scratch *s, const struct tokenizer *t,
                               const struct line *l, const struct example_options *options, struct err *e)
{
    struct example *rejected = &s->rejected;
    const char *text = json_text(line_get(l, pair_keys[1]));
    if (ex->form == EXAMPLE_COMPLETION && json_is_absent(line_get(l, "prompt")) &&
        pair_mark_answers(ex, rejected, &s->ids, text, tokenizer_bos(t), e))
        return e->code;
    if (pair_cut(ex, rejected, tokenizer_bos(t), options, e))
        return e->code;
    ex->notes |= find_notes(ex, t, options) | rejected->notes | find_notes(rejected, t, options);
    ex->notes &= ~(1U << NOTE_CUT_ANSWER); /* the prompt was cut */
    ex->had_bos |= rejected->had_bos;
    ex->split = ex->count;
    ex->shared = options->shares ? pair_count_shared(ex, rejected, options->short_positions) : 0;
    const size_t own = rejected->count - ex->shared;
    if (append(ex, rejected->tokens + ex->shared, own, false, e))
        return e->code;
    memcpy(ex->supervised + ex->split, rejected->supervised + ex->shared, own);
    ex->supervised_count += rejected->supervised_count;
    return ERR_OK;
}

static void swap(struct str *a, struct str *b)
{
    const struct str kept = *a;
    *a = *b;
    *b = kept;
}

static enum err_code parse_pair(struct example *ex, struct example_scratch *s, const struct tokenizer *t,
                                const struct line *l, const struct example_options *options, struct err *e)
{
    const enum example_form form = ex->form;
    struct example *const sides[] = {ex, &s->rejected};
    size_t shared = 0;
    clear(&s->rejected);
    if (pair_check(&shared, l, form, e))
        return e->code;
    for (size_t k = 0; k < 2; k++) {
        struct line side = *l;
        side.answer = pair_keys[k];
        side.shared = shared;
        sides[k]->form = form == EXAMPLE_PREFERENCE ? EXAMPLE_COMPLETION : EXAMPLE_PROMPT_MESSAGES;
        if (form == EXAMPLE_PREFERENCE ? parse_side(sides[k], s, t, &side, options, e)
                                       : parse_conversation(sides[k], s, t, &side, options, e))
            return e->code;
        if (sides[k]->notes >> NOTE_NO_ANSWER & 1)
            return pair_refuse_empty(k, e);
        if (k == 0)
            swap(&s->chosen, &s->prompt);
    }
    if (t && form == EXAMPLE_PREFERENCE_MESSAGES && pair_check_prompts(&s->chosen, &s->prompt, e))
        return e->code;
    if (t && join_pair(ex, s, t, l, options, e))
        return e->code;
    ex->form = form;
    return ERR_OK;
}

static const struct {
    const char *name;
    enum err_code (*parse)(struct example *, struct example_scratch *, const struct tokenizer *,
                           const struct line *, const struct example_options *, struct err *);
    bool talks;
} forms[] = {
    [EXAMPLE_TEXT] = {"text", parse_text, false},
    [EXAMPLE_COMPLETION] = {"completion", parse_completion, false},
    [EXAMPLE_MESSAGES] = {"messages", parse_conversation, true},
    [EXAMPLE_PROMPT_MESSAGES] = {"prompt_messages", parse_conversation, true},
    [EXAMPLE_ALPACA] = {"alpaca", parse_alpaca, true},
    [EXAMPLE_SHAREGPT] = {"sharegpt", parse_conversation, true},
    [EXAMPLE_PREFERENCE] = {"preference", parse_pair, false},
    [EXAMPLE_PREFERENCE_MESSAGES] = {"preference_messages", parse_pair, true},
};

const char *example_form_name(enum example_form form)
{
    return forms[form].name;
}

bool example_form_talks(enum example_form form)
{
    return forms[form].talks;
}

/* Cuts, lays down what is supervised, and counts it. */
static enum err_code finish(struct example *ex, const struct tokenizer *t, const struct example_options *options,
                            struct err *e)
{
    const bool teaches = options->train_on == TRAIN_ON_ALL || (ex->count && memchr(ex->supervised, 1, ex->count));
    ex->whole_count = ex->count;
    ex->truncated = ex->count > options->max_length;
    if (ex->truncated)
        ex->count = options->max_length;
    if (options->train_on == TRAIN_ON_ALL && ex->count)
        memset(ex->supervised, 1, ex->count);
    if (ex->count)
        ex->supervised[0] = 0; /* nothing stands before it to predict it from */
    for (size_t i = 0; i < ex->count; i++)
        ex->supervised_count += ex->supervised[i];
    if (ex->supervised_count) {
        ex->notes |= find_notes(ex, t, options);
        return ERR_OK;
    }
    if (ex->unanswered && ex->count)
        return ERR_OK;
    if (ex->truncated && teaches)
        return err_set(e, ERR_DATA,
                       "of %zu tokens, --max-length %zu cuts off all that is supervised: --max-length %zu keeps them "
                       "all, --skip-bad-lines leaves the line out",
                       ex->whole_count, options->max_length, ex->whole_count);
    return err_set(e, ERR_DATA, "no supervised token: nothing in this line could be learnt");
}

static void note_positions(struct example *ex, const struct example_options *options)
{
    const size_t rest = ex->shared + ex->count - ex->split, longer = ex->split > rest ? ex->split : rest;
    ex->notes |= (unsigned)(options->positions && longer > options->positions) << NOTE_BEYOND;
}

enum err_code example_parse(struct example *ex, struct example_scratch *scratch, const struct tokenizer *t,
                            const char *line, size_t length, const struct example_options *options,
                            struct err *e)
{
    struct json *doc;
    clear(ex);
    size_t valid = str_utf8_valid_prefix(line, length);
    if (valid < length)
        return err_set(e, ERR_DATA,
                       "byte %zu of the line is not valid UTF-8; of another encoding, Latin-1 say, iconv -f LATIN1 -t "
                       "UTF-8 FILE > NEW makes it",
                       valid + 1);
    size_t first = 0;
    while (first < length && (line[first] == ' ' || line[first] == '\t'))
        first++;
    if (first < length && line[first] == '[')
        return err_set(e, ERR_DATA,
                       "a line must hold one JSON object, but this starts an array: jq -c '.[]' FILE writes "
                       "one element per line");
    if (line_open_json(&doc, line, length, e))
        return e->code;
    struct json *lists = NULL;
    struct line l = {.root = json_root(doc),
                     .columns = options->columns,
                     .asks = options->asks,
                     .pairs = options->pairs != PAIRS_REFUSED,
                     .only_pairs = options->pairs == PAIRS_ALONE,
                     .answer = "completion"};
    enum err_code code = ERR_OK;
    if (json_kind(l.root) != JSON_KIND_OBJECT)
        code = err_set(e, ERR_DATA, "a line must hold one JSON object, not %s", json_kind_name(l.root));
    if (!code)
        code = line_check_columns(&l, &ex->columns, e);
    if (!code && l.pairs)
        code = pair_write_lists(&lists, &scratch->text, &l, e);
    l.instead = lists ? json_root(lists) : NULL;
    if (!code)
        code = fields_find_form(&ex->form, &l, e);
    if (!code)
        code = example_check_line_keys(&l, ex->form, e);
    if (!code)
        code = forms[ex->form].parse(ex, scratch, t, &l, options, e);
    if (!code && t && !ex->split)
        code = finish(ex, t, options, e);
    if (!code)
        note_positions(ex, options);
    json_close(lists);
    json_close(doc);
    return code;
}
