/*
 * The kernels of attention, for the element type of kern_typed.h.
 */

static void TYPED(from_f32_row)(void *y, const float *x, size_t count)
{
    TYPED(from_row)(y, x, count);
}

/* probs = 2^(x * factor - shift); returns their sum. probs may be x. */
static float TYPED(attend_exp_row)(REAL *probs, const float *x, size_t count, float factor, float shift)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < count; i++) {
        float p = vec_exp2(x[i] * factor - shift);
        probs[i] = STORE(p);
        sum += p;
    }
    return sum;
}

static void TYPED(attend_softmax)(void *probs, float *scores, float *max, float *sum, float *out,
                                  size_t head_dim, const struct attend_tile *tile)
{
    float factor = tile->scale * LOG2_E;
    for (size_t row = 0; row < tile->queries; row++) {
        float *x = scores + row * tile->keys;
        fill_row(x, min_size(tile->keys, tile->first + row / tile->heads + 1), tile->keys, -INFINITY);
        float here = max_block(x, tile->keys);
        if (here > max[row]) { /* rescale the sums so far to the new maximum */
            float shrink = vec_exp2((max[row] - here) * factor);
            sum[row] *= shrink;
            scale_row(out + row * head_dim, shrink, head_dim);
            max[row] = here;
        }
        sum[row] +=
            TYPED(attend_exp_row)((REAL *)probs + row * tile->keys, x, tile->keys, factor, max[row] * factor);
    }
}

static void TYPED(attend_gradient)(void *probs, void *dscores, const float *scores, const float *dprobs,
                                   const float *log2_sum, const float *delta, const struct attend_tile *tile)
{
    float factor = tile->scale * LOG2_E;
    for (size_t key = 0; key < tile->keys; key++) {
        const float *x = scores + key * tile->queries, *g = dprobs + key * tile->queries;
        REAL *p = (REAL *)probs + key * tile->queries, *d = (REAL *)dscores + key * tile->queries;
#pragma omp simd
        for (size_t i = 0; i < tile->queries; i++) {
            float probability = vec_exp2(x[i] * factor - log2_sum[i]);
            p[i] = STORE(probability);
            d[i] = STORE(probability * (g[i] - delta[i]));
        }
        size_t hidden = key > tile->first ? min_size(tile->queries, (key - tile->first) * tile->heads) : 0;
        for (size_t i = 0; i < hidden; i++)
            p[i] = d[i] = 0;
    }
}

static void TYPED(attend_finish)(void *out, const float *rows, const float *sum, size_t heads,
                                 size_t head_dim)
{
    for (size_t head = 0; head < heads; head++) {
        const float *x = rows + head * head_dim;
        REAL *y = (REAL *)out + head * head_dim;
        float factor = 1.0F / sum[head];
#pragma omp simd
        for (size_t i = 0; i < head_dim; i++)
            y[i] = STORE(x[i] * factor);
    }
}

static void TYPED(attend_delta)(float *delta, void *copy, const float *dout, const void *out, size_t heads,
                                size_t head_dim)
{
    for (size_t head = 0; head < heads; head++) {
        const float *g = dout + head * head_dim;
        const REAL *o = (const REAL *)out + head * head_dim;
        REAL *rounded = (REAL *)copy + head * head_dim;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (size_t i = 0; i < head_dim; i++) {
            rounded[i] = STORE(g[i]);
            sum += LOAD(rounded[i]) * LOAD(o[i]);
        }
        delta[head] = sum;
    }
}
