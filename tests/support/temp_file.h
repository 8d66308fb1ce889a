/* Files that a test writes in a folder of its own, which temp_remove() takes away. */
#ifndef TESTS_TEMP_FILE_H
#define TESTS_TEMP_FILE_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct temp_folder {
    char path[64];
    char files[32][128];
    size_t count;
};

static inline void temp_make(struct temp_folder *t)
{
    *t = (struct temp_folder){.path = "/tmp/mpilora-test-XXXXXX"};
    if (!mkdtemp(t->path))
        abort();
}

/* Writes (or rewrites) the file `name` and gives its path. */
static inline const char *temp_write(struct temp_folder *t, const char *name, const void *bytes,
                                     size_t length)
{
    char path[sizeof t->files[0]];
    snprintf(path, sizeof path, "%s/%s", t->path, name);
    size_t i = 0;
    while (i < t->count && strcmp(t->files[i], path))
        i++;
    if (i == sizeof t->files / sizeof t->files[0])
        abort();
    if (i == t->count)
        strcpy(t->files[t->count++], path);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, length, f) != length || fclose(f))
        abort();
    return t->files[i];
}

static inline void temp_remove(struct temp_folder *t)
{
    for (size_t i = 0; i < t->count; i++)
        unlink(t->files[i]);
    rmdir(t->path);
}

#endif
