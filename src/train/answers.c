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
    uint64_t done;    /* answers whose lines are in it */
    size_t adapters;  /* whose answers follow one another; 0: no adapter, or one, whose lines do not name it */
    char (*hashes)[FILE_HASH_SIZE]; /* [adapters], on rank 0 */
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

/* Number of answers. The answer i is that to example i % count by adapter i / count. */
static size_t answer_count(const struct answering *a)
{
    return a->data->count * (a->adapters ? a->adapters : 1);
}

/* The end of the group that begins at this answer: of one adapter. */
static size_t group_end(const struct answering *a, size_t first)
{
    uint32_t lengths[GENERATE_BATCH_MAX];
    const size_t example = first % a->data->count, left = a->data->count - example;
    const size_t count = left < GENERATE_BATCH_MAX ? left : GENERATE_BATCH_MAX;
    for (size_t i = 0; i < count; i++)
        lengths[i] = a->data->entries[example + i].tokens;
    return first + question_group(lengths, count, (size_t)a->session->options->max_new_tokens);
}

/* What a line begins with: the adapter, if there are several. */
static enum err_code begin_line(struct str *begin, const struct answering *a, size_t adapter, struct err *e)
{
    if (!a->adapters)
        return str_append(begin, "{", 1, e);
    const char *path = a->session->options->adapter.items[adapter];
    if (str_appendf(begin, e, "{\"adapter\": ") || json_append_string(begin, path, strlen(path), e))
        return e->code;
    return str_append(begin, ", ", 2, e);
}

static enum err_code answer_group(struct str *lines, const struct answering *a, size_t adapter, size_t first,
                                  struct err *e)
{
    const struct question_options options = question_options_of(a->session->options);
    const size_t count = group_end(a, first) - first, example = first - adapter * a->data->count;
    size_t taken = 0;
    struct arena arena = {0};
    struct str begin = {0};
    struct question *questions = arena_alloc(&arena, count, sizeof *questions, "prompts", e);
    enum err_code code = questions ? begin_line(&begin, a, adapter, e) : ERR_MEMORY;
    if (!code)
        code = question_read(questions, &taken, a->data, example, count, true, a->session, &arena, e);
    if (!code)
        code = question_answer_lines(lines, questions, taken, a->session, &options, begin.data, e);
    str_release(&begin);
    arena_release(&arena);
    return code;
}

/* ---- the file, on rank 0 ---- */

static enum err_code describe_adapters(struct answering *a, struct err *e)
{
    const struct session *s = a->session;
    char hash[FILE_HASH_SIZE] = "";
    if (!a->adapters) {
        if (s->model.lora)
            file_hash_bytes(hash, s->model.lora->params, s->model.lora->layout.size * sizeof(float));
        return str_appendf(&a->first, e, "\"adapter\": \"%s\"", hash);
    }
    for (size_t i = 0; i < a->adapters; i++) {
        const char *path = s->options->adapter.items[i];
        if (str_appendf(&a->first, e, i ? ", [" : "\"adapters\": [[") ||
            json_append_string(&a->first, path, strlen(path), e) ||
            str_appendf(&a->first, e, ", \"%s\"]", a->hashes[i]))
            return e->code;
    }
    return str_append(&a->first, "]", 1, e);
}

