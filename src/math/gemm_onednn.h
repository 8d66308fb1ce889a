/*
 * Products computed by oneDNN's matmul primitives, on the calling thread only. Internal to gemm_onednn*.c.
 */
#ifndef GEMM_ONEDNN_H
#define GEMM_ONEDNN_H

#include <stdint.h>

#include "math/gemm.h"

/* C[m,n] = alpha * op(A)[m,k] * op(B)[k,n] + beta * C, A and B of type `in`, C of type `out`; m, n, k above
 * 0. All members have four bytes, because a product is compared and hashed as bytes. */
struct gemm_product {
    int32_t in, out, op_a, op_b, m, n, k, lda, ldb, ldc;
    float alpha, beta;
};

/* The first product of a kind creates a primitive, which takes 0.2 to 0.7 ms. After that, the thread finds the
 * primitive in its cache in 0.3 us and allocates nothing, unless too many other kinds came between. Ends the
 * process if memory is short.
 */
void gemm_onednn_multiply(const struct gemm_product *p, const void *a, const void *b, void *c);

/* Scratch memory of the calling thread for `count` floats, aligned to 64 bytes, valid until its next call. */
float *gemm_onednn_room(size_t count);

#endif
