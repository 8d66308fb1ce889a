#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/lost_map.h"
#include "base/str.h"

static struct file_stamp make_stamp(const struct stat *st)
{
    return (struct file_stamp){.device = st->st_dev,
                               .inode = st->st_ino,
                               .size = (uint64_t)st->st_size,
                               .seconds = st->st_mtim.tv_sec,
                               .nanoseconds = st->st_mtim.tv_nsec};
}

/* Opens a regular file for reading, and says which it is; -1 for anything else, with a message that says so.
 */
static int open_regular(const char *path, struct file_stamp *stamp, struct err *e)
{
    *stamp = (struct file_stamp){0};
    /* O_NONBLOCK: opening a FIFO must not hang; it has no effect on a regular file. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        err_set_errno(e, errno, "cannot open %s", path);
        return -1;
    }
    struct stat st;
    if (fstat(fd, &st)) {
        err_set_errno(e, errno, "cannot examine %s", path);
    } else if (S_ISDIR(st.st_mode)) {
        err_set(e, ERR_IO, "%s is a folder, a file is needed", path);
    } else if (!S_ISREG(st.st_mode)) {
        err_set(e, ERR_IO, "%s is not a regular file", path);
    } else {
        *stamp = make_stamp(&st);
        return fd;
    }
    close(fd);
    return -1;
}

enum err_code file_map_open(struct file_map *map, const char *path, struct err *e)
{
    struct file_in f;
    *map = (struct file_map){0};
    if (file_in_open(&f, path, e))
        return e->code;
    enum err_code code = file_in_map(map, &f, e);
    file_in_close(&f);
    return code;
}

void file_map_close(struct file_map *map)
{
    if (map->size) {
        lost_map_remove(map->data);
        munmap((void *)(uintptr_t)map->data, map->size);
    }
    *map = (struct file_map){0};
}

static void advise_whole_pages(const void *data, size_t bytes, int advice)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)data, end = first + bytes;
    first += (page - first % page) % page;
    end -= end % page;
    if (first < end)
        madvise((void *)first, end - first, advice);
}

void file_map_drop(const struct file_map *map, const void *data, size_t bytes)
{
    uintptr_t begin = (uintptr_t)map->data, first = (uintptr_t)data;
    if (first >= begin && first + bytes <= begin + map->size)
        advise_whole_pages(data, bytes, MADV_DONTNEED);
}

void file_memory_free(const void *data, size_t bytes)
{
    advise_whole_pages(data, bytes, MADV_REMOVE);
}

enum err_code file_read_all(struct str *out, const char *path, size_t limit, struct err *e)
{
    struct file_stamp stamp;
    str_clear(out);
    int fd = open_regular(path, &stamp, e);
    if (fd < 0)
        return e->code;
    enum err_code code = ERR_OK;
    size_t size = stamp.size;
    if (size > limit)
        code = err_set(e, ERR_FORMAT, "%s has %zu bytes, more than the %zu that such a file may have", path,
                       size, limit);
    if (!code)
        code = str_reserve(out, size, e);
    while (!code && out->length < size) {
        ssize_t got = read(fd, out->data + out->length, size - out->length);
        if (got > 0)
            out->length += (size_t)got;
        else if (got == 0)
            code = err_set(e, ERR_IO, "%s became shorter while it was read", path);
        else if (errno != EINTR)
            code = err_set_errno(e, errno, "cannot read %s", path);
    }
    if (out->data)
        out->data[out->length] = '\0';
    close(fd);
    return code;
}

enum err_code file_put(size_t *done, int fd, const void *bytes, size_t length, const char *path, struct err *e)
{
    for (*done = 0; *done < length;) {
        ssize_t put = write(fd, (const char *)bytes + *done, length - *done);
        if (put >= 0)
            *done += (size_t)put;
        else if (errno != EINTR)
            return err_set_errno(e, errno, "cannot write %s", path);
    }
    return ERR_OK;
}

enum err_code file_in_open(struct file_in *f, const char *path, struct err *e)
{
    *f = (struct file_in){0};
    f->fd = open_regular(path, &f->stamp, e);
    if (f->fd < 0)
        return e->code;
    f->size = f->stamp.size;
    f->path = path;
    return ERR_OK;
}

void file_in_close(struct file_in *f)
{
    if (f->path)
        close(f->fd);
    *f = (struct file_in){0};
}

bool file_in_is_held(const struct file_in *f)
{
    if (!flock(f->fd, LOCK_SH | LOCK_NB)) {
        flock(f->fd, LOCK_UN);
        return false;
    }
    return errno == EWOULDBLOCK;
}

enum err_code file_in_read(void *bytes, const struct file_in *f, uint64_t offset, size_t length,
                           struct err *e)
{
    for (size_t done = 0; done < length;) {
        ssize_t got = pread(f->fd, (char *)bytes + done, length - done, (off_t)(offset + done));
        if (got > 0)
            done += (size_t)got;
        else if (got == 0)
            return err_set(e, ERR_IO, "%s has become shorter since it was opened", f->path);
        else if (errno != EINTR)
            return err_set_errno(e, errno, "cannot read %s", f->path);
    }
    return ERR_OK;
}

bool file_in_is_whole(const struct file_in *f)
{
    struct stat st;
    return fstat(f->fd, &st) == 0 && (uint64_t)st.st_size >= f->size;
}

enum err_code file_in_map(struct file_map *map, const struct file_in *f, struct err *e)
{
    *map = (struct file_map){.data = (const unsigned char *)"", .stamp = f->stamp};
    if (!f->size)
        return ERR_OK;
    void *data = mmap(NULL, f->size, PROT_READ, MAP_SHARED, f->fd, 0);
    if (data == MAP_FAILED) {
        *map = (struct file_map){0};
        return err_set_errno(e, errno, "cannot map the %zu bytes of %s", f->size, f->path);
    }
    map->data = data;
    map->size = f->size;
    lost_map_add(data, f->size, f->path);
    return ERR_OK;
}

/* Makes a name in the folder of `path` durable. Some network file systems cannot fsync a folder and say
 * EINVAL, and one that may be written to but not read cannot be opened for it: there is nothing more that a
 * program can do. */
static enum err_code sync_folder_of(const char *path, struct err *e)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = !slash ? 1 : slash == path ? 1 : (size_t)(slash - path);
    if (length >= sizeof folder)
        return err_set_errno(e, ENAMETOOLONG, "cannot use the path %s", path);
    memcpy(folder, slash ? path : ".", length);
    folder[length] = '\0';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? ERR_OK : err_set_errno(e, errno, "cannot open the folder %s", folder);
    enum err_code code = ERR_OK;
    if (fsync(fd) && errno != EINVAL && errno != ENOTSUP)
        code = err_set_errno(e, errno, "cannot flush the folder %s", folder);
    close(fd);
    return code;
}

