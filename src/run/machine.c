#include "run/machine.h"

#include <string.h>

#include "run/lines_file.h"

/* Facts about processors go before these. */
enum { PROCESSORS, HOSTS, OF_PROCESSORS };
static const struct {
    const char *name, *key;
    bool is_count;
    size_t offset;
} fields[MACHINE_FIELDS] = {
    {"Ranks", "ranks", true, offsetof(struct machine, ranks)},
    {"Threads of a rank", "threads", true, offsetof(struct machine, threads)},
    {"Number type", "dtype", false, offsetof(struct machine, dtype)},
    {"Kernels", "kernels", false, offsetof(struct machine, kernels)},
    {"Matrix products", "products", false, offsetof(struct machine, products)},
    {"MPI", "mpi", false, offsetof(struct machine, mpi)},
    {"HDF5", "hdf5", false, offsetof(struct machine, hdf5)},
    {"mpilora", "mpilora", false, offsetof(struct machine, program)},
};
_Static_assert(OF_PROCESSORS + MACHINE_FIELDS == MACHINE_FACTS, "the header counts them");

static const char *program_name = MPILORA_VERSION;

void machine_set_program(const char *program)
{
    program_name = program;
}

const char *machine_program(void)
{
    return program_name;
}

const char *machine_field_key(size_t field)
{
    return fields[field].key;
}

size_t machine_field_count(const struct machine *m, size_t field)
{
    return *(const size_t *)(const void *)((const char *)m + fields[field].offset);
}

const char *machine_field_text(const struct machine *m, size_t field)
{
    return fields[field].is_count ? NULL
                                  : *(const char *const *)(const void *)((const char *)m + fields[field].offset);
}

/* ---- In metrics.jsonl ---- */

static enum err_code append_text(struct str *out, const char *key, const char *text, struct err *e)
{
    return str_appendf(out, e, "\"%s\": ", key) ? e->code : json_append_string(out, text, strlen(text), e);
}

enum err_code machine_append(struct str *out, const struct machine *m, struct err *e)
{
    if (str_appendf(out, e, "{\"processors\": ["))
        return e->code;
    for (size_t i = 0; i < m->count; i++)
        if (str_appendf(out, e, "%s{", i ? ", " : "") || append_text(out, "name", m->processors[i].name, e) ||
            str_appendf(out, e, ", \"hosts\": %zu, \"ranks\": %zu}", m->processors[i].hosts, m->processors[i].ranks))
            return e->code;
    if (str_append(out, "]", 1, e))
        return e->code;
    for (size_t i = 0; i < MACHINE_FIELDS; i++)
        if (str_append(out, ", ", 2, e) ||
            (fields[i].is_count ? str_appendf(out, e, "\"%s\": %zu", fields[i].key, machine_field_count(m, i))
                               : append_text(out, fields[i].key, machine_field_text(m, i), e)))
            return e->code;
    return str_append(out, "}", 1, e);
}

static size_t read_count(const struct json_value *object, const char *key)
{
    const int64_t count = json_int(json_get(object, key), 0);
    return count > 0 ? (size_t)count : 0;
}

/* NULL: no memory. */
static const char *read_text(const struct json_value *object, const char *key, struct arena *a, struct err *e)
{
    const char *text = json_text(json_get(object, key));
    return text ? arena_strndup(a, text, strlen(text), e) : "";
}

static enum err_code read_processors(struct machine *m, const struct json_value *list, struct arena *a, struct err *e)
{
    if (json_kind(list) != JSON_KIND_ARRAY)
        return ERR_OK;
    struct machine_processor *processors =
        arena_alloc(a, json_count(list), sizeof *processors, "kinds of processors", e);
    if (!processors)
        return e->code;
    for (size_t i = 0; i < json_count(list); i++) {
        struct machine_processor *p = &processors[m->count];
        p->name = read_text(json_at(list, i), "name", a, e);
        p->hosts = read_count(json_at(list, i), "hosts");
        p->ranks = read_count(json_at(list, i), "ranks");
        if (!p->name)
            return e->code;
        m->count += *p->name != '\0';
    }
    m->processors = processors;
    return ERR_OK;
}

enum err_code machine_read(struct machine *m, bool *found, const struct json_value *line, struct arena *a,
                           struct err *e)
{
    const struct json_value *object = json_get(line, MACHINE_KEY);
    *m = (struct machine){0};
    *found = json_kind(object) == JSON_KIND_OBJECT;
    if (!*found)
        return ERR_OK;
    for (size_t i = 0; i < MACHINE_FIELDS; i++) {
        void *to = (char *)m + fields[i].offset;
        const char *text = fields[i].is_count ? NULL : read_text(object, fields[i].key, a, e);
        if (fields[i].is_count)
            *(size_t *)to = read_count(object, fields[i].key);
        else if (text)
            *(const char **)to = text;
        else
            return e->code;
    }
    return read_processors(m, json_get(object, "processors"), a, e);
}

