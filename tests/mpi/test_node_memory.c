#include "mpi_unit.h"

#include <string.h>

#include "ranks/node_memory.h"

enum { BYTES = 1 << 20 };

/* One rank writes, all read the same memory; alone there is nothing to share. */
static void one_fills_all_read(void **state)
{
    (void)state;
    struct err e;
    struct node_memory m;
    struct dist node;
    expect(dist_split_node(&node, &ranks, &e) == ERR_OK);
    expect(node_memory_open(&m, &ranks, &node, BYTES, &e) == ERR_OK);
    expect((m.memory != NULL) == (ranks.world > 1));
    uint64_t fillers = m.mine;
    expect(dist_sum_u64(&ranks, &fillers, 1, &e) == ERR_OK);
    expect(fillers == (ranks.world > 1));
    if (m.mine)
        memset(m.memory, 7, BYTES);
    expect(dist_agree(&ranks, ERR_OK, &e) == ERR_OK);
    node_memory_seal(&m);
    const char *bytes = m.memory;
    for (size_t i = 0; bytes && i < BYTES; i += 4096)
        expect(bytes[i] == 7);
    node_memory_close(&m);
    expect(!m.memory);
    dist_split_release(&node);
    agree();
}

static void nothing_is_not_shared(void **state)
{
    (void)state;
    struct err e;
    struct node_memory m;
    struct dist node;
    expect(dist_split_node(&node, &ranks, &e) == ERR_OK);
    expect(node_memory_open(&m, &ranks, &node, 0, &e) == ERR_OK);
    expect(!m.memory && !m.mine);
    node_memory_close(&m);
    dist_split_release(&node);
    agree();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(one_fills_all_read),
    cmocka_unit_test(nothing_is_not_shared),
};
MPI_UNIT_MAIN(tests)
