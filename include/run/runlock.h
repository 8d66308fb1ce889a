/*
 * One run at a time in a folder: a lock on the file DIR/.lock, held from before anything else in the folder
 * is touched, and looked at before anything is written.
 *
 * The kernel's lock of an open file, on the whole of it: it ends with the process, however that ends. Over
 * NFS the server keeps it (version 4: until the lease of a host that died has run out, a minute and a half or
 * so). On a file system without locks the run goes on with a warning.
 *
 * The lock is the file's, not the name's. Who deletes DIR/.lock, or DIR as a whole, lets another run in while this
 * one still holds its lock. So every write goes through runlock_enter(), which finds that out:
 *
 *     runlock_take                 .lock is there, one name, locked, and still under that name
 *     runlock_enter ... leave      DIR opened by its path, is its .lock the one that is held? then what is written
 *                                  goes into the folder that was opened
 *     runlock_release
 *
 * Only who may write into the file may read it: a lock of a reader's would keep the run out. One that has such a
 * lock on it, or another name (a copy of the folder by hard links), is not written into but replaced.
 */
#ifndef MPILORA_RUN_RUNLOCK_H
#define MPILORA_RUN_RUNLOCK_H

#include <limits.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/file.h"

struct runlock {
    char folder[PATH_MAX];
    int fd;
    bool open, held;        /* held: false after runlock_take() where the file system has no locks */
    struct file_stamp file; /* which file it is */
    char text[256];         /* what was written into it; empty: could not be */
};

/* Makes the folder and takes the lock, for one rank of the run; `host` is where that is. ERR_BUSY says whose it is. */
enum err_code runlock_take(struct runlock *l, const char *folder, const char *host, struct err *e);

/* Opens the folder for a write, if it is still this run's. ERR_BUSY: it is not, for good; nothing may be written.
 * ERR_IO: it cannot be seen, as on a file system that is not mounted any more, and may come back. After success
 * file_folder_leave() closes it. */
enum err_code runlock_enter(struct file_folder *in, const struct runlock *l, struct err *e);

/* The same question by itself, for the moment before something that took a while gets its name. */
enum err_code runlock_check(const struct runlock *l, struct err *e);

void runlock_release(struct runlock *l); /* one that is not held is fine */

#endif