enum err_code file_rename(const char *temporary, const char *path, struct err *e)
{
    if (rename(temporary, path))
        return err_set_errno(e, errno, "cannot rename %s to %s", temporary, path);
    return sync_folder_of(path, e);
}

static const char *present_name(const struct file_out *f)
{
    return *f->temporary ? f->temporary : f->path;
}

enum { MOST_TRIES = 100 }; /* to make a file that no other process takes for one of a killed writer */

static enum err_code open_out(struct file_out *f, struct err *e)
{
    f->fd = open(present_name(f), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    return f->fd < 0 ? err_set_errno(e, errno, "cannot create %s", present_name(f)) : ERR_OK;
}

enum err_code file_out_create(struct file_out *f, const char *path, struct err *e)
{
    *f = (struct file_out){.path = path};
    return open_out(f, e);
}

static void delete_unlocked(int folder, const char *name)
{
    struct stat st;
    int fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    if (!fstat(fd, &st) && S_ISREG(st.st_mode) && !flock(fd, LOCK_EX | LOCK_NB))
        unlinkat(folder, name, 0);
    close(fd);
}

/* Is this file NAME.tmp7, while NAME is written? */
static bool is_temporary(const char *file, const char *name)
{
    const size_t length = strlen(name);
    if (strncmp(file, name, length) != 0 || !str_starts_with(file + length, FILE_TEMPORARY))
        return false;
    const char *digits = file + length + strlen(FILE_TEMPORARY);
    return *digits && !digits[strspn(digits, "0123456789")];
}

/* What writers of this file that were killed have left. */
static void delete_left(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(name - path) : 1, slash ? path : ".");
    DIR *dir = opendir(folder);
    for (const struct dirent *d; dir && (d = readdir(dir));)
        if (is_temporary(d->d_name, name))
            delete_unlocked(dirfd(dir), d->d_name);
    if (dir)
        closedir(dir);
}

