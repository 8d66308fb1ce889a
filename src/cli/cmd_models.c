#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/facts.h"
#include "model/family.h"

static enum err_code print_json(struct err *e)
{
    struct facts facts;
    facts_begin_list(&facts, true);
    for (const struct family *const *f = families; *f; f++) {
        facts_object(&facts, NULL);
        facts_text(&facts, "model_type", (*f)->name);
        facts_text(&facts, "gguf", (*f)->gguf);
        facts_text(&facts, "names", (*f)->known_as);
        facts_text(&facts, "tokenizers", (*f)->tokenizers);
        facts_end(&facts);
    }
    return facts_print(&facts, e);
}

static void print_row(const char *name, const char *gguf, const char *tokenizers, const char *known_as)
{
    const int tokenizers_width = (int)strlen(TOKENIZERS_BOTH);
    printf("%-20s  %-16s  %-*s  %s\n", name, gguf ? gguf : "-", tokenizers_width, tokenizers, known_as);
}

enum err_code cmd_models(const struct options *o, struct dist *d, struct err *e)
{
    (void)d;
    if (o->json)
        return print_json(e);
    print_row("model_type", "in GGUF files", "tokenizers", "models");
    for (const struct family *const *f = families; *f; f++)
        print_row((*f)->name, (*f)->gguf, (*f)->tokenizers, (*f)->known_as);
    return ERR_OK;
}
