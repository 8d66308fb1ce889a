#include "run/prompts.h"

#include <string.h>

#include "data/examples/dataset.h"

static const char *const names[] = {[PROMPTS_PLAIN] = "plain", [PROMPTS_CHAT] = "chat"};

enum prompts prompts_of(const struct dataset *d)
{
    uint64_t chat = 0;
    for (int form = 0; form < EXAMPLE_FORM_COUNT; form++)
        chat += example_form_talks((enum example_form)form) ? d->counts.forms[form] : 0;
    chat -= d->counts.notes[NOTE_JOINED]; /* instructions, without a template */
    if (chat == 0)
        return PROMPTS_PLAIN;
    return chat == d->count ? PROMPTS_CHAT : PROMPTS_UNKNOWN;
}

const char *prompts_name(enum prompts p)
{
    return names[p];
}

enum prompts prompts_named(const char *name)
{
    for (enum prompts p = PROMPTS_PLAIN; name && p <= PROMPTS_CHAT; p++)
        if (strcmp(name, names[p]) == 0)
            return p;
    return PROMPTS_UNKNOWN;
}
