/*
 * Files: mapped for reading, replaced atomically when written, hashed.
 */
#ifndef MPILORA_BASE_FILE_H
#define MPILORA_BASE_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* Identity and state of a file: if two processes on one machine see the same stamp, they see the same bytes. */
struct file_stamp {
    uint64_t device, inode, size;
    int64_t seconds, nanoseconds; /* of the last change */
};

struct file_map {
    const unsigned char *data; /* [size]; not NULL, even if the file is empty */
    size_t size;
    struct file_stamp stamp;
};

/* Maps a regular file read-only (shared pages: ranks of one node share them). ERR_IO names the path. A mapped file
 * may be replaced (another file renamed to its name) or deleted at any time. If it is modified in place, the
 * mapping shows the new content; if it is shortened in place, reading beyond its new end ends the process
 * (base/lost_map.h). */
enum err_code file_map_open(struct file_map *map, const char *path, struct err *e);
void file_map_close(struct file_map *map);
/* Says that these bytes are not needed for now. If they lie in this mapping, their pages no longer count as memory
 * of this process. They stay readable. */
void file_map_drop(const struct file_map *map, const void *data, size_t bytes);
/* For shared memory that this process has mapped for writing and that no process will read again: returns all whole
 * pages within these bytes to the system. They are zero from now on. */
void file_memory_free(const void *data, size_t bytes);

/* A regular file that is kept open and read in pieces, at any offset and by any thread, so that none of it stays in
 * this process's memory. It may be replaced or deleted meanwhile; if it is shortened in place, reading returns
 * errors. */
struct file_in {
    const char *path; /* the caller's; NULL: not open */
    int fd;
    size_t size;
    struct file_stamp stamp;
};
enum err_code file_in_open(struct file_in *f, const char *path, struct err *e);
void file_in_close(struct file_in *f); /* a zeroed one is fine */
/* Does another program hold an exclusive lock (flock) on it, as the HDF5 library does on files it is writing? */
bool file_in_is_held(const struct file_in *f);
/* Reads exactly `length` bytes at `offset`. ERR_IO if the file ends before their end. */
enum err_code file_in_read(void *bytes, const struct file_in *f, uint64_t offset, size_t length,
                           struct err *e);
/* Is the file still at least as long as when it was opened? */
bool file_in_is_whole(const struct file_in *f);
enum err_code file_in_map(struct file_map *map, const struct file_in *f, struct err *e);

/* Reads the whole file into `out` (cleared first); ERR_FORMAT if it has more than `limit` bytes. */
enum err_code file_read_all(struct str *out, const char *path, size_t limit, struct err *e);

/* Writes all bytes to an open file, where it stands. *done: how many were written, also after an error, which names
 * `path`. */
enum err_code file_put(size_t *done, int fd, const void *bytes, size_t length, const char *path, struct err *e);

/* A new file that is written from front to back. */
struct file_out {
    const char *path; /* the caller's: its final name */
    char temporary[PATH_MAX]; /* the name that it has before; "": the final one */
    int fd;
};
/* Nothing may have its name, not even a link. */
enum err_code file_out_create(struct file_out *f, const char *path, struct err *e);
/* The file of this name is replaced when the new one is finished: until then that is in the same folder, under the name
 * of `path`, FILE_TEMPORARY and the process id. What killed processes have left under such names is deleted:
 * a process that is at work holds a lock. Where the file system has no locks, it stays. */
#define FILE_TEMPORARY ".tmp"
enum err_code file_out_replace(struct file_out *f, const char *path, struct err *e);
enum err_code file_out_put(const struct file_out *f, const void *bytes, size_t length, struct err *e);
/* Closes it: after `code` ERR_OK it is on disk (fsync) and has its final name (rename, fsync of the folder), otherwise
 * it is deleted. Returns `code`, or the error. */
enum err_code file_out_finish(struct file_out *f, enum err_code code, struct err *e);

/* Replaces the file `path` by these bytes, atomically, as file_out_replace(). */
enum err_code file_write_atomic(const char *path, const void *bytes, size_t length, struct err *e);

/* A folder that is kept open. Files that are opened, created, renamed or deleted under the path `inside` are in
 * this folder, even if another folder gets its name meanwhile. This is what openat() does, but it also works for
 * libraries that only take a path. Keep it open only for a short time: a file system with an open folder cannot be
 * unmounted. */
struct file_folder {
    int fd;
    const char *path; /* the caller's */
    char inside[PATH_MAX];
};
enum err_code file_folder_enter(struct file_folder *f, const char *path, struct err *e);
/* Closes it. Returns `code`, the result of the work inside; in the message of `e`, `inside` becomes the folder's
 * real name. */
enum err_code file_folder_leave(struct file_folder *f, enum err_code code, struct err *e);
/* The path `inside` of the folder `path` that `fd` has open; without /proc, `path` itself. */
void file_folder_path(char inside[PATH_MAX], int fd, const char *path);

/* fsync of a file that this process does not have open. */
enum err_code file_sync(const char *path, struct err *e);

/* rename, then fsync of the folder. */
enum err_code file_rename(const char *temporary, const char *path, struct err *e);

/* fsync of a closed file, then rename to its final name, then fsync of the folder. */
enum err_code file_commit(const char *temporary, const char *path, struct err *e);

/* Shortens a path by its last part: "a/b/c/" becomes "a/b", "a" becomes "", "/a" becomes "/". */
void file_cut_last_part(char *path);

/* That part within the path, without the slashes at its end: of "a/b/c/" it is "c". */
const char *file_last_part(size_t *length, const char *path);

/* How many bytes of the path name something that exists: all, or those of the nearest folder above it. */
size_t file_length_there(const char *path);

/* As mkdir -p; also does fsync on the parent of each new folder. */
enum err_code file_make_folders(const char *path, struct err *e);
bool file_exists(const char *path);
bool file_is_folder(const char *path);
/* Is it a folder that can be read and holds nothing, but for a file of this name (NULL: none)? */
bool file_holds_only(const char *path, const char *name);
bool file_stamp_of(struct file_stamp *stamp, const char *path);     /* false: no such file */
bool file_folder_stamp(struct file_stamp *stamp, const char *path); /* false: not a folder */

/* path = "folder/name"; ERR_USAGE if it does not fit. */
enum err_code file_join(char *path, size_t size, const char *folder, const char *name, struct err *e);

/* The folder named by TMPDIR, else /tmp. And a path in it: `name`, FILE_TEMPORARY and the process id. */
const char *file_temporary_folder(void);
enum err_code file_temporary(char *path, size_t size, const char *name, struct err *e);

/* XXH3-128 as 32 lower-case hexadecimal digits and a zero byte: of one array of bytes, or of several added one
 * after the other. */
#define FILE_HASH_SIZE 33
struct file_hasher;
void file_hash_bytes(char hash[FILE_HASH_SIZE], const void *bytes, size_t length);
struct file_hasher *file_hasher_open(struct err *e);
void file_hasher_add(struct file_hasher *h, const void *bytes, size_t length);
void file_hasher_finish(struct file_hasher *h, char hash[FILE_HASH_SIZE]); /* frees h */

#endif
