#include "pair.h"

#include <stdio.h>
#include <string.h>

#include "base/mark.h"
#include "fields.h"

const char *const pair_keys[2] = {"chosen", "rejected"};

/* ---- the line ---- */

static enum err_code refuse_same(struct err *e)
{
    return err_set(e, ERR_DATA, "\"chosen\" and \"rejected\" are the same: there is nothing to prefer");
}

enum err_code pair_refuse_empty(size_t side, struct err *e)
{
    return err_set(e, ERR_DATA, "\"%s\" has no answer: a pair needs two", pair_keys[side]);
}

enum { COLUMNS_SHOWN = 512 };

/* The option that leaves the prompt out, beside what --columns says already. */
static const char *without_prompt(char columns[COLUMNS_SHOWN], const struct line *l)
{
    columns_add(columns, COLUMNS_SHOWN, l->columns, "unused=prompt");
    return columns;
}

/* All strings, or all lists; a prompt may be left out. */
static enum err_code check_kinds(const struct line *l, enum json_kind kind, struct err *e)
{
    const bool lists = kind == JSON_KIND_ARRAY;
    const struct json_value *prompt = line_get(l, "prompt");
    for (size_t k = 0; k < 2; k++)
        if (json_kind(line_get(l, pair_keys[k])) != kind)
            return err_set(e, ERR_DATA, "\"%s\" must be %s, not %s", pair_keys[k],
                           lists ? "a list of messages, as \"chosen\" is"
                                 : "a string (or both answers lists of messages)",
                           json_kind_name(line_get(l, pair_keys[k])));
    if (json_is_absent(prompt) || json_kind(prompt) == kind)
        return ERR_OK;
    if (!lists)
        return err_set(e, ERR_DATA, "\"prompt\" must be a string, as the answers are, not %s", json_kind_name(prompt));
    const char *role = json_text(json_get(json_at(line_get(l, pair_keys[0]), 0), "role"));
    if (role && !strcmp(role, "assistant") && json_kind(prompt) == JSON_KIND_STRING)
        return err_set(e, ERR_DATA, "\"prompt\" must be a list of messages, as the answers are, not a string: jq -c "
                                    "'.prompt = [{role: \"user\", content: .prompt}]' FILE > NEW makes one of it");
    return err_set(e, ERR_DATA, "\"prompt\" must be a list of messages, as the answers are, not %s (--columns %s "
                                "leaves it out, if the answers begin with it)",
                   json_kind_name(prompt), without_prompt((char[COLUMNS_SHOWN]){0}, l));
}

/* An answer may well be the greeting that it answers, with more after it, and not a whole question. */
static bool is_greeting(const char *prompt)
{
    return strlen(prompt) < 16 && !strpbrk(prompt, ":\n");
}

static enum err_code check_prompt(const struct line *l, const char *const answers[2], struct err *e)
{
    const char *prompt = json_text(line_get(l, "prompt"));
    if (is_greeting(prompt) || !str_starts_with(answers[0], prompt) || !str_starts_with(answers[1], prompt))
        return ERR_OK;
    return err_set(e, ERR_DATA, "\"chosen\" and \"rejected\" begin with the text of \"prompt\", which would be in each "
                                "side twice: --columns %s leaves that out, and what both begin with is the prompt",
                   without_prompt((char[COLUMNS_SHOWN]){0}, l));
}

static enum err_code refuse_question(const struct line *l, const char *question, struct err *e)
{
    char more[64], columns[COLUMNS_SHOWN];
    snprintf(more, sizeof more, "prompt=%s", question);
    columns_add(columns, sizeof columns, l->columns, more);
    return err_set(e, ERR_DATA, "has no \"prompt\": --columns %s reads it so", columns);
}

