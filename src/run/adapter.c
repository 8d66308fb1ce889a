#include "run/adapter.h"

#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/str.h"
#include "base/limits.h"
#include "io/h5/h5.h"
#include "io/json.h"
#include "run/ckpt.h"
#include "run/folder.h"
#include "run/export/gguf_adapter.h"
#include "run/export/peft.h"
#include "run/export/peft_names.h"
#include "run/origin.h"
#include "run/rundir.h"

/* `code`: how it went to read the adapter for this model. If that is not the model that it was trained on, this is said
 * first: if the adapter does not fit, it is the reason; and if it does, the user decides. */
static enum err_code check_base(enum err_code code, const struct ckpt *c, const struct origin *from,
                                const struct adapter_check *check, struct err *e)
{
    const char *model = from->has_options ? from->options.model : "another model";
    if (strcmp(c->identity.base, check->base_hash) == 0 || code == ERR_MEMORY || code == ERR_IO)
        return code;
    if (code)
        return err_wrap(e, "%s was trained on %s, and this is another model, %s, which the adapter does not fit",
                        c->path, model, check->model);
    if (check->allow_base_mismatch && check->silent)
        return ERR_OK;
    if (check->allow_base_mismatch) {
        log_warn("%s was trained on %s, a base with the content hash %s; this one, %s, has %s", c->path, model,
                 c->identity.base, check->model, check->base_hash);
        return ERR_OK;
    }
    return err_set(e, ERR_MISMATCH,
                   "%s was trained on another base, %s: its content hash is %s, that of %s is %s; "
                   "--allow-base-mismatch uses it all the same",
                   c->path, model, c->identity.base, check->model, check->base_hash);
}

/* An export may be used with another form of its base, as a GGUF file, whose hash is another: the user decides. */
static void compare_bases(const char *path, const struct export_notes *of, const struct adapter_check *check)
{
    if (!of->hash || check->silent || strcmp(of->hash, check->base_hash) == 0)
        return;
    log_warn("%s was made for %s, a base with the content hash %s; this one, %s, has %s: only if that is the same "
             "model in another form, such as GGUF or another type, will the adapter do what it was trained to do",
             path, of->name ? of->name : "another model", of->hash, check->model, check->base_hash);
}

static void take_notes(const char *path, const struct export_notes *of, const struct adapter_check *check)
{
    compare_bases(path, of, check);
    if (check->prompts)
        *check->prompts = of->prompts;
    if (check->continued)
        *check->continued = of->continued;
    if (check->objective)
        *check->objective = of->objective;
}

/* The log of the run in whose folder the checkpoint lies. */
static void read_log(struct origin *from, const char *checkpoint)
{
    char folder[PATH_MAX];
    if (!realpath(checkpoint, folder))
        return;
    file_cut_last_part(folder);
    file_cut_last_part(folder);
    if (rundir_holds(folder, checkpoint))
        origin_read_log(from, folder);
}

static enum err_code make_from_checkpoint(struct lora *l, const struct arch *a, struct ckpt *c,
                                          const struct adapter_check *check, struct err *e)
{
    struct origin own = {0}, *from = check->origin ? check->origin : &own;
    enum err_code code = ERR_OK;
    origin_set(from, c->path, c->config, &c->state, &c->identity);
    if (lora_check_given(a, c->modules, c->module_count, h5_size(c->file) / sizeof(float), e) ||
        lora_create_given(l, a, c->modules, c->module_count, e))
        code = err_wrap(e, "%s", c->path);
    if (!code && c->has_start)
        code = lora_start_buffer(l, e);
    if (!code)
        code = ckpt_read(c, l, NULL, e);
    code = check_base(code, c, from, check, e);
    if (check->prompts)
        *check->prompts = c->identity.prompts;
    if (check->continued)
        *check->continued = *c->identity.adapter != '\0';
    if (check->objective)
        *check->objective = origin_objective(from);
    l->rslora = c->rslora;
    l->dropout = from->has_options ? from->options.lora_dropout : 0;
    if (!code && check->origin)
        read_log(from, c->path);
    if (code)
        lora_release(l);
    origin_release(&own);
    ckpt_close(c);
    return code;
}

