/* What the ranks say to each other, on any number of them. */
#include "mpi_unit.h"

#include <stdlib.h>

static void sums_and_maxima(void **state)
{
    (void)state;
    struct err e;
    size_t n = (size_t)ranks.world, sum = n * (n + 1) / 2;
    float f[3] = {(float)ranks.rank + 1, 0, -1};
    double d = ranks.rank + 1;
    uint64_t u[2] = {(uint64_t)ranks.rank + 1, UINT64_C(1) << 60}, most = (uint64_t)(ranks.rank == 0) << 63;
    expect(dist_sum_f32(&ranks, f, 3, &e) == ERR_OK && f[0] == (float)sum && f[2] == -(float)n);
    expect(dist_sum_f64(&ranks, &d, 1, &e) == ERR_OK && d == (double)sum);
    expect(dist_sum_u64(&ranks, u, 2, &e) == ERR_OK && u[0] == sum && u[1] == n << 60);
    expect(dist_max_u64(&ranks, &most, 1, &e) == ERR_OK && most == UINT64_C(1) << 63);
    expect(dist_sum_f32(&ranks, NULL, 0, &e) == ERR_OK);
    agree();
}

static void node_is_known(void **state)
{
    (void)state;
    expect(ranks.nodes == 1 && ranks.node_ranks == ranks.world && ranks.node_rank == ranks.rank);
    expect(ranks.host[0] != '\0');
    agree();
}

static void errors_reach_all(void **state)
{
    (void)state;
    struct err e = {0};
    expect(dist_agree(&ranks, ERR_OK, &e) == ERR_OK);
    for (int first = 0; first < ranks.world; first++) { /* ranks `first` and up fail, each in its own way */
        enum err_code code = ERR_OK;
        if (ranks.rank >= first)
            code = err_set(&e, ranks.rank == first ? ERR_DATA : ERR_IO, "from rank %d", ranks.rank);
        char expected[32];
        snprintf(expected, sizeof expected, "from rank %d", first);
        expect(dist_agree(&ranks, code, &e) == ERR_DATA && e.code == ERR_DATA);
        expect(strcmp(e.message, expected) == 0);
    }
    agree();
}

static void broadcasts(void **state)
{
    (void)state;
    struct err e;
    for (int root = 0; root < ranks.world; root++) {
        char text[6] = "", *mine = strdup("block");
        void *block = ranks.rank == root ? mine : NULL;
        size_t length = ranks.rank == root ? 6 : 0;
        if (ranks.rank == root)
            strcpy(text, "hello");
        expect(dist_broadcast(&ranks, text, sizeof text, root, &e) == ERR_OK && strcmp(text, "hello") == 0);
        expect(dist_broadcast_block(&ranks, &block, &length, root, &e) == ERR_OK);
        expect(length == 6 && strcmp(block, "block") == 0);
        if (ranks.rank != root)
            free(block);
        free(mine);
    }
    agree();
}

/* Rank r gives r bytes of the value r. */
static void gathers_in_rank_order(void **state)
{
    (void)state;
    struct err e;
    char mine[8];
    void *all;
    size_t total, sizes[8];
    memset(mine, ranks.rank, sizeof mine);
    expect(dist_gather_all(&ranks, &all, &total, sizes, mine, (size_t)ranks.rank, &e) == ERR_OK);
    size_t place = 0;
    for (int r = 0; r < ranks.world; r++) {
        expect(sizes[r] == (size_t)r);
        for (int i = 0; i < r; i++)
            expect(((char *)all)[place++] == r);
    }
    expect(place == total);
    free(all);
    agree();
}

/* Rank s sends s + r + 1 numbers to rank r; then each shares a piece of its rank + 1 numbers. */
static void pieces_are_exchanged(void **state)
{
    (void)state;
    struct err e;
    int sent[8], got[8], counts[8];
    float send[64], received[64], shared[64];
    size_t out = 0, in = 0;
    for (int r = 0; r < ranks.world; r++) {
        sent[r] = got[r] = ranks.rank + r + 1;
        counts[r] = r + 1;
        for (int i = 0; i < sent[r]; i++)
            send[out++] = (float)(100 * ranks.rank + r);
    }
    expect(dist_exchange_f32(&ranks, received, got, send, sent, &e) == ERR_OK);
    for (int r = 0; r < ranks.world; r++)
        for (int i = 0; i < got[r]; i++)
            expect(received[in++] == (float)(100 * r + ranks.rank));
    memset(shared, 0, sizeof shared);
    for (int i = 0; i <= ranks.rank; i++)
        shared[ranks.rank * (ranks.rank + 1) / 2 + i] = (float)ranks.rank;
    expect(dist_share_f32(&ranks, shared, counts, &e) == ERR_OK);
    for (int r = 0; r < ranks.world; r++)
        for (int i = 0; i <= r; i++)
            expect(shared[r * (r + 1) / 2 + i] == (float)r);
    agree();
}

/* Even and odd ranks: each group is a world of its own, where sums and errors stay. */
static void groups_are_worlds(void **state)
{
    (void)state;
    struct err e;
    struct dist group;
    int number = ranks.rank % 2, members = (ranks.world + 1 - number) / 2;
    expect(dist_split(&group, &ranks, number, &e) == ERR_OK);
    expect(group.world == members && group.rank == ranks.rank / 2);
    expect(group.node_ranks == group.world && group.nodes == 1);
    uint64_t sum = (uint64_t)ranks.rank;
    expect(dist_sum_u64(&group, &sum, 1, &e) == ERR_OK);
    uint64_t wanted = 0;
    for (int r = number; r < ranks.world; r += 2)
        wanted += (uint64_t)r;
    expect(sum == wanted);
    enum err_code mine = number ? err_set(&e, ERR_DATA, "odd ones") : ERR_OK;
    expect(dist_agree(&group, mine, &e) == (number ? ERR_DATA : ERR_OK));
    char text[8] = "";
    if (group.rank == group.world - 1)
        snprintf(text, sizeof text, "g%d", number);
    expect(dist_broadcast(&group, text, sizeof text, group.world - 1, &e) == ERR_OK);
    expect(text[1] == '0' + number);
    dist_split_release(&group);
    agree();
}

/* All ranks draw numbers until there are no more: each number is drawn once. */
static void board_gives_each_number_once(void **state)
{
    (void)state;
    enum { NUMBERS = 500 };
    struct err e;
    struct dist_board *board = NULL;
    uint64_t drawn[NUMBERS] = {0}, next, total;
    expect(dist_board_open(&board, &ranks, 2, &e) == ERR_OK);
    for (;;) {
        expect(dist_board_add(board, 0, 1, &next, &e) == ERR_OK);
        if (next >= NUMBERS)
            break;
        drawn[next]++;
        expect(dist_board_add(board, 1, next, &total, &e) == ERR_OK);
    }
    expect(dist_sum_u64(&ranks, drawn, NUMBERS, &e) == ERR_OK);
    for (size_t i = 0; i < NUMBERS; i++)
        expect(drawn[i] == 1);
    expect(dist_board_add(board, 1, 0, &total, &e) == ERR_OK);
    expect(total == NUMBERS * (NUMBERS - 1) / 2);
    dist_board_close(board);
    agree();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sums_and_maxima),       cmocka_unit_test(node_is_known),
    cmocka_unit_test(errors_reach_all),      cmocka_unit_test(broadcasts),
    cmocka_unit_test(gathers_in_rank_order), cmocka_unit_test(pieces_are_exchanged),
    cmocka_unit_test(groups_are_worlds),     cmocka_unit_test(board_gives_each_number_once),
};
MPI_UNIT_MAIN(tests)