/* What answers depend on. */
static enum err_code describe(struct answering *a, struct err *e)
{
    const struct session *s = a->session;
    const struct options *o = s->options;
    if (str_appendf(&a->first, e, "{\"columns\": ") ||
        json_append_string(&a->first, o->columns, strlen(o->columns), e) ||
        str_appendf(&a->first, e, ", \"chat_template_kwargs\": ") ||
        json_append_string(&a->first, o->chat_template_kwargs, strlen(o->chat_template_kwargs), e) ||
        str_appendf(&a->first, e, ", \"" ANSWERS_DATE "\": ") ||
        json_append_string(&a->first, o->chat_date, strlen(o->chat_date), e))
        return e->code;
    if (str_appendf(&a->first, e, ", \"data\": \"%s\", \"base\": \"%s\", \"tokenizer\": \"%s\", ", a->data->hash,
                    s->store.hash, tokenizer_hash(s->tokenizer)) ||
        describe_adapters(a, e))
        return e->code;
    return str_appendf(&a->first, e,
                       ", \"examples\": %zu, \"max_new_tokens\": %" PRId64 ", \"temperature\": %.17g, "
                       "\"top_p\": %.17g, \"seed\": %" PRId64 ", \"dtype\": \"%s\"}\n",
                       a->data->count, o->max_new_tokens, o->temperature, o->top_p, o->seed, options_word(o, "dtype"));
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
        if (border == answer_count(a))
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
static enum err_code finish(struct answering *a, struct answers_result *results, struct err *e)
{
    struct file_map map;
    if (file_map_open(&map, a->part, e))
        return e->code;
    const char *begin = (const char *)map.data + a->first.length, *end = (const char *)map.data + map.size;
    enum err_code code = ERR_OK;
    size_t lines = 0;
    for (const char *at = begin, *newline; !code && at < end && (newline = memchr(at, '\n', (size_t)(end - at)));
         at = newline + 1) {
        if (lines < answer_count(a))
            code = count_line(&results[lines / a->data->count], at, (size_t)(newline - at), e);
        lines++;
    }
    if (code)
        err_wrap(e, "%s", a->part);
    else if (lines != answer_count(a))
        code = err_set(e, ERR_FORMAT, "%s has %zu lines of answers, not %zu: has another program written into it?",
                       a->part, lines, answer_count(a));
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
    snprintf(line, sizeof line, "answering: %" PRIu64 " of %zu prompts", a->done, answer_count(a));
    log_progress(line);
}

/* Collective. The next groups, one for each rank, all of one adapter. */
static enum err_code take_round(struct answering *a, struct err *e)
{
    struct dist *d = a->session->dist;
    struct str mine = {0}, all = {0};
    size_t next = (size_t)a->done;
    const size_t adapter = next / a->data->count, end = (adapter + 1) * a->data->count;
    enum err_code code = ERR_OK;
    if (a->adapters && session_use_adapter(a->session, adapter, e))
        return e->code;
    for (int rank = 0; rank < d->world && next < end; rank++) {
        if (rank == d->rank)
            code = answer_group(&mine, a, adapter, next, e);
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
    if (stop_is_asked() && a->done < answer_count(a))
        code = err_set(e, ERR_STOPPED,
                       "stopped by a signal: %" PRIu64 " of %zu prompts are answered, in %s; the same command goes on "
                       "after them",
                       a->done, answer_count(a), a->part);
    return dist_agree(a->session->dist, code, e);
}

/* Collective. */
static enum err_code answer_all(struct answering *a, struct answers_result *results, struct err *e)
{
    struct dist *d = a->session->dist;
    if (a->adapters && session_check_adapters(a->session, a->hashes, e))
        return e->code;
    if (dist_agree(d, d->rank == 0 ? open_part(a, e) : ERR_OK, e) ||
        dist_broadcast(d, &a->done, sizeof a->done, 0, e))
        return e->code;
    if (a->done)
        log_note("going on after the first %" PRIu64 " answers of %s", a->done, a->part);
    signals_say("ending after the prompts that are being answered");
    while (a->done < answer_count(a)) {
        if (take_round(a, e))
            return e->code;
        show_progress(a);
        if (check_stop(a, e))
            return e->code;
    }
    return dist_agree(d, d->rank == 0 ? finish(a, results, e) : ERR_OK, e);
}

enum err_code answers_run(struct answers_result **results, struct session *s, const struct dataset *d, const char *path,
                          struct err *e)
{
    const size_t adapters = s->options->adapter.count, models = adapters ? adapters : 1;
    struct answering a = {.session = s, .data = d, .path = path, .fd = -1, .adapters = adapters > 1 ? adapters : 0};
    enum err_code code = ERR_OK;
    *results = calloc(models, sizeof **results);
    a.hashes = calloc(models, sizeof *a.hashes);
    if (!*results || !a.hashes)
        code = err_set(e, ERR_MEMORY, "no memory for %zu adapters", adapters);
    code = dist_agree(s->dist, code, e);
    if (!code)
        code = answer_all(&a, *results, e);
    if (a.fd >= 0)
        close(a.fd);
    free(a.hashes);
    str_release(&a.first);
    return code;
}
