#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/inspect.h"
#include "run/export/peft_names.h"
#include "run/folder.h"
#include "run/rundir.h"

typedef enum err_code inspect_function(struct facts *f, const char *path, struct err *e);

static enum err_code find_folder_kind(inspect_function **inspect, const char *path, struct err *e)
{
    switch (folder_kind_of(path)) {
    case FOLDER_ADAPTER:
        *inspect = inspect_adapter;
        return ERR_OK;
    case FOLDER_MODEL:
        *inspect = inspect_model;
        return ERR_OK;
    case FOLDER_RUN:
        *inspect = inspect_run;
        return ERR_OK;
    case FOLDER_STUDY:
        *inspect = inspect_study;
        return ERR_OK;
    case FOLDER_OTHER:
        if (folder_check_reach(path, e))
            return e->code;
        return err_set(
            e, ERR_FORMAT,
            "%s: this folder is neither a model (config.json) nor an adapter (%s) nor the output of a run (%s)",
            path, PEFT_CONFIG, rundir_name(RUNDIR_CONFIG));
    case FOLDER_CELLS:
    case FOLDER_CHECKPOINTS:
        break;
    }
    return folder_refuse(path, "a model, an adapter, a run or a study", e);
}

/* By the first bytes, since names lie; *inspect stays NULL for data. */
static enum err_code find_file_kind(inspect_function **inspect, const char *path, struct err *e)
{
    struct file_map map;
    enum err_code code = file_map_open(&map, path, e);
    if (code)
        return code;
    if (format_is(FORMAT_HDF5, map.data, map.size))
        *inspect = inspect_checkpoint;
    else if (format_is(FORMAT_GGUF, map.data, map.size))
        *inspect = inspect_gguf;
    else if (format_is(FORMAT_SAFETENSORS, map.data, map.size))
        code =
            err_set(e, ERR_USAGE, "%s: this is a safetensors file; inspect the folder that holds it", path);
    file_map_close(&map);
    return code;
}

static enum err_code verify(const char *path, bool json, struct err *e)
{
    struct facts facts;
    size_t damaged;
    facts_begin(&facts, json);
    enum err_code code = inspect_verify(&facts, path, &damaged, e);
    if (code)
        str_release(&facts.out);
    else
        code = facts_print(&facts, e);
    if (!code && damaged)
        code =
            err_set(e, ERR_FORMAT, "%s: %zu file%s damaged", path, damaged, damaged == 1 ? " is" : "s are");
    return code;
}

static void warn_of_idle(const struct options *o, bool data)
{
    static const char *const names[] = {"columns",   "max-length", "train-on", "chat-template", "chat-template-kwargs",
                                        "examples"};
    for (size_t i = data; i < sizeof names / sizeof *names; i++)
        if (options_given(o, names[i]))
            log_warn("--%s changes nothing without %s", names[i], i ? "data and --model" : "data");
}

enum err_code cmd_inspect(const struct options *o, struct dist *d, struct err *e)
{
    (void)d;
    const char *path = o->set.argument;
    if (o->verify)
        return verify(path, o->json, e);
    inspect_function *inspect = NULL;
    enum err_code code =
        file_is_folder(path) ? find_folder_kind(&inspect, path, e) : find_file_kind(&inspect, path, e);
    if (code)
        return code;
    const bool data = !inspect, examples = data && *o->model;
    if (!examples && (*o->model || *o->html || o->eval_data.count))
        return err_set(e, ERR_USAGE,
                       "%s: --model can only be used with a data file, and --html and --eval-data only with a data "
                       "file and --model",
                       path);
    if (!examples)
        warn_of_idle(o, data);
    struct facts facts;
    struct str text = {0};
    facts_begin(&facts, o->json);
    code = examples ? inspect_examples(&facts, &text, path, o, e)
           : data   ? inspect_data(&facts, path, o, e)
                    : inspect(&facts, path, e);
    if (code)
        str_release(&facts.out);
    else
        code = facts_print(&facts, e);
    if (!code && text.length)
        fwrite(text.data, 1, text.length, stdout);
    str_release(&text);
    return code;
}
