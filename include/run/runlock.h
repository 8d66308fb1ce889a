/*
 * One run at a time in a folder: a lock on the file DIR/.lock, held from before anything else in the folder
 * is touched.
 *
 * The kernel's lock of an open file, on the whole of it: it ends with the process, however that ends. Over
 * NFS the server keeps it (version 4: until the lease of a host that died has run out, a minute and a half or
 * so). On a file system without locks the run goes on with a warning.
 */
#ifndef MPILORA_RUN_RUNLOCK_H
#define MPILORA_RUN_RUNLOCK_H

#include <stdbool.h>

#include "base/err.h"

struct runlock {
    int fd;
    bool held; /* false after runlock_take(): the file system has no locks */
};

/* Makes the folder and takes the lock, for one rank of the run; `host` is where that is. ERR_BUSY says whose it is. */
enum err_code runlock_take(struct runlock *l, const char *folder, const char *host, struct err *e);
void runlock_release(struct runlock *l); /* one that is not held is fine */

#endif