/* A folder of PEFT whose adapter does not fit: for which model it says that it is. */
static enum err_code explain_peft(const char *folder, const struct adapter_check *check, struct err *e)
{
    char path[PATH_MAX];
    struct json *doc = NULL;
    struct err ignored; /* the reader of the adapter has said it */
    if (file_join(path, sizeof path, folder, PEFT_CONFIG, &ignored) ||
        json_open_file(&doc, path, LIMIT_ADAPTER_JSON, &ignored))
        return e->code;
    const char *base = json_text(json_get(json_root(doc), "base_model_name_or_path"));
    if (base && *base && strcmp(base, check->model) != 0)
        err_wrap(e, "%s is for the base %s, and perhaps not for this model, %s", folder, base, check->model);
    json_close(doc);
    return e->code;
}

static enum err_code read_peft(struct lora *l, const struct arch *a, const char *folder,
                               const struct adapter_check *check, struct err *e)
{
    struct export_notes of;
    enum err_code code = peft_read(l, a, check->base, folder, &of, e);
    if (!code)
        take_notes(folder, &of, check);
    /* PEFT goes by a list of names for each model_type then, and drops the tensors of other modules without a word. */
    if (!code && !check->silent && of.no_targets)
        log_warn("%s/%s names no target_modules: the %zu modules whose tensors are there are adapted; PEFT takes those "
                 "of a list of its own for the type of the model and leaves out the others",
                 folder, PEFT_CONFIG, l->layout.count);
    return code == ERR_MISMATCH || code == ERR_FORMAT ? explain_peft(folder, check, e) : code;
}

static enum err_code read_gguf(struct lora *l, const struct arch *a, const char *path,
                               const struct adapter_check *check, struct err *e)
{
    struct export_notes of;
    enum err_code code = gguf_adapter_read(l, a, path, &of, e);
    if (!code)
        take_notes(path, &of, check);
    return code;
}

/* Not a folder: what it is, if neither an HDF5 nor a GGUF file. One of a PEFT folder, perhaps. */
static enum err_code check_file(bool *gguf, const char *path, struct err *e)
{
    struct file_map map;
    char folder[PATH_MAX];
    if (!file_exists(path))
        return err_set(e, ERR_IO, "there is no adapter %s", path);
    if (file_map_open(&map, path, e))
        return e->code;
    *gguf = format_is(FORMAT_GGUF, map.data, map.size);
    const bool known = *gguf || format_is(FORMAT_HDF5, map.data, map.size);
    const char *name = format_name(map.data, map.size);
    file_map_close(&map);
    if (known)
        return ERR_OK;
    snprintf(folder, sizeof folder, "%s", path);
    const char *parent = dirname(folder);
    if (peft_is_folder(parent))
        return err_set(e, ERR_USAGE, "%s is one file of an adapter: give the folder, %s", path, parent);
    return err_set(e, ERR_USAGE,
                   "%s is %s: an adapter is a checkpoint (.h5), the folder of a run, a folder of PEFT, which has its "
                   PEFT_CONFIG " and " PEFT_TENSORS ", or a LoRA adapter of llama.cpp (.gguf)",
                   path, name);
}

/* The folder of a run means its newest checkpoint, which may be neither its last step nor what --keep-best exports. */
static void tell_step(const struct ckpt *c, const char *folder)
{
    char path[PATH_MAX];
    struct err ignored;
    const uint64_t step = c->state.step, best = c->state.best.step;
    if (!best && c->state.finished)
        return;
    if (!best || best == step)
        log_note("%s: the adapter of its newest checkpoint, of step %" PRIu64 "%s", folder, step,
                 best ? ", which had the lowest eval loss" : "");
    else if (rundir_path(path, folder, RUNDIR_BEST, &ignored) || !file_exists(path))
        log_note("%s: the adapter of its newest checkpoint, of step %" PRIu64
                 "; the eval loss was lowest at step %" PRIu64 ", whose checkpoint was not kept (--keep-best keeps it)",
                 folder, step, best);
    else
        log_warn("%s: this is the adapter of its newest checkpoint, of step %" PRIu64
                 "; the evaluations were best at step %" PRIu64 ": give %s for that one",
                 folder, step, best, path);
}

