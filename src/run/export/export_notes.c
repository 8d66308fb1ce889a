#include "run/export/export_notes.h"

size_t export_put_notes(struct store_key keys[EXPORT_NOTES], const struct export_notes *notes)
{
    size_t count = 0;
    if (notes->hash)
        keys[count++] = (struct store_key){EXPORT_BASE_HASH, notes->hash, 0};
    if (prompts_name(notes->prompts))
        keys[count++] = (struct store_key){EXPORT_PROMPTS, prompts_name(notes->prompts), 0};
    return count;
}

enum err_code export_get_notes(struct export_notes *notes, const struct store *s, struct arena *a, struct err *e)
{
    const char *prompts;
    if (store_note(&notes->hash, s, EXPORT_BASE_HASH, a, e) || store_note(&prompts, s, EXPORT_PROMPTS, a, e))
        return e->code;
    notes->prompts = prompts_named(prompts);
    return ERR_OK;
}
