#include "selftest_parts.h"

#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "math/gemm.h"
#include "ranks/launch.h"
#include "train/batch.h"
#include "train/optim.h"

enum {
    LENGTH = 48, /* tokens of a pack */
    STEPS = 8,
    MORE = 3, /* packs than ranks: some ranks have two, and the tree of the sum has several levels */
};

static const char text[] =
    "The rank that comes last sets the pace: the others wait for its part of the sum. So all of "
    "them are given the same number of tokens, the same threads and the same memory.";

/* ---- Text to tokens and back ---- */

enum err_code selftest_tokenizer(struct selftest *t, struct selftest_line *l, struct err *e)
{
    static const char cure[] =
        "PCRE2 or utf8proc of this host is not what mpilora was built with: load the modules of the "
        "build in the job, too";
    static const char accent[] = "the then e\xcc\x81 \xe4\xba\xac\xf0\x9f\x99\x82 1234\n",
                      joined[] = "the then \xc3\xa9 \xe4\xba\xac\xf0\x9f\x99\x82 1234\n";
    static const int32_t expected[] = {257, 258, 'n', ' ', 0xc3, 0xa9, ' ', 0xe4};
    struct ids ids = {0};
    struct str back = {0};
    (void)e;
    struct err trouble;
    const struct tokenizer *words = t->tiny.words;
    if (tokenizer_encode(&ids, words, accent, sizeof accent - 1, true, &trouble) ||
        tokenizer_decode(&back, words, ids.id, ids.count, false, &trouble))
        selftest_find_error(l, cure, &trouble);
    else if (ids.count < sizeof expected / sizeof *expected || memcmp(ids.id, expected, sizeof expected) != 0)
        selftest_find(l, SELFTEST_WRONG, cure, "a text of %zu bytes has other tokens than it should",
                      sizeof accent - 1);
    else if (back.length != sizeof joined - 1 || memcmp(back.data, joined, back.length) != 0)
        selftest_find(l, SELFTEST_WRONG, cure,
                      "%zu tokens do not give back the text that they were made from", ids.count);
    else
        selftest_find(l, SELFTEST_FINE, NULL,
                      "%zu bytes of text are %zu tokens, and these are the text again", sizeof accent - 1,
                      ids.count);
    ids_release(&ids);
    str_release(&back);
    return ERR_OK;
}

/* ---- Training ---- */

static size_t pack_count(const struct selftest *t)
{
    return (size_t)t->dist->world + MORE;
}

/* The same on all ranks: with OpenBLAS, it affects the last bits. */
static int fewest_threads(const struct selftest *t)
{
    int fewest = t->threads;
    for (size_t i = 0; i < (size_t)t->dist->world; i++) {
        int threads = threads_choose(t->table, (size_t)t->dist->world, i);
        fewest = threads < fewest ? threads : fewest;
    }
    return fewest;
}

static void lay_pack(struct selftest *t, size_t number)
{
    static const uint8_t supervised[LENGTH] = {[1 ... LENGTH - 1] = 1};
    pack_clear(&t->pack);
    pack_add(&t->pack, t->words.id + number * 5 % (t->words.count - LENGTH), supervised, LENGTH, number);
}

/* Collective over d. The gradient of the mean loss over all packs. */
static enum err_code sum_packs(struct selftest *t, struct dist *d, struct reduce *r, const float **grads,
                               double *loss, struct err *e)
{
    const size_t packs = pack_count(t);
    const double scale = 1.0 / (double)(packs * (LENGTH - 1));
    size_t begin, end;
    enum err_code code = ERR_OK;
    *loss = 0;
    reduce_begin(r, packs);
    pack_share(&begin, &end, packs, (size_t)d->rank, (size_t)d->world);
    for (size_t i = begin; !code && i < end; i++) {
        struct model_result result = {0};
        lay_pack(t, i);
        const struct model_input in = batch_input(&t->pack);
        const struct model_grads own = {reduce_pack_begin(r, i), reduce_layer_ready, r};
        code = model_step_grad(&t->tiny.model, &in, scale, &own, &result, NULL, e);
        if (!code)
            reduce_pack_end(r);
        *loss += result.loss_sum * scale;
    }
    code = dist_agree(d, code, e);
    if (code) {
        reduce_drop(r);
        return code;
    }
    code = reduce_finish(r, grads, e);
    return code ? code : dist_sum_f64(d, loss, 1, e);
}

static enum err_code take_step(struct selftest *t, struct reduce *r, uint64_t step, double *loss,
                               struct err *e)
{
    static const struct optim_options optim = {
        .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .max_grad_norm = 1, .ratio_b = 1};
    const float *grads = NULL;
    double norm = 0;
    if (sum_packs(t, t->dist, r, &grads, loss, e) || optim_grad_norm(&norm, &t->tiny.lora.layout, grads, e))
        return e->code;
    optim_step(&t->tiny.lora, &t->moments, grads, &optim, norm, 0.02, step);
    return ERR_OK;
}