enum err_code adapter_load(struct lora *l, const struct arch *a, const char *path,
                           const struct adapter_check *check, struct err *e)
{
    struct ckpt c;
    if (!file_is_folder(path)) {
        bool gguf = false;
        if (check_file(&gguf, path, e))
            return e->code;
        if (gguf)
            return read_gguf(l, a, path, check, e);
        if (ckpt_open(&c, path, e))
            return e->code;
        return make_from_checkpoint(l, a, &c, check, e);
    }
    if (peft_is_folder(path)) {
        return read_peft(l, a, path, check, e);
    }
    bool found;
    if (rundir_open_newest(&c, &found, path, e))
        return e->code;
    if (!found && folder_kind_of(path) == FOLDER_OTHER)
        return err_set(e, ERR_USAGE, "%s holds no adapter: neither %s (PEFT) nor checkpoints of a run", path,
                       PEFT_CONFIG);
    if (!found)
        return folder_refuse(path, "one with an adapter: a run with checkpoints, or a folder of PEFT", e);
    if (!check->silent)
        tell_step(&c, path);
    return make_from_checkpoint(l, a, &c, check, e);
}

/* What a block of modules begins with. */
enum { HAS_START, IS_RSLORA, FLAG_COUNT };

/* The modules in one block, after the flags: for each its rank, its scaling and its path with the zero. */
static enum err_code append_modules(struct str *out, const struct lora *l, struct err *e)
{
    const bool flags[FLAG_COUNT] = {[HAS_START] = l->start != NULL, [IS_RSLORA] = l->rslora};
    if (str_append(out, flags, sizeof flags, e))
        return e->code;
    for (size_t i = 0; i < l->layout.count; i++) {
        const struct lora_module *m = &l->layout.modules[i];
        double scaling = m->scaling;
        if (str_append(out, &m->rank, sizeof m->rank, e) || str_append(out, &scaling, sizeof scaling, e) ||
            str_append(out, m->path, strlen(m->path) + 1, e))
            return e->code;
    }
    return ERR_OK;
}

enum err_code adapter_hash(char hash[FILE_HASH_SIZE], const struct lora *l, struct err *e)
{
    struct str modules = {0};
    if (append_modules(&modules, l, e)) {
        str_release(&modules);
        return e->code;
    }
    struct file_hasher *h = file_hasher_open(e);
    if (h) {
        file_hasher_add(h, modules.data, modules.length);
        file_hasher_add(h, l->params, l->layout.size * sizeof *l->params);
        if (l->start)
            file_hasher_add(h, l->start, l->layout.size * sizeof *l->start);
        file_hasher_finish(h, hash);
    }
    str_release(&modules);
    return h ? ERR_OK : e->code;
}

/* The block comes from rank 0 of this very run, so it is well-formed. */
static enum err_code create_from_block(struct lora *l, const struct arch *a, const char *block, size_t length,
                                       struct err *e)
{
    struct arena arena = {0};
    size_t most = length / (sizeof l->layout.modules->rank + sizeof(double) + 1), count = 0;
    struct lora_given *given = arena_alloc(&arena, most, sizeof *given, "modules of the adapter", e);
    for (const char *at = block + FLAG_COUNT; given && at < block + length; count++) {
        memcpy(&given[count].rank, at, sizeof given->rank);
        at += sizeof given->rank;
        memcpy(&given[count].scaling, at, sizeof given->scaling);
        at += sizeof given->scaling;
        given[count].path = at;
        at += strlen(at) + 1;
    }
    enum err_code code = given ? lora_create_given(l, a, given, count, e) : e->code;
    if (!code && block[HAS_START])
        code = lora_start_buffer(l, e);
    if (!code)
        l->rslora = block[IS_RSLORA];
    arena_release(&arena);
    return code;
}

enum err_code adapter_broadcast(struct lora *l, const struct arch *a, struct dist *d, struct err *e)
{
    if (d->world == 1)
        return ERR_OK;
    struct str text = {0};
    enum err_code code = dist_agree(d, d->rank == 0 ? append_modules(&text, l, e) : ERR_OK, e);
    void *block = text.data;
    size_t length = text.length;
    if (!code)
        code = dist_broadcast_block(d, &block, &length, 0, e);
    if (!code) {
        code = d->rank == 0 ? ERR_OK : create_from_block(l, a, block, length, e);
        code = dist_agree(d, code, e);
    }
    if (!code)
        code = dist_broadcast(d, l->params, l->layout.size * sizeof *l->params, 0, e);
    if (!code && l->start)
        code = dist_broadcast(d, l->start, l->layout.size * sizeof *l->start, 0, e);
    if (d->rank == 0)
        str_release(&text);
    else
        free(block);
    return code;
}
