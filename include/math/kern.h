/*
 * The vector kernels of a step: everything that is not a matrix product.
 *
 * One table of functions per instruction set (CPU_PORTABLE, CPU_AVX2, CPU_AVX512), compiled from one source,
 * and one of plain loops with sums in double (`kern_reference`) that the others are tested against. Row loops
 * run on all threads of the calling process inside the functions. A row's result depends on that row alone,
 * an element's (axpy, adamw) on that element alone, a sum's on its numbers and their count: never on the
 * number of threads, the address or the place in the array.
 *
 * Shapes: n tokens (rows), D width, F ffn width, V vocabulary. All matrices are row-major and dense unless a
 * row stride (ld, in elements) is given.
 */
#ifndef MPILORA_MATH_KERN_H
#define MPILORA_MATH_KERN_H

#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"
#include "base/rng.h"
#include "math/dtype.h"

struct adamw_step {
    float learning_rate, beta1, beta2, epsilon, weight_decay;
    float correction1, correction2; /* 1 - beta1^t, 1 - beta2^t */
    float grad_scale;               /* the gradient is multiplied by this first (clipping) */
};

/*
 * Scores of some queries of one example against some of its keys, a dense matrix. Each query is there once
 * for each of `heads` heads, which share the keys: row i of the queries is number first + i / heads, counted
 * from the tile's first key, and does not see the keys behind that; their probabilities are 0.
 */
struct attend_tile {
    size_t queries, keys; /* rows of each */
    size_t heads, first;
    float scale; /* of the scores, above 0 */
};

/* Of an MLP: GELU (Hendrycks & Gimpel 2016) exact and approximated by tanh; the square of ReLU (So et al. 2021). */
enum kern_act { ACT_SILU, ACT_GELU, ACT_GELU_TANH, ACT_RELU2, ACT_COUNT };

struct kern_activation {
    void (*forward)(void *y, const void *x, size_t n, size_t F);
    void (*backward)(void *dx, const float *dy, const void *x, size_t n, size_t F);
};

/*
 * Kernels on activations, whose element type `real` is f32 or bf16 (DTYPE_F32, DTYPE_BF16): arithmetic and
 * sums are f32 in both, a bf16 is rounded to nearest even when it is stored. Pointers to void are arrays of
 * `real`; the residual stream and all gradients with respect to a layer's input are float in both.
 */
struct kern_typed {
    size_t size; /* bytes of a real */

    /* y = x * rstd * w, rstd[n] = (mean(x^2) + eps)^-1/2 kept for backward; copy = x (NULL: not wanted). y
     * may be NULL (rstd and copy only). Llama's RMSNorm (Zhang & Sennrich 2019). */
    void (*rmsnorm_forward)(void *y, void *copy, float *rstd, const float *x, const float *w, size_t n,
                            size_t D, float eps);
    /* y = x * rstd * w with rstd known, x as rmsnorm_forward's copy. */
    void (*rmsnorm_apply)(void *y, const void *x, const float *rstd, const float *w, size_t n, size_t D);
    /* dx += rstd * (w*dy - x * rstd^2 * mean(w*dy*x)), x as rmsnorm_forward's copy; copy = dx (NULL: not
     * wanted). */
    void (*rmsnorm_backward)(float *dx, void *copy, const float *dy, const void *x, const float *rstd,
                             const float *w, size_t n, size_t D);
    /* RMSNorm of each of `heads` heads of `width` columns (of all of them as one head) in place: x[n, ld], w[width],
     * rstd[n, heads], copy[n, heads * width] = x before (NULL: not wanted). */
    void (*rmsnorm_heads_forward)(void *x, size_t ld, void *copy, float *rstd, const float *w, size_t n, size_t heads,
                                  size_t width, float eps);
    /* dx, gradient of the result, becomes that of x before. */
    void (*rmsnorm_heads_backward)(void *dx, size_t ld, const void *copy, const float *rstd, const float *w, size_t n,
                                   size_t heads, size_t width);
    /* LayerNorm (Ba et al. 2016): y = (x - mean) * rstd * w + b, rstd[n] = (variance + eps)^-1/2; b NULL: none. All
     * else as rmsnorm's. */
    void (*layernorm_forward)(void *y, void *copy, float *mean, float *rstd, const float *x, const float *w,
                              const float *b, size_t n, size_t D, float eps);
    void (*layernorm_apply)(void *y, const void *x, const float *mean, const float *rstd, const float *w,
                            const float *b, size_t n, size_t D);
    void (*layernorm_backward)(float *dx, void *copy, const float *dy, const void *x, const float *mean,
                               const float *rstd, const float *w, size_t n, size_t D);
    /* Rotates the first `rotated` columns of each of `heads` heads of head_dim in place: x[n, ld], cos/sin [positions,
     * rotated/2]. Column i turns with i + rotated/2 (rotate_half of transformers), ... sign is +1 forward, -1
     * backward. */
    void (*rope)(void *x, size_t ld, const int32_t *positions, const float *cos, const float *sin, size_t n,
                 size_t heads, size_t head_dim, size_t rotated, float sign);
    /* ... or 2i with 2i + 1. */
    void (*rope_pairs)(void *x, size_t ld, const int32_t *positions, const float *cos, const float *sin, size_t n,
                       size_t heads, size_t head_dim, size_t rotated, float sign);
    /* y[n, F] = act(x[:, :F]) * x[:, F:], x[n, 2F]; dx[n, 2F] from dy[n, F] and x, may be x itself. */
    struct kern_activation gated[ACT_COUNT];
    /* y[n, F] = act(x), x[n, F]; dx may be x itself. */
    struct kern_activation plain[ACT_COUNT];
    /* Cross-entropy of rows of logits[n,V] (row stride ld) against targets[n] (every target < V):
     * loss[n] = -log p(target); best[n] = argmax (smallest index on ties; may be NULL). Unless dscale[n] is
     * NULL, dlogits[n,V] (row stride ldd in reals) gets dscale * (softmax - onehot); it may lie on the logits,
     * row on row (for bf16 with ldd = 2 ld). With cap != 0 the logits are under a cap (cap_logits), and dlogits is the
     * gradient with respect to what they were before it. A NaN or +inf anywhere in a row makes its loss NaN. */
    void (*cross_entropy)(double *loss, int32_t *best, void *dlogits, size_t ldd, float *logits, size_t ld,
                          const int32_t *targets, size_t n, size_t V, const float *dscale, float cap);
    /* y[n, D] = x * mask / (1 - p): element (row, col) is dropped when its number of stream `key`, counter
     * (samples[row], positions[row], col), is below p. The same call with x = dy is the backward. y may be x.
     */
    void (*dropout)(void *y, const void *x, struct rng_key key, const uint64_t *samples,
                    const int32_t *positions, size_t n, size_t D, float p);
    void (*add_bias)(void *y, size_t ld, const float *bias, size_t n, size_t D); /* y[n, ld] += bias[D] */
    void (*add)(float *y, const void *x, size_t count);                          /* y += x */
    void (*to_f32)(float *y, const void *x, size_t count);
    void (*from_f32)(void *y, const float *x, size_t count);
    void (*from_f32_row)(void *y, const float *x, size_t count); /* on the calling thread alone */

