/*
 * A file of a run that grows by lines, each a JSON object with the "step" that it belongs to: metrics.jsonl,
 * samples.jsonl. For one rank, which holds the lock of the folder.
 *
 *     lines_open        what a run that goes on from a checkpoint has undone is cut off, a torn last line too
 *     append to `pending`, then lines_put     a disk that takes nothing for a while does not end the run
 *     lines_close
 */
#ifndef MPILORA_RUN_LINES_FILE_H
#define MPILORA_RUN_LINES_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "run/rundir.h"
#include "run/runlock.h"

struct lines_file {
    int fd;
    bool open;
    const struct runlock *lock; /* the caller's; NULL: there is no such file in this run */
    enum rundir_file file;
    char path[PATH_MAX]; /* for messages */
    struct str pending;  /* what the disk has not taken yet */
    bool behind;         /* and it was said */
};

/* Does this line, without its end, stay? Asked in the order of the file. */
typedef bool lines_keep(void *context, const char *line, size_t length);

/* The lines of a file that stay, and the size of the file; none if there is no file. */
enum err_code lines_read(struct str *kept, size_t *size, const char *path, lines_keep *keep, void *context,
                         struct err *e);

/* Opens for appending; lines that do not stay, and a last one without its end, are dropped first. */
enum err_code lines_open(struct lines_file *f, const struct runlock *lock, enum rundir_file file, lines_keep *keep,
                         void *context, struct err *e);

/* Writes the pending lines. If they cannot be written, a warning is printed once, and they are written together with
 * later ones. It is an error only if too much is pending, or if the folder now belongs to another run (ERR_BUSY). A
 * file with several names (a copy made of hard links) is first replaced by a copy of its own, so that the file under
 * the other names does not change. */
enum err_code lines_put(struct lines_file *f, struct err *e);

/* Likewise, or says why it cannot be. Nothing for a file that was not opened. */
enum err_code lines_flush(struct lines_file *f, struct err *e);

void lines_close(struct lines_file *f); /* a zeroed one is fine */

#endif
