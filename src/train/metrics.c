#include "train/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "io/json.h"

#define PENDING_MAX ((size_t)64 << 20) /* bytes that are kept while the disk takes none */

/* Is this line a whole one of ours, later than `after` and not beyond `step`? Then its step; else 0. */
static uint64_t step_of_line(const char *line, size_t length, uint64_t after, uint64_t step)
{
    struct json *doc;
    struct err ignored;
    if (json_open_bytes(&doc, line, length, "line", &ignored))
        return 0;
    int64_t number = json_int(json_get(json_root(doc), "step"), 0);
    json_close(doc);
    return number > 0 && (uint64_t)number > after && (uint64_t)number <= step ? (uint64_t)number : 0;
}

/* What of the file stays. */
static enum err_code cut_back(struct str *kept, const struct file_map *map, uint64_t step, struct err *e)
{
    const char *at = (const char *)map->data, *end = at + map->size;
    uint64_t last = 0;
    for (const char *newline; at < end && (newline = memchr(at, '\n', (size_t)(end - at)));
         at = newline + 1) {
        uint64_t number = step_of_line(at, (size_t)(newline - at), last, step);
        if (!number)
            continue;
        last = number;
        if (str_append(kept, at, (size_t)(newline + 1 - at), e))
            return e->code;
    }
    return ERR_OK;
}

static enum err_code open_file(struct metrics *m, struct err *e)
{
    m->fd = open(m->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    m->open = m->fd >= 0;
    return m->open ? ERR_OK : err_set_errno(e, errno, "cannot open %s", m->path);
}

static void close_file(struct metrics *m)
{
    if (m->open)
        close(m->fd);
    m->open = false;
}

enum err_code metrics_open(struct metrics *m, const char *path, uint64_t step, struct err *e)
{
    *m = (struct metrics){.path = path};
    struct str kept = {0};
    struct file_map map;
    enum err_code code = ERR_OK;
    if (file_exists(path)) {
        code = file_map_open(&map, path, e);
        if (!code) {
            code = cut_back(&kept, &map, step, e);
            if (!code && kept.length != map.size)
                code = file_write_atomic(path, kept.data, kept.length, e);
            file_map_close(&map);
        }
    }
    str_release(&kept);
    if (code)
        return code;
    return open_file(m, e);
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
        (row->evaluated && append_real(line, "eval_loss", row->eval_loss, e)) ||
        (row->traced && append_trace(line, &row->trace, e)) || str_appendf(line, e, "}\n"))
        return e->code;
    return ERR_OK;
}

/* A file that was deleted takes lines that nobody will see. */
static bool is_gone(const struct metrics *m)
{
    struct stat st;
    return fstat(m->fd, &st) == 0 && st.st_nlink == 0;
}

enum err_code metrics_flush(struct metrics *m, struct err *e)
{
    if (m->open && is_gone(m))
        close_file(m);
    if (!m->open && open_file(m, e))
        return e->code;
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
    if (m->pending.length > PENDING_MAX)
        return err_wrap(e, "%zu bytes wait to be written", m->pending.length);
    if (!m->behind)
        log_warn("%s: its lines are kept in memory until they can be written", e->message);
    m->behind = true;
    return ERR_OK;
}

void metrics_close(struct metrics *m)
{
    close_file(m);
    str_release(&m->pending);
}
