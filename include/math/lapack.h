/*
 * Factorisations of small and middling matrices, over LAPACK, in double precision.
 *
 * Matrices are COLUMN-major here, as LAPACK has them: a row-major [m, n] array read with these functions is
 * the transposed matrix. Dimensions are below 2^31. Each call allocates its own work space and is safe on any
 * thread. ERR_NUMERIC when an iteration does not converge, or the input is not finite.
 */
#ifndef MPILORA_MATH_LAPACK_H
#define MPILORA_MATH_LAPACK_H

#include <stddef.h>

#include "base/err.h"

/* a[m, n], m >= n, becomes the Q of its QR factorisation, with orthonormal columns. */
enum err_code lapack_orthonormalize(double *a, size_t m, size_t n, struct err *e);

/* The n x n upper triangle R of a[m, n]'s QR factorisation, m and n in any order; r[n, n], zeros below the
 * diagonal (and in the last n - m rows). a is overwritten. */
enum err_code lapack_triangle(double *r, double *a, size_t m, size_t n, struct err *e);

/* The `count` largest eigenvalues of the symmetric a[n, n], descending, with their eigenvectors as the
 * columns of vectors[n, count]. a is overwritten. */
enum err_code lapack_largest_eigen(double *values, double *vectors, size_t count, double *a, size_t n,
                                   struct err *e);

/* The n singular values of a[n, n], descending. a is overwritten. */
enum err_code lapack_singular_values(double *values, double *a, size_t n, struct err *e);

#endif