/* Takes the lock of a new file. False: another process has taken it for one that was left. */
static bool hold(int fd)
{
    struct stat st;
    const bool taken = flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
    return !taken && !(fstat(fd, &st) == 0 && st.st_nlink == 0);
}

enum err_code file_out_replace(struct file_out *f, const char *path, struct err *e)
{
    *f = (struct file_out){.path = path};
    int used = snprintf(f->temporary, sizeof f->temporary, "%s" FILE_TEMPORARY "%ld", path, (long)getpid());
    if (used < 0 || (size_t)used >= sizeof f->temporary)
        return err_set_errno(e, ENAMETOOLONG, "cannot write %s", path);
    delete_left(path);
    for (int left = MOST_TRIES; left; left--) {
        /* Never written into, it may be a file with other names. */
        unlink(f->temporary);
        if (open_out(f, e))
            return e->code;
        if (hold(f->fd))
            return ERR_OK;
        close(f->fd);
    }
    return err_set(e, ERR_IO, "cannot write %s: other processes are writing it", path);
}

enum err_code file_out_put(const struct file_out *f, const void *bytes, size_t length, struct err *e)
{
    size_t done;
    return file_put(&done, f->fd, bytes, length, present_name(f), e);
}

enum err_code file_out_finish(struct file_out *f, enum err_code code, struct err *e)
{
    const char *name = present_name(f);
    if (!code && fsync(f->fd))
        code = err_set_errno(e, errno, "cannot flush %s", name);
    if (close(f->fd) && !code)
        code = err_set_errno(e, errno, "cannot close %s", name);
    if (!code && *f->temporary)
        code = file_rename(f->temporary, f->path, e);
    if (code)
        unlink(name);
    return code;
}

enum err_code file_write_atomic(const char *path, const void *bytes, size_t length, struct err *e)
{
    struct file_out f;
    return file_out_replace(&f, path, e) ? e->code : file_out_finish(&f, file_out_put(&f, bytes, length, e), e);
}

enum err_code file_folder_enter(struct file_folder *f, const char *path, struct err *e)
{
    *f = (struct file_folder){.path = path, .fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (f->fd < 0)
        return err_set_errno(e, errno, "cannot open the folder %s", path);
    file_folder_path(f->inside, f->fd, path);
    return ERR_OK;
}

void file_folder_path(char inside[PATH_MAX], int fd, const char *path)
{
    snprintf(inside, PATH_MAX, "/proc/self/fd/%d", fd);
    if (!file_is_folder(inside)) /* no /proc */
        snprintf(inside, PATH_MAX, "%s", path);
}

enum err_code file_folder_leave(struct file_folder *f, enum err_code code, struct err *e)
{
    close(f->fd);
    if (code)
        err_rename(e, f->inside, f->path);
    return code;
}

enum err_code file_sync(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(e, errno, "cannot open %s", path);
    enum err_code code = ERR_OK;
    if (fsync(fd))
        code = err_set_errno(e, errno, "cannot flush %s", path);
    close(fd);
    return code;
}

enum err_code file_commit(const char *temporary, const char *path, struct err *e)
{
    return file_sync(temporary, e) ? e->code : file_rename(temporary, path, e);
}

void file_cut_last_part(char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    while (length > 0 && path[length - 1] != '/')
        length--;
    while (length > 1 && path[length - 1] == '/')
        length--;
    path[length] = '\0';
}

const char *file_last_part(size_t *length, const char *path)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    *length = end - begin;
    return path + begin;
}

size_t file_length_there(const char *path)
{
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s", path);
    while (*part && strcmp(part, "/") != 0 && !file_exists(part))
        file_cut_last_part(part);
    return strlen(part);
}

