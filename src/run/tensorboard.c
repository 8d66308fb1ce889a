#include "run/tensorboard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "event_record.h"
#include "io/json.h"
#include "run/rundir.h"

/* Numbers of fields and values in the protocol buffers. */
enum { EVENT_TIME = 1, EVENT_STEP = 2, EVENT_VERSION = 3, EVENT_SUMMARY = 5, EVENT_SESSION = 7 };
enum { SESSION_STATUS = 1, SESSION_START = 1 };
enum { SUMMARY_VALUE = 1 };
enum { VALUE_TAG = 1, VALUE_SIMPLE = 2, VALUE_HISTOGRAM = 5, VALUE_TENSOR = 8, VALUE_METADATA = 9 };
enum { METADATA_PLUGIN = 1, PLUGIN_NAME = 1 };
enum { TENSOR_TYPE = 1, TENSOR_SHAPE = 2, TENSOR_TEXT = 8, TYPE_TEXT = 7, SHAPE_DIM = 2, DIM_SIZE = 1 };
enum { HISTOGRAM_MIN = 1, HISTOGRAM_MAX, HISTOGRAM_COUNT, HISTOGRAM_SUM, HISTOGRAM_SQUARES, HISTOGRAM_LIMITS,
       HISTOGRAM_BUCKETS };

#define PREFIX  "events.out.tfevents."
#define VERSION "brain.Event:2"

enum { BUCKETS = 64 };

/* An event at work. Once a field could not be added, nothing more is. */
struct event {
    struct str summary, bytes;
    uint64_t step;
    struct err e;
};

static void event_begin(struct event *v, uint64_t step)
{
    *v = (struct event){.step = step};
}

/* Adds a Summary.Value with this tag; the rest of it is in `fields`. */
static void event_add(struct event *v, const char *tag, const struct str *fields)
{
    struct str value = {0};
    if (!v->e.code && !proto_bytes(&value, VALUE_TAG, tag, strlen(tag), &v->e) &&
        !str_append(&value, fields->data, fields->length, &v->e))
        proto_bytes(&v->summary, SUMMARY_VALUE, value.data, value.length, &v->e);
    str_release(&value);
}

static void give_up(struct tensorboard *t, const struct err *e)
{
    log_warn("%s; this run goes on without files for TensorBoard (%s has all its numbers)", e->message,
             rundir_name(RUNDIR_METRICS));
    tensorboard_close(t);
}

/* Frames the bytes of an event, and writes them. */
static void write_event(struct tensorboard *t, struct event *v)
{
    size_t done;
    str_clear(&t->record);
    if (!v->e.code && !event_record(&t->record, &v->bytes, &v->e))
        file_put(&done, t->fd, t->record.data, t->record.length, t->path, &v->e);
    if (v->e.code)
        give_up(t, &v->e);
    str_release(&v->summary);
    str_release(&v->bytes);
}

static void event_head(struct event *v)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (!v->e.code && !proto_double(&v->bytes, EVENT_TIME, (double)now.tv_sec + 1e-9 * (double)now.tv_nsec, &v->e))
        proto_integer(&v->bytes, EVENT_STEP, v->step, &v->e);
}

static void event_finish(struct tensorboard *t, struct event *v)
{
    event_head(v);
    if (!v->e.code)
        proto_bytes(&v->bytes, EVENT_SUMMARY, v->summary.data, v->summary.length, &v->e);
    write_event(t, v);
}

/* What every file begins with. */
static void write_start(struct tensorboard *t, uint64_t step)
{
    struct event v;
    event_begin(&v, 0);
    event_head(&v);
    if (!v.e.code)
        proto_bytes(&v.bytes, EVENT_VERSION, VERSION, strlen(VERSION), &v.e);
    write_event(t, &v);
    if (!t->open || !step)
        return;
    struct str session = {0};
    event_begin(&v, step + 1);
    event_head(&v);
    if (!v.e.code && !proto_integer(&session, SESSION_STATUS, SESSION_START, &v.e))
        proto_bytes(&v.bytes, EVENT_SESSION, session.data, session.length, &v.e);
    str_release(&session);
    write_event(t, &v);
}

