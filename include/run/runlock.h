/*
 * Ensures that only one run works in a folder: a lock on the file DIR/.lock, which is taken before anything else in
 * the folder is touched, and checked before each write.
 *
 * It is a kernel lock on the whole of an open file, so it is released when the process ends, in whatever way. On
 * NFS the server holds it (version 4: after a host has died, until its lease expires, after about a minute and a
 * half). On a file system without locks the run continues with a warning.
 *
 * The lock belongs to the file, not to its name. If somebody deletes DIR/.lock, or the whole folder, another run
 * can take a new lock while this run still holds the old one. So every write goes through runlock_enter(), which
 * detects this:
 *
 *     runlock_take                 .lock exists, has only this name, is locked, and then still has this name
 *     runlock_enter ... leave      opens DIR by its path; is its .lock the one that is locked? then files are written
 *                                  in the folder that was opened
 *     runlock_release              deletes .lock and the folders that runlock_take() made, if they hold nothing else
 *
 * Only users who may write the file may read it, because a reader's lock would keep the run out. A file with such a
 * lock, or with another name (in a copy of the folder made of hard links), is not written but replaced.
 */
#ifndef MPILORA_RUN_RUNLOCK_H
#define MPILORA_RUN_RUNLOCK_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/file.h"

struct runlock {
    char folder[PATH_MAX];
    int fd;
    bool open, held;        /* held is false after runlock_take() if the file system has no locks */
    size_t there;           /* bytes of `folder` that name a folder which was there before */
    struct file_stamp file; /* identity of the locked file */
    char text[256];         /* the text written into it; empty: it could not be written */
};

/* Creates the folder and takes the lock, for one rank of the run, on `host`. ERR_BUSY names the owner of the
 * lock. */
enum err_code runlock_take(struct runlock *l, const char *folder, const char *host, struct err *e);

/* Opens the folder for writing, if it still belongs to this run. ERR_BUSY: it does not, and never will again;
 * nothing may be written. ERR_IO: it cannot be reached, for example because its file system is no longer mounted;
 * this may change. After success close it with file_folder_leave(). */
enum err_code runlock_enter(struct file_folder *in, const struct runlock *l, struct err *e);

/* Only checks, with the same errors: called after a long write, just before the file is renamed. */
enum err_code runlock_check(const struct runlock *l, struct err *e);

/* Who works in a folder, asked without taking the lock or changing anything. */
enum runlock_answer {
    RUNLOCK_NOBODY,  /* nobody: the last run left it in order, or there was none */
    RUNLOCK_HELD,    /* a run holds the lock */
    RUNLOCK_LEFT,    /* `owner` signed the lock and does not hold it: it was killed, or locks do not reach this host */
    RUNLOCK_UNKNOWN, /* the lock may not be read */
};
/* `owner` gets "process 12 on node1", or "". */
enum runlock_answer runlock_ask(char *owner, size_t size, const char *folder);

/* May be called even if it is not held. A start that wrote nothing leaves no folder. */
void runlock_release(struct runlock *l);

#endif
