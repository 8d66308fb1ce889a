#include "run/lines_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

#define PENDING_MAX ((size_t)64 << 20) /* bytes that are kept while the disk takes none */

/* What of the file stays. */
static enum err_code cut_back(struct str *kept, const struct file_map *map, lines_keep *keep, void *context,
                              struct err *e)
{
    const char *at = (const char *)map->data, *end = at + map->size;
    for (const char *newline; at < end && (newline = memchr(at, '\n', (size_t)(end - at))); at = newline + 1)
        if (keep(context, at, (size_t)(newline - at)) && str_append(kept, at, (size_t)(newline + 1 - at), e))
            return e->code;
    return ERR_OK;
}

enum err_code lines_read(struct str *kept, size_t *size, const char *path, lines_keep *keep, void *context,
                         struct err *e)
{
    struct file_map map;
    *size = 0;
    if (!file_exists(path))
        return ERR_OK;
    if (file_map_open(&map, path, e))
        return e->code;
    enum err_code code = cut_back(kept, &map, keep, context, e);
    *size = map.size;
    file_map_close(&map);
    return code;
}

static enum err_code open_file(struct lines_file *f, const char *path, struct err *e)
{
    f->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (f->fd < 0 && errno == ELOOP)
        return err_set(e, ERR_IO, "%s is a link: it must be a file of its own; move what it leads to there", f->path);
    f->open = f->fd >= 0;
    return f->open ? ERR_OK : err_set_errno(e, errno, "cannot open %s", f->path);
}

static void close_file(struct lines_file *f)
{
    if (f->open)
        close(f->fd);
    f->open = false;
}

static enum err_code open_inside(struct lines_file *f, const struct file_folder *in, lines_keep *keep, void *context,
                                 struct err *e)
{
    char path[PATH_MAX];
    struct str kept = {0};
    size_t size;
    if (rundir_path(path, in->inside, f->file, e))
        return e->code;
    enum err_code code = lines_read(&kept, &size, path, keep, context, e);
    if (!code && kept.length != size)
        code = file_write_atomic(path, kept.data, kept.length, e);
    str_release(&kept);
    return code ? code : open_file(f, path, e);
}

enum err_code lines_open(struct lines_file *f, const struct runlock *lock, enum rundir_file file, lines_keep *keep,
                         void *context, struct err *e)
{
    struct file_folder in;
    *f = (struct lines_file){.lock = lock, .file = file};
    if (rundir_path(f->path, lock->folder, file, e) || runlock_enter(&in, lock, e))
        return e->code;
    return file_folder_leave(&in, open_inside(f, &in, keep, context, e), e);
}

static nlink_t names_of(const struct lines_file *f)
{
    struct stat st;
    return fstat(f->fd, &st) ? 1 : st.st_nlink;
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
static enum err_code open_own(struct lines_file *f, const struct file_folder *in, struct err *e)
{
    char path[PATH_MAX];
    if (rundir_path(path, in->inside, f->file, e))
        return e->code;
    if (f->open && names_of(f) == 0)
        close_file(f);
    if (!f->open && open_file(f, path, e))
        return e->code;
    if (names_of(f) <= 1)
        return ERR_OK;
    close_file(f);
    return copy_lines(path, e) ? e->code : open_file(f, path, e);
}

static enum err_code append_pending(struct lines_file *f, struct err *e)
{
    size_t done;
    enum err_code code = file_put(&done, f->fd, f->pending.data, f->pending.length, f->path, e);
    if (done) {
        memmove(f->pending.data, f->pending.data + done, f->pending.length - done);
        f->pending.length -= done;
    }
    return code;
}

enum err_code lines_flush(struct lines_file *f, struct err *e)
{
    struct file_folder in;
    if (!f->lock)
        return ERR_OK;
    if (runlock_enter(&in, f->lock, e))
        return e->code;
    enum err_code code = open_own(f, &in, e);
    if (!code)
        code = append_pending(f, e);
    return file_folder_leave(&in, code, e);
}

enum err_code lines_put(struct lines_file *f, struct err *e)
{
    if (!lines_flush(f, e)) {
        if (f->behind)
            log_note("%s: can be written again", f->path);
        f->behind = false;
        return ERR_OK;
    }
    if (e->code == ERR_BUSY)
        return e->code;
    if (f->pending.length > PENDING_MAX)
        return err_wrap(e, "%zu bytes wait to be written", f->pending.length);
    if (!f->behind)
        log_warn("%s: its lines are kept in memory until they can be written", e->message);
    f->behind = true;
    return ERR_OK;
}

void lines_close(struct lines_file *f)
{
    close_file(f);
    str_release(&f->pending);
}
