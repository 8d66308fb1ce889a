#include "unit.h"

#include <inttypes.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/redzone.h"

static void blocks_are_aligned_zeroed_and_apart(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e;
    static const size_t sizes[] = {1, 63, 64, 65, 4096, 40000, 100000, 7, 3000000, 30000, 1};
    enum { COUNT = 400 };
    unsigned char *blocks[COUNT];
    size_t total = 0;
    for (size_t i = 0; i < COUNT; i++) {
        size_t size = sizes[i % (sizeof sizes / sizeof *sizes)] % 50000 + 1;
        blocks[i] = arena_alloc(&a, size, 1, "test", &e);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % ARENA_ALIGN, 0);
        for (size_t k = 0; k < size; k++)
            assert_int_equal(blocks[i][k], 0);
        memset(blocks[i], (int)(i % 251) + 1, size);
        total += size;
    }
    for (size_t i = 0; i < COUNT; i++) {
        size_t size = sizes[i % (sizeof sizes / sizeof *sizes)] % 50000 + 1;
        for (size_t k = 0; k < size; k++)
            assert_int_equal(blocks[i][k], i % 251 + 1);
    }
    assert_int_equal(a.total, total);
    arena_release(&a);
    assert_null(a.chunks);
    assert_int_equal(a.total, 0);
    assert_non_null(arena_alloc(&a, 1, 1, "again", &e));
    arena_release(&a);
}

static void large_block_leaves_room_for_small_ones(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e;
    char *first = arena_alloc(&a, 1, 64, "small", &e);
    assert_non_null(arena_alloc(&a, 1, 1 << 20, "large", &e));
    char *second = arena_alloc(&a, 1, 64, "small", &e);
    assert_ptr_equal(second, first + ARENA_ALIGN + RED_ZONE);
    arena_release(&a);
}

static void refuses_what_cannot_be(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e;
    assert_null(arena_alloc(&a, SIZE_MAX / 2, 3, "tensor table", &e));
    assert_int_equal(e.code, ERR_MEMORY);
    assert_non_null(strstr(e.message, "tensor table"));
    assert_null(arena_alloc(&a, 1, SIZE_MAX - 10, "x", &e));
    assert_null(arena_alloc(&a, 1, SIZE_MAX - 100, "x", &e));
    assert_null(arena_alloc(&a, 1, (size_t)PTRDIFF_MAX - 4096, "x", &e));
    assert_int_equal(e.code, ERR_MEMORY);
    assert_null(arena_strndup(&a, "x", SIZE_MAX, &e));
    assert_non_null(arena_alloc(&a, 0, 8, "nothing", &e));
    arena_release(&a);
}

static void copies_text(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e;
    assert_string_equal(arena_strndup(&a, "hello", 4, &e), "hell");
    assert_string_equal(arena_strndup(&a, "", 0, &e), "");
    arena_release(&a);
}

/* Whether the mapping that holds an address wants large pages, as the kernel tells of it. */
static bool wants_large_pages(const void *address)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    assert_non_null(maps);
    char line[512];
    bool inside = false, wants = false;
    while (fgets(line, sizeof line, maps)) {
        uintptr_t begin, end;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &begin, &end) == 2)
            inside = begin <= (uintptr_t)address && (uintptr_t)address < end;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            wants = strstr(line, " hg");
    }
    fclose(maps);
    return wants;
}

static void large_blocks_ask_for_large_pages(void **state)
{
    (void)state;
    if (access("/sys/kernel/mm/transparent_hugepage", F_OK))
        skip();
    struct arena a = {0};
    struct err e;
    char *large = arena_alloc(&a, 8, 1 << 20, "large", &e), *small = arena_alloc(&a, 1, 64, "small", &e);
    assert_non_null(large);
    assert_non_null(small);
    assert_true(wants_large_pages(large + (4 << 20)));
    assert_false(wants_large_pages(small));
    memset(large, 1, 8 << 20);
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_aligned_zeroed_and_apart),
        cmocka_unit_test(large_block_leaves_room_for_small_ones), cmocka_unit_test(refuses_what_cannot_be),
        cmocka_unit_test(copies_text), cmocka_unit_test(large_blocks_ask_for_large_pages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
