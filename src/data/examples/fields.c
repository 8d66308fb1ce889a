#include "fields.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    NAMES_SHOWN = 8,
    NAME_BYTES = 40 /* of a name that is shown */
};

/* ---- what may be meant ---- */

/* What others call these fields, the most telling first; compared without regard to case. */
static const char *const askers[] = {"prompt",   "question", "query", "problem", "instruction", "user",    "human",
                                     "input",    "source",   "src",   "request", "context",     "message", NULL};
static const char *const answers[] = {"completion", "answer", "response", "output", "chosen", "solution", "target",
                                      "tgt",        "reply",  "assistant", "bot",   "gpt",    "result",   NULL};
static const char *const texts[] = {"text", "content", "body", "document", "article", "sentence", "story", NULL};
static const char *const inputs[] = {"input", "context", NULL};

/* Can --columns, in a shell, name it? */
static bool is_plain(const char *name)
{
    return *name && strlen(name) <= NAME_BYTES && !strpbrk(name, ",='\\") && str_utf8_valid_prefix(name, strlen(name));
}

/* The line's text with one of these names that is not `other`; NULL: none. */
static const char *find_named(const struct line *l, const char *const *names, const char *other)
{
    for (; *names; names++)
        for (struct json_member m = json_first(l->root); m.key; m = json_next(m))
            if (strcasecmp(m.key, *names) == 0 && json_text(m.value) && is_plain(m.key) && m.key != other)
                return m.key;
    return NULL;
}

static bool is_of_origin(const char *name)
{
    static const char *const names[] = {"id",    "uuid", "system", "source", "category", "url",
                                        "title", "lang", "split",  "model",  "language"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcasecmp(name, names[i]))
            return true;
    return false;
}

const char *fields_find_question(const struct line *l)
{
    return find_named(l, askers, json_get(l->root, "prompt") ? "prompt" : NULL);
}

/* The number of its texts, of which up to two are stored; without those that only say where they are from. */
static size_t find_texts(const char *found[2], const struct line *l)
{
    size_t count = 0;
    for (struct json_member m = json_first(l->root); m.key; m = json_next(m))
        if (json_text(m.value) && is_plain(m.key) && !is_of_origin(m.key) && count++ < 2)
            found[count - 1] = m.key;
    return count;
}

/* The option, in quotes if the shell needs them. */
static enum err_code add_columns(struct str *out, const char *columns, const char *effect, struct err *e)
{
    const char *quote = strpbrk(columns, " \t!\"#$&()*;<>?[]`{|}~") ? "'" : "";
    return str_appendf(out, e, ": --columns %s%s%s %s", quote, columns, quote, effect);
}

/* Messages under another name, or a list of examples: the whole file as one object. */
static enum err_code advise_on_lists(bool *advised, struct str *out, const struct line *l, struct err *e)
{
    char columns[128];
    for (struct json_member m = json_first(l->root); m.key; m = json_next(m)) {
        const struct json_value *first = json_at(m.value, 0);
        const bool turns = json_get(first, "from") && json_get(first, "value");
        *advised = json_kind(m.value) == JSON_KIND_ARRAY && json_kind(first) == JSON_KIND_OBJECT && is_plain(m.key);
        if (!*advised)
            continue;
        if (!turns && !json_get(first, "role"))
            return fields_advise_to_unwrap(out, m.key, e);
        snprintf(columns, sizeof columns, "%s=%s", turns ? "conversations" : "messages", m.key);
        return add_columns(out, columns, "reads its messages", e);
    }
    return ERR_OK;
}

static enum err_code advise(struct str *out, const struct line *l, struct err *e)
{
    char columns[256] = "";
    const char *found[2] = {NULL, NULL};
    bool advised = false;
    if (advise_on_lists(&advised, out, l, e) || advised)
        return e->code;
    const struct json_member inner = json_first(l->root);
    if (json_count(l->root) == 1 && json_kind(inner.value) == JSON_KIND_OBJECT && is_plain(inner.key))
        return str_appendf(out, e, ": jq -c '.[]' FILE > NEW writes what is in it");
    const char *asked = find_named(l, askers, NULL), *answer = find_named(l, answers, asked);
    const char *text = find_named(l, texts, NULL);
    const size_t count = find_texts(found, l);
    if (asked && answer)
        snprintf(columns, sizeof columns, "prompt=%s,completion=%s", asked, answer);
    else if (text || (count == 1 && !asked))
        snprintf(columns, sizeof columns, "text=%s", text ? text : found[0]);
    else if (count == 2 && !asked)
        snprintf(columns, sizeof columns, "prompt=%s,completion=%s", found[0], found[1]);
    if (*columns)
        return add_columns(out, columns, "reads it so", e);
    return count ? str_appendf(out, e,
                               ": --columns prompt=THEIRS,completion=THEIRS, or text=THEIRS, says which is which")
                 : ERR_OK;
}

