/* The outer step against its definition, in double; the same bits on all ranks. */
#include "mpi_unit.h"

#include <math.h>

#include "small_lora.h"
#include "train/outer.h"

static const double rate = 0.7, momentum = 0.9;

/* What a rank's local steps change value i by, in a round. */
static float change_of(int rank, int round, size_t i)
{
    return 0.01F * (float)(rank + 1) * (float)(round + 1) * (i % 2 ? 1.5F : -1);
}

static void check_round(struct outer *o, struct lora *l, struct lora_moments *moments, struct reduce *r,
                        int round, double *values, double *buffer)
{
    struct err e;
    size_t wrong = 0;
    for (size_t i = 0; i < l->layout.size; i++) {
        l->params[i] += change_of(ranks.rank, round, i);
        moments->m[i] = (float)(ranks.rank + 1);
        moments->v[i] = (float)(2 * ranks.rank);
    }
    expect(outer_step(o, l, moments, r, &e) == ERR_OK);
    for (size_t i = 0; i < l->layout.size; i++) {
        double gradient = 0;
        for (int rank = 0; rank < ranks.world; rank++)
            gradient -= (double)change_of(rank, round, i) / ranks.world;
        buffer[i] = momentum * buffer[i] + gradient;
        values[i] -= rate * (gradient + momentum * buffer[i]);
        wrong += fabs((double)l->params[i] - values[i]) > 1e-5 ||
                 fabs((double)moments->outer[i] - buffer[i]) > 1e-5;
        wrong += fabs((double)moments->m[i] - (ranks.world + 1) / 2.0) > 1e-5;
        wrong += fabs((double)moments->v[i] - (ranks.world - 1)) > 1e-5;
    }
    expect(wrong == 0);
}

static void steps_follow_the_definition(void **state)
{
    (void)state;
    struct lora l;
    struct reduce r;
    struct outer o;
    struct lora_moments moments;
    struct arena arena = {0};
    struct err e;
    small_make(&l, "q_proj", 3, 2);
    assert_ok(reduce_init(&r, &l.layout, &ranks, (size_t)ranks.world, false, &arena, &e), &e);
    assert_ok(outer_init(&o, 4, rate, momentum, &l.layout, &arena, &e), &e);
    assert_ok(lora_moments_init(&moments, &l.layout, true, &arena, &e), &e);
    outer_begin(&o, &l);
    double *values = arena_alloc(&arena, l.layout.size, sizeof *values, "test", &e);
    double *buffer = arena_alloc(&arena, l.layout.size, sizeof *buffer, "test", &e);
    assert_true(values && buffer);
    for (size_t i = 0; i < l.layout.size; i++) {
        values[i] = (double)l.params[i];
        buffer[i] = 0;
    }
    for (int round = 0; round < 3; round++)
        check_round(&o, &l, &moments, &r, round, values, buffer);
    struct dist *d = &ranks;
    float *first = arena_alloc(&arena, l.layout.size, sizeof *first, "test", &e);
    memcpy(first, l.params, l.layout.size * sizeof *first);
    expect(dist_broadcast(d, first, l.layout.size * sizeof *first, 0, &e) == ERR_OK);
    expect(memcmp(first, l.params, l.layout.size * sizeof *first) == 0);
    arena_release(&arena);
    lora_release(&l);
    agree();
}

static void meetings(void **state)
{
    (void)state;
    const struct outer each = {.every = 1}, fourth = {.every = 4};
    for (uint64_t step = 1; step < 10; step++) {
        assert_true(outer_meets(&each, step, 10));
        assert_int_equal(outer_last_meeting(&each, step), step - 1);
        assert_int_equal(outer_meets(&fourth, step, 10), step == 4 || step == 8);
        assert_int_equal(outer_last_meeting(&fourth, step), step <= 4 ? 0 : step <= 8 ? 4 : 8);
    }
    assert_true(outer_meets(&fourth, 10, 10));
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(steps_follow_the_definition),
                                          cmocka_unit_test(meetings)};
MPI_UNIT_MAIN(tests)