static bool is_inside_character(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

static size_t shorter_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The bytes of the characters that begin both texts. */
static size_t count_characters(const char *a, size_t a_length, const char *b, size_t b_length)
{
    const size_t shorter = shorter_of(a_length, b_length);
    size_t same = 0;
    while (same < shorter && a[same] == b[same])
        same++;
    while (same && same < shorter && (is_inside_character(a[same]) || is_inside_character(b[same])))
        same--;
    return same;
}

static enum err_code check_texts(const struct line *l, struct err *e)
{
    const char *const answers[] = {json_text(line_get(l, pair_keys[0])), json_text(line_get(l, pair_keys[1]))};
    if (!strcmp(answers[0], answers[1]))
        return refuse_same(e);
    if (!json_is_absent(line_get(l, "prompt")))
        return check_prompt(l, answers, e);
    const char *question = fields_find_question(l);
    if (question)
        return refuse_question(l, question, e);
    if (!count_characters(answers[0], strlen(answers[0]), answers[1], strlen(answers[1])))
        return err_set(e, ERR_DATA, "has no \"prompt\", and \"chosen\" and \"rejected\" do not begin with the same "
                                    "text");
    for (size_t k = 0; k < 2; k++)
        if (str_starts_with(answers[1 - k], answers[k]))
            return pair_refuse_empty(k, e);
    return ERR_OK;
}

static enum err_code is_equal(bool *equal, const struct json_value *a, const struct json_value *b, struct err *e)
{
    struct str x = {0}, y = {0};
    enum err_code code = json_append_canonical(&x, a, NULL, e);
    if (!code)
        code = json_append_canonical(&y, b, NULL, e);
    *equal = !code && x.length == y.length && !memcmp(x.data, y.data, x.length);
    str_release(&x);
    str_release(&y);
    return code;
}

static enum err_code count_equal(size_t *count, const struct json_value *a, const struct json_value *b, struct err *e)
{
    bool equal = true;
    enum err_code code = ERR_OK;
    for (*count = 0; !code && equal && *count < json_count(a) && *count < json_count(b); *count += equal)
        code = is_equal(&equal, json_at(a, *count), json_at(b, *count), e);
    return code;
}

/* Where the two conversations part, both must answer. */
static enum err_code check_parting(const struct json_value *const answers[2], size_t shared, struct err *e)
{
    if (!shared)
        return err_set(e, ERR_DATA, "has no \"prompt\", and \"chosen\" and \"rejected\" do not begin with the same "
                                    "message");
    for (size_t k = 0; k < 2; k++) {
        const char *role = json_text(json_get(json_at(answers[k], shared), "role"));
        if (role && strcmp(role, "assistant") != 0)
            return err_set(e, ERR_DATA, "\"chosen\" and \"rejected\" answer different prompts: \"%s\"[%zu], where they "
                                        "part, is of the role \"%.*s\"",
                           pair_keys[k], shared, str_utf8_cut(role, 64), role);
    }
    return ERR_OK;
}

/* The messages of the prompt are in one place, before the answers or at the beginning of both. */
static enum err_code check_repeated(const struct line *l, const struct json_value *const answers[2], struct err *e)
{
    const struct json_value *prompt = line_get(l, "prompt");
    size_t repeated[2] = {0};
    const size_t all = json_count(prompt);
    for (size_t k = 0; k < 2 && all; k++)
        if (count_equal(&repeated[k], prompt, answers[k], e))
            return e->code;
    for (size_t k = 0; k < 2 && all; k++) {
        if (repeated[k] == all && repeated[1 - k] == all)
            return err_set(e, ERR_DATA, "\"%s\" begins with the messages of \"prompt\": --columns %s leaves that out",
                           pair_keys[k], without_prompt((char[COLUMNS_SHOWN]){0}, l));
        if (repeated[k] == all)
            return err_set(e, ERR_DATA, "\"%s\" begins with the messages of \"prompt\", and the other answer does not: "
                                        "take them out of it",
                           pair_keys[k]);
    }
    return ERR_OK;
}

static enum err_code check_lists(size_t *shared, const struct line *l, struct err *e)
{
    const struct json_value *prompt = line_get(l, "prompt");
    const struct json_value *const answers[] = {line_get(l, pair_keys[0]), line_get(l, pair_keys[1])};
    size_t same = 0;
    if (count_equal(&same, answers[0], answers[1], e))
        return e->code;
    if (same == json_count(answers[0]) && same == json_count(answers[1]))
        return refuse_same(e);
    for (size_t k = 0; k < 2; k++)
        if (same == json_count(answers[k]))
            return pair_refuse_empty(k, e);
    *shared = json_is_absent(prompt) ? same : 0;
    return json_is_absent(prompt) ? check_parting(answers, same, e) : check_repeated(l, answers, e);
}

enum err_code pair_check(size_t *shared, const struct line *l, enum example_form form, struct err *e)
{
    *shared = 0;
    const enum json_kind kind = form == EXAMPLE_PREFERENCE ? JSON_KIND_STRING : JSON_KIND_ARRAY;
    if (check_kinds(l, kind, e))
        return e->code;
    return form == EXAMPLE_PREFERENCE ? check_texts(l, e) : check_lists(shared, l, e);
}

enum { PROMPT_SHOWN = 40 };

enum err_code pair_check_prompts(const struct str *chosen, const struct str *rejected, struct err *e)
{
    const size_t same = count_characters(chosen->data, chosen->length, rejected->data, rejected->length);
    if (same == shorter_of(chosen->length, rejected->length))
        return ERR_OK;
    const char *one = chosen->data + same, *other = rejected->data + same;
    return err_set(e, ERR_DATA, "the chat template prints another prompt before \"chosen\" than before \"rejected\": "
                                "from byte %zu on \"%.*s\" and \"%.*s\" (--skip-bad-lines leaves the line out)",
                   same, str_utf8_cut(one, PROMPT_SHOWN), one, str_utf8_cut(other, PROMPT_SHOWN), other);
}

/* ---- the tokens ---- */

/* Does a character begin with token i? Those of a byte each that are in it may all have its range. */
static bool begins_character(const struct ids *ids, const char *text, size_t i)
{
    return i == ids->count || (!is_inside_character(text[ids->start[i]]) && ids->start[i] >= ids->end[i - 1]);
}

static void mark_from(struct example *side, size_t first)
{
    if (side->count > first)
        memset(side->supervised + first, 1, side->count - first);
}

enum err_code pair_mark_answers(struct example *chosen, struct example *rejected, const struct ids *ids,
                                const char *text, int32_t bos, struct err *e)
{
    size_t same = 0;
    while (same < chosen->count && same < rejected->count && same < ids->count &&
           chosen->tokens[same] == rejected->tokens[same])
        same++;
    while (same && !begins_character(ids, text, same))
        same--;
    if (same <= (size_t)(rejected->tokens[0] == bos))
        return err_set(e, ERR_DATA, "has no \"prompt\", and \"chosen\" and \"rejected\" do not begin with the same "
                                    "token: write what both answer as \"prompt\"");
    mark_from(chosen, same);
    mark_from(rejected, same);
    return ERR_OK;
}

/* The number of tokens before the first that is supervised; all if none is. */
static size_t count_prompt(const struct example *side)
{
    const uint8_t *first = side->count > 1 ? memchr(side->supervised + 1, 1, side->count - 1) : NULL;
    return first ? (size_t)(first - side->supervised) : side->count;
}

static void cut(struct example *side, size_t from, size_t count)
{
    side->count -= count;
    memmove(side->tokens + from, side->tokens + from + count, (side->count - from) * sizeof *side->tokens);
    memmove(side->supervised + from, side->supervised + from + count, side->count - from);
}

static void mark_likelihood(struct example *chosen)
{
    for (size_t i = 0; i < chosen->count; i++)
        if (chosen->supervised[i] == MARK_NONE)
            chosen->supervised[i] = MARK_LIKELIHOOD;
}

enum err_code pair_cut(struct example *chosen, struct example *rejected, int32_t bos,
                       const struct example_options *options, struct err *e)
{
    struct example *const sides[] = {chosen, rejected};
    const size_t max_length = options->max_length;
    const size_t longer = chosen->count > rejected->count ? chosen->count : rejected->count;
    size_t prompt = longer;
    if (chosen->count == rejected->count && !memcmp(chosen->tokens, rejected->tokens, longer * sizeof *chosen->tokens))
        return err_set(e, ERR_DATA, "\"chosen\" and \"rejected\" become the same tokens: there is nothing to prefer");
    chosen->whole_count = longer;
    if (chosen->supervised[0] || rejected->supervised[0])
        return err_set(e, ERR_DATA, "the prompt has no token, and this tokenizer puts none before a text: the first "
                                    "token of the answers could not be compared");
    for (size_t k = 0; k < 2; k++) {
        const size_t own = count_prompt(sides[k]);
        if (own == sides[k]->count)
            return err_set(e, ERR_DATA, "\"%s\": no supervised token: nothing in this answer could be learnt",
                           pair_keys[k]);
        prompt = own < prompt ? own : prompt;
    }
    const size_t excess = longer > max_length ? longer - max_length : 0;
    if (excess >= prompt)
        return err_set(e, ERR_DATA,
                       "of %zu tokens, --max-length %zu leaves nothing of the prompt of %zu: --max-length %zu keeps "
                       "them all, --skip-bad-lines leaves the line out",
                       longer, max_length, prompt, longer);
    for (size_t k = 0; k < 2; k++) {
        struct example *side = sides[k];
        if (excess)
            cut(side, side->tokens[0] == bos ? 1 : 0, excess);
        if (k == 0 && options->train_on == TRAIN_ON_ALL)
            mark_likelihood(side);
        side->truncated = excess > 0;
        side->supervised[0] = MARK_NONE; /* of --train-on all */
        side->supervised_count = 0;
        for (size_t i = 0; i < side->count; i++)
            side->supervised_count += side->supervised[i] != MARK_NONE;
    }
    return ERR_OK;
}

size_t pair_count_shared(const struct example *chosen, const struct example *rejected, size_t short_positions)
{
    size_t shared = 0;
    if (short_positions && (chosen->count > short_positions) != (rejected->count > short_positions))
        return 0;
    while (shared + 1 < chosen->count && rejected->supervised[shared] == MARK_NONE &&
           chosen->tokens[shared] == rejected->tokens[shared])
        shared++;
    return shared;
}
