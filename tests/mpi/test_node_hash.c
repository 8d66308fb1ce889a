#include "mpi_unit.h"

#include <stdio.h>
#include <string.h>

#include "ranks/node_hash.h"

/* Stands for files: how often this rank has read them. */
struct files {
    const char *content; /* NULL: cannot be read */
    size_t taken;
};

static enum err_code take(char hash[FILE_HASH_SIZE], void *from, struct err *e)
{
    struct files *f = from;
    f->taken++;
    if (!f->content)
        return err_set(e, ERR_IO, "rank %d cannot read", ranks.rank);
    file_hash_bytes(hash, f->content, strlen(f->content));
    return ERR_OK;
}

static struct file_hasher *open_files(const char *name)
{
    struct err e;
    struct file_hasher *files = file_hasher_open(&e);
    expect(files);
    if (files)
        file_hasher_add(files, name, strlen(name));
    return files;
}

/* Each node reads once, and does not take over what another node has found. */
static void one_rank_of_a_node_reads(void **state)
{
    (void)state;
    for (int per_node = 1; per_node <= 4; per_node++) {
        struct dist node;
        struct err e;
        char hash[FILE_HASH_SIZE] = "", wanted[FILE_HASH_SIZE];
        struct files f = {.content = ranks.rank < per_node ? "first host" : "others"};
        pretend(&node, per_node);
        file_hash_bytes(wanted, f.content, strlen(f.content));
        expect(node_hash(hash, open_files("the same files"), take, &f, &ranks, &node, &e) == ERR_OK);
        expect(f.taken == (ranks.rank % per_node == 0));
        expect(strcmp(hash, wanted) == 0);
        dist_split_release(&node);
    }
    agree();
}

static void who_has_other_files_open_reads_them(void **state)
{
    (void)state;
    struct dist node;
    struct err e;
    bool odd = ranks.rank % 2 == 1;
    char hash[FILE_HASH_SIZE] = "", wanted[FILE_HASH_SIZE];
    struct files f = {.content = odd ? "theirs" : "ours"};
    pretend(&node, 8);
    file_hash_bytes(wanted, f.content, strlen(f.content));
    expect(node_hash(hash, open_files(odd ? "some" : "others"), take, &f, &ranks, &node, &e) == ERR_OK);
    expect(f.taken == (odd || ranks.rank == 0));
    expect(strcmp(hash, wanted) == 0);
    dist_split_release(&node);
    agree();
}

static void an_error_is_all_ranks_error(void **state)
{
    (void)state;
    struct dist node;
    struct err e;
    char hash[FILE_HASH_SIZE] = "";
    int last = ranks.world - 1;
    pretend(&node, 2);
    struct files f = {.content = ranks.rank == last ? NULL : "ours"};
    expect(node_hash(hash, open_files(ranks.rank == last ? "the last rank's" : "the same files"), take, &f,
                     &ranks, &node, &e) == ERR_IO);
    char message[64];
    snprintf(message, sizeof message, "rank %d cannot read", last);
    expect(strstr(e.message, message));
    dist_split_release(&node);
    agree();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(one_rank_of_a_node_reads),
    cmocka_unit_test(who_has_other_files_open_reads_them),
    cmocka_unit_test(an_error_is_all_ranks_error),
};
MPI_UNIT_MAIN(tests)
