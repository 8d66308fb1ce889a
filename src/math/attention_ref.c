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

/* One query, and the tokens of its example: first `prefix` ones from `source` on, then those from `own` on. */
struct query {
    const float *qkv;
    size_t ld, head, token;
    size_t source, prefix, own;
    size_t first, count; /* keys that it attends to */
    size_t k_column, v_column;
};

static struct query query_of(const float *qkv, size_t ld, const struct attention_shape *s, size_t head,
                             size_t example, size_t token)
{
    size_t kv_head = head / (s->heads / s->kv_heads), source = example;
    while (s->prefixes && s->prefixes[source])
        source--;
    struct query query = {.qkv = qkv,
                          .ld = ld,
                          .head = head,
                          .token = token,
                          .source = s->offsets[source],
                          .prefix = s->prefixes ? s->prefixes[example] : 0,
                          .own = s->offsets[example],
                          .k_column = (s->heads + kv_head) * s->head_dim,
                          .v_column = (s->heads + s->kv_heads + kv_head) * s->head_dim};
    query.count = query.prefix + token - query.own + 1;
    if (s->window && query.count > s->window) {
        query.first = query.count - s->window;
        query.count = s->window;
    }
    return query;
}

/* Where the row of key j begins in qkv or dqkv. */
static size_t key_row(const struct query *query, size_t j)
{
    size_t place = query->first + j;
    size_t token = place < query->prefix ? query->source + place : query->own + place - query->prefix;
    return token * query->ld;
}

static const float *q_of(const struct query *query, const struct attention_shape *s)
{
    return query->qkv + query->token * query->ld + query->head * s->head_dim;
}

static const float *k_of(const struct query *query, size_t j)
{
    return query->qkv + key_row(query, j) + query->k_column;
}

static const float *v_of(const struct query *query, size_t j)
{
    return query->qkv + key_row(query, j) + query->v_column;
}

static double score(const struct query *query, size_t j, const struct attention_shape *s)
{
    double raw = (double)s->scale * dot(q_of(query, s), k_of(query, j), s->head_dim), cap = (double)s->cap;
    return cap > 0 ? cap * tanh(raw / cap) : raw;
}

/* Of the capped score with respect to the one before the cap. */
static double score_slope(const struct query *query, size_t j, const struct attention_shape *s)
{
    return s->cap > 0 ? 1 - pow(score(query, j, s) / (double)s->cap, 2) : 1;
}

static double log_sum_exp(const struct query *query, const struct attention_shape *s)
{
    double max = -INFINITY, sum = 0;
    for (size_t j = 0; j < query->count; j++)
        max = fmax(max, score(query, j, s));
    for (size_t j = 0; j < query->count; j++)
        sum += exp(score(query, j, s) - max);
    return max + log(sum);
}

static double probability(const struct query *query, size_t j, double lse, const struct attention_shape *s)
{
    return exp(score(query, j, s) - lse);
}

static void forward_query(float *out, float *lse, const struct query *query, const struct attention_shape *s)
{
    enum { COLUMNS = 64 }; /* that share a probability */
    double log_sum = log_sum_exp(query, s), mean[COLUMNS];
    float *to = out + (query->token * s->heads + query->head) * s->head_dim;
    for (size_t begin = 0, count; begin < s->head_dim; begin += count) {
        count = s->head_dim - begin < COLUMNS ? s->head_dim - begin : COLUMNS;
        memset(mean, 0, sizeof mean);
        for (size_t j = 0; j < query->count; j++) {
            double p = probability(query, j, log_sum, s);
            for (size_t i = 0; i < count; i++)
                mean[i] += p * (double)v_of(query, j)[begin + i];
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
                struct query query = query_of(qkv, ld, s, head, e, token);
                forward_query(out, lse, &query, s);
            }
        }
    }
}

static void backward_query(float *dqkv, const float *dout, const struct query *query,
                           const struct attention_shape *s)
{
    double lse = log_sum_exp(query, s), delta = 0;
    const float *g = dout + (query->token * s->heads + query->head) * s->head_dim;
    float *dq = dqkv + query->token * query->ld + query->head * s->head_dim;
    for (size_t j = 0; j < query->count; j++)
        delta += probability(query, j, lse, s) * dot(g, v_of(query, j), s->head_dim);
    for (size_t j = 0; j < query->count; j++) {
        double p = probability(query, j, lse, s);
        double ds = (double)s->scale * p * (dot(g, v_of(query, j), s->head_dim) - delta);
        ds *= score_slope(query, j, s);
        float *dk = dqkv + key_row(query, j) + query->k_column;
        float *dv = dqkv + key_row(query, j) + query->v_column;
        for (size_t i = 0; i < s->head_dim; i++) {
            dq[i] = (float)((double)dq[i] + ds * (double)k_of(query, j)[i]);
            dk[i] = (float)((double)dk[i] + ds * (double)q_of(query, s)[i]);
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
                struct query query = query_of(qkv, ld, s, head, e, token);
                backward_query(dqkv, dout, &query, s);
            }
        }
    }
}
