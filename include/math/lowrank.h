/*
 * Properties of products B A of A [r, in] and B [out, r], row-major f32. The product is never formed: everything is
 * computed from r x r matrices, in double. Errors: ERR_MEMORY; from lowrank_singular_values() also ERR_NUMERIC if
 * the input is not finite.
 */
#ifndef MPILORA_MATH_LOWRANK_H
#define MPILORA_MATH_LOWRANK_H

#include <stddef.h>

#include "base/err.h"

struct lowrank {
    size_t out, in, r;
};

/* ||B1 A1 - B0 A0||, Frobenius, of two products of the same shape; A0 and B0 may be NULL, for zero. With L = [B1 -
 * B0, B0] and R = [A1; A1 - A0] it is the square root of trace((L^T L)(R R^T)), which is exactly 0 if both products
 * have equal factors. */
enum err_code lowrank_distance(double *norm, const struct lowrank *s, const float *A1, const float *B1,
                               const float *A0, const float *B0, struct err *e);

/* The r singular values of B A, descending: those of R_B R_A^T, from the QR factorisations of B and A^T. */
enum err_code lowrank_singular_values(float *values, const struct lowrank *s, const float *A, const float *B,
                                      struct err *e);

#endif
