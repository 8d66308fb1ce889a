/*
 * A folder of a test's own, removed with all that is in it.
 */
#ifndef MPILORA_TESTS_SCRATCH_H
#define MPILORA_TESTS_SCRATCH_H

#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct scratch {
    char folder[256];
};

static inline bool scratch_open(struct scratch *s)
{
    const char *root = getenv("TMPDIR");
    snprintf(s->folder, sizeof s->folder, "%s/mpilora-test-XXXXXX", root && *root ? root : "/tmp");
    return mkdtemp(s->folder) != NULL;
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static inline void scratch_close(struct scratch *s)
{
    nftw(s->folder, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A folder that a whole group of tests has, with the group's setup and teardown. */
#define SCRATCH_OF_GROUP(name, set_up, tear_down)                                                            \
    static struct scratch name;                                                                              \
    static int set_up(void **state)                                                                          \
    {                                                                                                        \
        (void)state;                                                                                         \
        return scratch_open(&name) ? 0 : -1;                                                                 \
    }                                                                                                        \
    static int tear_down(void **state)                                                                       \
    {                                                                                                        \
        (void)state;                                                                                         \
        scratch_close(&name);                                                                                \
        return 0;                                                                                            \
    }

/* folder/name in a buffer that the next four calls leave alone. */
static inline const char *scratch_path(const struct scratch *s, const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, PATH_MAX, "%s/%s", s->folder, name);
    return path;
}

#endif
