#include "run/runlock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "run/rundir.h"

static bool lacks_locks(int error)
{
    return error == ENOLCK || error == ENOSYS || error == EOPNOTSUPP || error == EINVAL;
}

/* Who wrote it, in one line; not a word of it is needed. */
static void read_owner(char *text, size_t size, int fd)
{
    ssize_t length = pread(fd, text, size - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
}

static enum err_code refuse(const char *folder, int fd, struct err *e)
{
    char owner[256];
    read_owner(owner, sizeof owner, fd);
    return err_set(e, ERR_BUSY,
                   "%s is in use by another run%s%s: wait until it has ended, or give another --output",
                   folder, *owner ? ", " : "", owner);
}

static void write_owner(int fd, const char *host)
{
    char text[256];
    int length = snprintf(text, sizeof text, "process %ld on %s\n", (long)getpid(), host);
    if (ftruncate(fd, 0) || pwrite(fd, text, (size_t)length, 0) != length)
        log_warn("the lock of the output folder could not be signed: %s", strerror(errno));
}

enum err_code runlock_take(struct runlock *l, const char *folder, const char *host, struct err *e)
{
    char path[PATH_MAX];
    *l = (struct runlock){0};
    if (file_make_folders(folder, e) || rundir_path(path, folder, RUNDIR_LOCK, e))
        return e->code;
    l->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (l->fd < 0)
        return err_set_errno(e, errno, "cannot open %s", path);
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(l->fd, F_OFD_SETLK, &whole) == 0) {
        l->held = true;
        write_owner(l->fd, host);
        return ERR_OK;
    }
    int error = errno;
    enum err_code code = ERR_OK;
    if (error == EAGAIN || error == EACCES)
        code = refuse(folder, l->fd, e);
    else if (lacks_locks(error))
        log_warn("%s: this file system has no locks: see to it that no other run works in the folder",
                 folder);
    else
        code = err_set_errno(e, error, "cannot lock %s", path);
    close(l->fd);
    return code;
}

void runlock_release(struct runlock *l)
{
    if (!l->held)
        return;
    if (ftruncate(l->fd, 0)) /* a name that is out of date is no harm: the lock itself counts */
        log_warn("the lock of the output folder could not be cleared: %s", strerror(errno));
    close(l->fd);
    *l = (struct runlock){0};
}
