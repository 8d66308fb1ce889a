/* The gradient sum: over the very tree that the header draws, to the bit, whatever the number of ranks. */
#include "mpi_unit.h"

#include <math.h>

#include "data/pack.h"
#include "small_lora.h"
#include "train/reduce.h"
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

static void run_batch(struct reduce *r, struct lora *l, size_t packs)
{
    struct err e;
    size_t begin, end;
    reduce_begin(r, packs);
    pack_share(&begin, &end, packs, (size_t)ranks.rank, (size_t)ranks.world);
    for (size_t pack = begin; pack < end; pack++) {
        reduce_pack_begin(r, pack);
        for (size_t i = 0; i < l->size; i++)
            l->grads[i] += value_of(pack, i);
        reduce_pack_end(r);
    }
    expect(reduce_finish(r, &ranks, &e) == ERR_OK);
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
    assert_ok(reduce_init(&r, &l, &ranks, MOST, &arena, &e), &e);
    for (size_t packs = 1; packs <= MOST; packs++) {
        int level = 0;
        while (((size_t)1 << level) < packs)
            level++;
        run_batch(&r, &l, packs);
        size_t wrong = 0;
        for (size_t i = 0; i < l.size; i++)
            wrong += l.grads[i] != tree(packs, level, 0, i);
        expect(wrong == 0);
    }
    arena_release(&arena);
    lora_release(&l);
    agree();
}

/* More values than one message holds. */
static void several_windows(void **state)
{
    (void)state;
    struct arch wide = small_arch;
    struct lora l;
    struct reduce r;
    struct arena arena = {0};
    struct err e;
    struct lora_spec spec = {.targets = "q_proj", .rank = 20000, .alpha = 1, .init = "normal"};
    wide.layers = 17;
    assert_ok(lora_create(&l, &wide, &spec, &e), &e);
    assert_ok(lora_train_buffers(&l, &e), &e);
    assert_true(l.size > (size_t)1 << 22);
    assert_ok(reduce_init(&r, &l, &ranks, 5, &arena, &e), &e);
    run_batch(&r, &l, 5);
    size_t wrong = 0;
    for (size_t i = 0; i < l.size; i += 977)
        wrong += l.grads[i] != tree(5, 3, 0, i);
    wrong += l.grads[l.size - 1] != tree(5, 3, 0, l.size - 1);
    expect(wrong == 0);
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
    double expected = 0;
    assert_ok(tally_init(&t, packs, (size_t)ranks.world, &arena, &e), &e);
    for (int round = 0; round < 2; round++) {
        tally_begin(&t, packs);
        pack_share(&begin, &end, packs, (size_t)ranks.rank, (size_t)ranks.world);
        for (size_t p = begin; p < end; p++)
            tally_add(&t, p,
                      &(struct model_result){
                          .loss_sum = value_of(p, 0), .supervised = p, .correct = 2, .exact = 1});
        t.seconds = ranks.rank == ranks.world / 2 ? 2.5 : 0.5;
        expect(tally_finish(&t, &ranks, ERR_OK, round == 1 && ranks.rank == ranks.world - 1, &e) == ERR_OK);
        expected = 0;
        for (size_t p = 0; p < packs; p++)
            expected += value_of(p, 0);
        expect(t.total.loss_sum == expected && t.total.supervised == 55);
        expect(t.total.correct == 22 && t.total.exact == 11);
        expect(t.stop == (round == 1));
        expect(t.slowest == (size_t)ranks.world / 2 && t.slowest_seconds == 2.5);
        expect(fabs(t.mean_seconds - (0.5 + 2.0 / ranks.world)) < 1e-12);
    }
    tally_begin(&t, 3);
    enum err_code code = ranks.rank == ranks.world - 1 ? err_set(&e, ERR_NUMERIC, "the last rank's") : ERR_OK;
    expect(tally_finish(&t, &ranks, code, false, &e) == ERR_NUMERIC &&
           strcmp(e.message, "the last rank's") == 0);
    arena_release(&arena);
    agree();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_number_of_packs),
    cmocka_unit_test(several_windows),
    cmocka_unit_test(losses_add_up_in_pack_order),
};
MPI_UNIT_MAIN(tests)
