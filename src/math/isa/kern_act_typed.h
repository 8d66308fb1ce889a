/*
 * The activations, for the element type of kern_typed.h.
 */

/* y = act(gate) * up; with a = act(gate): dgate = dy * up * a', dup = dy * a. */
#define GATED(name)                                                                                          \
    static void TYPED(name##_gated_forward)(void *y, const void *gu, size_t n, size_t F)                     \
    {                                                                                                        \
        _Pragma("omp parallel for schedule(static) if (n * F >= PARALLEL_MIN)")                              \
        for (size_t row = 0; row < n; row++) {                                                               \
            const REAL *gate = (const REAL *)gu + row * 2 * F, *up = gate + F;                               \
            REAL *out = (REAL *)y + row * F;                                                                 \
            _Pragma("omp simd")                                                                              \
            for (size_t i = 0; i < F; i++)                                                                   \
                out[i] = STORE(name(LOAD(gate[i])) * LOAD(up[i]));                                           \
        }                                                                                                    \
    }                                                                                                        \
    static void TYPED(name##_gated_backward)(void *dgu, const float *dy, const void *gu, size_t n, size_t F) \
    {                                                                                                        \
        _Pragma("omp parallel for schedule(static) if (n * F >= PARALLEL_MIN)")                              \
        for (size_t row = 0; row < n; row++) {                                                               \
            const REAL *gate = (const REAL *)gu + row * 2 * F, *up = gate + F;                               \
            REAL *dgate = (REAL *)dgu + row * 2 * F, *dup = dgate + F;                                       \
            const float *d = dy + row * F;                                                                   \
            _Pragma("omp simd")                                                                              \
            for (size_t i = 0; i < F; i++) {                                                                 \
                float g = LOAD(gate[i]), u = LOAD(up[i]);                                                    \
                dgate[i] = STORE(d[i] * u * name##_slope(g));                                                \
                dup[i] = STORE(d[i] * name(g));                                                              \
            }                                                                                                \
        }                                                                                                    \
    }

/* y = act(x); dx = dy * act'(x). */
#define PLAIN(name)                                                                                          \
    static void TYPED(name##_forward)(void *y, const void *x, size_t n, size_t F)                            \
    {                                                                                                        \
        const REAL *in = x;                                                                                  \
        REAL *out = y;                                                                                       \
        _Pragma("omp parallel for schedule(static) if (n * F >= PARALLEL_MIN)")                              \
        for (size_t begin = 0; begin < n * F; begin += CHUNK) {                                              \
            size_t end = min_size(n * F, begin + CHUNK);                                                     \
            _Pragma("omp simd")                                                                              \
            for (size_t i = begin; i < end; i++)                                                             \
                out[i] = STORE(name(LOAD(in[i])));                                                           \
        }                                                                                                    \
    }                                                                                                        \
    static void TYPED(name##_backward)(void *dx, const float *dy, const void *x, size_t n, size_t F)         \
    {                                                                                                        \
        const REAL *in = x;                                                                                  \
        REAL *out = dx;                                                                                      \
        _Pragma("omp parallel for schedule(static) if (n * F >= PARALLEL_MIN)")                              \
        for (size_t begin = 0; begin < n * F; begin += CHUNK) {                                              \
            size_t end = min_size(n * F, begin + CHUNK);                                                     \
            _Pragma("omp simd")                                                                              \
            for (size_t i = begin; i < end; i++)                                                             \
                out[i] = STORE(dy[i] * name##_slope(LOAD(in[i])));                                           \
        }                                                                                                    \
    }

GATED(silu)
GATED(gelu)
GATED(gelu_tanh)
GATED(relu2)
PLAIN(silu)
PLAIN(gelu)
PLAIN(gelu_tanh)
PLAIN(relu2)

static void TYPED(xielu_forward)(void *y, const void *x, size_t n, size_t F, const struct kern_xielu *p)
{
    const REAL *in = x;
    REAL *out = y;
    const struct kern_xielu numbers = *p;
#pragma omp parallel for schedule(static) if (n * F >= PARALLEL_MIN)
    for (size_t begin = 0; begin < n * F; begin += CHUNK) {
        size_t end = min_size(n * F, begin + CHUNK);
#pragma omp simd
        for (size_t i = begin; i < end; i++)
            out[i] = STORE(xielu(LOAD(in[i]), &numbers));
    }
}

static void TYPED(xielu_backward)(void *dx, const float *dy, const void *x, size_t n, size_t F,
                                  const struct kern_xielu *p)
{
    const REAL *in = x;
    REAL *out = dx;
    const struct kern_xielu numbers = *p;
#pragma omp parallel for schedule(static) if (n * F >= PARALLEL_MIN)
    for (size_t begin = 0; begin < n * F; begin += CHUNK) {
        size_t end = min_size(n * F, begin + CHUNK);
#pragma omp simd
        for (size_t i = begin; i < end; i++)
            out[i] = STORE(dy[i] * xielu_slope(LOAD(in[i]), &numbers));
    }
}

#undef GATED
#undef PLAIN
