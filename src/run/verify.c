#include "run/verify.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "io/h5/h5.h"
#include "io/json.h"
#include "io/store/store.h"
#include "math/kern.h"
#include "run/export/peft_names.h"
#include "run/ckpt.h"
#include "run/folder.h"
#include "run/module_group.h"
#include "run/options.h"
#include "run/export/peft.h"
#include "run/rundir.h"
#include "run/study_grid.h"

static void tell(struct verify *v, const char *path, enum err_code code, const struct err *e)
{
    v->files++;
    v->damaged += code != ERR_OK;
    v->tell(v->context, path, code ? e->message : NULL);
}

static enum err_code check_config(const char *name, const char *text, size_t length, struct err *e)
{
    struct options o;
    enum err_code code = options_read_yaml(&o, "train", name, text, length, e);
    options_release(&o);
    return code;
}

static enum err_code check_checkpoint(const char *path, const uint64_t *step, struct err *e)
{
    struct ckpt c;
    struct trace_record trace;
    if (ckpt_open(&c, path, e))
        return e->code;
    enum err_code code = check_config("its configuration", c.config, strlen(c.config), e);
    if (!code && step && *step != c.state.step)
        code = err_set(e, ERR_FORMAT, "%s holds step %" PRIu64 ": it was renamed", path, c.state.step);
    if (!code) {
        code = trace_read_from(&trace, c.file, e);
        if (!code)
            trace_release(&trace);
    }
    ckpt_close(&c);
    return code;
}

void verify_checkpoint(struct verify *v, const char *path, const uint64_t *step)
{
    struct err e;
    tell(v, path, check_checkpoint(path, step, &e), &e);
}

static enum err_code check_tensor(const struct store *s, const struct store_tensor *t, struct err *e)
{
    const char a[] = ".lora_A.weight", b[] = ".lora_B.weight";
    char partner[PEFT_NAME_SIZE];
    size_t stem = strlen(t->name) - (sizeof a - 1);
    if (t->type == DTYPE_F32 && kern_first_nonfinite(t->data, t->elements) < t->elements)
        return err_set(e, ERR_NUMERIC, "%s: %s holds a value that is not finite", t->file, t->name);
    if (!str_ends_with(t->name, a) && !str_ends_with(t->name, b))
        return ERR_OK;
    if (strlen(t->name) >= sizeof partner)
        return err_set(e, ERR_FORMAT, "%s: the name of a tensor is too long: %.40s...", t->file, t->name);
    bool is_a = str_ends_with(t->name, a);
    snprintf(partner, sizeof partner, "%.*s%s", (int)stem, t->name, is_a ? b : a);
    const struct store_tensor *other = store_find(s, partner);
    if (!other || t->dims != 2 || other->dims != 2 || t->shape[is_a ? 0 : 1] != other->shape[is_a ? 1 : 0])
        return err_set(e, ERR_FORMAT, "%s: %s has no partner of the same rank", t->file, t->name);
    return ERR_OK;
}

static enum err_code check_tensors(const char *path, struct err *e)
{
    struct store s = {0};
    enum err_code code = store_open_safetensors(&s, path, e);
    if (code)
        return code;
    if (!s.tensor_count)
        code = err_set(e, ERR_FORMAT, "%s: there are no tensors in it", path);
    for (size_t i = 0; !code && i < s.tensor_count; i++)
        code = check_tensor(&s, &s.tensors[i], e);
    store_close(&s);
    return code;
}

static enum err_code check_adapter_config(const char *path, struct err *e)
{
    struct json *doc;
    size_t rank;
    if (json_open_file(&doc, path, LIMIT_ADAPTER_JSON, e))
        return e->code;
    const struct json_fields f = {.object = json_root(doc), .file = path};
    enum err_code code = json_need_size(&rank, &f, "r", e);
    if (!code && rank < 1)
        code = err_set(e, ERR_FORMAT, "%s: \"r\" is 0, which is no rank", path);
    json_close(doc);
    return code;
}

static enum err_code check_h5(const char *path, struct err *e)
{
    struct h5_reader *r = NULL;
    enum err_code code = h5_open(&r, path, true, e);
    h5_close(r);
    return code;
}

