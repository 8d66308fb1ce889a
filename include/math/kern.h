/*
 * The vector kernels of a training step: everything that is not a matrix product.
 *
 * One table of functions per instruction set (CPU_PORTABLE, CPU_AVX2, CPU_AVX512), compiled from the same source,
 * and one table of plain loops with sums in double (`kern_reference`), the reference for tests. The functions
 * distribute rows over all threads of the process, unless their comment says otherwise; they neither allocate nor
 * fail. The result of a row depends only on that row, that of an element (axpy, adamw) only on that element, and a
 * sum only on its numbers and their count: results never depend on the number of threads, the address or the place
 * in the array.
 *
 * Shapes: n tokens (rows), D width, F width of the MLP, V vocabulary. All matrices are row-major and dense unless a
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
    float grad_scale;               /* the gradient is first multiplied by this (clipping) */
};

/*
 * A tile of attention: the scores of some queries of one example against some of its keys, as a dense matrix.
 * `heads` query heads share the keys, so each query has `heads` rows: row i belongs to the query at position first
 * + i / heads, counted from the tile's first key. It does not attend to keys after that position; their
 * probabilities are 0.
 */
struct attend_tile {
    size_t queries, keys; /* number of rows of each */
    size_t heads, first;
    float scale; /* of the scores, above 0 */
};

/* Activations of an MLP: SiLU; GELU (Hendrycks & Gimpel 2016), exact and approximated with tanh; the square of ReLU
 * (So et al. 2021). */
enum kern_act {
    ACT_SILU,
    ACT_GELU,
    ACT_GELU_TANH,
    ACT_RELU2,
    ACT_COUNT,            /* number of activations without parameters */
    ACT_XIELU = ACT_COUNT /* has four parameters, and no gate (Huang & Schlag 2024) */
};

/* positive * x^2 + beta * x above 0; elsewhere negative * (e^min(x, most) - 1 - x) + beta * x. */
struct kern_xielu {
    float positive, negative, beta, most;
};

struct kern_activation {
    void (*forward)(void *y, const void *x, size_t n, size_t F);
    void (*backward)(void *dx, const float *dy, const void *x, size_t n, size_t F);
};

/*
 * Kernels on activations whose element type `real` is f32 or bf16 (DTYPE_F32, DTYPE_BF16). Arithmetic and sums are
 * f32 with both types; a bf16 is rounded to nearest even when it is stored. Pointers to void are arrays of `real`;
 * the residual stream and all gradients with respect to a layer's input are float with both types.
 */
struct kern_typed {
    size_t size; /* bytes of a real */

    /* RMSNorm (Zhang & Sennrich 2019), as in Llama: y[n, D] = x * rstd * w, with rstd[n] = (mean(x^2) + eps)^-1/2,
     * which is kept for backward; copy = x (NULL: not wanted). y may be NULL (only rstd and copy are written). */
    void (*rmsnorm_forward)(void *y, void *copy, float *rstd, const float *x, const float *w, size_t n,
                            size_t D, float eps);
    /* y = x * rstd * w from a known rstd; x is the copy of rmsnorm_forward. */
    void (*rmsnorm_apply)(void *y, const void *x, const float *rstd, const float *w, size_t n, size_t D);
    /* dx += rstd * (w*dy - x * rstd^2 * mean(w*dy*x)); x is the copy of rmsnorm_forward; copy = dx (NULL: not
     * wanted). */
    void (*rmsnorm_backward)(float *dx, void *copy, const float *dy, const void *x, const float *rstd,
                             const float *w, size_t n, size_t D);
    /* RMSNorm of each of `heads` heads of `width` columns, in place: x[n, ld], w[width], rstd[n, heads], copy[n,
     * heads * width] = x before the norm (NULL: not wanted). For a norm over all heads together, pass them as one
     * head. */
    void (*rmsnorm_heads_forward)(void *x, size_t ld, void *copy, float *rstd, const float *w, size_t n, size_t heads,
                                  size_t width, float eps);
    /* dx, the gradient of the result, is replaced by the gradient of x before the norm. */
    void (*rmsnorm_heads_backward)(void *dx, size_t ld, const void *copy, const float *rstd, const float *w, size_t n,
                                   size_t heads, size_t width);
    /* LayerNorm (Ba et al. 2016): y = (x - mean) * rstd * w + b, with rstd[n] = (variance + eps)^-1/2; b may be
     * NULL (no bias). Everything else as in the rmsnorm functions. */
    void (*layernorm_forward)(void *y, void *copy, float *mean, float *rstd, const float *x, const float *w,
                              const float *b, size_t n, size_t D, float eps);
    void (*layernorm_apply)(void *y, const void *x, const float *mean, const float *rstd, const float *w,
                            const float *b, size_t n, size_t D);
    void (*layernorm_backward)(float *dx, void *copy, const float *dy, const void *x, const float *mean,
                               const float *rstd, const float *w, size_t n, size_t D);
    /* Rotary positions (Su et al. 2021): rotates the first `rotated` columns of each of `heads` heads of head_dim
     * columns in place: x[n, ld], cos/sin [positions, rotated/2]. Column i is paired with column i + rotated/2
     * (rotate_half of transformers). sign is +1 in forward, -1 in backward. */
    void (*rope)(void *x, size_t ld, const int32_t *positions, const float *cos, const float *sin, size_t n,
                 size_t heads, size_t head_dim, size_t rotated, float sign);
    /* The same with column 2i paired with column 2i + 1. */
    void (*rope_pairs)(void *x, size_t ld, const int32_t *positions, const float *cos, const float *sin, size_t n,
                       size_t heads, size_t head_dim, size_t rotated, float sign);
    /* y[n, F] = act(x[:, :F]) * x[:, F:] with x[n, 2F]; dx[n, 2F] from dy[n, F] and x; dx may be x itself. */
    struct kern_activation gated[ACT_COUNT];
    /* y[n, F] = act(x) with x[n, F]; dx may be x itself. */
    struct kern_activation plain[ACT_COUNT];
    /* The same for xIELU, with its parameters. */
    void (*xielu_forward)(void *y, const void *x, size_t n, size_t F, const struct kern_xielu *p);
    void (*xielu_backward)(void *dx, const float *dy, const void *x, size_t n, size_t F, const struct kern_xielu *p);
    /* Cross-entropy of rows of logits[n,V] (row stride ld) against targets[n] (every target < V):
     * loss[n] = -log p(target); best[n] = argmax (smallest index on ties; may be NULL). Unless dscale[n] is
     * NULL, dlogits[n,V] (row stride ldd in reals) gets dscale * (softmax - onehot); it may overwrite the logits,
     * each row in its place (for bf16 with ldd = 2 ld). With cap != 0 the logits have been capped (cap_logits), and
     * dlogits is the gradient with respect to the logits before the cap. A NaN or +inf anywhere in a row makes its
     * loss NaN. */
    void (*cross_entropy)(double *loss, int32_t *best, void *dlogits, size_t ldd, float *logits, size_t ld,
                          const int32_t *targets, size_t n, size_t V, const float *dscale, float cap);
    /* y[n, D] = x * mask / (1 - p): element (row, col) is dropped if its random number, that of `key` with the
     * counter (samples[row], positions[row], col), is below p. The same call with x = dy is the backward pass. y
     * may be x. */
    void (*dropout)(void *y, const void *x, struct rng_key key, const uint64_t *samples,
                    const int32_t *positions, size_t n, size_t D, float p);
    void (*add_bias)(void *y, size_t ld, const float *bias, size_t n, size_t D); /* y[n, ld] += bias[D] */
    void (*add)(float *y, const void *x, size_t count);                          /* y += x */
    void (*to_f32)(float *y, const void *x, size_t count);
    void (*from_f32)(void *y, const float *x, size_t count);
    void (*from_f32_row)(void *y, const float *x, size_t count); /* on the calling thread only */

