/* A rank whose adapter is not the others' is found, and named on all of them. */
#include "mpi_unit.h"

#include "small_lora.h"
#include "ranks/consensus.h"

static char hosts[8][DIST_HOST_SIZE];

static void damaged_rank_is_named(void **state)
{
    (void)state;
    struct lora l;
    struct err e;
    small_make(&l, "q_proj", 1, 2);
    for (int r = 0; r < ranks.world; r++)
        snprintf(hosts[r], sizeof hosts[r], "host%d", r);
    expect(consensus_check(&ranks, &l, hosts, &e) == ERR_OK);
    for (int damaged = 0; damaged < ranks.world && ranks.world > 1; damaged++) {
        char name[160];
        uint32_t bits;
        float *value = &l.params[l.layout.size - 1 - (size_t)damaged], before = *value;
        memcpy(&bits, value, sizeof bits);
        bits ^= 1;
        if (ranks.rank == damaged)
            memcpy(value, &bits, sizeof bits);
        expect(consensus_check(&ranks, &l, hosts, &e) == ERR_MISMATCH);
        int named = ranks.world == 2 ? 1 : damaged; /* of two, who is right? */
        snprintf(name, sizeof name, "the adapter of rank %d on host%d is not that of %s", named, named,
                 ranks.world == 2 ? "rank 0 on host0, and there are too few to tell" : "most ranks");
        expect(strstr(e.message, name) == e.message);
        *value = before;
    }
    expect(consensus_check(&ranks, &l, hosts, &e) == ERR_OK);
    lora_release(&l);
    agree();
}

/* Each rank in turn was given another text: all learn which one, and what it has. */
static void another_text_is_named(void **state)
{
    (void)state;
    struct err e;
    expect(consensus_text(&ranks, "set of options", "a: 1\nb: 2\n", true, &e) == ERR_OK);
    for (int odd = 0; odd < ranks.world && ranks.world > 1; odd++) {
        const char *mine = ranks.rank == odd ? "a: 1\nb: 3\n" : "a: 1\nb: 2\n";
        char expected[400];
        int named = ranks.world == 2 ? 1 : odd, other = named == 0;
        snprintf(
            expected, sizeof expected,
            "rank %d on %s has another set of options than rank %d on %s ('%s' instead of '%s'): all ranks",
            named, ranks.host, other, ranks.host, named == odd ? "b: 3" : "b: 2",
            named == odd ? "b: 2" : "b: 3");
        expect(consensus_text(&ranks, "set of options", mine, true, &e) == ERR_MISMATCH);
        expect(strstr(e.message, expected) == e.message);
        expect(consensus_text(&ranks, "tokenizer", mine, false, &e) == ERR_MISMATCH);
        expect(strstr(e.message, "has another tokenizer than") && !strchr(e.message, '\''));
        expect(consensus_warn(&ranks, mine, &e) == ERR_OK);
    }
    expect(consensus_program(&ranks, &e) == ERR_OK);
    agree();
}

static size_t odd_of(const char *values, bool *certain)
{
    uint64_t numbers[16];
    size_t count = strlen(values);
    for (size_t i = 0; i < count; i++)
        numbers[i] = (uint64_t)values[i];
    return consensus_find_odd(certain, numbers, count);
}

static void majority_decides(void **state)
{
    (void)state;
    bool certain;
    assert_int_equal(odd_of("a", &certain), 1);
    assert_int_equal(odd_of("aaaa", &certain), 4);
    assert_int_equal(odd_of("aaba", &certain), 2);
    assert_true(certain);
    assert_int_equal(odd_of("baa", &certain), 0);
    assert_true(certain);
    assert_int_equal(odd_of("abcaaca", &certain), 1);
    assert_true(certain);
    assert_int_equal(odd_of("ab", &certain), 1);
    assert_false(certain);
    assert_int_equal(odd_of("aabb", &certain), 2);
    assert_false(certain);
    assert_int_equal(odd_of("abcb", &certain), 1);
    assert_false(certain);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(damaged_rank_is_named),
    cmocka_unit_test(another_text_is_named),
    cmocka_unit_test(majority_decides),
};
MPI_UNIT_MAIN(tests)
