/*
 * Causal self-attention over packed examples, computed in blocks. A token attends only to its own example, and no
 * array of size T x T is stored. Forward keeps the output and one log-sum-exp per (head, token); backward
 * recomputes the probabilities of a block from them (Dao et al., FlashAttention, 2022; Rabe & Staats 2021).
 *
 * A row of qkv[n, ld] holds H heads of q, then K heads of k, then K heads of v, each head_dim wide; q and k are
 * already rotated. Query head h uses key/value head h / (H / K). Scores are multiplied by `scale`; if there is a
 * cap, they then become cap * tanh(score / cap) (Gemma 2). With a window a query attends to itself and the window -
 * 1 tokens before it, as in transformers' sliding attention; the work then grows with the window, not with the
 * length of the example.
 *
 * Examples may share their first tokens, such as the prompt of several answers: the tokens of a prefix are in the pack
 * once, and every example that has it attends to them as if they came before its own. All results are those of
 * examples that each have the prefix's tokens themselves, and the gradient of a shared token is the sum of theirs.
 *
 * The functions return no errors, run on all threads of the process, and give results that
 * do not depend on the number of threads.
 */
#ifndef MPILORA_MATH_ATTENTION_H
#define MPILORA_MATH_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

#include "math/dtype.h"

struct kern;

struct attention_shape {
    enum dtype type; /* of qkv, out and dqkv: DTYPE_F32 (0) or DTYPE_BF16; scores, sums and dout are f32 */
    size_t heads, kv_heads, head_dim;
    float scale;
    size_t window; /* number of keys that a query attends to, including its own; 0: all before it */
    float cap;     /* 0: none */
    const uint32_t
        *offsets; /* [examples + 1] first token of each example, then n; empty examples are allowed */
    /* NULL, or [examples]: that many first tokens of the last example before it that has no prefix come before an
     * example's own; 0: no prefix, as the first example has */
    const uint32_t *prefixes;
    size_t examples;
    const struct kern *kern; /* NULL: the best for this processor */
};

/* Bytes of scratch (aligned to 64) that forward and backward need for packs of up to `tokens` tokens, with prefixes of
 * up to `repeated` tokens in total and examples of up to `longest` tokens, their prefix included, on `threads` threads,
 * the number given to gemm_set_threads. Linear in tokens and repeated. Does not read the shape's offsets and
 * prefixes. */
size_t attention_scratch_bytes(const struct attention_shape *s, size_t tokens, size_t repeated, size_t longest,
                               int threads);

/* out[n, H*head_dim], lse[H, n] */
void attention_forward(void *out, float *lse, const void *qkv, size_t ld, const struct attention_shape *s,
                       void *scratch);

/* dqkv[n, ld] (overwritten) from dout[n, H*head_dim]; out and lse as forward wrote them. */
void attention_backward(void *dqkv, const float *dout, const void *out, const float *lse, const void *qkv,
                        size_t ld, const struct attention_shape *s, void *scratch);

/* The references for tests: whole rows of up to 8192 scores, sums in double, f32 only. */
void attention_forward_reference(float *out, float *lse, const float *qkv, size_t ld,
                                 const struct attention_shape *s);
void attention_backward_reference(float *dqkv, const float *dout, const float *qkv, size_t ld,
                                  const struct attention_shape *s);

/* Attention of one new token over a key/value cache: q[H, head_dim], keys and values [K, capacity, head_dim] of
 * which `count` positions are filled, the last one by the new token -> out[H, head_dim]. */
void attention_decode(float *out, const float *q, const float *keys, const float *values, size_t count,
                      size_t capacity, const struct attention_shape *s);

#endif
