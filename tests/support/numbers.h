/*
 * Number arrays for tests of numerics: seeded values, guarded buffers, and distances.
 */
#ifndef MPILORA_TESTS_NUMBERS_H
#define MPILORA_TESTS_NUMBERS_H

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

/* count floats of N(0, scale), a function of the seed alone; the caller frees them. */
static inline float *numbers_new(size_t count, float scale, uint64_t seed)
{
    float *x = aligned_alloc(64, (count * sizeof(float) / 64 + 1) * 64);
    if (!x)
        abort();
    rng_fill_normal(x, rng_key_make(seed, RNG_SAMPLE, 0), 0, count);
    for (size_t i = 0; i < count; i++)
        x[i] *= scale;
    return x;
}

static inline float *numbers_zero(size_t count)
{
    float *x = calloc(count, sizeof *x);
    if (!x)
        abort();
    return x;
}

static inline float *numbers_copy(const float *x, size_t count)
{
    float *y = aligned_alloc(64, (count * sizeof(float) / 64 + 1) * 64);
    if (!y)
        abort();
    memcpy(y, x, count * sizeof(float));
    return y;
}

/* Largest absolute difference over the largest absolute reference (at least 1e-30); NaN if any difference is.
 */
static inline double numbers_distance(const float *x, const float *reference, size_t count)
{
    double worst = 0, size = 1e-30;
    for (size_t i = 0; i < count; i++) {
        double d = fabs((double)x[i] - (double)reference[i]);
        if (isnan(d))
            return d;
        worst = d > worst ? d : worst;
        size = fmax(size, fabs((double)reference[i]));
    }
    return worst / size;
}

#endif
