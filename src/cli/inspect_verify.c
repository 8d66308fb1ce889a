#include <string.h>

#include "base/file.h"
#include "base/format.h"
#include "cli/inspect.h"
#include "run/export/peft.h"
#include "run/folder.h"
#include "run/verify.h"

/* One list after the other: what is damaged waits until all that is intact has been told. */
struct verdicts {
    struct facts *facts;
    struct str damage; /* messages, each with its zero */
    enum err_code code;
    struct err e;
};

static void take_verdict(void *context, const char *path, const char *damage)
{
    struct verdicts *v = context;
    if (!damage)
        facts_text(v->facts, NULL, path);
    else if (!v->code)
        v->code = str_append(&v->damage, damage, strlen(damage) + 1, &v->e);
}

/* Only a checkpoint can be compared with what it was. One that is damaged at its very begin has its name. */
static enum err_code verify_file(struct verify *v, const char *path, struct err *e)
{
    struct file_map map;
    if (file_map_open(&map, path, e))
        return e->code;
    const bool checkpoint = format_is(FORMAT_HDF5, map.data, map.size) || str_ends_with(path, ".h5");
    const char *name = format_name(map.data, map.size);
    file_map_close(&map);
    if (checkpoint) {
        verify_checkpoint(v, path, NULL);
        return ERR_OK;
    }
    return err_set(e, ERR_USAGE,
                   "%s is %s: --verify is for what has a content hash, a checkpoint (.h5), or the folder of an adapter,"
                   " a run or a study",
                   path, name);
}

enum err_code inspect_verify(struct facts *f, const char *path, size_t *damaged, struct err *e)
{
    struct verdicts verdicts = {.facts = f};
    struct verify v = {.tell = take_verdict, .context = &verdicts};
    enum err_code code = ERR_OK;
    facts_text(f, "path", path);
    facts_list(f, "intact");
    if (!file_exists(path))
        code = err_set(e, ERR_IO, "%s: there is no such file or folder", path);
    else if (!file_is_folder(path))
        code = verify_file(&v, path, e);
    else if (peft_is_folder(path))
        verify_adapter(&v, path);
    else if (folder_kind_of(path) == FOLDER_STUDY)
        code = verify_study(&v, path, e);
    else
        code = verify_run(&v, path, e);
    facts_end(f);
    facts_list(f, "damaged");
    for (size_t at = 0; at < verdicts.damage.length; at += strlen(verdicts.damage.data + at) + 1)
        facts_text(f, NULL, verdicts.damage.data + at);
    facts_end(f);
    if (!code && verdicts.code) {
        *e = verdicts.e;
        code = verdicts.code;
    }
    str_release(&verdicts.damage);
    *damaged = v.damaged;
    return code;
}