/* A table of texts, [rows, columns], as TensorBoard's text page shows it; each is Markdown. */
static void add_texts(struct event *v, const char *tag, const struct str *cells, size_t rows, size_t columns)
{
    const size_t sizes[] = {rows, columns};
    struct str fields = {0}, tensor = {0}, part = {0}, dim = {0};
    static const char plugin[] = "text";
    struct err *e = &v->e;
    for (size_t i = 0; !e->code && i < 2; i++) {
        str_clear(&dim);
        if (!proto_integer(&dim, DIM_SIZE, sizes[i], e))
            proto_bytes(&part, SHAPE_DIM, dim.data, dim.length, e);
    }
    if (!e->code && !proto_integer(&tensor, TENSOR_TYPE, TYPE_TEXT, e))
        proto_bytes(&tensor, TENSOR_SHAPE, part.data, part.length, e);
    for (size_t i = 0; !e->code && i < rows * columns; i++)
        proto_bytes(&tensor, TENSOR_TEXT, cells[i].data, cells[i].length, e);
    str_clear(&part);
    str_clear(&dim);
    if (!e->code && !proto_bytes(&part, PLUGIN_NAME, plugin, strlen(plugin), e) &&
        !proto_bytes(&dim, METADATA_PLUGIN, part.data, part.length, e) &&
        !proto_bytes(&fields, VALUE_TENSOR, tensor.data, tensor.length, e))
        proto_bytes(&fields, VALUE_METADATA, dim.data, dim.length, e);
    event_add(v, tag, &fields);
    str_release(&fields);
    str_release(&tensor);
    str_release(&part);
    str_release(&dim);
}

/* A block of Markdown that shows the text as it is. */
static enum err_code append_verbatim(struct str *out, const char *text, size_t length, struct err *e)
{
    enum err_code code = str_append(out, "    ", 4, e);
    for (size_t i = 0; !code && i < length; i++)
        code = text[i] == '\n' ? str_append(out, "\n    ", 5, e) : str_append(out, &text[i], 1, e);
    return code;
}

static void write_config(struct tensorboard *t, uint64_t step, const char *config)
{
    struct event v;
    struct str text = {0};
    event_begin(&v, step);
    append_verbatim(&text, config, strlen(config), &v.e);
    add_texts(&v, "configuration", &text, 1, 1);
    event_finish(t, &v);
    str_release(&text);
}

static void delete_earlier(const char *folder)
{
    char path[PATH_MAX];
    struct err ignored; /* what cannot be deleted is shown beside the new run */
    DIR *dir = opendir(folder);
    for (const struct dirent *entry; dir && (entry = readdir(dir));)
        if (str_starts_with(entry->d_name, PREFIX) && !file_join(path, sizeof path, folder, entry->d_name, &ignored))
            unlink(path);
    if (dir)
        closedir(dir);
}

static enum err_code create(struct tensorboard *t, const char *run, const char *name, uint64_t step, struct err *e)
{
    char folder[PATH_MAX], path[PATH_MAX];
    if (rundir_path(folder, run, RUNDIR_TENSORBOARD, e) || file_make_folders(folder, e))
        return e->code;
    if (!step)
        delete_earlier(folder);
    if (file_join(path, sizeof path, folder, name, e))
        return e->code;
    t->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    t->open = t->fd >= 0;
    return t->open ? ERR_OK : err_set_errno(e, errno, "cannot create %s", path);
}

void tensorboard_open(struct tensorboard *t, const struct runlock *lock, const char *host, uint64_t step,
                      const char *config)
{
    *t = (struct tensorboard){0};
    char name[NAME_MAX];
    struct file_folder in;
    struct err e;
    snprintf(name, sizeof name, PREFIX "%lld.%.128s.%ld.0", (long long)time(NULL), host, (long)getpid());
    if (runlock_enter(&in, lock, &e) || file_folder_leave(&in, create(t, in.inside, name, step, &e), &e) ||
        rundir_path(t->path, lock->folder, RUNDIR_TENSORBOARD, &e)) {
        give_up(t, &e);
        return;
    }
    write_start(t, step);
    if (t->open)
        write_config(t, step, config);
}