static enum err_code check_config_file(const char *path, struct err *e)
{
    struct str text = {0};
    enum err_code code = file_read_all(&text, path, LIMIT_YAML, e);
    if (!code)
        code = check_config(path, text.data, text.length, e);
    str_release(&text);
    return code;
}

/* One line of a file of them; its step goes to *last, and is `more` at least after the one before. */
static enum err_code check_line(size_t *last, size_t more, const char *path, size_t number, const char *line,
                                size_t length, struct err *e)
{
    struct json *doc = NULL;
    size_t step;
    enum err_code code = json_open_bytes(&doc, line, length, NULL, e);
    if (!code)
        code = json_need_size(&step, &(struct json_fields){.object = json_root(doc)}, "step", e);
    json_close(doc);
    if (code)
        return err_wrap(e, "%s:%zu", path, number);
    if (step < *last + more)
        return err_set(e, ERR_FORMAT, "%s:%zu: step %zu stands after step %zu", path, number, step, *last);
    *last = step;
    return ERR_OK;
}

static enum err_code check_lines(const char *path, size_t more, struct err *e)
{
    struct file_map map;
    size_t last = 0, number = 1;
    if (file_map_open(&map, path, e))
        return e->code;
    enum err_code code = ERR_OK;
    const char *at = (const char *)map.data, *end = at + map.size;
    for (; !code && at < end; number++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (!newline)
            code = err_set(e, ERR_FORMAT, "%s:%zu: the last line is incomplete: the next resume repairs that", path,
                           number);
        else
            code = check_line(&last, more, path, number, at, (size_t)(newline - at), e);
        at = newline ? newline + 1 : end;
    }
    file_map_close(&map);
    return code;
}

/* Does the adapter hold the checkpoint's values? */
static enum err_code compare_module(const struct ckpt *c, const struct store *s, const char *module, bool b,
                                    struct err *e)
{
    char name[PEFT_NAME_SIZE], path[MODULE_GROUP_SIZE];
    const struct store_tensor *t;
    peft_tensor_name(name, &peft_names, module, b);
    module_group_path(path, "/adapter", module, b ? "lora_B" : "lora_A");
    if (store_require(&t, s, name, e))
        return e->code;
    if (t->type != DTYPE_F32 || t->dims != 2)
        return err_set(e, ERR_MISMATCH, "%s: %s is not an f32 matrix", t->file, name);
    float *values = malloc(t->bytes ? t->bytes : 1);
    if (!values)
        return err_set(e, ERR_MEMORY, "no memory to compare %s", name);
    enum err_code code = h5_read(c->file, path, H5_F32, 2, t->shape, values, e);
    if (!code && memcmp(values, t->data, t->bytes) != 0)
        code = err_set(e, ERR_MISMATCH, "%s: %s is not what %s has: export it again", t->file, name, c->path);
    free(values);
    return code;
}

/* Instead of the last checkpoint, with --keep-best: that of the best evaluation. */
static enum err_code open_best(struct ckpt *c, const char *folder, struct err *e)
{
    struct options o;
    char path[PATH_MAX];
    uint64_t best = c->state.best.step;
    enum err_code code = options_read_yaml(&o, "train", c->path, c->config, strlen(c->config), e);
    bool exported = !code && o.keep_best && best && best != c->state.step;
    options_release(&o);
    if (code || !exported)
        return code;
    code = rundir_checkpoint_path(path, folder, best, e);
    bool finished = c->state.finished;
    ckpt_close(c);
    if (!code)
        code = ckpt_open(c, path, e);
    c->state.finished = finished;
    return code;
}

static enum err_code compare_adapter(const char *folder, const char *checkpoint, struct err *e)
{
    struct ckpt c;
    struct store s = {0};
    char path[PATH_MAX];
    if (rundir_path(path, folder, RUNDIR_ADAPTER_TENSORS, e) || ckpt_open(&c, checkpoint, e))
        return e->code;
    if (c.state.finished && open_best(&c, folder, e))
        return e->code;
    enum err_code code = ERR_OK;
    if (c.state.finished && !c.has_start) { /* with a start, the export is a wider one */
        code = store_open_safetensors(&s, path, e);
        for (size_t i = 0; !code && i < c.module_count; i++)
            for (int b = 0; !code && b < 2; b++)
                code = compare_module(&c, &s, c.modules[i].path, b, e);
        store_close(&s);
    }
    ckpt_close(&c);
    return code;
}

