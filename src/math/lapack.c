#include "math/lapack.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* LAPACK's Fortran interface, which every BLAS with LAPACK exports, with or without LAPACKE. The lengths of
 * the character arguments come last, as gfortran passes them. */
void dgeqrf_(const int *m, const int *n, double *a, const int *lda, double *tau, double *work,
             const int *lwork, int *info);
void dorgqr_(const int *m, const int *n, const int *k, double *a, const int *lda, const double *tau,
             double *work, const int *lwork, int *info);
void dsyevr_(const char *jobz, const char *range, const char *uplo, const int *n, double *a, const int *lda,
             const double *vl, const double *vu, const int *il, const int *iu, const double *abstol, int *m,
             double *w, double *z, const int *ldz, int *isuppz, double *work, const int *lwork, int *iwork,
             const int *liwork, int *info, size_t, size_t, size_t);
void dgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a, const int *lda,
             double *s, double *u, const int *ldu, double *vt, const int *ldvt, double *work,
             const int *lwork, int *info, size_t, size_t);

static enum err_code failed(const char *what, int info, struct err *e)
{
    assert(info > 0); /* below 0: an argument is wrong */
    return err_set(e, ERR_NUMERIC, "%s did not converge (LAPACK's info is %d)", what, info);
}

static enum err_code no_memory(size_t m, size_t n, struct err *e)
{
    return err_set(e, ERR_MEMORY, "no memory to factorise a matrix of %zu x %zu", m, n);
}

static enum err_code check_finite(const double *a, size_t m, size_t n, struct err *e)
{
    assert(m <= INT_MAX && n <= INT_MAX);
    for (size_t i = 0; i < m * n; i++)
        if (!isfinite(a[i]))
            return err_set(e, ERR_NUMERIC, "a matrix of %zu x %zu to factorise holds a NaN or an infinity", m,
                           n);
    return ERR_OK;
}

/* a becomes R and the reflections below it; *tau is the caller's to free, with room for the work array after it.
 */
static enum err_code reflect(double **tau, double **work, int *lwork, double *a, size_t m, size_t n,
                             struct err *e)
{
    const int rows = (int)m, columns = (int)n, query = -1;
    int info = 0;
    double wanted = 0;
    size_t k = m < n ? m : n;
    *tau = NULL;
    if (check_finite(a, m, n, e))
        return e->code;
    dgeqrf_(&rows, &columns, a, &rows, &wanted, &wanted, &query, &info);
    *lwork = (int)wanted;
    *tau = malloc((k + (size_t)*lwork + 1) * sizeof **tau);
    if (!*tau)
        return no_memory(m, n, e);
    *work = *tau + k;
    dgeqrf_(&rows, &columns, a, &rows, *tau, *work, lwork, &info);
    return info ? failed("a QR factorisation", info, e) : ERR_OK;
}

enum err_code lapack_orthonormalize(double *a, size_t m, size_t n, struct err *e)
{
    double *tau = NULL, *work = NULL;
    int lwork, info = 0;
    assert(m >= n);
    if (n == 0)
        return ERR_OK;
    enum err_code code = reflect(&tau, &work, &lwork, a, m, n, e);
    if (!code) {
        const int rows = (int)m, columns = (int)n; /* the work for dgeqrf, n times a block, is enough here */
        dorgqr_(&rows, &columns, &columns, a, &rows, tau, work, &lwork, &info);
        code = info ? failed("a QR factorisation", info, e) : ERR_OK;
    }
    free(tau);
    return code;
}

enum err_code lapack_triangle(double *r, double *a, size_t m, size_t n, struct err *e)
{
    double *tau = NULL, *work = NULL;
    int lwork;
    memset(r, 0, n * n * sizeof *r);
    if (m == 0 || n == 0)
        return ERR_OK;
    enum err_code code = reflect(&tau, &work, &lwork, a, m, n, e);
    for (size_t j = 0; j < n && !code; j++)
        memcpy(r + j * n, a + j * m, (j < m ? j + 1 : m) * sizeof *r);
    free(tau);
    return code;
}

enum err_code lapack_largest_eigen(double *values, double *vectors, size_t count, double *a, size_t n,
                                   struct err *e)
{
    const int order = (int)n, first = (int)(n - count) + 1, last = (int)n, query = -1;
    const double none = 0;
    int found = 0, info = 0, iwanted = 0, lwork, liwork;
    double wanted = 0;
    assert(count <= n);
    if (count == 0)
        return ERR_OK;
    if (check_finite(a, n, n, e))
        return e->code;
    dsyevr_("V", "I", "L", &order, a, &order, &none, &none, &first, &last, &none, &found, values, vectors,
            &order, &iwanted, &wanted, &query, &iwanted, &query, &info, 1, 1, 1);
    lwork = (int)wanted;
    liwork = iwanted;
    double *work = malloc((n + (size_t)lwork) * sizeof *work); /* dsyevr wants n places for the values */
    int *iwork = malloc((2 * n + (size_t)liwork) * sizeof *iwork);
    enum err_code code = work && iwork ? ERR_OK : no_memory(n, n, e);
    if (!code) {
        dsyevr_("V", "I", "L", &order, a, &order, &none, &none, &first, &last, &none, &found, work, vectors,
                &order, iwork, work + n, &lwork, iwork + 2 * n, &liwork, &info, 1, 1, 1);
        if (info || (size_t)found != count)
            code = failed("an eigenvalue problem", info ? info : 1, e);
    }
    for (size_t i = 0; i < count && !code; i++)
        values[i] = work[count - 1 - i];
    for (size_t i = 0; i < count / 2 && !code; i++) /* ascending columns become descending */
        for (size_t k = 0; k < n; k++) {
            double *low = vectors + i * n + k, *high = vectors + (count - 1 - i) * n + k, swap = *low;
            *low = *high;
            *high = swap;
        }
    free(work);
    free(iwork);
    return code;
}

enum err_code lapack_singular_values(double *values, double *a, size_t n, struct err *e)
{
    const int order = (int)n, one = 1, query = -1;
    int info = 0, lwork;
    double wanted = 0, unused;
    if (n == 0)
        return ERR_OK;
    if (check_finite(a, n, n, e))
        return e->code;
    dgesvd_("N", "N", &order, &order, a, &order, values, &unused, &one, &unused, &one, &wanted, &query, &info,
            1, 1);
    lwork = (int)wanted;
    double *work = malloc((size_t)lwork * sizeof *work);
    if (!work)
        return no_memory(n, n, e);
    dgesvd_("N", "N", &order, &order, a, &order, values, &unused, &one, &unused, &one, work, &lwork, &info, 1,
            1);
    free(work);
    return info ? failed("a singular value decomposition", info, e) : ERR_OK;
}
