#include <inttypes.h>
#include <stdio.h>

#include "data/examples/dataset.h"

static const struct {
    bool all; /* worth a word only when every example is so */
    const char *text;
} rows[NOTE_COUNT] = {
    [NOTE_DOUBLED_BOS] = {false, "begin with the BOS token twice: once as text or by the chat template, once by the "
                                 "tokenizer"},
    [NOTE_LOST_SYSTEM] = {false, "have a system message of which the chat template prints nothing"},
    [NOTE_LOST_CALLS] = {false, "have \"tool_calls\" of which the chat template prints nothing"},
    [NOTE_LOST_CONTENT] = {false, "have a message with content of which the chat template prints nothing"},
    [NOTE_LOST_REASONING] = {false, "have reasoning in the last message of which the chat template prints nothing"},
    [NOTE_LOST_TOOLS] = {false, "have \"tools\", which the chat template does not look at"},
    [NOTE_LOST_DOCUMENTS] = {false, "have \"documents\", which the chat template does not look at"},
    [NOTE_BARE_PARTS] = {false, "have contents in parts, which the chat template prints as a list of Python's: "
                                "write them as strings"},
    [NOTE_CUT_ANSWER] = {false, "are cut inside of an answer by --max-length"},
    [NOTE_UNENDED] = {true, "have no end in what is trained (EOS, or the token that ends a turn): the model does not "
                            "learn to stop"},
    [NOTE_FULL] = {true, "are trained on every token but the first, questions included"},
};

void dataset_tell_warnings(const struct dataset *d, unsigned notes, void (*tell)(void *context, const char *text),
                           void *context)
{
    for (size_t n = 0; n < NOTE_COUNT; n++) {
        char text[1024], place[512];
        uint64_t count = d->counts.notes[n];
        if (!(notes >> n & 1) || !count || (rows[n].all && count < d->count))
            continue;
        dataset_place_of_note(place, sizeof place, d, (enum example_note)n);
        snprintf(text, sizeof text, "%" PRIu64 " of %zu examples %s%s%s%s", count, d->count, rows[n].text,
                 rows[n].all ? "" : " (the first: ", rows[n].all ? "" : place, rows[n].all ? "" : ")");
        tell(context, text);
    }
}
