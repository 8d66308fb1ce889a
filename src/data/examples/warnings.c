#include <inttypes.h>
#include <stdio.h>

#include "data/examples/dataset.h"

static const struct {
    bool all; /* worth a warning only if it is true of every example */
    const char *text;
} rows[NOTE_COUNT] = {
    [NOTE_DOUBLED_BOS] = {false, "begin with the BOS token twice: once as text or by the chat template, once by the "
                                 "tokenizer"},
    [NOTE_LOST_SYSTEM] = {false, "have a system message that the chat template does not print"},
    [NOTE_LOST_CALLS] = {false, "have \"tool_calls\" that the chat template does not print"},
    [NOTE_LOST_CONTENT] = {false, "have a message whose content the chat template does not print"},
    [NOTE_LOST_REASONING] = {false, "have reasoning in the last message that the chat template does not print"},
    [NOTE_LOST_TOOLS] = {false, "have \"tools\", which the chat template does not use"},
    [NOTE_LOST_DOCUMENTS] = {false, "have \"documents\", which the chat template does not use"},
    [NOTE_BARE_PARTS] = {false, "have \"content\" as a list of parts, which the chat template prints as a Python list: "
                                "write it as a string"},
    [NOTE_CUT_ANSWER] = {false, "are cut within an answer by --max-length"},
    [NOTE_UNENDED] = {true, "have no end token (EOS, or the end of a turn) among the supervised tokens: the model will "
                            "not learn to stop"},
    [NOTE_FULL] = {true, "are trained on every token except the first, also on questions"},
};

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

void dataset_tell_warnings(const struct dataset *d, unsigned notes, void (*tell)(void *context, const char *text),
                           void *context)
{
    for (size_t n = 0; n < NOTE_COUNT; n++) {
        char text[1024], place[512];
        const uint64_t count = d->counts.notes[n];
        if (!(notes >> n & 1) || !count || (rows[n].all && count < d->count))
            continue;
        dataset_place_of_note(place, sizeof place, d, (enum example_note)n);
        snprintf(text, sizeof text, "%" PRIu64 " of %zu examples %s%s%s%s", count, d->count, rows[n].text,
                 rows[n].all ? "" : " (the first: ", rows[n].all ? "" : place, rows[n].all ? "" : ")");
        tell(context, text);
    }
    tell_columns(d, tell, context);
}
