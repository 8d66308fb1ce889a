#include "run/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "io/json.h"
#include "run/rundir.h"

#define PENDING_MAX ((size_t)64 << 20) /* bytes that are kept while the disk takes none */
#define EVAL_LOSS   "eval_loss"

/* Is this line a whole one of ours, later than the last and not beyond `step`? Then it is the last now. */
static bool take_line(struct metrics *m, const char *line, size_t length, uint64_t step)
{
    struct json *doc;
    struct err ignored;
    if (json_open_bytes(&doc, line, length, "line", &ignored))
        return false;
    const struct json_fields f = {.object = json_root(doc)};
    size_t number;
    bool ours = !json_need_size(&number, &f, "step", &ignored) && number > m->last_step && number <= step;
    if (ours) {
        m->last_step = number;
        m->last_evaluated = json_kind(json_get(json_root(doc), EVAL_LOSS)) != JSON_KIND_NONE;
    }
    json_close(doc);
    return ours;
}

/* What of the file stays. */
static enum err_code cut_back(struct metrics *m, struct str *kept, const struct file_map *map, uint64_t step,
                              struct err *e)
{
    const char *at = (const char *)map->data, *end = at + map->size;
    for (const char *newline; at < end && (newline = memchr(at, '\n', (size_t)(end - at))); at = newline + 1)
        if (take_line(m, at, (size_t)(newline - at), step) &&
            str_append(kept, at, (size_t)(newline + 1 - at), e))
            return e->code;
    return ERR_OK;
}

/* Where the file is in the folder that was entered. */
static enum err_code find(char path[PATH_MAX], const struct file_folder *in, struct err *e)
{
    return rundir_path(path, in->inside, RUNDIR_METRICS, e);
}

/* The lines up to that of `step`, and the size of the file; none if there is no file. */
static enum err_code read_lines(struct metrics *m, struct str *kept, size_t *size, const char *path,
                                uint64_t step, struct err *e)
{
    struct file_map map;
    *size = 0;
    m->last_step = 0;
    if (!file_exists(path))
        return ERR_OK;
    if (file_map_open(&map, path, e))
        return e->code;
    enum err_code code = cut_back(m, kept, &map, step, e);
    *size = map.size;
    file_map_close(&map);
    return code;
}

static enum err_code open_file(struct metrics *m, const char *path, struct err *e)
{
    m->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    m->open = m->fd >= 0;
    return m->open ? ERR_OK : err_set_errno(e, errno, "cannot open %s", m->path);
}

static void close_file(struct metrics *m)
{
    if (m->open)
        close(m->fd);
    m->open = false;
}

static enum err_code open_inside(struct metrics *m, const struct file_folder *in, uint64_t step,
                                 struct err *e)
{
    char path[PATH_MAX];
    struct str kept = {0};
    size_t size;
    if (find(path, in, e))
        return e->code;
    enum err_code code = read_lines(m, &kept, &size, path, step, e);
    if (!code && kept.length != size)
        code = file_write_atomic(path, kept.data, kept.length, e);
    str_release(&kept);
    return code ? code : open_file(m, path, e);
}

enum err_code metrics_open(struct metrics *m, const struct runlock *lock, uint64_t step, struct err *e)
{
    struct file_folder in;
    *m = (struct metrics){.lock = lock};
    if (rundir_path(m->path, lock->folder, RUNDIR_METRICS, e) || runlock_enter(&in, lock, e))
        return e->code;
    return file_folder_leave(&in, open_inside(m, &in, step, e), e);
}

static enum err_code append_real(struct str *line, const char *key, double value, struct err *e)
{
    return str_appendf(line, e, ", \"%s\": ", key) ? e->code : json_append_real(line, value, e);
}

static enum err_code append_slowest(struct str *line, const struct metrics_row *row, struct err *e)
{
    if (!row->slowest_host)
        return ERR_OK;
    if (str_appendf(line, e, ", \"slowest_rank\": %zu, \"slowest_host\": ", row->slowest_rank))
        return e->code;
    return json_append_string(line, row->slowest_host, strlen(row->slowest_host), e);
}

static enum err_code append_phases(struct str *line, const double phases[PROF_COUNT], struct err *e)
{
    if (str_appendf(line, e, ", \"phases\": "))
        return e->code;
    for (int i = 0; i < PROF_COUNT; i++)
        if (str_appendf(line, e, "%s\"%s\": ", i ? ", " : "{", prof_name((enum prof_phase)i)) ||
            json_append_real(line, phases[i], e))
            return e->code;
    return str_append(line, "}", 1, e);
}

static enum err_code append_trace(struct str *line, const struct trace_summary *s, struct err *e)
{
    if (str_appendf(line, e, ", \"trace\": {\"step\": %" PRIu64, s->step) ||
        append_real(line, "norm_a", s->norm_a, e) || append_real(line, "norm_b", s->norm_b, e) ||
        append_real(line, "norm_ba", s->norm_ba, e) || append_real(line, "grad_a", s->grad_a, e) ||
        append_real(line, "grad_b", s->grad_b, e) || append_real(line, "update", s->update, e) ||
        append_real(line, "change", s->change, e) || append_real(line, "output_ratio", s->output_ratio, e))
        return e->code;
    return str_append(line, "}", 1, e);
}

