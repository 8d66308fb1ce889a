/* The gradient sum: over the very tree that the header draws, to the bit, whatever the number of ranks. */
#include "mpi_unit.h"

#include <math.h>

#include "data/examples/pack.h"
#include "small_lora.h"
#include "ranks/reduce.h"
#include "train/tally.h"

/* Value i of pack p's gradient: magnitudes so far apart that another order of the sum shows. */
static float value_of(size_t pack, size_t i)
{
    uint32_t word = rng_word(rng_key_make(5, RNG_SAMPLE, pack), i);
    float x = (float)(int32_t)word * 0x1p-31F;
    return x * (word % 3 == 0 ? 1e4F : word % 3 == 1 ? 1 : 1e-4F);
}

/* The tree by its definition. */
static float tree(size_t packs, int level, size_t first, size_t i)
{
    if (level == 0)
        return value_of(first, i);
    size_t right = first + ((size_t)1 << (level - 1));
    float left = tree(packs, level - 1, first, i);
    return right < packs ? left + tree(packs, level - 1, right, i) : left;
}

enum way { WHOLE, IN_PARTS, FAILING };

/* Tells that parts of uneven lengths are ready, the last one first, as backward does. */
static void report_parts(struct reduce *r, size_t size)
{
    for (size_t end = size, part = 1; end > 0; part = part * 3 + 1) {
        size_t length = part < end ? part : end;
        end -= length;
        reduce_grads_ready(r, end, length);
    }
}

static void add_packs(struct reduce *r, size_t packs, enum way way)
{
    size_t begin, end;
    reduce_begin(r, packs);
    pack_share(&begin, &end, packs, (size_t)ranks.rank, (size_t)ranks.world);
    for (size_t pack = begin; pack < end; pack++) {
        float *grads = reduce_pack_begin(r, pack);
        for (size_t i = 0; i < r->layout->size; i++)
            grads[i] += value_of(pack, i);
        if (way != WHOLE)
            report_parts(r, r->layout->size);
        expect(ranks.world == 1 || (r->started > 0) == (way != WHOLE && pack + 1 == end)); /* it has left */
        if (way == FAILING && ranks.rank == ranks.world - 1)
            return;
        reduce_pack_end(r);
    }
}

static const float *run_batch(struct reduce *r, size_t packs, enum way way)
{
    struct err e;
    const float *grads;
    add_packs(r, packs, way);
    expect(reduce_finish(r, &grads, &e) == ERR_OK);
    return grads;
}

static int height(size_t packs)
{
    int level = 0;
    while (((size_t)1 << level) < packs)
        level++;
    return level;
}

/* Runs a batch and counts the sums that are not the tree's. */
static size_t count_wrong(struct reduce *r, size_t packs, enum way way, size_t stride)
{
    const float *grads = run_batch(r, packs, way);
    size_t wrong = 0, last = r->layout->size - 1;
    for (size_t i = 0; i < r->layout->size; i += stride)
        wrong += grads[i] != tree(packs, height(packs), 0, i);
    return wrong + (grads[last] != tree(packs, height(packs), 0, last));
}

static void every_number_of_packs(void **state)
{
    (void)state;
    struct lora l;
    struct reduce r;
    struct arena arena = {0};
    struct err e;
    enum { MOST = 33 };
    small_make(&l, "q_proj", 1, 2);
    assert_ok(reduce_init(&r, &l.layout, &ranks, MOST, false, &arena, &e), &e);
    for (size_t packs = 1; packs <= MOST; packs++)
        expect(count_wrong(&r, packs, packs % 2 ? WHOLE : IN_PARTS, 1) == 0);
    arena_release(&arena);
    lora_release(&l);
    agree();
}

/* More buckets than travel at a time; with and without parts that leave early the same bits, on ranks without
 * packs too. */
static void many_buckets(void **state)
{
    (void)state;
    struct lora l;
    struct reduce r;
    struct arena arena = {0};
    struct err e;
    small_make(&l, "q_proj", 2000, 1);
    assert_ok(reduce_init(&r, &l.layout, &ranks, 5, false, &arena, &e), &e);
    for (size_t packs = 1; packs <= 5; packs += 2) {
        expect(count_wrong(&r, packs, WHOLE, 31) == 0);
        expect(ranks.world == 1 || r.buckets > REDUCE_SLOTS);
        expect(count_wrong(&r, packs, IN_PARTS, 29) == 0);
    }
    if (ranks.world ==
        2) /* the first rank has the subtrees (0, 1) and 2: two sums of half, and its half of the total */
        expect(reduce_sent_bytes(&r) == 3 * (l.layout.size / 2) * sizeof(float));
    arena_release(&arena);
    lora_release(&l);
    agree();
}

