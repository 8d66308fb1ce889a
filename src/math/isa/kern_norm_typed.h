/*
 * The norms, for the element type of kern_typed.h.
 */

static void TYPED(rmsnorm_forward)(void *y, void *copy, float *rstd, const float *x, const float *w, size_t n,
                                   size_t D, float eps)
{
#pragma omp parallel for schedule(static) if (n * D >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        const float *in = x + row * D;
        float r = rstd[row] = 1.0F / sqrtf(dot_row(in, in, D) / (float)D + eps);
        if (y) {
            REAL *out = (REAL *)y + row * D;
#pragma omp simd
            for (size_t i = 0; i < D; i++)
                out[i] = STORE(in[i] * r * w[i]);
        }
        if (copy)
            TYPED(from_row)((REAL *)copy + row * D, in, D);
    }
}

static void TYPED(rmsnorm_apply)(void *y, const void *x, const float *rstd, const float *w, size_t n,
                                 size_t D)
{
#pragma omp parallel for schedule(static) if (n * D >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        const REAL *in = (const REAL *)x + row * D;
        REAL *out = (REAL *)y + row * D;
        float r = rstd[row];
#pragma omp simd
        for (size_t i = 0; i < D; i++)
            out[i] = STORE(LOAD(in[i]) * r * w[i]);
    }
}

static void TYPED(rmsnorm_backward)(float *dx, void *copy, const float *dy, const void *x, const float *rstd,
                                    const float *w, size_t n, size_t D)
{
#pragma omp parallel for schedule(static) if (n * D >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        const REAL *in = (const REAL *)x + row * D;
        const float *g = dy + row * D;
        float *out = dx + row * D;
        float sum = 0, r = rstd[row];
#pragma omp simd reduction(+ : sum)
        for (size_t i = 0; i < D; i++)
            sum += w[i] * g[i] * LOAD(in[i]);
        float slope = sum / (float)D * r * r;
#pragma omp simd
        for (size_t i = 0; i < D; i++)
            out[i] += r * (w[i] * g[i] - LOAD(in[i]) * slope);
        if (copy)
            TYPED(from_row)((REAL *)copy + row * D, out, D);
    }
}

/* In place, on the first heads * width columns of x[n, ld]. */
static void TYPED(rmsnorm_heads_forward)(void *x, size_t ld, void *copy, float *rstd, const float *w, size_t n,
                                         size_t heads, size_t width, float eps)
{
#pragma omp parallel for schedule(static) if (n * heads * width >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        for (size_t head = 0; head < heads; head++) {
            REAL *here = (REAL *)x + row * ld + head * width;
            float sum = 0;
            if (copy)
                memcpy((REAL *)copy + (row * heads + head) * width, here, width * sizeof *here);
#pragma omp simd reduction(+ : sum)
            for (size_t i = 0; i < width; i++)
                sum += LOAD(here[i]) * LOAD(here[i]);
            float r = rstd[row * heads + head] = 1.0F / sqrtf(sum / (float)width + eps);
#pragma omp simd
            for (size_t i = 0; i < width; i++)
                here[i] = STORE(LOAD(here[i]) * r * w[i]);
        }
    }
}

static void TYPED(rmsnorm_heads_backward)(void *dx, size_t ld, const void *copy, const float *rstd, const float *w,
                                          size_t n, size_t heads, size_t width)
{
#pragma omp parallel for schedule(static) if (n * heads * width >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        for (size_t head = 0; head < heads; head++) {
            REAL *g = (REAL *)dx + row * ld + head * width;
            const REAL *in = (const REAL *)copy + (row * heads + head) * width;
            float sum = 0, r = rstd[row * heads + head];
#pragma omp simd reduction(+ : sum)
            for (size_t i = 0; i < width; i++)
                sum += w[i] * LOAD(g[i]) * LOAD(in[i]);
            float slope = sum / (float)width * r * r;
#pragma omp simd
            for (size_t i = 0; i < width; i++)
                g[i] = STORE(r * (w[i] * LOAD(g[i]) - LOAD(in[i]) * slope));
        }
    }
}

static void TYPED(layernorm_row)(REAL *y, const float *x, float mean, float r, const float *w, const float *b,
                                 size_t D)
{
    if (b) {
#pragma omp simd
        for (size_t i = 0; i < D; i++)
            y[i] = STORE((x[i] - mean) * r * w[i] + b[i]);
    } else {
#pragma omp simd
        for (size_t i = 0; i < D; i++)
            y[i] = STORE((x[i] - mean) * r * w[i]);
    }
}

static void TYPED(layernorm_forward)(void *y, void *copy, float *mean, float *rstd, const float *x, const float *w,
                                     const float *b, size_t n, size_t D, float eps)
{
#pragma omp parallel for schedule(static) if (n * D >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        const float *in = x + row * D;
        float sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
        for (size_t i = 0; i < D; i++)
            sum += in[i];
        float middle = mean[row] = sum / (float)D;
#pragma omp simd reduction(+ : squares)
        for (size_t i = 0; i < D; i++)
            squares += (in[i] - middle) * (in[i] - middle);
        float r = rstd[row] = 1.0F / sqrtf(squares / (float)D + eps);
        if (y)
            TYPED(layernorm_row)((REAL *)y + row * D, in, middle, r, w, b, D);
        if (copy)
            TYPED(from_row)((REAL *)copy + row * D, in, D);
    }
}

static void TYPED(layernorm_apply)(void *y, const void *x, const float *mean, const float *rstd, const float *w,
                                   const float *b, size_t n, size_t D)
{
#pragma omp parallel for schedule(static) if (n * D >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        const REAL *in = (const REAL *)x + row * D;
        REAL *out = (REAL *)y + row * D;
        float middle = mean[row], r = rstd[row];
        for (size_t begin = 0; begin < D; begin += SUM_BLOCK) {
            float block[SUM_BLOCK];
            size_t count = min_size(SUM_BLOCK, D - begin);
#pragma omp simd
            for (size_t i = 0; i < count; i++)
                block[i] = LOAD(in[begin + i]);
            TYPED(layernorm_row)(out + begin, block, middle, r, w + begin, b ? b + begin : NULL, count);
        }
    }
}

static void TYPED(layernorm_backward)(float *dx, void *copy, const float *dy, const void *x, const float *mean,
                                      const float *rstd, const float *w, size_t n, size_t D)
{
#pragma omp parallel for schedule(static) if (n * D >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        const REAL *in = (const REAL *)x + row * D;
        const float *g = dy + row * D;
        float *out = dx + row * D;
        float sum = 0, product = 0, middle = mean[row], r = rstd[row];
#pragma omp simd reduction(+ : sum, product)
        for (size_t i = 0; i < D; i++) {
            sum += w[i] * g[i];
            product += w[i] * g[i] * (LOAD(in[i]) - middle);
        }
        float level = sum / (float)D, slope = product / (float)D * r * r;
#pragma omp simd
        for (size_t i = 0; i < D; i++)
            out[i] += r * (w[i] * g[i] - level - (LOAD(in[i]) - middle) * slope);
        if (copy)
            TYPED(from_row)((REAL *)copy + row * D, out, D);
    }
}
