#include <inttypes.h>
#include <stdio.h>

#include "data/examples/dataset.h"

enum share { ANY, MOST, ALL };

static const struct {
    enum share share; /* of the examples of which it must be true to be worth a warning */
    const char *text;
} rows[NOTE_COUNT] = {
    [NOTE_DOUBLED_BOS] = {ANY, "begin with the BOS token twice: once as text or by the chat template, once by the "
                                 "tokenizer"},
    [NOTE_LOST_SYSTEM] = {ANY, "have a system message that the chat template does not print"},
    [NOTE_LOST_CALLS] = {ANY, "have \"tool_calls\" that the chat template does not print"},
    [NOTE_LOST_CONTENT] = {ANY, "have a message whose content the chat template does not print"},
    [NOTE_LOST_REASONING] = {ANY, "have reasoning in the last message that the chat template does not print"},
    [NOTE_LOST_TOOLS] = {ANY, "have \"tools\", which the chat template does not use"},
    [NOTE_LOST_DOCUMENTS] = {ANY, "have \"documents\", which the chat template does not use"},
    [NOTE_BARE_PARTS] = {ANY, "have \"content\" as a list of parts, which the chat template prints as a Python list: "
                                "write it as a string"},
    [NOTE_CUT_ANSWER] = {ANY, "are cut within an answer by --max-length"},
    [NOTE_UNENDED] = {ALL, "have no end token (EOS, or the end of a turn) among the supervised tokens: the model will "
                            "not learn to stop"},
    [NOTE_NO_PROMPT] = {ANY, "have an empty prompt or question"},
    [NOTE_NO_ANSWER] = {ANY, "have an empty answer: they teach the model to say nothing"},
    [NOTE_GLUED] = {MOST, "have nothing between prompt and completion, no space and no line end: end the one or begin "
                          "the other with it"},
    [NOTE_JOINED] = {ALL, "are instructions, and the model has no chat template: the answer follows the instruction "
                          "with nothing between them (--chat-template FILE gives one)"},
    [NOTE_BEYOND] = {ANY, "are longer than the positions that this model was made for"},
    [NOTE_FULL] = {ALL, "are trained on every token except the first, also on questions"},
};

static bool is_worth(enum share share, uint64_t count, size_t all)
{
    return count && (share == ANY || count == all || (share == MOST && count > all / 2));
}

bool dataset_describe_cut(char *text, size_t size, const struct dataset *d)
{
    const uint64_t cut = d->counts.truncated;
    snprintf(text, size, "%" PRIu64 " example%s cut to --max-length %zu; the longest has %" PRIu64 " tokens", cut,
             cut == 1 ? " was" : "s were", d->options.max_length, d->longest);
    return cut > 0;
}

/* A name that is misspelt would otherwise be one that nobody hears of. */
static void tell_columns(const struct dataset *d, void (*tell)(void *context, const char *text), void *context)
{
    const struct columns *columns = d->options.columns;
    for (size_t i = 0; columns && i < columns->count; i++) {
        char text[1024];
        snprintf(text, sizeof text, "--columns %s=%s: no line has \"%s\"", columns->item[i].name, columns->item[i].old,
                 columns->item[i].old);
        if (!d->counts.columns[i])
            tell(context, text);
    }
}

/* Only `inspect` takes both, to show them. */
static void tell_mixture(const struct dataset *d, void (*tell)(void *context, const char *text), void *context)
{
    char text[256];
    const uint64_t pairs = d->counts.forms[EXAMPLE_PREFERENCE] + d->counts.forms[EXAMPLE_PREFERENCE_MESSAGES];
    snprintf(text, sizeof text,
             "%" PRIu64 " of %zu examples are preference pairs and the others are not: no --objective trains on both",
             pairs, d->count);
    if (pairs && pairs < d->count)
        tell(context, text);
}

void dataset_tell_warnings(const struct dataset *d, unsigned notes, void (*tell)(void *context, const char *text),
                           void *context)
{
    for (size_t n = 0; n < NOTE_COUNT; n++) {
        char text[1024], place[512];
        const uint64_t count = d->counts.notes[n];
        if (!(notes >> n & 1) || !is_worth(rows[n].share, count, d->count))
            continue;
        const bool all = rows[n].share == ALL;
        dataset_place_of_note(place, sizeof place, d, (enum example_note)n);
        snprintf(text, sizeof text, "%" PRIu64 " of %zu examples %s%s%s%s", count, d->count, rows[n].text,
                 all ? "" : " (the first: ", all ? "" : place, all ? "" : ")");
        tell(context, text);
    }
    tell_mixture(d, tell, context);
    tell_columns(d, tell, context);
}
