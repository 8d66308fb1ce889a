#include "part.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* An export's own folder has this file from its begin to its end. */
#define MARK ".mpilora-export"

enum err_code part_refuse_taken(const char *output, struct err *e)
{
    struct stat st;
    if (lstat(output, &st))
        return ERR_OK;
    return err_set(e, ERR_USAGE, "%s is already there: give another --output, or delete it", output);
}

/* Deletes what is in a folder, and in its folders; links are deleted, not followed. */
static enum err_code delete_inside(int folder, const char *path, int depth, struct err *e)
{
    enum err_code code = ERR_OK;
    int fd = dup(folder);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    if (!list && fd >= 0)
        close(fd);
    if (!list)
        return err_set_errno(e, errno, "cannot list %s", path);
    rewinddir(list);
    for (struct dirent *d; !code && (d = readdir(list));) {
        if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, "..") || !unlinkat(folder, d->d_name, 0))
            continue;
        int below = depth ? openat(folder, d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
        if (below < 0 || delete_inside(below, path, depth - 1, e) || unlinkat(folder, d->d_name, AT_REMOVEDIR))
            code = err_set_errno(e, errno, "cannot delete %s/%s", path, d->d_name);
        if (below >= 0)
            close(below);
    }
    closedir(list);
    return code;
}

enum { DEPTH = 1 }; /* additional_chat_templates */

static enum err_code take_folder(struct part *p, bool is_new, struct err *e)
{
    struct stat st;
    if (flock(p->fd, LOCK_EX | LOCK_NB))
        return errno == EWOULDBLOCK ? err_set(e, ERR_IO, "another export writes %s now", p->path)
                                    : err_set_errno(e, errno, "cannot lock %s", p->path);
    if (!is_new && fstatat(p->fd, MARK, &st, AT_SYMLINK_NOFOLLOW))
        return err_set(e, ERR_USAGE, "%s is in the way: it is where %s is written first, and not left from an export",
                       p->path, p->output);
    if (!is_new && delete_inside(p->fd, p->path, DEPTH, e))
        return e->code;
    int mark = openat(p->fd, MARK, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (mark < 0)
        return err_set_errno(e, errno, "cannot write into %s", p->path);
    close(mark);
    return ERR_OK;
}

static enum err_code open_part(struct part *p, bool is_new, struct err *e)
{
    p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (p->fd < 0)
        return err_set_errno(e, errno, "%s, where %s is written first, cannot be opened as a folder", p->path,
                             p->output);
    file_folder_path(p->inside, p->fd, p->path);
    if (take_folder(p, is_new, e) == ERR_OK)
        return ERR_OK;
    close(p->fd);
    p->fd = -1;
    return e->code;
}

enum err_code part_open(struct part *p, const char *output, struct err *e)
{
    size_t length = strlen(output);
    *p = (struct part){.output = output, .fd = -1};
    while (length > 1 && output[length - 1] == '/')
        length--;
    if (part_refuse_taken(output, e))
        return e->code;
    if ((size_t)snprintf(p->path, sizeof p->path, "%.*s.part", (int)length, output) >= sizeof p->path)
        return err_set_errno(e, ENAMETOOLONG, "cannot write %s", output);
    rmdir(p->path); /* an empty one is nobody's */
    const bool is_new = mkdir(p->path, 0777) == 0;
    if (!is_new && errno != EEXIST)
        return err_set_errno(e, errno, "cannot create the folder %s", p->path);
    enum err_code code = open_part(p, is_new, e);
    if (code && is_new)
        rmdir(p->path);
    return code;
}

enum err_code part_finish(struct part *p, enum err_code code, struct err *e)
{
    struct err ignored;
    struct stat st;
    if (p->fd < 0)
        return code;
    if (code)
        err_rename(e, p->inside, p->path);
    if (!code && fsync(p->fd) && errno != EINVAL && errno != ENOTSUP) /* some network file systems cannot */
        code = err_set_errno(e, errno, "cannot flush the folder %s", p->path);
    if (!code)
        code = part_refuse_taken(p->output, e);
    if (!code && unlinkat(p->fd, MARK, 0))
        code = err_set_errno(e, errno, "cannot delete %s/" MARK, p->path);
    if (!code)
        code = file_rename(p->path, p->output, e);
    /* A folder that has its name already is whole, though it may not be on disk. */
    if (code && !lstat(p->path, &st) && !delete_inside(p->fd, p->path, DEPTH, &ignored))
        rmdir(p->path);
    close(p->fd);
    p->fd = -1;
    return code;
}