    /* Tiles of attention, on the calling thread only.
     */
    /* One tile of an online softmax (Milakov & Gimelshein 2018). probs[queries, keys] = exp(scale * (scores -
     * max)), where max[queries] is the largest score of each query so far, including this tile; sum[queries] += the
     * sums of the rows of probs. Where max has grown, sum and out[queries, head_dim] are scaled down first. Before
     * the first tile the caller sets max to -inf, sum and out to 0. scores is overwritten; probs of f32 may be
     * scores. */
    void (*attend_softmax)(void *probs, float *scores, float *max, float *sum, float *out, size_t head_dim,
                           const struct attend_tile *tile);
    /* Backward of a transposed tile, scores[keys, queries]: probs = exp(scale * scores - ln 2 * log2_sum[query])
     * and dscores = probs * (dprobs - delta[query]). For f32, probs may be scores and dscores may be dprobs. */
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
    /* The sum of squares, added in double in a fixed order. */
    double (*sum_squares)(const float *x, size_t count);

    /* For attention, on the calling thread only: y[rows, ld] += a * x[rows, cols] */
    void (*attend_add)(float *y, size_t ld, float a, const float *x, size_t rows, size_t cols);
    /* Caps scores[rows, columns]: t = tanh(in * score), then score = out * t. If dprobs[rows, columns] is not NULL,
     * also dprobs = delta[column] + (dprobs - delta[column]) * (1 - t^2). On the calling thread only. */
    void (*softcap)(float *scores, float *dprobs, const float *delta, size_t rows, size_t columns, float in,
                       float out);
    /* Caps logits: x[n, V] = cap * tanh(x / cap), on all threads. */
    void (*cap_logits)(float *x, size_t n, size_t V, float cap);
    /* Attention of one query of one head: out[head_dim] = softmax(scores) values with scores = scale * keys q, or,
     * with a cap above 0, cap * tanh(scale * keys q / cap); keys and values are [count, head_dim]. */
    void (*attend_one)(float *out, const float *q, const float *keys, const float *values, size_t count,
                       size_t head_dim, float scale, float cap);

    /* AdamW (Loshchilov & Hutter 2019), as torch.optim.AdamW: weight decay first, then the step along the
     * moments. */
    void (*adamw)(float *params, const float *grads, float *m, float *v, size_t count,
                  const struct adamw_step *s);
};

extern const struct kern kern_reference;

/* The table for an instruction set, which the processor must have. */
const struct kern *kern_for(enum cpu_isa isa);

/* The kernels of the table for DTYPE_F32 or DTYPE_BF16. */
const struct kern_typed *kern_typed(const struct kern *k, enum dtype type);

/* Index of the first element that is NaN or infinite, or `count`. */
size_t kern_first_nonfinite(const float *x, size_t count);

#endif
