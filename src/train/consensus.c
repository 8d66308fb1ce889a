#include "train/consensus.h"

#include <stdlib.h>

#include "base/file.h"

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

static uint64_t hash_values(const struct lora *l)
{
    char hash[FILE_HASH_SIZE], half[17] = "";
    file_hash_bytes(hash, l->params, l->size * sizeof *l->params);
    for (size_t i = 0; i + 1 < sizeof half; i++)
        half[i] = hash[i];
    return strtoull(half, NULL, 16);
}

enum err_code consensus_check(struct dist *d, const struct lora *l, char (*hosts)[DIST_HOST_SIZE],
                              struct err *e)
{
    size_t world = (size_t)d->world;
    uint64_t hashes[world];
    bool certain;
    for (size_t r = 0; r < world; r++)
        hashes[r] = 0;
    hashes[d->rank] = hash_values(l);
    if (dist_sum_u64(d, hashes, world, e))
        return e->code;
    size_t odd = consensus_find_odd(&certain, hashes, world);
    if (odd == world)
        return ERR_OK;
    return err_set(
        e, ERR_COMM,
        "the adapter of rank %zu on %s is not that of %s%s%s: memory, processor or libraries of %s are at "
        "fault; without it the same command goes on from the last checkpoint",
        odd, hosts[odd], certain ? "most ranks" : "rank 0 on ", certain ? "" : hosts[0],
        certain ? "" : ", and there are too few to tell which is right",
        certain ? "this host" : "one of these hosts");
}