bool machine_equals(const struct machine *a, const struct machine *b)
{
    bool equal = a->count == b->count;
    for (size_t i = 0; equal && i < a->count; i++)
        equal = strcmp(a->processors[i].name, b->processors[i].name) == 0 &&
                a->processors[i].hosts == b->processors[i].hosts && a->processors[i].ranks == b->processors[i].ranks;
    for (size_t i = 0; equal && i < MACHINE_FIELDS; i++)
        equal = fields[i].is_count
                    ? machine_field_count(a, i) == machine_field_count(b, i)
                    : strcmp(machine_field_text(a, i), machine_field_text(b, i)) == 0;
    return equal;
}

/* ---- For people ---- */

size_t machine_hosts(const struct machine *m)
{
    size_t hosts = 0;
    for (size_t i = 0; i < m->count; i++)
        hosts += m->processors[i].hosts;
    return hosts;
}

enum err_code machine_append_processors(struct str *out, const struct machine *m, struct err *e)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct machine_processor *p = &m->processors[i];
        if (str_appendf(out, e, "%s%s", i ? ", " : "", p->name) ||
            (m->count > 1 && str_appendf(out, e, " (%zu rank%s on %zu host%s)", p->ranks, p->ranks == 1 ? "" : "s",
                                         p->hosts, p->hosts == 1 ? "" : "s")))
            return e->code;
    }
    return ERR_OK;
}

const char *machine_fact_name(size_t fact)
{
    static const char *const names[OF_PROCESSORS] = {[PROCESSORS] = "Processor", [HOSTS] = "Hosts"};
    return fact < OF_PROCESSORS ? names[fact] : fields[fact - OF_PROCESSORS].name;
}

enum err_code machine_append_fact(struct str *out, const struct machine *m, size_t fact, struct err *e)
{
    if (fact == PROCESSORS)
        return machine_append_processors(out, m, e);
    const size_t i = fact - OF_PROCESSORS;
    const bool is_count = fact == HOSTS || fields[i].is_count;
    const size_t count = fact == HOSTS ? machine_hosts(m) : is_count ? machine_field_count(m, i) : 0;
    if (!is_count)
        return str_append(out, machine_field_text(m, i), strlen(machine_field_text(m, i)), e);
    return count ? str_appendf(out, e, "%zu", count) : ERR_OK;
}

/* ---- Of a whole run ---- */

enum err_code machine_list_note(struct machine_list *l, uint64_t step, const struct json_value *line, struct arena *a,
                                struct err *e)
{
    struct machine machine;
    bool found;
    if (machine_read(&machine, &found, line, a, e))
        return e->code;
    if (!found || (l->last && machine_equals(&machine, &l->last->machine)))
        return ERR_OK;
    struct machine_start *start = arena_alloc(a, 1, sizeof *start, "machines of a run", e);
    if (!start)
        return e->code;
    *start = (struct machine_start){.step = step, .machine = machine};
    *(l->last ? &l->last->next : &l->first) = start;
    l->last = start;
    return ERR_OK;
}

/* What reads a file, and the first error. */
struct reading {
    struct machine_list *list;
    struct arena *arena;
    struct err *e;
    enum err_code code;
};

/* Keeps no line. Few have a machine: the others are not parsed. */
static bool take_line(void *context, const char *line, size_t length)
{
    struct reading *r = context;
    struct json *doc = NULL;
    struct err ignored;
    size_t step;
    if (r->code || !memmem(line, length, "\"" MACHINE_KEY "\"", strlen("\"" MACHINE_KEY "\"")) ||
        json_open_bytes(&doc, line, length, "line", &ignored))
        return false;
    const struct json_fields f = {.object = json_root(doc)};
    if (!json_need_size(&step, &f, "step", &ignored))
        r->code = machine_list_note(r->list, step, json_root(doc), r->arena, r->e);
    json_close(doc);
    return false;
}

enum err_code machine_list_read(struct machine_list *l, const char *path, struct arena *a, struct err *e)
{
    struct reading reading = {.list = l, .arena = a, .e = e};
    struct str none = {0};
    size_t size;
    *l = (struct machine_list){0};
    const enum err_code code = lines_read(&none, &size, path, take_line, &reading, e);
    return code ? code : reading.code;
}
