#include "run/trace.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "run/module_group.h"
#include "trace_file.h"

#define GROUP           "/trace"
#define VALUES          "values"
#define SINGULAR_VALUES "singular_values"

/* Attributes of the group, where measured. */
static const struct {
    const char *name;
    size_t offset;
} facts[] = {{"base_eval_loss", offsetof(struct trace_record, base_eval_loss)},
             {"start_eval_loss", offsetof(struct trace_record, start_eval_loss)},
             {"start_logit_difference", offsetof(struct trace_record, start_logit_difference)}};
#define FACT_COUNT (sizeof facts / sizeof facts[0])

const char *const trace_names[TRACE_COLUMNS] = {
#define TRACE(code, name) name,
#include "run/trace.def"
#undef TRACE
};

static void list_columns(char text[512])
{
    size_t used = 0;
    for (int i = 0; i < TRACE_COLUMNS; i++)
        used += (size_t)snprintf(text + used, 512 - used, "%s%s", i ? " " : "", trace_names[i]);
}

void trace_write(struct h5_writer *w, const struct trace_record *r)
{
    char path[MODULE_GROUP_SIZE], columns[512];
    if (!r->count)
        return;
    h5_write(w, GROUP "/step", H5_U64, 1, (const uint64_t[]){r->count}, r->steps);
    for (size_t i = 0; i < FACT_COUNT; i++) {
        double value = *(const double *)((const char *)r + facts[i].offset);
        if (!isnan(value))
            h5_attribute_real(w, GROUP, facts[i].name, value);
    }
    list_columns(columns);
    for (size_t i = 0; i < r->module_count; i++) {
        const struct trace_module *m = &r->modules[i];
        module_group_path(path, GROUP, m->path, VALUES);
        h5_write(w, path, H5_F32, 2, (const uint64_t[]){r->count, TRACE_COLUMNS}, m->values);
        h5_attribute_text(w, path, "columns", columns);
        module_group_path(path, GROUP, m->path, SINGULAR_VALUES);
        h5_write(w, path, H5_F32, 2, (const uint64_t[]){r->count, m->rank}, m->singular_values);
    }
}

static enum err_code read_module(struct trace_record *r, struct trace_module *m, struct h5_reader *file,
                                 struct err *e)
{
    char path[MODULE_GROUP_SIZE], wanted[512];
    const char *columns;
    uint64_t shape[2];
    list_columns(wanted);
    module_group_path(path, GROUP, m->path, VALUES);
    if (h5_get_text(&columns, file, path, "columns", &r->arena, e))
        return e->code;
    if (strcmp(columns, wanted) != 0)
        return err_set(e, ERR_UNSUPPORTED, "%s has the columns '%s', this program traces '%s'", path, columns,
                       wanted);
    m->values = arena_alloc(&r->arena, r->count, sizeof *m->values, "a trace", e);
    if (!m->values ||
        h5_read(file, path, H5_F32, 2, (const uint64_t[]){r->count, TRACE_COLUMNS}, m->values, e))
        return e->code;
    module_group_path(path, GROUP, m->path, SINGULAR_VALUES);
    if (h5_shape(file, path, H5_F32, 2, shape, e))
        return e->code;
    if (shape[0] != r->count || shape[1] < 1 || shape[1] > LIMIT_RANK)
        return err_set(e, ERR_FORMAT, "%s does not have %zu rows", path, r->count);
    m->rank = (size_t)shape[1];
    m->singular_values = arena_alloc(&r->arena, r->count, m->rank * sizeof *m->singular_values, "a trace", e);
    return m->singular_values ? h5_read(file, path, H5_F32, 2, shape, m->singular_values, e) : e->code;
}

static enum err_code read_steps(struct trace_record *r, struct h5_reader *file, struct err *e)
{
    uint64_t count;
    if (h5_shape(file, GROUP "/step", H5_U64, 1, &count, e))
        return e->code;
    r->count = r->capacity = (size_t)count;
    r->steps = arena_alloc(&r->arena, r->count, sizeof *r->steps, "a trace", e);
    if (!r->steps || h5_read(file, GROUP "/step", H5_U64, 1, &count, r->steps, e))
        return e->code;
    for (size_t i = 1; i < r->count; i++)
        if (r->steps[i] <= r->steps[i - 1])
            return err_set(e, ERR_FORMAT, GROUP "/step does not ascend");
    for (size_t i = 0; i < FACT_COUNT; i++) {
        double *value = (double *)((char *)r + facts[i].offset);
        if (h5_get_real(value, file, GROUP, facts[i].name, &(struct err){0}))
            *value = NAN; /* was not measured */
    }
    return ERR_OK;
}

static enum err_code read_all(struct trace_record *r, struct h5_reader *file, struct err *e)
{
    const char **names;
    size_t count;
    if (read_steps(r, file, e) || module_group_list(&names, &count, file, GROUP, VALUES, &r->arena, e))
        return e->code;
    r->modules = arena_alloc(&r->arena, count, sizeof *r->modules, "a trace", e);
    if (!r->modules)
        return e->code;
    for (size_t i = 0; i < count; i++) {
        struct trace_module *m = &r->modules[r->module_count++];
        m->path = names[i];
        if (read_module(r, m, file, e))
            return e->code;
    }
    return ERR_OK;
}

enum err_code trace_read_from(struct trace_record *r, struct h5_reader *file, struct err *e)
{
    *r = (struct trace_record){.base_eval_loss = NAN, .start_eval_loss = NAN, .start_logit_difference = NAN};
    if (!h5_exists(file, GROUP))
        return ERR_OK;
    enum err_code code = read_all(r, file, e);
    if (code)
        trace_release(r);
    return code;
}

enum err_code trace_read(struct trace_record *r, const char *checkpoint_path, struct err *e)
{
    struct h5_reader *file;
    *r = (struct trace_record){0};
    if (h5_open(&file, checkpoint_path, true, e))
        return e->code;
    enum err_code code = trace_read_from(r, file, e);
    h5_close(file);
    return code ? err_wrap(e, "%s", checkpoint_path) : ERR_OK;
}

void trace_release(struct trace_record *r)
{
    arena_release(&r->arena);
    *r = (struct trace_record){0};
}

const struct trace_module *trace_find(const struct trace_record *r, const char *path)
{
    for (size_t i = 0; i < r->module_count; i++)
        if (strcmp(r->modules[i].path, path) == 0)
            return &r->modules[i];
    return NULL;
}
