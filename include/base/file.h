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

/* Which file it is, and its state: two processes of one machine that find the same stamp have the same bytes.
 */
struct file_stamp {
    uint64_t device, inode, size;
    int64_t seconds, nanoseconds; /* of the last change */
};

struct file_map {
    const unsigned char *data; /* of an empty file: no bytes, but not NULL */
    size_t size;
    struct file_stamp stamp;
};

/* Maps a regular file read-only (shared pages: ranks of one node share them). ERR_IO names the path. A file
 * that is mapped may be replaced (renamed over) or deleted at any time; one that is written to in place shows
 * its new content here, and reading after the new end of a shortened one ends the process (base/lost_map.h). */
enum err_code file_map_open(struct file_map *map, const char *path, struct err *e);
void file_map_close(struct file_map *map);
/* These bytes are not needed for now: if they lie in this mapping, their pages stop counting as this
 * process's memory. They stay readable. */
void file_map_drop(const struct file_map *map, const void *data, size_t bytes);
/* Shared memory that no process reads again, mapped here for writing: the whole pages among these bytes are
 * given back to the system, and are zero from now on. */
void file_memory_free(const void *data, size_t bytes);

/* A regular file that is held open: read piece by piece at any place, by any thread, so that none of it stays
 * in this process's memory. It may be replaced or deleted; one that is shortened in place gives errors. */
struct file_in {
    const char *path; /* the caller's; NULL: not open */
    int fd;
    size_t size;
    struct file_stamp stamp;
};
enum err_code file_in_open(struct file_in *f, const char *path, struct err *e);
void file_in_close(struct file_in *f); /* a zeroed one is fine */
/* Does another program hold it for itself (flock), as the HDF5 library does with what it has open to write? */
bool file_in_is_held(const struct file_in *f);
/* Exactly these bytes. ERR_IO when the file ends before them. */
enum err_code file_in_read(void *bytes, const struct file_in *f, uint64_t offset, size_t length,
                           struct err *e);
/* Has it still at least the bytes that it had when it was opened? */
bool file_in_is_whole(const struct file_in *f);
enum err_code file_in_map(struct file_map *map, const struct file_in *f, struct err *e);

/* Whole file into `out` (cleared first); refuses files over `limit` bytes with ERR_FORMAT. */
enum err_code file_read_all(struct str *out, const char *path, size_t limit, struct err *e);

/* Replaces `path` with these bytes: written beside it, under its name, this and the number of the process; fsynced,
 * renamed, folder fsynced. */
#define FILE_TEMPORARY ".tmp"
enum err_code file_write_atomic(const char *path, const void *bytes, size_t length, struct err *e);

/* A folder that is held open: what is opened, made, renamed and deleted under `inside` lies in this very one, whatever
 * comes to bear its name meanwhile. As with openat(), and for libraries that take nothing but a path. Not for long:
 * a file system with an open folder cannot be unmounted. */
struct file_folder {
    int fd;
    const char *path; /* the caller's */
    char inside[PATH_MAX];
};
enum err_code file_folder_enter(struct file_folder *f, const char *path, struct err *e);
/* Returns `code`, that of what was done inside, whose message `e` then has the folder's own name. */
enum err_code file_folder_leave(struct file_folder *f, enum err_code code, struct err *e);

/* fsync of a file that is not open here. */
enum err_code file_sync(const char *path, struct err *e);

/* fsync of a closed file, then rename to its final name, then fsync of the folder. */
enum err_code file_commit(const char *temporary, const char *path, struct err *e);

/* Like mkdir -p, and the folders that new ones stand in are fsynced. */
enum err_code file_make_folders(const char *path, struct err *e);
bool file_exists(const char *path);
bool file_is_folder(const char *path);
bool file_stamp_of(struct file_stamp *stamp, const char *path);     /* false: there is nothing of this name */
bool file_folder_stamp(struct file_stamp *stamp, const char *path); /* false: not a folder */

/* path = "folder/name"; ERR_USAGE if it does not fit. */
enum err_code file_join(char *path, size_t size, const char *folder, const char *name, struct err *e);

/* The folder that TMPDIR names, else /tmp; and the path of a file of this process in it, in the manner of
 * FILE_TEMPORARY. */
const char *file_temporary_folder(void);
enum err_code file_temporary(char *path, size_t size, const char *name, struct err *e);

/* XXH3-128 of bytes, as 32 lower-case hexadecimal digits and a zero; and of a growing stream. */
#define FILE_HASH_SIZE 33
struct file_hasher;
void file_hash_bytes(char hash[FILE_HASH_SIZE], const void *bytes, size_t length);
struct file_hasher *file_hasher_open(struct err *e);
void file_hasher_add(struct file_hasher *h, const void *bytes, size_t length);
void file_hasher_finish(struct file_hasher *h, char hash[FILE_HASH_SIZE]); /* frees h */

#endif