/* A rank that fails in the middle of its last pack leaves nothing behind for the next batch. */
static void dropped_batch(void **state)
{
    (void)state;
    struct lora l;
    struct reduce r;
    struct arena arena = {0};
    struct err e;
    small_make(&l, "q_proj", 2000, 1);
    assert_ok(reduce_init(&r, &l.layout, &ranks, 9, false, &arena, &e), &e);
    for (size_t packs = 1; packs <= 9; packs += 4) {
        add_packs(&r, packs, FAILING);
        reduce_drop(&r);
        expect(count_wrong(&r, packs, IN_PARTS, 31) == 0);
    }
    arena_release(&arena);
    lora_release(&l);
    agree();
}

/* The plain sum is the same up to rounding. */
static void fast_sum(void **state)
{
    (void)state;
    struct lora l;
    struct reduce r;
    struct arena arena = {0};
    struct err e;
    small_make(&l, "q_proj", 2000, 1);
    assert_ok(reduce_init(&r, &l.layout, &ranks, 7, true, &arena, &e), &e);
    for (enum way way = WHOLE; way <= IN_PARTS; way++)
        for (size_t packs = 1; packs <= 7; packs += 3) {
            size_t wrong = 0;
            const float *grads = run_batch(&r, packs, way);
            for (size_t i = 0; i < l.layout.size; i += 13) {
                double exact = 0, size = 0;
                for (size_t p = 0; p < packs; p++) {
                    exact += (double)value_of(p, i);
                    size += fabs((double)value_of(p, i));
                }
                wrong += fabs((double)grads[i] - exact) > 1e-6 * size;
            }
            expect(wrong == 0);
        }
    arena_release(&arena);
    lora_release(&l);
    agree();
}

static void losses_add_up_in_pack_order(void **state)
{
    (void)state;
    struct tally t;
    struct arena arena = {0};
    struct err e;
    size_t begin, end, packs = 11;
    double expected = 0, sums[2];
    assert_ok(tally_init(&t, packs, (size_t)ranks.world, 2, &arena, &e), &e);
    for (int round = 0; round < 4; round++) {
        tally_begin(&t, packs);
        pack_share(&begin, &end, packs, (size_t)ranks.rank, (size_t)ranks.world);
        for (size_t p = begin; p < end; p++) {
            tally_add(&t, p,
                      &(struct model_result){
                          .loss_sum = value_of(p, 0), .supervised = p, .correct = 2, .exact = 1});
            tally_add_sums(&t, p, (const double[]){value_of(p, 1), (double)p});
        }
        t.seconds = ranks.rank == ranks.world / 2 ? 2.5 : 0.5;
        enum stop_reason stop =
            STOP_NOT; /* the last rank's in round 1; in rounds 2 and 3 the first one is late */
        if (ranks.rank == ranks.world - 1 && round % 2 == 1)
            stop = STOP_SIGNAL;
        else if (ranks.rank == 0 && round >= 2)
            stop = STOP_TIME;
        expect(tally_finish(&t, &ranks, ERR_OK, stop, &e) == ERR_OK);
        expected = sums[0] = sums[1] = 0;
        for (size_t p = 0; p < packs; p++) {
            expected += value_of(p, 0);
            sums[0] += value_of(p, 1);
            sums[1] += (double)p;
        }
        expect(t.total.loss_sum == expected && t.total.supervised == 55);
        expect(t.totals[0] == sums[0] && t.totals[1] == sums[1]);
        expect(t.total.correct == 22 && t.total.exact == 11);
        expect(t.stop == (round % 2 ? STOP_SIGNAL : round ? STOP_TIME : STOP_NOT));
        expect(t.slowest == (size_t)ranks.world / 2 && t.slowest_seconds == 2.5);
        expect(fabs(t.mean_seconds - (0.5 + 2.0 / ranks.world)) < 1e-12);
    }
    tally_begin(&t, 3);
    enum err_code code = ranks.rank == ranks.world - 1 ? err_set(&e, ERR_NUMERIC, "the last rank's") : ERR_OK;
    expect(tally_finish(&t, &ranks, code, STOP_NOT, &e) == ERR_NUMERIC &&
           strcmp(e.message, "the last rank's") == 0);
    arena_release(&arena);
    agree();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_number_of_packs),
    cmocka_unit_test(many_buckets),
    cmocka_unit_test(dropped_batch),
    cmocka_unit_test(fast_sum),
    cmocka_unit_test(losses_add_up_in_pack_order),
};
MPI_UNIT_MAIN(tests)