enum err_code file_make_folders(const char *path, struct err *e)
{
    char part[PATH_MAX];
    size_t length = strlen(path);
    if (length == 0)
        return err_set(e, ERR_USAGE, "the path of a folder is empty");
    if (length >= sizeof part)
        return err_set_errno(e, ENAMETOOLONG, "cannot create the folder %s", path);
    memcpy(part, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        part[i] = '\0';
        if (mkdir(part, 0777)) {
            int reason = errno; /* a folder that is there may also answer EROFS or EACCES */
            if (!file_is_folder(part))
                return err_set_errno(e, reason == EEXIST ? ENOTDIR : reason, "cannot create the folder %s",
                                     part);
        } else if (sync_folder_of(part, e)) {
            rmdir(part); /* so that the next attempt flushes its name */
            return e->code;
        }
        part[i] = path[i];
    }
    return ERR_OK;
}

bool file_stamp_of(struct file_stamp *stamp, const char *path)
{
    struct stat st;
    if (stat(path, &st))
        return false;
    *stamp = make_stamp(&st);
    return true;
}

bool file_exists(const char *path)
{
    struct file_stamp ignored;
    return file_stamp_of(&ignored, path);
}

bool file_folder_stamp(struct file_stamp *stamp, const char *path)
{
    struct stat st;
    if (stat(path, &st) || !S_ISDIR(st.st_mode))
        return false;
    *stamp = make_stamp(&st);
    return true;
}

bool file_is_folder(const char *path)
{
    struct file_stamp ignored;
    return file_folder_stamp(&ignored, path);
}

bool file_holds_only(const char *path, const char *name)
{
    DIR *dir = opendir(path);
    bool only = dir != NULL;
    for (const struct dirent *entry; only && (entry = readdir(dir));)
        only = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || (name && !strcmp(entry->d_name, name));
    if (dir)
        closedir(dir);
    return only;
}

enum err_code file_join(char *path, size_t size, const char *folder, const char *name, struct err *e)
{
    const char *slash = folder[0] == '\0' || str_ends_with(folder, "/") ? "" : "/";
    int used = snprintf(path, size, "%s%s%s", folder, slash, name);
    if (used < 0 || (size_t)used >= size)
        return err_set(e, ERR_USAGE, "the path %s%s%s is longer than %zu bytes", folder, slash, name,
                       size - 1);
    return ERR_OK;
}

/* The canonical (big-endian) form, as `xxhsum -H2` prints it. */
static void hash_format(char hash[FILE_HASH_SIZE], XXH128_hash_t value)
{
    static const char digits[] = "0123456789abcdef";
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, value);
    for (size_t i = 0; i < sizeof canonical.digest; i++) {
        hash[2 * i] = digits[canonical.digest[i] >> 4];
        hash[2 * i + 1] = digits[canonical.digest[i] & 15];
    }
    hash[2 * sizeof canonical.digest] = '\0';
}

void file_hash_bytes(char hash[FILE_HASH_SIZE], const void *bytes, size_t length)
{
    hash_format(hash, XXH3_128bits(bytes, length));
}

struct file_hasher *file_hasher_open(struct err *e)
{
    XXH3_state_t *state = XXH3_createState();
    if (!state || XXH3_128bits_reset(state) == XXH_ERROR) {
        XXH3_freeState(state);
        err_set(e, ERR_MEMORY, "no memory for the state of a content hash");
        return NULL;
    }
    return (struct file_hasher *)state;
}

void file_hasher_add(struct file_hasher *h, const void *bytes, size_t length)
{
    if (length) /* the only error of an update is a null input */
        XXH3_128bits_update((XXH3_state_t *)h, bytes, length);
}

void file_hasher_finish(struct file_hasher *h, char hash[FILE_HASH_SIZE])
{
    hash_format(hash, XXH3_128bits_digest((XXH3_state_t *)h));
    XXH3_freeState((XXH3_state_t *)h);
}

const char *file_temporary_folder(void)
{
    const char *folder = getenv("TMPDIR");
    return folder && *folder ? folder : "/tmp";
}

enum err_code file_temporary(char *path, size_t size, const char *name, struct err *e)
{
    const char *folder = file_temporary_folder();
    int used = snprintf(path, size, "%s/%s" FILE_TEMPORARY "%ld", folder, name, (long)getpid());
    if (used < 0 || (size_t)used >= size)
        return err_set(e, ERR_USAGE, "the path of the folder for temporary files, %s, is too long", folder);
    return ERR_OK;
}
