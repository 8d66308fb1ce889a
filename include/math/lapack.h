/*
 * Factorisations of small and medium matrices in double precision, computed by LAPACK.
 *
 * Matrices are COLUMN-major here, as in LAPACK: these functions see a row-major [m, n] array as the transposed
 * matrix. Dimensions are below 2^31. Each call allocates its own work space (ERR_MEMORY) and may be made on any
 * thread. ERR_NUMERIC if an iteration does not converge or the input is not finite.
 */
#ifndef MPILORA_MATH_LAPACK_H
#define MPILORA_MATH_LAPACK_H

#include <stddef.h>

#include "base/err.h"

/* Replaces a[m, n], m >= n, by the Q of its QR factorisation, which has orthonormal columns. */
enum err_code lapack_orthonormalize(double *a, size_t m, size_t n, struct err *e);

/* r[n, n] = the upper triangle R of the QR factorisation of a[m, n], where m may be less than n; zeros below the
 * diagonal (and in the last n - m rows). a is overwritten. */
enum err_code lapack_triangle(double *r, double *a, size_t m, size_t n, struct err *e);

/* The `count` largest eigenvalues of the symmetric a[n, n], descending, with their eigenvectors as the
 * columns of vectors[n, count]. a is overwritten. */
enum err_code lapack_largest_eigen(double *values, double *vectors, size_t count, double *a, size_t n,
                                   struct err *e);

/* The n singular values of a[n, n], descending. a is overwritten. */
enum err_code lapack_singular_values(double *values, double *a, size_t n, struct err *e);

#endif