enum err_code fields_advise_to_unwrap(struct str *out, const char *key, struct err *e)
{
    bool word = *key && strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == strlen(key) &&
                !strchr("0123456789", *key);
    return str_appendf(out, e,
                       ": jq -c '.%s%s%s[]' FILE > FILE.jsonl writes each element of its \"%s\" on a line of its own",
                       word ? "" : "[\"", key, word ? "" : "\"]", key);
}

bool fields_reads_list(const char *key)
{
    static const char *const lists[] = {"messages",  "conversations", "prompt",   "completion", "tools",
                                        "documents", "functions",     "chosen",   "rejected"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (!strcmp(key, lists[i]))
            return true;
    return false;
}

/* ---- what is said ---- */

/* "question", "answer" and "id" */
static enum err_code add_names(struct str *out, const struct line *l, struct err *e)
{
    const size_t count = json_count(l->root);
    size_t shown = 0;
    for (struct json_member m = json_first(l->root); m.key && shown < NAMES_SHOWN; m = json_next(m), shown++)
        if (str_appendf(out, e, "%s\"%.*s\"", !shown ? "" : shown + 1 == count ? " and " : ", ",
                        str_utf8_cut(m.key, NAME_BYTES), m.key))
            return e->code;
    return count > shown ? str_appendf(out, e, " and %zu more", count - shown) : ERR_OK;
}

/* What --columns says, and this line does not have. */
static enum err_code add_missed(struct str *out, const struct line *l, struct err *e)
{
    for (size_t i = 0; l->columns && i < l->columns->count; i++)
        if (!json_get(l->root, l->columns->item[i].old))
            return str_appendf(out, e, " (--columns %s=%s: there is no \"%s\" in this line)", l->columns->item[i].name,
                               l->columns->item[i].old, l->columns->item[i].old);
    return ERR_OK;
}

static enum err_code refuse(struct str *message, const struct line *l, struct err *e)
{
    if (!e->code && add_missed(message, l, e) == ERR_OK)
        err_set(e, ERR_DATA, "%s", message->data);
    str_release(message);
    return e->code;
}

/* Of the two answers of a pair, the option that leaves one. */
static enum err_code refuse_pair(const struct line *l, struct err *e)
{
    const struct json_value *chosen = json_get(l->root, "chosen"), *first = json_at(chosen, 0);
    const char *question = find_named(l, askers, NULL);
    char columns[256] = "text=chosen";
    if (json_get(first, "from"))
        snprintf(columns, sizeof columns, "conversations=chosen");
    else if (first)
        snprintf(columns, sizeof columns, json_kind(line_get(l, "prompt")) == JSON_KIND_ARRAY ? "completion=chosen"
                                                                                              : "messages=chosen");
    else if (question && !strcmp(question, "prompt"))
        snprintf(columns, sizeof columns, "completion=chosen");
    else if (question)
        snprintf(columns, sizeof columns, "prompt=%s,completion=chosen", question);
    struct str m = {0};
    e->code = ERR_OK;
    if (!str_appendf(&m, e, "has two answers, \"chosen\" and \"rejected\": --objective learns from "
                            "both") && chosen && json_kind(chosen) != JSON_KIND_OBJECT &&
        !str_appendf(&m, e, ", --columns "))
        str_appendf(&m, e, "%s,unused=rejected %s", columns,
                    l->asks ? "compares with the chosen answers" : "trains on the chosen answers alone");
    return refuse(&m, l, e);
}

static bool is_pair(const struct line *l)
{
    return !json_is_absent(line_get(l, "chosen")) && !json_is_absent(line_get(l, "rejected"));
}

static enum err_code refuse_all(const struct line *l, struct err *e)
{
    struct str m = {0};
    e->code = ERR_OK;
    if (is_pair(l))
        return refuse_pair(l, e);
    if (!str_appendf(&m, e, "wrong fields: has none of \"text\", \"prompt\" with \"completion\", \"messages\", "
                            "\"conversations\", and \"instruction\" with \"output\"") &&
        json_count(l->root) && !str_appendf(&m, e, ", but ") && !add_names(&m, l, e))
        advise(&m, l, e);
    return refuse(&m, l, e);
}

/* Where every line must be a pair. */
static enum err_code refuse_single(const struct line *l, struct err *e)
{
    static const char *const keys[] = {"chosen", "rejected"};
    struct str m = {0};
    e->code = ERR_OK;
    const size_t missing = json_is_absent(line_get(l, keys[0])) ? 0 : 1;
    const bool null = line_get(l, keys[missing]), half = !json_is_absent(line_get(l, keys[1 - missing]));
    if (half)
        str_appendf(&m, e, "has \"%s\" but no \"%s\"%s: a preference pair has both", keys[1 - missing], keys[missing],
                    null ? ", which is null" : "");
    else
        str_appendf(&m, e, "is not a preference pair: a line must have \"chosen\" and \"rejected\"");
    return refuse(&m, l, e);
}

static enum err_code refuse_half(const struct line *l, const char *key, const char *partner, bool answers_it,
                                 struct err *e)
{
    struct str m = {0};
    char columns[256];
    const bool alpaca = !strcmp(partner, "output");
    const char *other = find_named(l, answers_it ? answers : askers, NULL);
    const char *input = alpaca && json_is_absent(line_get(l, "input")) ? find_named(l, inputs, other) : NULL;
    e->code = ERR_OK;
    if (is_pair(l) && (!alpaca || !json_text(line_get(l, "chosen"))))
        return refuse_pair(l, e);
    if (line_get(l, partner))
        return err_set(e, ERR_DATA, "wrong fields: has \"%s\" but no \"%s\", which is null", key, partner);
    if (str_appendf(&m, e, "wrong fields: has \"%s\" but no \"%s\"", key, partner) || json_count(l->root) < 2 ||
        str_appendf(&m, e, ", only ") || add_names(&m, l, e) || !other)
        return refuse(&m, l, e);
    snprintf(columns, sizeof columns, "%s=%s%s%s%s", partner, other, input ? ",input=" : "", input ? input : "",
             !strcasecmp(other, "chosen") ? ",unused=rejected" : "");
    add_columns(&m, columns, !strcasecmp(other, "chosen") ? "trains on the chosen answers alone" : "reads it so", e);
    return refuse(&m, l, e);
}

/* ---- messages ---- */

static const char *const roles[] = {"role", "from", "speaker", "author", "sender", "user", "name", "type", NULL};
static const char *const contents[] = {"content", "value", "text", "message", "body", "utterance", "msg", NULL};

enum err_code fields_check_message(const struct json_value *message, const char *list, enum example_form form,
                                   struct err *e)
{
    const bool shared = form == EXAMPLE_SHAREGPT;
    const char *role = shared ? "from" : "role", *content = shared ? "value" : "content";
    const struct line l = {.root = message};
    const bool has_role = json_get(message, role), has_content = json_get(message, content);
    if ((has_role && has_content) || !json_count(message))
        return ERR_OK;
    const bool turned = json_get(message, shared ? "role" : "from") && json_get(message, shared ? "content" : "value");
    if (!has_role && turned && form != EXAMPLE_PROMPT_MESSAGES)
        return err_set(e, ERR_DATA,
                       "has \"%s\" and \"%s\" where this form has \"%s\" and \"%s\": --columns %s=%s reads them",
                       shared ? "role" : "from", shared ? "content" : "value", role, content,
                       shared ? "messages" : "conversations", list);
    const char *speaker = has_role ? role : find_named(&l, roles, NULL);
    const char *said = has_content ? content : find_named(&l, contents, speaker);
    if (!speaker || !said)
        return ERR_OK;
    struct str m = {0};
    e->code = ERR_OK;
    if (!str_appendf(&m, e, "has no \"%s\", only ", has_role ? content : role) && !add_names(&m, &l, e))
        str_appendf(&m, e, ": jq -c '.%s |= map({%s: .%s, %s: .%s})' FILE > NEW renames them", list, role, speaker,
                    content, said);
    return refuse(&m, &l, e);
}

/* ---- the form ---- */

static const struct {
    const char *key, *partner; /* fields that come together */
    enum example_form form;
    bool asks; /* the partner is the answer */
} fields[] = {
    {"chosen", "rejected", EXAMPLE_PREFERENCE, false},
    {"text", NULL, EXAMPLE_TEXT, false},
    {"prompt", "completion", EXAMPLE_COMPLETION, true},
    {"completion", "prompt", EXAMPLE_COMPLETION, false},
    {"messages", NULL, EXAMPLE_MESSAGES, false},
    {"conversations", NULL, EXAMPLE_SHAREGPT, false},
    {"instruction", "output", EXAMPLE_ALPACA, true},
};

/* One of the two is a list: of messages, as the other one then must be; or a mistake for a string. */
static enum err_code choose_kind(enum example_form *form, const struct line *l, struct err *e)
{
    static const char *const keys[] = {"prompt", "completion"};
    const struct json_value *values[] = {line_get(l, keys[0]), line_get(l, keys[1])};
    for (size_t i = 0; i < 2; i++) {
        const struct json_value *first = json_at(values[i], 0), *other = values[1 - i];
        if (json_kind(values[i]) != JSON_KIND_ARRAY)
            continue;
        if (json_text(other) && first && json_kind(first) != JSON_KIND_OBJECT)
            return err_set(e, ERR_DATA, "\"%s\" must be a string, as \"%s\" is, not an array (or both must be lists of "
                                        "messages)",
                           keys[i], keys[1 - i]);
        *form = EXAMPLE_PROMPT_MESSAGES;
    }
    return ERR_OK;
}

static enum err_code refuse_two(const struct line *l, const char *first, const char *second, struct err *e)
{
    char more[64], columns[512];
    snprintf(more, sizeof more, "unused=%s", second);
    columns_add(columns, sizeof columns, l->columns, more);
    return err_set(e, ERR_DATA, "wrong fields: has both \"%s\" and \"%s\", a line must have one form (--columns %s "
                                "leaves that out)",
                   first, second, columns);
}

/* A pair of strings has no place for a system message, one of lists has. */
static enum err_code check_system(const struct line *l, struct err *e)
{
    static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    const char *system = json_text(line_get(l, "system")), *question = find_named(l, askers, NULL);
    if (!system || !*system || !question || question[strspn(question, word)] || !json_get(l->root, "system") ||
        !json_text(json_get(l->root, "chosen")) || !json_text(json_get(l->root, "rejected")))
        return ERR_OK;
    return err_set(e, ERR_DATA,
                   "has \"system\" beside answers that are strings, which have no place for it: jq -c '{prompt: "
                   "[{role: \"system\", content: .system}, {role: \"user\", content: .%s} | select(.content > \"\")], "
                   "chosen: [{role: \"assistant\", content: .chosen}], rejected: [{role: \"assistant\", content: "
                   ".rejected}]}' FILE > NEW makes conversations of such lines",
                   question);
}

/* Of the form of alpaca, with two answers instead of one output. */
static enum err_code check_input(const struct line *l, struct err *e)
{
    const char *input = json_text(line_get(l, "input"));
    if (!input || !*input || !json_text(line_get(l, "instruction")) || !json_is_absent(line_get(l, "prompt")))
        return ERR_OK;
    return err_set(e, ERR_DATA,
                   "has no \"prompt\", but \"instruction\" and \"input\": jq -c '.prompt = .instruction + \"\\n\" + "
                   ".input | del(.instruction, .input)' FILE > NEW makes one of them");
}

enum err_code fields_find_form(enum example_form *form, const struct line *l, struct err *e)
{
    const char *found = NULL, *null = NULL;
    if (l->only_pairs && !is_pair(l))
        return refuse_single(l, e);
    const bool conversation = !json_is_absent(line_get(l, "messages")), pair = l->pairs && is_pair(l);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const struct json_value *v = line_get(l, fields[i].key);
        const bool alone = fields[i].partner && json_is_absent(line_get(l, fields[i].partner));
        if ((fields[i].form == EXAMPLE_PREFERENCE && !pair) || (pair && alone && fields[i].asks))
            continue;
        if (json_kind(v) == JSON_KIND_NULL)
            null = fields[i].key;
        if (json_is_absent(v))
            continue;
        if (found && *form != fields[i].form) /* a pair may have a prompt, but nothing else that answers it */
            return refuse_two(l, found, pair && fields[i].asks ? fields[i].partner : fields[i].key, e);
        const bool may_end = l->asks && fields[i].asks && !conversation;
        if (alone && !may_end) {
            if (conversation) /* its first message stands in a column of its own, too */
                continue;
            return refuse_half(l, fields[i].key, fields[i].partner, fields[i].asks, e);
        }
        found = fields[i].key;
        *form = fields[i].form;
    }
    if (!l->pairs && is_pair(l) && json_kind(line_get(l, "chosen")) == JSON_KIND_OBJECT)
        return refuse_pair(l, e); /* --columns cannot join an answer to what it answers */
    if (!found && null)
        return err_set(e, ERR_DATA, "\"%s\" must be a string, not null", null);
    if (!found)
        return refuse_all(l, e);
    if (*form == EXAMPLE_PREFERENCE && json_kind(line_get(l, "chosen")) == JSON_KIND_ARRAY)
        *form = EXAMPLE_PREFERENCE_MESSAGES;
    if (*form == EXAMPLE_PREFERENCE && (check_system(l, e) || check_input(l, e)))
        return e->code;
    if (*form == EXAMPLE_COMPLETION && json_is_absent(line_get(l, "completion")) && is_pair(l))
        return refuse_pair(l, e); /* a prompt alone, if its answers are not looked at */
    return *form == EXAMPLE_COMPLETION ? choose_kind(form, l, e) : ERR_OK;
}