/* `run`: the folder of a run whose adapter this is, and `last` its last checkpoint; NULL: not compared with one. */
static void verify_adapter_of(struct verify *v, const char *folder, const char *run, const char *last)
{
    struct err e;
    char path[PATH_MAX];
    enum err_code code = file_join(path, sizeof path, folder, PEFT_CONFIG, &e);
    tell(v, path, code ? code : check_adapter_config(path, &e), &e);
    code = file_join(path, sizeof path, folder, PEFT_TENSORS, &e);
    if (!code)
        code = check_tensors(path, &e);
    if (!code && last)
        code = compare_adapter(run, last, &e);
    tell(v, path, code, &e);
}

void verify_adapter(struct verify *v, const char *folder)
{
    verify_adapter_of(v, folder, NULL, NULL);
}

static enum err_code verify_lines(struct verify *v, const char *folder, enum rundir_file file, size_t more,
                                  struct err *e)
{
    char path[PATH_MAX];
    if (rundir_path(path, folder, file, e))
        return e->code;
    if (file_exists(path))
        tell(v, path, check_lines(path, more, e), e);
    return ERR_OK;
}

static enum err_code verify_folder(struct verify *v, const char *folder, const uint64_t *steps, size_t count,
                                   struct err *e)
{
    char path[PATH_MAX], last[PATH_MAX] = "";
    size_t damaged = 0;
    if (!count && !rundir_has(folder, RUNDIR_CONFIG))
        return folder_refuse(folder, "a run, a study or an adapter, so that there is nothing to verify", e);
    for (size_t i = 0; i < count; i++) {
        size_t before = v->damaged;
        if (rundir_checkpoint_path(last, folder, steps[i], e))
            return e->code;
        verify_checkpoint(v, last, &steps[i]);
        damaged = v->damaged - before; /* the last one's */
    }
    if (rundir_path(path, folder, RUNDIR_REFERENCE, e))
        return e->code;
    if (file_exists(path))
        tell(v, path, check_h5(path, e), e);
    if (rundir_path(path, folder, RUNDIR_CONFIG, e))
        return e->code;
    tell(v, path, check_config_file(path, e), e);
    if (verify_lines(v, folder, RUNDIR_METRICS, 1, e) || verify_lines(v, folder, RUNDIR_SAMPLES, 0, e) ||
        rundir_path(path, folder, RUNDIR_ADAPTER, e))
        return e->code;
    if (peft_is_folder(path))
        verify_adapter_of(v, path, folder, *last && !damaged ? last : NULL);
    return ERR_OK;
}

enum err_code verify_run(struct verify *v, const char *folder, struct err *e)
{
    struct arena arena = {0};
    uint64_t *steps;
    size_t count;
    enum err_code code = rundir_list(&steps, &count, folder, &arena, e);
    if (!code)
        code = verify_folder(v, folder, steps, count, e);
    arena_release(&arena);
    return code;
}

enum err_code verify_study(struct verify *v, const char *folder, struct err *e)
{
    struct options given;
    struct study_grid grid;
    struct err damage;
    char path[PATH_MAX], cell[PATH_MAX];
    if (rundir_path(path, folder, RUNDIR_STUDY, e))
        return e->code;
    enum err_code code = study_grid_open(&grid, &given, folder, &damage);
    tell(v, path, code, &damage);
    code = rundir_path(path, folder, RUNDIR_CELLS, e);
    for (size_t i = 0; i < grid.count && !code; i++) {
        code = file_join(cell, sizeof cell, path, grid.cells[i].name, e);
        if (!code && rundir_has(cell, RUNDIR_CONFIG))
            code = verify_run(v, cell, e);
    }
    study_grid_release(&grid);
    options_release(&given);
    return code;
}
