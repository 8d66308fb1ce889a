/*
 * The oracles of attention: one query at a time, its whole row of scores recomputed where it is needed, sums
 * in double.
 */
#include "math/attention.h"

#include <math.h>
#include <string.h>

static double dot(const float *a, const float *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* One query: where its row of q and the rows of k and v that it sees begin. */
struct query {
    const float *q, *k, *v; /* k, v: [count, ld] */
    size_t head, token, begin, count;
    size_t k_column, v_column;
};

static struct query query_of(const float *qkv, size_t ld, const struct attention_shape *s, size_t head,
                             size_t begin, size_t token)
{
    size_t kv_head = head / (s->heads / s->kv_heads);
    if (s->window && token - begin >= s->window)
        begin = token + 1 - s->window;
    size_t k_column = (s->heads + kv_head) * s->head_dim, v_column = k_column + s->kv_heads * s->head_dim;
    return (struct query){.q = qkv + token * ld + head * s->head_dim,
                          .k = qkv + begin * ld + k_column,
                          .v = qkv + begin * ld + v_column,
                          .head = head,
                          .token = token,
                          .begin = begin,
                          .count = token - begin + 1,
                          .k_column = k_column,
                          .v_column = v_column};
}

static double score(const struct query *query, size_t j, size_t ld, const struct attention_shape *s)
{
    double raw = (double)s->scale * dot(query->q, query->k + j * ld, s->head_dim), cap = (double)s->cap;
    return cap > 0 ? cap * tanh(raw / cap) : raw;
}

/* Of the capped score with respect to the one before the cap. */
static double score_slope(const struct query *query, size_t j, size_t ld, const struct attention_shape *s)
{
    return s->cap > 0 ? 1 - pow(score(query, j, ld, s) / (double)s->cap, 2) : 1;
}

static double log_sum_exp(const struct query *query, size_t ld, const struct attention_shape *s)
{
    double max = -INFINITY, sum = 0;
    for (size_t j = 0; j < query->count; j++)
        max = fmax(max, score(query, j, ld, s));
    for (size_t j = 0; j < query->count; j++)
        sum += exp(score(query, j, ld, s) - max);
    return max + log(sum);
}

static double probability(const struct query *query, size_t j, double lse, size_t ld,
                          const struct attention_shape *s)
{
    return exp(score(query, j, ld, s) - lse);
}

static void forward_query(float *out, float *lse, const struct query *query, size_t ld,
                          const struct attention_shape *s)
{
    enum { COLUMNS = 64 }; /* that share a probability */
    double log_sum = log_sum_exp(query, ld, s), mean[COLUMNS];
    float *to = out + (query->token * s->heads + query->head) * s->head_dim;
    for (size_t begin = 0, count; begin < s->head_dim; begin += count) {
        count = s->head_dim - begin < COLUMNS ? s->head_dim - begin : COLUMNS;
        memset(mean, 0, sizeof mean);
        for (size_t j = 0; j < query->count; j++) {
            double p = probability(query, j, log_sum, ld, s);
            for (size_t i = 0; i < count; i++)
                mean[i] += p * (double)query->v[j * ld + begin + i];
        }
        for (size_t i = 0; i < count; i++)
            to[begin + i] = (float)mean[i];
    }
    lse[query->head * s->offsets[s->examples] + query->token] = (float)log_sum;
}

void attention_forward_reference(float *out, float *lse, const float *qkv, size_t ld,
                                 const struct attention_shape *s)
{
    for (size_t e = 0; e < s->examples; e++) {
        for (size_t token = s->offsets[e]; token < s->offsets[e + 1]; token++) {
            for (size_t head = 0; head < s->heads; head++) {
                struct query query = query_of(qkv, ld, s, head, s->offsets[e], token);
                forward_query(out, lse, &query, ld, s);
            }
        }
    }
}

static void backward_query(float *dqkv, const float *dout, const struct query *query, size_t ld,
                           const struct attention_shape *s)
{
    double lse = log_sum_exp(query, ld, s), delta = 0;
    const float *g = dout + (query->token * s->heads + query->head) * s->head_dim;
    float *dq = dqkv + query->token * ld + query->head * s->head_dim;
    for (size_t j = 0; j < query->count; j++)
        delta += probability(query, j, lse, ld, s) * dot(g, query->v + j * ld, s->head_dim);
    for (size_t j = 0; j < query->count; j++) {
        double p = probability(query, j, lse, ld, s);
        double ds = (double)s->scale * p * (dot(g, query->v + j * ld, s->head_dim) - delta);
        ds *= score_slope(query, j, ld, s);
        float *dk = dqkv + (query->begin + j) * ld + query->k_column;
        float *dv = dqkv + (query->begin + j) * ld + query->v_column;
        for (size_t i = 0; i < s->head_dim; i++) {
            dq[i] = (float)((double)dq[i] + ds * (double)query->k[j * ld + i]);
            dk[i] = (float)((double)dk[i] + ds * (double)query->q[i]);
            dv[i] = (float)((double)dv[i] + p * (double)g[i]);
        }
    }
}

void attention_backward_reference(float *dqkv, const float *dout, const float *qkv, size_t ld,
                                  const struct attention_shape *s)
{
    size_t columns = (s->heads + 2 * s->kv_heads) * s->head_dim;
    for (size_t token = s->offsets[0]; token < s->offsets[s->examples]; token++)
        memset(dqkv + token * ld, 0, columns * sizeof(float));
    for (size_t e = 0; e < s->examples; e++) {
        for (size_t token = s->offsets[e]; token < s->offsets[e + 1]; token++) {
            for (size_t head = 0; head < s->heads; head++) {
                struct query query = query_of(qkv, ld, s, head, s->offsets[e], token);
                backward_query(dqkv, dout, &query, ld, s);
            }
        }
    }
}
