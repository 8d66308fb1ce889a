#include "ranks/consensus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"

size_t consensus_find_odd(bool *certain, const uint64_t *values, size_t count)
{
    size_t first = 1;
    *certain = true;
    while (first < count && values[first] == values[0])
        first++;
    if (first >= count)
        return count;
    /* Boyer and Moore's vote: if any value has a majority, it is the one that is left. */
    uint64_t common = values[0];
    size_t votes = 0, holders = 0;
    for (size_t i = 0; i < count; i++) {
        if (votes == 0)
            common = values[i];
        if (values[i] == common)
            votes++;
        else
            votes--;
    }
    for (size_t i = 0; i < count; i++)
        holders += values[i] == common;
    *certain = holders > count / 2;
    if (!*certain)
        return first;
    for (first = 0; values[first] == common;)
        first++;
    return first;
}

static uint64_t hash_bytes(const void *bytes, size_t length)
{
    char hash[FILE_HASH_SIZE], half[17] = "";
    file_hash_bytes(hash, bytes, length);
    for (size_t i = 0; i + 1 < sizeof half; i++)
        half[i] = hash[i];
    return strtoull(half, NULL, 16);
}

/* Two ranks that do not have the same text, and what they have. */
struct difference {
    int odd, other; /* the other is one of most ranks, if most have the same */
    char *odd_text, *other_text;
    char odd_host[DIST_HOST_SIZE], other_host[DIST_HOST_SIZE];
};

static void release(struct difference *f)
{
    free(f->odd_text);
    free(f->other_text);
}

/* Collective. What rank `root` has, on all of them; *text is malloc'ed. */
static enum err_code tell(struct dist *d, int root, const char *mine, char **text, char *host, struct err *e)
{
    size_t length = strlen(mine) + 1;
    if (d->rank == root)
        memcpy(host, d->host, DIST_HOST_SIZE);
    *text = d->rank == root ? strdup(mine) : NULL;
    enum err_code code = dist_broadcast(d, host, DIST_HOST_SIZE, root, e);
    if (!code && d->rank == root && !*text)
        code = err_set(e, ERR_MEMORY, "no memory for %zu bytes", length);
    code = dist_agree(d, code, e);
    return code ? code : dist_broadcast_block(d, (void **)text, &length, root, e);
}

/* Collective. *found: the ranks do not all have the same text. */
static enum err_code compare(struct dist *d, const char *text, bool *found, struct difference *f,
                             struct err *e)
{
    size_t world = (size_t)d->world;
    uint64_t hashes[world];
    bool certain;
    *f = (struct difference){0};
    memset(hashes, 0, sizeof hashes);
    hashes[d->rank] = hash_bytes(text, strlen(text));
    if (dist_sum_u64(d, hashes, world, e))
        return e->code;
    size_t odd = consensus_find_odd(&certain, hashes, world), other = 0;
    *found = odd < world;
    if (!*found)
        return ERR_OK;
    if (odd == 0) /* most have another */
        while (hashes[other] == hashes[0])
            other++;
    f->odd = (int)odd;
    f->other = (int)other;
    enum err_code code = tell(d, f->odd, text, &f->odd_text, f->odd_host, e);
    return code ? code : tell(d, f->other, text, &f->other_text, f->other_host, e);
}

/* The first line that is another, on both. */
static void quote_difference(char *text, size_t size, const struct difference *f)
{
    const char *a = f->odd_text, *b = f->other_text;
    for (size_t same; same = strcspn(a, "\n"), strncmp(a, b, same + 1) == 0;) {
        a += same + 1;
        b += same + 1;
    }
    snprintf(text, size, " ('%.*s' instead of '%.*s')", (int)strcspn(a, "\n"), a, (int)strcspn(b, "\n"), b);
}

enum err_code consensus_text(struct dist *d, const char *what, const char *text, bool quote, struct err *e)
{
    struct difference f;
    char quoted[512] = "";
    bool found = false;
    enum err_code code = compare(d, text, &found, &f, e);
    if (!code && found) {
        if (quote)
            quote_difference(quoted, sizeof quoted, &f);
        code = err_set(e, ERR_MISMATCH,
                       "rank %d on %s has another %s than rank %d on %s%s: all ranks must be given the same",
                       f.odd, f.odd_host, what, f.other, f.other_host, quoted);
    }
    release(&f);
    return code;
}

enum err_code consensus_program(struct dist *d, struct err *e)
{
    char hash[FILE_HASH_SIZE] = "";
    struct file_map program;
    enum err_code code = file_map_open(&program, "/proc/self/exe", e);
    if (!code) {
        file_hash_bytes(hash, program.data, program.size);
        file_map_close(&program);
    }
    code = dist_agree(d, code, e);
    return code ? code : consensus_text(d, "build of the program", hash, false, e);
}

enum err_code consensus_warn(struct dist *d, const char *text, struct err *e)
{
    struct difference f;
    bool found = false;
    enum err_code code = compare(d, text, &found, &f, e);
    if (!code && found)
        log_warn("rank %d on %s computes with %s, rank %d on %s with %s: the result's last bits depend on "
                 "where ranks are",
                 f.odd, f.odd_host, f.odd_text, f.other, f.other_host, f.other_text);
    release(&f);
    return code;
}

enum err_code consensus_check(struct dist *d, const struct lora *l, char (*hosts)[DIST_HOST_SIZE],
                              struct err *e)
{
    size_t world = (size_t)d->world;
    uint64_t hashes[world];
    bool certain;
    for (size_t r = 0; r < world; r++)
        hashes[r] = 0;
    hashes[d->rank] = hash_bytes(l->params, l->layout.size * sizeof *l->params);
    if (dist_sum_u64(d, hashes, world, e))
        return e->code;
    size_t odd = consensus_find_odd(&certain, hashes, world);
    if (odd == world)
        return ERR_OK;
    return err_set(
        e, ERR_MISMATCH,
        "the adapter of rank %zu on %s is not that of %s%s%s: memory, processor or libraries of %s are at "
        "fault; without it the same command goes on from the last checkpoint",
        odd, hosts[odd], certain ? "most ranks" : "rank 0 on ", certain ? "" : hosts[0],
        certain ? "" : ", and there are too few to tell which is right",
        certain ? "this host" : "one of these hosts");
}
