/*
 * A file of a run that grows by lines, each a JSON object with the "step" to which it belongs: metrics.jsonl,
 * samples.jsonl. Only for the rank that holds the lock of the folder.
 *
 *     lines_open        removes the lines after the checkpoint of a resumed run, and an incomplete last line
 *     append to `pending`, then lines_put     a disk that cannot be written for a while does not end the run
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
    const struct runlock *lock; /* belongs to the caller; NULL: this run has no such file */
    enum rundir_file file;
    char path[PATH_MAX]; /* for messages */
    struct str pending;  /* lines that could not be written yet */
    bool behind;         /* lines are pending, and a warning was printed */
};

/* Should this line (without its line end) be kept? Called in the order of the file. */
typedef bool lines_keep(void *context, const char *line, size_t length);

/* Reads the lines of a file that are kept, and the size of the file; none if there is no file. */
enum err_code lines_read(struct str *kept, size_t *size, const char *path, lines_keep *keep, void *context,
                         struct err *e);

/* Opens a file for appending, after removing the lines that are not kept and an incomplete last line. */
enum err_code lines_open(struct lines_file *f, const struct runlock *lock, enum rundir_file file, lines_keep *keep,
                         void *context, struct err *e);

/* Writes the pending lines. If they cannot be written, a warning is printed once, and they are written together with
 * later ones. It is an error only if too much is pending, or if the folder now belongs to another run (ERR_BUSY). A
 * file with several names (a copy made of hard links) is first replaced by a copy of its own, so that the file under
 * the other names does not change. */
enum err_code lines_put(struct lines_file *f, struct err *e);

/* Writes all pending lines, or returns the error. Does nothing for a file that was not opened. */
enum err_code lines_flush(struct lines_file *f, struct err *e);

void lines_close(struct lines_file *f); /* a zeroed one is fine */

#endif
