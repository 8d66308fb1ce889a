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

/* A piece for each rank, `length + step * r` floats. */
static struct dist_pieces pieces_of(int lengths[8], int places[8], int length, int step)
{
    for (int r = 0, place = 0; r < ranks.world; r++) {
        lengths[r] = length + step * r;
        places[r] = place;
        place += lengths[r];
    }
    return (struct dist_pieces){lengths, places};
}

static void wait_for(struct dist_request *r)
{
    struct err e;
    bool done = false;
    while (!done && dist_test(r, &done, &e) == ERR_OK)
        ;
    expect(done);
    expect(dist_wait(r, &e) == ERR_OK); /* again does no harm */
}

/* Rank s sends s + r + 1 numbers to rank r; then each shares a piece of its rank + 1 numbers. All under way
 * at once, the shares begun in another place on odd ranks. */
static void pieces_travel_in_two_lanes(void **state)
{
    (void)state;
    struct err e;
    struct dist_request exchange = {0}, share = {0}, sum = {0};
    int lengths[2][8], places[2][8];
    float send[128], received[128], shared[64] = {0}, x[3] = {(float)ranks.rank, 1, 0};
    const struct dist_pieces even = pieces_of(lengths[0], places[0], ranks.rank + 1, 1);
    const struct dist_pieces uneven = pieces_of(lengths[1], places[1], 1, 1);
    for (int r = 0, out = 0; r < ranks.world; r++)
        for (int i = 0; i < even.lengths[r]; i++)
            send[out++] = (float)(100 * ranks.rank + r);
    for (int i = 0; i <= ranks.rank; i++)
        shared[uneven.places[ranks.rank] + i] = (float)ranks.rank;
    if (ranks.rank % 2)
        expect(dist_share_start(&ranks, &share, shared, &uneven, &e) == ERR_OK);
    expect(dist_exchange_start(&ranks, &exchange, received, &even, send, &even, &e) == ERR_OK);
    uint64_t between = 1;
    expect(dist_sum_u64(&ranks, &between, 1, &e) == ERR_OK && between == (uint64_t)ranks.world);
    expect(dist_sum_start(&ranks, &sum, x, 3, &e) == ERR_OK);
    if (ranks.rank % 2 == 0)
        expect(dist_share_start(&ranks, &share, shared, &uneven, &e) == ERR_OK);
    wait_for(&share);
    wait_for(&sum);
    wait_for(&exchange);
    for (int r = 0, in = 0; r < ranks.world; r++)
        for (int i = 0; i < even.lengths[r]; i++)
            expect(received[in++] == (float)(100 * r + ranks.rank));
    for (int r = 0; r < ranks.world; r++)
        for (int i = 0; i <= r; i++)
            expect(shared[uneven.places[r] + i] == (float)r);
    expect(x[0] == (float)(ranks.world * (ranks.world - 1) / 2) && x[1] == (float)ranks.world && x[2] == 0);
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

static uint64_t wait_for_word(void)
{
    struct err e;
    uint64_t word = 0;
    bool found = false;
    while (!found && dist_take_word(&ranks, &found, &word, &e) == ERR_OK)
        ;
    expect(found);
    return word;
}

/* Words are sent while nobody takes them, and pass collective calls by. */
static void words_arrive_once_and_in_order(void **state)
{
    (void)state;
    enum { WORDS = 300 };
    struct err e;
    uint64_t sum = 1, word, heard[64] = {0};
    bool found;
    expect(dist_take_word(&ranks, &found, &word, &e) == ERR_OK && !found);
    agree(); /* or another rank's first word could be there already */
    for (uint64_t i = 0; i < WORDS && ranks.rank > 0; i++)
        expect(dist_send_word(&ranks, 0, (uint64_t)ranks.rank << 32 | i, &e) == ERR_OK);
    expect(dist_sum_u64(&ranks, &sum, 1, &e) == ERR_OK && sum == (uint64_t)ranks.world);
    for (int i = 0; i < WORDS * (ranks.world - 1) && ranks.rank == 0; i++) {
        word = wait_for_word();
        expect((word & UINT32_MAX) == heard[word >> 32]++);
    }
    for (int to = 1; to < ranks.world && ranks.rank == 0; to++)
        expect(dist_send_word(&ranks, to, UINT64_MAX - (uint64_t)to, &e) == ERR_OK);
    if (ranks.rank > 0)
        expect(wait_for_word() == UINT64_MAX - (uint64_t)ranks.rank);
    expect(dist_take_word(&ranks, &found, &word, &e) == ERR_OK && !found);
    agree();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sums_and_maxima),       cmocka_unit_test(node_is_known),
    cmocka_unit_test(errors_reach_all),      cmocka_unit_test(broadcasts),
    cmocka_unit_test(gathers_in_rank_order), cmocka_unit_test(pieces_travel_in_two_lanes),
    cmocka_unit_test(groups_are_worlds),     cmocka_unit_test(words_arrive_once_and_in_order),
};
MPI_UNIT_MAIN(tests)
