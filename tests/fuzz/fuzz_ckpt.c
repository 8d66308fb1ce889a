/*
 * A checkpoint whose container is sound, content hash and all, but whose content is made up. The input says
 * in lines what the file holds, on top of what a checkpoint of a small adapter has (what comes first counts):
 *
 *     /guard losses=3           an attribute: whole, with a point or an e a real, else a text
 *     /trace/step u64 2 7       a dataset, its dimensions, and the value that fills it (f32, u64, i32, i8)
 *     /config text lora-rank: 2 a dataset that is a text
 *     -/optimizer               leaves out all whose path begins so
 */
#include "fuzz.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "io/h5/h5.h"
#include "small_lora.h"
#include "run/adapter.h"
#include "run/ckpt.h"
#include "run/verify.h"

enum { LINES_MAX = 256, ELEMENTS_MAX = 4096 };

static const char base[] =
    "/ step=7\n/ cursor=70\n/ finished=0\n/ rslora=0\n/config text lora-rank: 2\n"
    "/ lora_init=normal\n/ version=1.0 of it\n/ base_hash=00112233445566778899aabbccddeeff\n"
    "/ tokenizer_hash=00112233445566778899aabbccddeeff\n"
    "/ data_hash=00112233445566778899aabbccddeeff\n"
    "/adapter/model.layers.0/self_attn.q_proj rank=2\n"
    "/adapter/model.layers.0/self_attn.q_proj scaling=1.5\n"
    "/adapter/model.layers.0/self_attn.q_proj/lora_A f32 2x8 0.5\n"
    "/adapter/model.layers.0/self_attn.q_proj/lora_B f32 8x2 0.25\n";

struct line {
    char *path, *rest;
    size_t name; /* length of an attribute's name; 0: a dataset */
};

struct content {
    struct line lines[LINES_MAX];
    size_t count;
};

/* Is there already something of this place and name? */
static bool is_taken(const struct content *c, const struct line *l)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct line *m = &c->lines[i];
        if (strcmp(m->path, l->path) == 0 && m->name == l->name && memcmp(m->rest, l->rest, l->name) == 0)
            return true;
    }
    return false;
}

static bool is_left_out(const struct content *c, const char *path)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->lines[i].path[0] == '-' &&
            strncmp(path, c->lines[i].path + 1, strlen(c->lines[i].path + 1)) == 0)
            return true;
    return false;
}

static void take_lines(struct content *c, char *text)
{
    char *end;
    for (char *line = text; line && *line && c->count < LINES_MAX; line = end) {
        end = strchr(line, '\n');
        if (end)
            *end++ = '\0';
        struct line l = {.path = line, .rest = line + strlen(line)};
        char *space = strchr(line, ' ');
        if (space) {
            *space = '\0';
            l.rest = space + 1;
        }
        const char *equal = strchr(l.rest, '=');
        l.name = equal ? (size_t)(equal - l.rest) : 0;
        if ((*line == '/' && *l.rest && !is_left_out(c, l.path) && !is_taken(c, &l)) || *line == '-')
            c->lines[c->count++] = l;
    }
}

static void write_attribute(struct h5_writer *w, const struct line *l)
{
    char *value = l->rest + l->name + 1, *end;
    l->rest[l->name] = '\0';
    if (isdigit((unsigned char)*value) || *value == '-') {
        long long whole = strtoll(value, &end, 10);
        if (!*end) {
            h5_attribute_int(w, l->path, l->rest, whole);
            return;
        }
    }
    double real = strtod(value, &end);
    if (end > value && !*end)
        h5_attribute_real(w, l->path, l->rest, real);
    else
        h5_attribute_text(w, l->path, l->rest, value);
}

static void write_dataset(struct h5_writer *w, const struct line *l)
{
    static const struct {
        const char *name;
        enum h5_type type;
    } types[] = {{"f32 ", H5_F32}, {"u64 ", H5_U64}, {"i32 ", H5_I32}, {"i8 ", H5_I8}};
    static uint64_t values[ELEMENTS_MAX];
    uint64_t shape[4], elements = 1;
    int dims = 0;
    size_t t = 0;
    while (t < 4 && strncmp(l->rest, types[t].name, strlen(types[t].name)) != 0)
        t++;
    if (strncmp(l->rest, "text ", 5) == 0)
        h5_write_text(w, l->path, l->rest + 5);
    if (t == 4)
        return;
    char *at = l->rest + strlen(types[t].name);
    for (; dims < 4 && isdigit((unsigned char)*at); at += *at == 'x') {
        shape[dims] = strtoull(at, &at, 10);
        if (__builtin_mul_overflow(elements, shape[dims++], &elements) || elements > ELEMENTS_MAX)
            return;
    }
    float value = strtof(at, NULL);
    for (size_t i = 0; i < elements; i++)
        if (types[t].type == H5_F32)
            memcpy((float *)values + i, &value, sizeof value);
        else if (types[t].type == H5_U64)
            values[i] = i + (uint64_t)strtoull(at, NULL, 10);
        else
            memset((char *)values + i, (int)value, 1);
    if (dims)
        h5_write(w, l->path, types[t].type, dims, shape, values);
}

/* False if HDF5 does not take such content. */
static bool write_file(const char *path, const char *bytes, size_t size)
{
    struct content *c = calloc(1, sizeof *c);
    char *text = strndup(bytes, size), *more = strdup(base);
    struct h5_writer *w;
    struct err e;
    fuzz_check(c && text && more, "no memory");
    take_lines(c, text);
    take_lines(c, more);
    fuzz_need(h5_create(&w, path, &e), &e);
    for (size_t i = 0; i < c->count; i++) {
        if (c->lines[i].path[0] == '/' && c->lines[i].name)
            write_attribute(w, &c->lines[i]);
        else if (c->lines[i].path[0] == '/')
            write_dataset(w, &c->lines[i]);
    }
    bool written = h5_commit(w, &e) == ERR_OK;
    free(text);
    free(more);
    free(c);
    return written;
}

static void ignore(void *context, const char *path, const char *why)
{
    (void)context, (void)path, (void)why;
}

static enum err_code read_whole(const char *path, struct err *e)
{
    struct ckpt c;
    struct lora l = {0};
    struct lora_moments moments;
    if (ckpt_open(&c, path, e))
        return e->code;
    enum err_code code = lora_create_given(&l, &small_arch, c.modules, c.module_count, e);
    if (!code)
        code = lora_moments_init(&moments, &l.layout, false, &l.arena, e);
    if (!code && c.has_start)
        code = lora_start_buffer(&l, e);
    if (!code)
        code = ckpt_read(&c, &l, &moments, e);
    lora_release(&l);
    ckpt_close(&c);
    return code;
}

enum err_code fuzz_read(const char *bytes, size_t size, struct err *e)
{
    const char *path = fuzz_path("step.h5");
    const struct adapter_check check = {.model = "", .base_hash = "", .allow_base_mismatch = true, .silent = true};
    struct verify v = {.tell = ignore};
    struct lora l = {0};
    struct trace_record trace;
    struct err ignored;
    if (!write_file(path, bytes, size))
        return ERR_OK;
    read_whole(path, &ignored);
    verify_checkpoint(&v, path, NULL);
    if (!trace_read(&trace, path, &ignored))
        trace_release(&trace);
    enum err_code code = adapter_load(&l, &small_arch, path, &check, e);
    for (size_t i = 0; !code && i < l.layout.size; i++)
        fuzz_check(l.params[i] - l.params[i] == 0, "a value that is not finite");
    lora_release(&l);
    return code;
}