void tensorboard_close(struct tensorboard *t)
{
    if (t->open)
        close(t->fd);
    str_release(&t->record);
    *t = (struct tensorboard){0};
}

static void add_scalar(struct event *v, const char *tag, double value)
{
    struct str fields = {0};
    if (!v->e.code)
        proto_float(&fields, VALUE_SIMPLE, (float)value, &v->e);
    event_add(v, tag, &fields);
    str_release(&fields);
}

static void add_fields(struct event *v, const char *prefix, const struct metrics_field *fields, size_t count,
                       const void *numbers)
{
    for (size_t i = 0; i < count; i++) {
        char tag[64];
        snprintf(tag, sizeof tag, "%s/%s", prefix, fields[i].name);
        add_scalar(v, tag, metrics_value(numbers, &fields[i]));
    }
}

void tensorboard_metrics(struct tensorboard *t, const struct metrics_row *row)
{
    if (!t->open)
        return;
    struct event v;
    event_begin(&v, row->step);
    const struct {
        const char *tag;
        double value;
    } rows[] = {{"train/loss", row->loss},
                {"train/learning_rate", row->learning_rate},
                {"train/grad_norm", row->grad_norm},
                {"train/epoch", row->epoch},
                {"speed/tokens_per_second", metrics_tokens_per_second(row)},
                {"speed/seconds", row->seconds},
                {"speed/data_seconds", row->data_seconds},
                {"speed/comm_seconds", row->comm_seconds},
                {"speed/wait_seconds", row->wait_seconds}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        add_scalar(&v, rows[i].tag, rows[i].value);
    for (int i = 0; i < PROF_COUNT; i++) {
        char tag[64];
        snprintf(tag, sizeof tag, "phases/%s", prof_name((enum prof_phase)i));
        add_scalar(&v, tag, row->phases[i]);
    }
    if (row->evaluated)
        add_scalar(&v, "eval/loss", row->eval_loss);
    if (row->prefers)
        add_fields(&v, "train", metrics_trl_fields, METRICS_REWARDS, &row->rewards);
    if (row->prefers && row->evaluated)
        add_fields(&v, "eval", metrics_trl_fields, METRICS_REWARDS, &row->eval_rewards);
    if (row->traced)
        add_fields(&v, "trace", metrics_trace_fields, METRICS_TRACE, &row->trace);
    event_finish(t, &v);
}

/* Of a line of samples.jsonl: the texts that are shown, as cells of a row. */
static const char *const sample_keys[] = {"prompt", "expected", "answer"};
enum { SAMPLE_CELLS = sizeof sample_keys / sizeof *sample_keys, SAMPLES_SHOWN = 50 };

static enum err_code append_sample(struct str row[SAMPLE_CELLS], const char *line, size_t length, struct err *e)
{
    struct json *doc;
    if (json_open_bytes(&doc, line, length, rundir_name(RUNDIR_SAMPLES), e))
        return e->code;
    enum err_code code = ERR_OK;
    for (size_t i = 0; !code && i < SAMPLE_CELLS; i++) {
        const struct json_value *v = json_get(json_root(doc), sample_keys[i]);
        const char *text = json_text(v);
        code = append_verbatim(&row[i], text ? text : "", text ? json_text_length(v) : 0, e);
    }
    json_close(doc);
    return code;
}

void tensorboard_samples(struct tensorboard *t, uint64_t step, const char *lines, size_t length)
{
    struct str cells[1 + SAMPLES_SHOWN][SAMPLE_CELLS] = {0};
    struct event v;
    size_t rows = 1;
    if (!t->open || !length)
        return;
    event_begin(&v, step);
    for (size_t i = 0; !v.e.code && i < SAMPLE_CELLS; i++)
        str_appendf(&cells[0][i], &v.e, "**%s**", sample_keys[i]);
    for (const char *at = lines, *end = lines + length; !v.e.code && at < end && rows <= SAMPLES_SHOWN; rows++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        append_sample(cells[rows], at, (size_t)(stop - at), &v.e);
        at = stop + 1;
    }
    add_texts(&v, "sample answers", &cells[0][0], rows, SAMPLE_CELLS);
    event_finish(t, &v);
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < SAMPLE_CELLS; k++)
            str_release(&cells[i][k]);
}

