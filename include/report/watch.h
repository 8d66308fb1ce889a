/*
 * A run as it can be watched: what its folder says while it is trained, and afterwards, drawn with characters for a
 * terminal.
 *
 *     watch_open                 one run, or all runs in a folder
 *     watch_read                 what is new: new lines of metrics.jsonl alone, from where the last call stopped
 *     watch_draw                 a picture of what was read
 *     watch_close
 *
 * Only reads: it takes no lock, and a folder that cannot be written will do. Lines that are not whole yet, files that
 * are being replaced and folders that are deleted are no errors. Memory does not grow with the number of steps.
 */
#ifndef MPILORA_REPORT_WATCH_H
#define MPILORA_REPORT_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum watch_state {
    WATCH_WAITING,  /* a process works in the folder, and there is no line yet */
    WATCH_RUNNING,
    WATCH_SILENT,   /* a process works in the folder, but no new line has come for much longer than a step */
    WATCH_DEAD,     /* it seems that its process has ended without leaving the folder in order */
    WATCH_STOPPED,  /* not finished, and nobody works in the folder */
    WATCH_FINISHED,
    WATCH_FAILED,   /* a study's cell */
    WATCH_GONE,     /* the folder was deleted */
};

struct watch;
struct watch_run;

/* `folder`: a run, a study, or a folder in which runs and studies are. `log`: a file with the messages of a run, of
 * which the last warnings are shown; NULL: none. ERR_USAGE if there is no run in the folder. */
enum err_code watch_open(struct watch **w, const char *folder, const char *log, struct err *e);
void watch_close(struct watch *w); /* NULL is fine */

/* Reads at most `most` new bytes of each run's lines; *more: some run has more. `now`: the time, in seconds since 1970,
 * by which the ages of files are told. Of a folder of runs, also those that are new in it. */
enum err_code watch_read(struct watch *w, size_t most, double now, bool *more, struct err *e);

/* The time now, as watch_read() takes it. */
double watch_time(void);

/* Is some run at work? And a number that changes with whatever the last look has read. */
bool watch_is_at_work(const struct watch *w);
uint64_t watch_mark(const struct watch *w);

size_t watch_count(const struct watch *w);
/* The i-th run by name. */
const struct watch_run *watch_at(const struct watch *w, size_t i);
enum watch_state watch_state_of(const struct watch_run *r);

struct watch_look {
    size_t columns;
    size_t rows; /* of the terminal; 0: as many as it takes */
    bool ascii;  /* nothing but ASCII */
    bool colour;
    bool keys; /* name the keys in the last line */
};

/* A picture in lines that are at most `columns` wide, with a line end after each. Of several runs a table, and below it
 * the run with number `chosen`, if there are rows for both. */
enum err_code watch_draw(struct str *out, const struct watch *w, size_t chosen, const struct watch_look *look,
                         struct err *e);

#endif
