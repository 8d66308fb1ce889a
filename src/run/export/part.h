/*
 * A folder that is not there before it is complete: it is written under its name with ".part", and then renamed. What
 * an interrupted export left there is deleted by the next one; a folder or file of somebody else is not touched.
 */
#ifndef MPILORA_RUN_EXPORT_PART_H
#define MPILORA_RUN_EXPORT_PART_H

#include "base/err.h"
#include "base/file.h"

struct part {
    const char *output; /* the caller's */
    char path[PATH_MAX];
    char inside[PATH_MAX]; /* a path to the folder while it is open, whatever gets its name meanwhile */
    int fd;                /* locked; -1: none */
};

/* ERR_USAGE if a file, a folder or a link has this name. */
enum err_code part_refuse_taken(const char *output, struct err *e);

/* ERR_USAGE if anything has the name of the output already, or if what has the name of the part is not left from an
 * export; ERR_IO if another export writes it now. */
enum err_code part_open(struct part *p, const char *output, struct err *e);

/* After `code` ERR_OK the folder gets its name and is on disk; otherwise it is deleted. Returns `code` or an error. */
enum err_code part_finish(struct part *p, enum err_code code, struct err *e);

#endif
