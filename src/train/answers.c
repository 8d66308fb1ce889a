#include "train/answers.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/log.h"
#include "base/stop.h"
#include "io/json.h"
#include "model/generate.h"
#include "run/first_day.h"
#include "train/question.h"
#include "train/signals.h"

/* The work, and on rank 0 the file it grows in. */
struct answering {
    struct session *session;
    const struct dataset *data;
    const char *path;
    char part[PATH_MAX];
    int fd;           /* of the part; -1: not open */
    struct str first; /* its first line */
    uint64_t done;    /* examples whose lines are in it */
};

enum err_code answers_check_output(const char *path, struct err *e)
{
    if (!*path)
        return err_set(e, ERR_USAGE, "--data: give --output FILE.jsonl for the answers");
    if (file_exists(path))
        return err_set(e, ERR_USAGE, "%s exists already: answers go into a file of their own, give another --output",
                       path);
    return ERR_OK;
}

/* ---- groups ---- */

/* The end of the group that begins at this example. */
static size_t group_end(const struct answering *a, size_t first)
{
    uint32_t lengths[GENERATE_BATCH_MAX];
    size_t left = a->data->count - first, count = left < GENERATE_BATCH_MAX ? left : GENERATE_BATCH_MAX;
    for (size_t i = 0; i < count; i++)
        lengths[i] = a->data->entries[first + i].tokens;
    return first + question_group(lengths, count, (size_t)a->session->options->max_new_tokens);
}

static enum err_code answer_group(struct str *lines, const struct answering *a, size_t first, struct err *e)
{
    const struct question_options options = question_options_of(a->session->options);
    const size_t count = group_end(a, first) - first;
    size_t taken = 0;
    struct arena arena = {0};
    struct question *questions = arena_alloc(&arena, count, sizeof *questions, "prompts", e);
    enum err_code code = questions ? ERR_OK : ERR_MEMORY;
    if (!code)
        code = question_read(questions, &taken, a->data, first, count, true, a->session, &arena, e);
    if (!code)
        code = question_answer_lines(lines, questions, taken, a->session, &options, "{", e);
    arena_release(&arena);
    return code;
}

/* ---- the file, on rank 0 ---- */

/* What answers depend on. */
static enum err_code describe(struct answering *a, struct err *e)
{
    const struct session *s = a->session;
    const struct options *o = s->options;
    char adapter[FILE_HASH_SIZE] = "";
    if (s->model.lora)
        file_hash_bytes(adapter, s->model.lora->params, s->model.lora->layout.size * sizeof(float));
    if (str_appendf(&a->first, e, "{\"columns\": ") ||
        json_append_string(&a->first, o->columns, strlen(o->columns), e) ||
        str_appendf(&a->first, e, ", \"chat_template_kwargs\": ") ||
        json_append_string(&a->first, o->chat_template_kwargs, strlen(o->chat_template_kwargs), e) ||
        str_appendf(&a->first, e, ", \"" ANSWERS_DATE "\": ") ||
        json_append_string(&a->first, o->chat_date, strlen(o->chat_date), e))
        return e->code;
    return str_appendf(&a->first, e,
                       ", \"data\": \"%s\", \"base\": \"%s\", \"tokenizer\": \"%s\", \"adapter\": \"%s\", "
                       "\"examples\": %zu, \"max_new_tokens\": %" PRId64 ", \"temperature\": %.17g, \"top_p\": %.17g, "
                       "\"seed\": %" PRId64 ", \"dtype\": \"%s\"}\n",
                       a->data->hash, s->store.hash, tokenizer_hash(s->tokenizer), adapter, a->data->count,
                       o->max_new_tokens, o->temperature, o->top_p, o->seed, options_word(o, "dtype"));
}

static enum err_code write_all(const struct answering *a, const struct str *text, struct err *e)
{
    size_t done;
    return file_put(&done, a->fd, text->data, text->length, a->part, e);
}

/* Where the lines of whole groups end, after the first line; a->done counts theirs. */
static size_t find_end(struct answering *a, const struct file_map *map)
{
    const char *begin = (const char *)map->data, *end = begin + map->size, *at = begin + a->first.length;
    size_t kept = a->first.length, border = a->data->count ? group_end(a, 0) : 0;
    uint64_t lines = 0;
    for (const char *newline; at < end && (newline = memchr(at, '\n', (size_t)(end - at))); at = newline + 1) {
        if (++lines < border)
            continue;
        a->done = border;
        kept = (size_t)(newline + 1 - begin);
        if (border == a->data->count)
            break;
        border = group_end(a, border);
    }
    return kept;
}

/* What is in the part already: nothing, the beginning of its first line, or whole groups of this very work, to which it
 * is cut. */
static enum err_code take_up(struct answering *a, struct err *e)
{
    struct file_map map;
    if (file_map_open(&map, a->part, e))
        return e->code;
    const bool fresh = map.size < a->first.length;
    const bool ours = !map.size || !memcmp(map.data, a->first.data, fresh ? map.size : a->first.length);
    const size_t kept = ours && !fresh ? find_end(a, &map) : 0;
    file_map_close(&map);
    if (!ours)
        return err_set(e, ERR_MISMATCH,
                       "%s holds answers to other data, or of another model, adapter or other options: delete it, or "
                       "give another --output",
                       a->part);
    if (ftruncate(a->fd, (off_t)kept))
        return err_set_errno(e, errno, "cannot cut %s", a->part);
    return fresh ? write_all(a, &a->first, e) : ERR_OK;
}