    /*
     * Attention's tiles, on the calling thread alone.
     */
    /* A tile's part of an online softmax. probs[queries, keys] = exp(scale * (scores - max)), where
     * max[queries] is the largest score so far, this tile's included; sum[queries] += the sums of its rows.
     * Where max grew, sum and out[queries, head_dim] are scaled down first. Before the first tile max is
     * -inf, sum and out 0. scores are overwritten; probs of f32 may be scores. */
    void (*attend_softmax)(void *probs, float *scores, float *max, float *sum, float *out, size_t head_dim,
                           const struct attend_tile *tile);
    /* Of a transposed tile, scores[keys, queries]: probs = exp(scale * scores - ln 2 * log2_sum[query]) and
     * dscores = probs * (dprobs - delta[query]). For f32, probs may be scores and dscores may be dprobs. */
    void (*attend_gradient)(void *probs, void *dscores, const float *scores, const float *dprobs,
                            const float *log2_sum, const float *delta, const struct attend_tile *tile);
    /* out[heads, head_dim] = rows / sum[heads] */
    void (*attend_finish)(void *out, const float *rows, const float *sum, size_t heads, size_t head_dim);
    /* copy[heads, head_dim] = dout; delta[heads] = sums over the columns of copy * out */
    void (*attend_delta)(float *delta, void *copy, const float *dout, const void *out, size_t heads,
                         size_t head_dim);
};

struct kern {
    const char *name;
    struct kern_typed f32, bf16;

    void (*axpy)(float *y, float a, const float *x, size_t count); /* y += a x */
    /* Sum of squares in double, in a fixed order. */
    double (*sum_squares)(const float *x, size_t count);

    /* Attention, on the calling thread alone. y[rows, ld] += a * x[rows, cols] */
    void (*attend_add)(float *y, size_t ld, float a, const float *x, size_t rows, size_t cols);
    /* Scores under a cap, scores[rows, columns]: t = tanh(in * score), then score = out * t. With dprobs[rows,
     * columns] (not NULL) also dprobs = delta[column] + (dprobs - delta[column]) * (1 - t^2). */
    void (*softcap)(float *scores, float *dprobs, const float *delta, size_t rows, size_t columns, float in,
                       float out);
    /* Logits under a cap: x[n, V] = cap * tanh(x / cap), on all threads. */
    void (*cap_logits)(float *x, size_t n, size_t V, float cap);
    /* One query of one head: out[head_dim] = softmax(scores) values with scores = scale * keys q, under a cap
     * above 0 cap * tanh(scores / cap); keys, values [count, head_dim]. */
    void (*attend_one)(float *out, const float *q, const float *keys, const float *values, size_t count,
                       size_t head_dim, float scale, float cap);

    /* AdamW (Loshchilov & Hutter 2019), as torch.optim.AdamW: decay first, then the moments' step. */
    void (*adamw)(float *params, const float *grads, float *m, float *v, size_t count,
                  const struct adamw_step *s);
};

extern const struct kern kern_reference;

/* The table for an instruction set that this processor has. */
const struct kern *kern_for(enum cpu_isa isa);

/* The table's part for DTYPE_F32 or DTYPE_BF16. */
const struct kern_typed *kern_typed(const struct kern *k, enum dtype type);

/* Index of the first element that is NaN or infinite, or `count`. */
size_t kern_first_nonfinite(const float *x, size_t count);

#endif