static enum err_code prepare(struct selftest *t, struct reduce *all, struct reduce *alone,
                             struct dist *single, struct err *e)
{
    const struct lora_layout *layout = &t->tiny.lora.layout;
    const struct model_plan plan = {
        .tokens = LENGTH, .examples = 1, .longest = LENGTH, .threads = fewest_threads(t), .train = true};
    if (!t->words.count && (tokenizer_encode(&t->words, t->tiny.words, text, sizeof text - 1, true, e) ||
                            pack_init(&t->pack, LENGTH, 1, &t->arena, e) ||
                            lora_moments_init(&t->moments, layout, false, &t->arena, e)))
        return e->code;
    launch_alone(single);
    if (reduce_init(all, layout, t->dist, pack_count(t), false, &t->arena, e) ||
        reduce_init(alone, layout, single, pack_count(t), false, &t->arena, e))
        return e->code;
    gemm_set_threads(plan.threads);
    return model_plan_memory(&t->tiny.model, &plan, e);
}

/* Collective. Says it on the rank whose adapter is not that of most. */
static enum err_code compare_adapters(struct selftest *t, struct selftest_line *l, struct err *e)
{
    const size_t world = (size_t)t->dist->world;
    const struct lora *adapter = &t->tiny.lora;
    char hash[FILE_HASH_SIZE];
    bool certain = false;
    size_t odd = 0;
    file_hash_bytes(hash, adapter->params, adapter->layout.size * sizeof *adapter->params);
    if (selftest_find_odd(&odd, &certain, t->dist, hash, e))
        return e->code;
    t->trained = odd == world;
    if (odd == (size_t)t->dist->rank)
        selftest_find(
            l, SELFTEST_WRONG,
            t->alike
                ? "memory, processor or libraries of this host (if two differ, of one of them) are at fault: "
                  "leave it out (srun --exclude, or its line in the host file) and have it examined"
                : "the ranks compute by different means: take hosts of one kind (srun --constraint), or give "
                  "all ranks the instruction set of the oldest (MPILORA_ISA=avx2)",
            "its adapter is not that of %s after %d steps", certain ? "most ranks" : "rank 0", STEPS);
    else if (t->trained)
        selftest_find(l, SELFTEST_FINE, NULL, "the adapter has the same bits on %s",
                      world > 1 ? "all ranks" : "the one rank");
    return ERR_OK;
}

enum err_code selftest_training(struct selftest *t, struct selftest_line *l, struct err *e)
{
    struct reduce all = {0}, alone = {0};
    struct dist single = {0};
    double losses[STEPS] = {0}, begun = 0;
    enum err_code code = dist_agree(t->dist, prepare(t, &all, &alone, &single, e), e);
    for (int i = 0; !code && i < STEPS; i++) {
        code = take_step(t, &all, (uint64_t)i + 1, &losses[i], e);
        if (i == 0)
            begun = cpu_seconds();
    }
    const double seconds = (cpu_seconds() - begun) / (STEPS - 1);
    gemm_set_threads(t->threads);
    if (code)
        return code;
    const double first = losses[0], last = losses[STEPS - 1];
    selftest_number(l, "first_loss", first);
    selftest_number(l, "last_loss", last);
    selftest_number(l, "step_seconds", seconds);
    if (last < 0.9 * first)
        selftest_find(l, SELFTEST_FINE, NULL,
                      "%d steps on %zu packs lower the loss from %.2f to %.2f, %.1f ms each", STEPS,
                      pack_count(t), first, last, seconds * 1e3);
    else
        selftest_find(l, SELFTEST_WRONG,
                      "take another library for matrix products (--gemm openblas or onednn); if that "
                      "helps, it is at fault",
                      "%d steps lead from a loss of %.3f to %.3f, which should fall", STEPS, first, last);
    return compare_adapters(t, l, e);
}

/* ---- The bits of a sum ---- */

static uint32_t bits_of(float value)
{
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

enum err_code selftest_bits(struct selftest *t, struct selftest_line *l, struct err *e)
{
    struct reduce all = {0}, alone = {0};
    struct dist single = {0};
    const float *together = NULL, *mine = NULL;
    double loss = 0, own_loss = 0;
    const size_t size = t->tiny.lora.layout.size;
    enum err_code code = dist_agree(t->dist, prepare(t, &all, &alone, &single, e), e);
    if (!code)
        code = sum_packs(t, t->dist, &all, &together, &loss, e);
    if (!code)
        code = dist_agree(t->dist, sum_packs(t, &single, &alone, &mine, &own_loss, e), e);
    gemm_set_threads(t->threads);
    if (code || !together || !mine)
        return code;
    size_t first = 0;
    while (first < size && bits_of(together[first]) == bits_of(mine[first]))
        first++;
    if (!t->trained)
        selftest_find(l, SELFTEST_FINE, NULL,
                      "not compared, because the adapters of the ranks differ already");
    else if (!t->alike)
        selftest_find(l, SELFTEST_FINE, NULL, "not compared, because the ranks compute by different means");
    else if (first < size)
        selftest_find(l, SELFTEST_WRONG,
                      "its memory or processor is at fault, or the MPI library: try mpirun --mca btl "
                      "self,tcp, and leave the host out if that does not help",
                      "the gradient of %zu packs, summed over %d ranks, is not what this rank computes by "
                      "itself (number %zu of %zu: %.9g and %.9g)",
                      pack_count(t), t->dist->world, first, size, (double)together[first],
                      (double)mine[first]);
    else
        selftest_find(
            l, SELFTEST_FINE, NULL,
            "the gradient of %zu packs has the same bits summed over %d rank%s and on each rank by itself",
            pack_count(t), t->dist->world, t->dist->world == 1 ? "" : "s");
    return ERR_OK;
}
