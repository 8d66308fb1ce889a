#include "run/runlock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "run/rundir.h"

enum {
    TRIES = 10,      /* of a lock file that others replace meanwhile */
    SETTLE_MS = 100, /* between another's look at a file and its deletion pass microseconds */
};

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

/* The second line is for this run alone, to know its file by. */
static void write_owner(struct runlock *l, const char *host)
{
    uint64_t mark = 0;
    if (getrandom(&mark, sizeof mark, 0) != sizeof mark)
        mark = (uint64_t)getpid();
    int length =
        snprintf(l->text, sizeof l->text, "process %ld on %s\n%016" PRIx64 "\n", (long)getpid(), host, mark);
    if (ftruncate(l->fd, 0) || pwrite(l->fd, l->text, (size_t)length, 0) != length) {
        log_warn("the lock of the output folder could not be signed: %s", strerror(errno));
        *l->text = '\0';
    }
}

/* Opens DIR/.lock, and makes it if it is not there. *gone: there is no DIR, which open() alone can tell: by the next
 * call another run may have made it anew. */
static enum err_code open_file(struct runlock *l, bool *gone, const char *path, struct stat *st, struct err *e)
{
    l->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0660);
    const int error = l->fd < 0 ? errno : 0;
    *gone = error == ENOENT || error == ESTALE;
    if (error)
        return error == ELOOP
                   ? err_set(e, ERR_IO, "%s is a link: it must be a file of its own; delete it", path)
                   : err_set_errno(e, error, "cannot open %s", path);
    l->open = true;
    if (fstat(l->fd, st))
        return err_set_errno(e, errno, "cannot examine %s", path);
    if (!S_ISREG(st->st_mode))
        return err_set(e, ERR_IO, "%s is not a regular file: delete it", path);
    l->file = (struct file_stamp){.device = st->st_dev, .inode = st->st_ino};
    return ERR_OK;
}

static void close_file(struct runlock *l)
{
    if (l->open)
        close(l->fd);
    l->open = l->held = false;
}

/* Is there a lock that lets others read? No run takes such a one. */
static bool has_reader(int fd)
{
    struct flock other = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_GETLK, &other) == 0 && other.l_type == F_RDLCK;
}

static bool is_file(const struct file_stamp *file, const struct stat *st)
{
    return st->st_dev == file->device && st->st_ino == file->inode;
}

/* One try. *again: the file was, or is to be, replaced. */
static enum err_code try_take(struct runlock *l, bool *again, const char *path, struct err *e)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat st, named;
    *again = false;
    enum err_code made = ERR_IO;
    for (int i = 0; made && i < TRIES; i++) /* those above it may be deleted just now, as in take_away() */
        made = file_make_folders(l->folder, e);
    if (made)
        return made;
    if (open_file(l, again, path, &st, e))
        return *again ? ERR_OK : e->code; /* deleted since it was made, by another run, which wrote nothing */
    l->held = fcntl(l->fd, F_OFD_SETLK, &whole) == 0;
    const int error = l->held ? 0 : errno;
    const bool busy = error == EAGAIN || error == EACCES, read = busy && has_reader(l->fd);
    if (busy && !read)
        return refuse(l->folder, l->fd, e);
    if (error && !busy && !lacks_locks(error))
        return err_set_errno(e, error, "cannot lock %s", path);
    if (error && !busy)
        log_warn("%s: this file system has no locks: see to it that no other run works in the folder",
                 l->folder);
    if (read)
        log_warn("%s: another process holds a lock for reading on it, as no run does: it is replaced", path);
    *again = read || st.st_nlink > 1 || lstat(path, &named) || !is_file(&l->file, &named);
    if (*again && lstat(path, &named) == 0 && is_file(&l->file, &named) && unlink(path) && errno != ENOENT)
        return err_set_errno(e, errno, "cannot replace %s", path);
    return ERR_OK;
}

/* After a replacement: another run may have seen the file before this one under the name, and delete what it finds
 * there now. */
static bool stays(const struct runlock *l, const char *path)
{
    static const struct timespec settle = {.tv_nsec = SETTLE_MS * 1000000L};
    struct stat named;
    nanosleep(&settle, NULL);
    return lstat(path, &named) == 0 && is_file(&l->file, &named);
}

/* Who may not write need not read. The file of another user stays as it is. */
static void keep_readers_out(int fd)
{
    struct stat st;
    if (fstat(fd, &st))
        return;
    const mode_t mode = S_IRUSR | S_IWUSR | (st.st_mode & S_IWGRP ? S_IRGRP | S_IWGRP : 0);
    if ((st.st_mode & (S_IRWXU | S_IRWXG | S_IRWXO)) != mode && fchmod(fd, mode) && errno != EPERM)
        log_warn("the lock of the output folder can be read by others, who could lock it: %s",
                 strerror(errno));
}