/* Values of a matrix of all layers, as a histogram with buckets of equal width. */
struct histogram {
    double least, most, sum, squares;
    double counts[BUCKETS], limits[BUCKETS];
    size_t count;
};

static void histogram_bound(struct histogram *h, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        h->least = fmin(h->least, x[i]);
        h->most = fmax(h->most, x[i]);
        h->sum += x[i];
        h->squares += (double)x[i] * x[i];
    }
    h->count += n;
}

static void histogram_count(struct histogram *h, const float *x, size_t n)
{
    const double width = (h->most - h->least) / BUCKETS;
    for (size_t i = 0; i < n; i++) {
        double bucket = width > 0 ? (x[i] - h->least) / width : 0;
        h->counts[bucket >= BUCKETS ? BUCKETS - 1 : (size_t)fmax(bucket, 0)]++;
    }
}

/* The last part of a module's path. */
static const char *short_name(const struct lora_module *m)
{
    const char *dot = strrchr(m->path, '.');
    return dot ? dot + 1 : m->path;
}

/* A or B of all modules that have the name of module `first`. */
static void take_values(struct histogram *h, const struct lora *l, size_t first, bool is_b,
                        void (*take)(struct histogram *h, const float *x, size_t n))
{
    const struct lora_module *modules = l->layout.modules;
    for (size_t i = first; i < l->layout.count; i++)
        if (!strcmp(short_name(&modules[i]), short_name(&modules[first])))
            take(h, l->params + (is_b ? modules[i].b : modules[i].a),
                 modules[i].rank * (is_b ? modules[i].out : modules[i].in));
}

static void add_histogram(struct event *v, const struct lora *l, size_t first, bool is_b)
{
    struct histogram h = {.least = INFINITY, .most = -INFINITY};
    struct str fields = {0}, proto = {0};
    char tag[128];
    take_values(&h, l, first, is_b, histogram_bound);
    take_values(&h, l, first, is_b, histogram_count);
    for (size_t i = 0; i < BUCKETS; i++)
        h.limits[i] = i + 1 < BUCKETS ? h.least + (h.most - h.least) * (double)(i + 1) / BUCKETS : h.most;
    if (!v->e.code && !proto_double(&proto, HISTOGRAM_MIN, h.least, &v->e) &&
        !proto_double(&proto, HISTOGRAM_MAX, h.most, &v->e) &&
        !proto_double(&proto, HISTOGRAM_COUNT, (double)h.count, &v->e) &&
        !proto_double(&proto, HISTOGRAM_SUM, h.sum, &v->e) &&
        !proto_double(&proto, HISTOGRAM_SQUARES, h.squares, &v->e) &&
        !proto_doubles(&proto, HISTOGRAM_LIMITS, h.limits, BUCKETS, &v->e) &&
        !proto_doubles(&proto, HISTOGRAM_BUCKETS, h.counts, BUCKETS, &v->e))
        proto_bytes(&fields, VALUE_HISTOGRAM, proto.data, proto.length, &v->e);
    snprintf(tag, sizeof tag, "%s/%s", is_b ? "lora_B" : "lora_A", short_name(&l->layout.modules[first]));
    event_add(v, tag, &fields);
    str_release(&fields);
    str_release(&proto);
}

void tensorboard_adapter(struct tensorboard *t, uint64_t step, const struct lora *l)
{
    struct event v;
    if (!t->open)
        return;
    event_begin(&v, step);
    for (size_t i = 0; i < l->layout.count; i++) {
        size_t same = 0; /* the first module of this name */
        while (strcmp(short_name(&l->layout.modules[same]), short_name(&l->layout.modules[i])) != 0)
            same++;
        for (int is_b = 0; same == i && is_b <= 1; is_b++)
            add_histogram(&v, l, i, is_b);
    }
    event_finish(t, &v);
}