static enum err_code open_part(struct answering *a, struct err *e)
{
    if (answers_check_output(a->path, e) || describe(a, e))
        return e->code;
    if ((size_t)snprintf(a->part, sizeof a->part, "%s" ANSWERS_PART, a->path) >= sizeof a->part)
        return err_set_errno(e, ENAMETOOLONG, "cannot make %s" ANSWERS_PART, a->path);
    a->fd = open(a->part, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (a->fd < 0)
        return err_set_errno(e, errno, "cannot open %s", a->part);
    if (flock(a->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return err_set(e, ERR_BUSY, "another process is at work on %s", a->part);
    return take_up(a, e);
}

static enum err_code count_line(struct answers_result *r, const char *line, size_t length, struct err *e)
{
    struct json *doc = NULL;
    if (json_open_bytes(&doc, line, length, NULL, e))
        return e->code;
    const struct json_value *exact = json_get(json_root(doc), "exact");
    r->examples++;
    r->expected += json_kind(exact) == JSON_KIND_BOOL;
    r->exact += json_bool(exact, false);
    json_close(doc);
    return ERR_OK;
}

/* All lines are there: counts them, and gives them the name that was asked for. */
static enum err_code finish(struct answering *a, struct answers_result *r, struct err *e)
{
    struct file_map map;
    if (file_map_open(&map, a->part, e))
        return e->code;
    const char *begin = (const char *)map.data + a->first.length, *end = (const char *)map.data + map.size;
    enum err_code code = ERR_OK;
    for (const char *at = begin, *newline; !code && at < end && (newline = memchr(at, '\n', (size_t)(end - at)));
         at = newline + 1)
        code = count_line(r, at, (size_t)(newline - at), e);
    if (code)
        err_wrap(e, "%s", a->part);
    else if (r->examples != a->data->count)
        code = err_set(e, ERR_FORMAT,
                       "%s has %" PRIu64 " lines of answers, not %zu: has another program written into it?", a->part,
                       r->examples, a->data->count);
    if (!code)
        code = file_write_atomic(a->path, begin, (size_t)(end - begin), e);
    file_map_close(&map);
    if (!code)
        unlink(a->part);
    return code;
}

/* ---- all ranks ---- */

static void show_progress(const struct answering *a)
{
    char line[80];
    snprintf(line, sizeof line, "answering: %" PRIu64 " of %zu prompts", a->done, a->data->count);
    log_progress(line);
}

/* Collective. The next groups, one for each rank. */
static enum err_code take_round(struct answering *a, struct err *e)
{
    struct dist *d = a->session->dist;
    struct str mine = {0}, all = {0};
    size_t next = (size_t)a->done;
    enum err_code code = ERR_OK;
    for (int rank = 0; rank < d->world && next < a->data->count; rank++) {
        if (rank == d->rank)
            code = answer_group(&mine, a, next, e);
        next = group_end(a, next);
    }
    code = dist_agree(d, code, e);
    if (!code)
        code = question_gather(&all, d, &mine, e);
    if (!code)
        code = dist_agree(d, d->rank == 0 ? write_all(a, &all, e) : ERR_OK, e);
    a->done = next;
    str_release(&mine);
    str_release(&all);
    return code;
}

/* Collective. Some rank has been asked to stop, and something is left to do. */
static enum err_code check_stop(const struct answering *a, struct err *e)
{
    enum err_code code = ERR_OK;
    if (stop_is_asked() && a->done < a->data->count)
        code = err_set(e, ERR_STOPPED,
                       "stopped by a signal: %" PRIu64 " of %zu prompts are answered, in %s; the same command goes on "
                       "after them",
                       a->done, a->data->count, a->part);
    return dist_agree(a->session->dist, code, e);
}

/* Collective. */
static enum err_code answer_all(struct answering *a, struct answers_result *r, struct err *e)
{
    struct dist *d = a->session->dist;
    if (dist_agree(d, d->rank == 0 ? open_part(a, e) : ERR_OK, e) ||
        dist_broadcast(d, &a->done, sizeof a->done, 0, e))
        return e->code;
    if (a->done)
        log_note("going on after the first %" PRIu64 " answers of %s", a->done, a->part);
    signals_say("ending after the prompts that are being answered");
    while (a->done < a->data->count) {
        if (take_round(a, e))
            return e->code;
        show_progress(a);
        if (check_stop(a, e))
            return e->code;
    }
    return dist_agree(d, d->rank == 0 ? finish(a, r, e) : ERR_OK, e);
}

enum err_code answers_run(struct session *s, const struct dataset *d, const char *path, struct answers_result *r,
                          struct err *e)
{
    struct answering a = {.session = s, .data = d, .path = path, .fd = -1};
    *r = (struct answers_result){0};
    enum err_code code = answer_all(&a, r, e);
    if (a.fd >= 0)
        close(a.fd);
    str_release(&a.first);
    return code;
}