enum err_code runlock_take(struct runlock *l, const char *folder, const char *host, struct err *e)
{
    char path[PATH_MAX];
    *l = (struct runlock){0};
    if (snprintf(l->folder, sizeof l->folder, "%s", folder) >= (int)sizeof l->folder)
        return err_set_errno(e, ENAMETOOLONG, "cannot use the folder %s", folder);
    if (rundir_path(path, folder, RUNDIR_LOCK, e))
        return e->code;
    l->there = file_length_there(folder);
    bool again = true;
    for (int i = 0; again && i < TRIES; i++) {
        close_file(l);
        if (try_take(l, &again, path, e)) {
            close_file(l);
            return e->code;
        }
        again = again || (i > 0 && !stays(l, path));
    }
    if (again) {
        close_file(l);
        return err_set(e, ERR_BUSY,
                       "%s is replaced again and again by others: is another run starting in %s?", path,
                       folder);
    }
    keep_readers_out(l->fd);
    write_owner(l, host);
    return ERR_OK;
}

/* Is the file of this name the one that is held, and as it was written? ERR_IO: it cannot be told. */
static enum err_code look(bool *same, char *owner, size_t size, const struct runlock *l,
                          const struct file_folder *in, struct err *e)
{
    struct stat st;
    char text[sizeof l->text] = "";
    *same = false;
    int fd = openat(in->fd, rundir_name(RUNDIR_LOCK), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        snprintf(owner, size, errno == ENOENT ? "was deleted" : "is another's now");
        return errno == ENOENT || errno == ELOOP || errno == EACCES
                   ? ERR_OK
                   : err_set_errno(e, errno, "cannot open %s/%s", l->folder, rundir_name(RUNDIR_LOCK));
    }
    enum err_code code = ERR_OK;
    ssize_t length = fstat(fd, &st) ? -1 : pread(fd, text, sizeof text - 1, 0);
    if (length < 0)
        code = err_set_errno(e, errno, "cannot read %s/%s", l->folder, rundir_name(RUNDIR_LOCK));
    else
        *same = is_file(&l->file, &st) && (!*l->text || strcmp(text, l->text) == 0);
    text[strcspn(text, "\n")] = '\0';
    snprintf(owner, size, "is another's now%s%s", *text ? ", that of " : "", text);
    close(fd);
    return code;
}

enum err_code runlock_enter(struct file_folder *in, const struct runlock *l, struct err *e)
{
    char owner[300];
    bool same = false;
    struct stat st;
    if (file_folder_enter(in, l->folder, e))
        return file_exists(l->folder) ? e->code : err_set(e, ERR_IO, "the folder %s is gone", l->folder);
    enum err_code code = look(&same, owner, sizeof owner, l, in, e);
    if (!code && !same && (fstat(in->fd, &st) || st.st_dev != l->file.device))
        code = err_set(e, ERR_IO, "the folder %s is gone: in its place is one of another file system",
                       l->folder);
    else if (!code && !same)
        code = err_set(
            e, ERR_BUSY,
            "%s is not this run's any more: the lock %s in it %s, so that another run may be at work there. "
            "This one ends, and has written nothing since; one of the two needs another --output",
            l->folder, rundir_name(RUNDIR_LOCK), owner);
    return code ? file_folder_leave(in, code, e) : ERR_OK;
}

enum err_code runlock_check(const struct runlock *l, struct err *e)
{
    struct file_folder in;
    return runlock_enter(&in, l, e) ? e->code : file_folder_leave(&in, ERR_OK, e);
}

/* Of a start that wrote nothing: the lock, while it is held, and then the folders that were made for it. Whether it
 * was such a one. */
static bool take_away(struct runlock *l)
{
    char path[PATH_MAX];
    struct stat named;
    struct err ignored;
    if (rundir_path(path, l->folder, RUNDIR_LOCK, &ignored) || lstat(path, &named) || !is_file(&l->file, &named) ||
        !file_holds_only(l->folder, rundir_name(RUNDIR_LOCK)) || unlink(path))
        return false;
    while (strlen(l->folder) > l->there && rmdir(l->folder) == 0)
        file_cut_last_part(l->folder);
    return true;
}

enum runlock_answer runlock_ask(char *owner, size_t size, const char *folder)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char path[PATH_MAX];
    struct err ignored;
    *owner = '\0';
    if (rundir_path(path, folder, RUNDIR_LOCK, &ignored))
        return RUNLOCK_UNKNOWN;
    const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? RUNLOCK_NOBODY : RUNLOCK_UNKNOWN;
    const bool held = fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type == F_WRLCK;
    read_owner(owner, size, fd);
    close(fd);
    return held ? RUNLOCK_HELD : *owner ? RUNLOCK_LEFT : RUNLOCK_NOBODY;
}

void runlock_release(struct runlock *l)
{
    struct stat st;
    /* A name in it that is out of date is no harm: the lock itself counts. Nor is it one's own where others link it. */
    if (l->held && !take_away(l) && fstat(l->fd, &st) == 0 && st.st_nlink == 1 && ftruncate(l->fd, 0))
        log_warn("the lock of the output folder could not be cleared: %s", strerror(errno));
    close_file(l);
    *l = (struct runlock){0};
}