static enum err_code append_row(struct str *line, const struct metrics_row *row, struct err *e)
{
    double rate = row->seconds > 0 ? (double)row->tokens / row->seconds : 0;
    if (str_appendf(line, e, "{\"step\": %" PRIu64, row->step) || append_real(line, "epoch", row->epoch, e) ||
        append_real(line, "loss", row->loss, e) ||
        append_real(line, "learning_rate", row->learning_rate, e) ||
        append_real(line, "grad_norm", row->grad_norm, e) ||
        str_appendf(line, e, ", \"tokens\": %" PRIu64 ", \"supervised_tokens\": %" PRIu64, row->tokens,
                    row->supervised_tokens) ||
        append_real(line, "tokens_per_second", rate, e) || append_real(line, "seconds", row->seconds, e) ||
        append_real(line, "data_seconds", row->data_seconds, e) ||
        append_real(line, "comm_seconds", row->comm_seconds, e) ||
        append_real(line, "wait_seconds", row->wait_seconds, e) || append_slowest(line, row, e) ||
        append_phases(line, row->phases, e) ||
        (row->skipped && str_appendf(line, e, ", \"skipped\": \"%s\"", row->skipped)) ||
        (row->evaluated && append_real(line, EVAL_LOSS, row->eval_loss, e)) ||
        (row->traced && append_trace(line, &row->trace, e)) || str_appendf(line, e, "}\n"))
        return e->code;
    return ERR_OK;
}

static nlink_t names_of(const struct metrics *m)
{
    struct stat st;
    return fstat(m->fd, &st) ? 1 : st.st_nlink;
}

/* The lines so far, in a file of its own. */
static enum err_code copy_lines(const char *path, struct err *e)
{
    struct str lines = {0};
    enum err_code code = file_read_all(&lines, path, SIZE_MAX, e);
    if (!code)
        code = file_write_atomic(path, lines.data, lines.length, e);
    str_release(&lines);
    return code;
}

/* Leaves a file open that is the folder's, and has no other name: one that was deleted takes lines that nobody will
 * see, and in one with two names somebody keeps the lines of an earlier time. */
static enum err_code open_own(struct metrics *m, const struct file_folder *in, struct err *e)
{
    char path[PATH_MAX];
    if (find(path, in, e))
        return e->code;
    if (m->open && names_of(m) == 0)
        close_file(m);
    if (!m->open && open_file(m, path, e))
        return e->code;
    if (names_of(m) <= 1)
        return ERR_OK;
    close_file(m);
    return copy_lines(path, e) ? e->code : open_file(m, path, e);
}

static enum err_code append_pending(struct metrics *m, struct err *e)
{
    size_t done = 0;
    enum err_code code = ERR_OK;
    while (!code && done < m->pending.length) {
        ssize_t put = write(m->fd, m->pending.data + done, m->pending.length - done);
        if (put >= 0)
            done += (size_t)put;
        else if (errno != EINTR)
            code = err_set_errno(e, errno, "cannot write %s", m->path);
    }
    if (done) {
        memmove(m->pending.data, m->pending.data + done, m->pending.length - done);
        m->pending.length -= done;
    }
    return code;
}

enum err_code metrics_flush(struct metrics *m, struct err *e)
{
    struct file_folder in;
    if (runlock_enter(&in, m->lock, e))
        return e->code;
    enum err_code code = open_own(m, &in, e);
    if (!code)
        code = append_pending(m, e);
    return file_folder_leave(&in, code, e);
}

enum err_code metrics_write(struct metrics *m, const struct metrics_row *row, struct err *e)
{
    size_t before = m->pending.length;
    if (append_row(&m->pending, row, e)) {
        m->pending.length = before;
        return e->code;
    }
    if (!metrics_flush(m, e)) {
        if (m->behind)
            log_note("%s: can be written again", m->path);
        m->behind = false;
        return ERR_OK;
    }
    if (e->code == ERR_BUSY)
        return e->code;
    if (m->pending.length > PENDING_MAX)
        return err_wrap(e, "%zu bytes wait to be written", m->pending.length);
    if (!m->behind)
        log_warn("%s: its lines are kept in memory until they can be written", e->message);
    m->behind = true;
    return ERR_OK;
}

static enum err_code add_inside(struct metrics *m, const struct file_folder *in, uint64_t step,
                                double eval_loss, struct err *e)
{
    char path[PATH_MAX];
    struct str lines = {0};
    size_t size;
    if (find(path, in, e))
        return e->code;
    enum err_code code = read_lines(m, &lines, &size, path, step, e);
    if (!code && (m->last_step != step || !lines.length))
        code = err_set(e, ERR_FORMAT, "%s has lost the line of step %" PRIu64, m->path, step);
    if (!code && !m->last_evaluated) { /* it may be there already, after a try that failed late */
        while (lines.data[lines.length - 1] != '}')
            lines.length--;
        lines.length--;
        if (append_real(&lines, EVAL_LOSS, eval_loss, e) || str_append(&lines, "}\n", 2, e) ||
            file_write_atomic(path, lines.data, lines.length, e))
            code = e->code;
        m->last_evaluated = !code;
    }
    str_release(&lines);
    return code; /* metrics_flush() finds that the file it has open is gone */
}

enum err_code metrics_add_evaluation(struct metrics *m, uint64_t step, double eval_loss, struct err *e)
{
    struct file_folder in;
    if (runlock_enter(&in, m->lock, e))
        return e->code;
    return file_folder_leave(&in, add_inside(m, &in, step, eval_loss, e), e);
}

void metrics_close(struct metrics *m)
{
    close_file(m);
    str_release(&m->pending);
}
