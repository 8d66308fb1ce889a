#include "train/agree.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* Collective. The first rank whose text is not rank 0's, and its host; 0: all are the same. */
static enum err_code find_other(int *other, char host[DIST_HOST_SIZE], struct dist *d, const char *text,
                                struct err *e)
{
    struct card {
        char host[DIST_HOST_SIZE];
        char hash[FILE_HASH_SIZE];
    } mine, *cards;
    memset(&mine, 0, sizeof mine);
    memcpy(mine.host, d->host, sizeof mine.host);
    file_hash_bytes(mine.hash, text, strlen(text));
    size_t total;
    void *all;
    *other = 0;
    if (dist_gather_all(d, &all, &total, NULL, &mine, sizeof mine, e))
        return e->code;
    cards = all;
    for (int r = 1; r < d->world && *other == 0; r++)
        if (strcmp(cards[r].hash, cards[0].hash) != 0)
            *other = r;
    memcpy(host, cards[*other].host, DIST_HOST_SIZE);
    free(all);
    return ERR_OK;
}

/* Collective. Rank 0's host on all ranks. */
static enum err_code first_host(char host[DIST_HOST_SIZE], struct dist *d, struct err *e)
{
    memcpy(host, d->host, DIST_HOST_SIZE);
    return dist_broadcast(d, host, DIST_HOST_SIZE, 0, e);
}

enum err_code agree_same(struct dist *d, const char *what, const char *text, struct err *e)
{
    int other;
    char host[DIST_HOST_SIZE], first[DIST_HOST_SIZE];
    if (find_other(&other, host, d, text, e))
        return e->code;
    if (other == 0)
        return ERR_OK;
    if (first_host(first, d, e))
        return e->code;
    return err_set(e, ERR_MISMATCH,
                   "rank %d on %s has another %s than rank 0 on %s: all ranks must be given the same", other,
                   host, what, first);
}

static size_t line_length(const char *text)
{
    return strcspn(text, "\n");
}

/* The first line in which two texts differ, of each. */
static void find_line(const char **a, const char **b)
{
    while (**a && line_length(*a) == line_length(*b) && memcmp(*a, *b, line_length(*a)) == 0) {
        *a += line_length(*a) + ((*a)[line_length(*a)] != '\0');
        *b += line_length(*b) + ((*b)[line_length(*b)] != '\0');
    }
}

enum err_code agree_lines(struct dist *d, const char *what, const char *text, struct err *e)
{
    int other;
    char host[DIST_HOST_SIZE], first[DIST_HOST_SIZE];
    if (find_other(&other, host, d, text, e))
        return e->code;
    if (other == 0)
        return ERR_OK;
    void *bytes = d->rank == 0 ? (void *)(uintptr_t)text : NULL; /* the others get a copy */
    size_t length = strlen(text) + 1;
    enum err_code code = first_host(first, d, e);
    if (!code)
        code = dist_broadcast_block(d, &bytes, &length, 0, e);
    if (!code && d->rank == other) {
        const char *mine = text, *theirs = bytes;
        find_line(&mine, &theirs);
        code = err_set(
            e, ERR_MISMATCH,
            "rank %d on %s has another %s than rank 0 on %s, '%.*s' and not '%.*s': all ranks must be "
            "given the same",
            d->rank, d->host, what, first, (int)line_length(mine), mine, (int)line_length(theirs), theirs);
    }
    if (d->rank != 0)
        free(bytes);
    return dist_agree(d, code, e);
}

/* Where the program cannot read itself, its version has to do. */
static void describe_program(char text[FILE_HASH_SIZE])
{
    struct err e;
    struct file_map map;
    if (file_map_open(&map, "/proc/self/exe", &e)) {
        file_hash_bytes(text, MPILORA_VERSION, strlen(MPILORA_VERSION));
        return;
    }
    file_hash_bytes(text, map.data, map.size);
    file_map_close(&map);
}

enum err_code agree_program(struct dist *d, const struct options *o, struct err *e)
{
    struct str text = {0};
    char program[FILE_HASH_SIZE];
    describe_program(program);
    enum err_code code = agree_same(d, "build of the program", program, e);
    if (!code)
        code = dist_agree(d, options_write_yaml(o, &text, e), e);
    if (!code)
        code = agree_lines(d, "set of options", text.data, e);
    str_release(&text);
    return code;
}
