/*
 * What is known of watched runs; watch_run.c reads it, watch_draw.c shows it.
 */
#ifndef MPILORA_REPORT_WATCH_DATA_H
#define MPILORA_REPORT_WATCH_DATA_H

#include "base/arena.h"
#include "base/file.h"
#include "report/curve.h"
#include "report/watch.h"
#include "report_data.h"
#include "run/machine.h"

enum {
    WATCH_RECENT = 64, /* the last steps, over which speeds and waiting are averaged */
    WATCH_WARNINGS = 4 /* the last lines of a log that are kept */
};

/* A file that grows, read from the end of the last whole line on. */
struct watch_tail {
    struct file_stamp stamp; /* as it was then */
    uint64_t offset;
    bool long_line; /* of this line only the rest is to come, and nothing of it is taken */
    char trouble[256]; /* why the file, which is there, cannot be read; escaped */
};

/* Who gets the lines, each without its end (an empty one for a line that is too long); `restart` is called before if
 * the file is another one now, or was cut. */
struct watch_taker {
    enum err_code (*take)(void *context, const char *line, size_t length, struct err *e);
    void (*restart)(void *context);
    void *context;
};

struct watch_step {
    double seconds, tokens, wait, data, communication;
    size_t slowest;
    char host[48];
};

struct watch_run {
    char *folder, *name; /* the name as it is shown: escaped */
    enum watch_state state;
    bool listed; /* it was met at the last look into the folder */

    /* config.yaml */
    struct arena arena;
    struct report_cell cell; /* its config alone */
    struct file_stamp config;
    char config_trouble[256]; /* why it cannot be read; escaped */

    /* metrics.jsonl */
    struct watch_tail tail;
    struct metrics_row last; /* without its texts; step 0: there is none */
    struct arena machine_arena;
    struct machine machine; /* of the last start */
    bool has_machine;
    struct curve loss, evaluations;
    struct watch_step recent[WATCH_RECENT]; /* step i of the file at i % WATCH_RECENT */
    uint64_t lines, bad_lines, skipped, last_skipped;
    double eval_loss, best_loss; /* the last, and the lowest */
    struct metrics_rewards eval_rewards;
    uint64_t evaluated, best;    /* their steps; 0: none */
    uint64_t examples;           /* of the data; 0: not known */
    double longest;              /* seconds of a step, of the recent ones */

    uint64_t total;      /* steps of the whole run; 0: not known */
    uint64_t checkpoint; /* the newest; 0: none */
    bool has_reference;  /* a part at least of what preference training compares with */
    double checkpoint_age, line_age; /* seconds */
    char owner[128], failure[256];   /* whom the lock names; of a failed cell; both escaped */
};

struct watch {
    char *folder, *log;
    bool single;
    struct watch_run **runs; /* [count], by name */
    size_t count, room;
    struct watch_tail tail; /* of the log */
    char warnings[WATCH_WARNINGS][256]; /* warning i of the log at i % WATCH_WARNINGS; escaped */
    size_t warned;
};

/* Reads at most about `most` bytes of new lines; *more: there are more. A file that is not there has no lines. */
enum err_code watch_tail_read(struct watch_tail *t, const char *path, size_t most, bool *more,
                              const struct watch_taker *to, struct err *e);

struct watch_run *watch_run_open(const char *folder, const char *name, struct err *e); /* NULL: an error */
void watch_run_close(struct watch_run *r);
enum err_code watch_run_read(struct watch_run *r, size_t most, double now, bool *more, struct err *e);

/* Means over the recent steps, per step; all 0 without one. `share`: how many of them had the rank `slowest`. */
struct watch_means {
    double seconds, tokens_per_second, wait, data, communication, share;
    size_t slowest;
    const char *host; /* "": not known */
};
struct watch_means watch_run_means(const struct watch_run *r);

#endif
