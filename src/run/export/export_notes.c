#include "run/export/export_notes.h"

#include <string.h>

#include "io/json.h"
#include "run/options.h"
#include "run/parameters.h"

enum err_code export_objective(struct str *out, struct objective objective, struct err *e)
{
    if (str_appendf(out, e, "{objective: %s", objective_name(objective.kind)))
        return e->code;
    for (size_t i = 0; i < PARAMETERS; i++)
        if (parameter_acts(&parameters[i], objective.kind) &&
            (str_appendf(out, e, ", %s: ", parameters[i].option) ||
             json_append_real(out, *parameter_of(&objective, &parameters[i]), e)))
            return e->code;
    return str_appendf(out, e, "}");
}

enum err_code export_put_notes(struct store_key keys[EXPORT_NOTES], size_t *count, const struct export_notes *notes,
                               struct arena *a, struct err *e)
{
    *count = 0;
    if (notes->hash)
        keys[(*count)++] = (struct store_key){EXPORT_BASE_HASH, notes->hash, 0};
    if (prompts_name(notes->prompts))
        keys[(*count)++] = (struct store_key){EXPORT_PROMPTS, prompts_name(notes->prompts), 0};
    if (notes->continued)
        keys[(*count)++] = (struct store_key){EXPORT_START, EXPORT_FROM_ADAPTER, 0};
    if (notes->objective.kind == OBJECTIVE_SFT)
        return ERR_OK;
    struct str text = {0};
    const char *kept = NULL;
    if (!export_objective(&text, notes->objective, e))
        kept = arena_strndup(a, text.data, text.length, e);
    str_release(&text);
    keys[(*count)++] = (struct store_key){EXPORT_OBJECTIVE, kept, 0};
    return kept ? ERR_OK : e->code;
}

/* Read as the configuration that it is, so that its values are within their bounds. */
static struct objective read_objective(const char *text)
{
    struct objective objective = {.kind = OBJECTIVE_SFT};
    struct options o;
    struct err ignored;
    if (!text)
        return objective;
    if (!options_read_yaml(&o, "train", EXPORT_OBJECTIVE, text, strlen(text), &ignored))
        objective = options_objective(&o);
    options_release(&o);
    return objective;
}

enum err_code export_get_notes(struct export_notes *notes, const struct store *s, struct arena *a, struct err *e)
{
    const char *prompts, *objective, *start;
    if (store_note(&notes->hash, s, EXPORT_BASE_HASH, a, e) || store_note(&prompts, s, EXPORT_PROMPTS, a, e) ||
        store_note(&start, s, EXPORT_START, a, e) || store_note(&objective, s, EXPORT_OBJECTIVE, a, e))
        return e->code;
    notes->prompts = prompts_named(prompts);
    notes->objective = read_objective(objective);
    notes->continued = start && strcmp(start, EXPORT_FROM_ADAPTER) == 0;
    return ERR_OK;
}
