/*
 * The oracles of attention: one query at a time with its whole row of scores, sums in double.
 */
#include "math/attention.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { LONGEST = 8192 }; /* keys of a query */

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

/* A query's row of scores and probabilities. */
struct row {
    double scores[LONGEST], probs[LONGEST]; /* [count] */
    double log_sum;
};

static void fill_row(struct row *row, const struct query *query, const struct attention_shape *s)
{
    double max = -INFINITY, sum = 0, cap = (double)s->cap;
    assert(query->count <= LONGEST);
    for (size_t j = 0; j < query->count; j++) {
        double raw = (double)s->scale * dot(q_of(query, s), k_of(query, j), s->head_dim);
        row->scores[j] = cap > 0 ? cap * tanh(raw / cap) : raw;
        max = fmax(max, row->scores[j]);
    }
    for (size_t j = 0; j < query->count; j++)
        sum += exp(row->scores[j] - max);
    row->log_sum = max + log(sum);
    for (size_t j = 0; j < query->count; j++)
        row->probs[j] = exp(row->scores[j] - row->log_sum);
}

/* Of the capped score with respect to the one before the cap. */
static double score_slope(double score, const struct attention_shape *s)
{
    return s->cap > 0 ? 1 - pow(score / (double)s->cap, 2) : 1;
}

static void forward_query(float *out, float *lse, const struct query *query, const struct attention_shape *s)
{
    struct row row;
    float *to = out + (query->token * s->heads + query->head) * s->head_dim;
    fill_row(&row, query, s);
    for (size_t i = 0; i < s->head_dim; i++) {
        double mean = 0;
        for (size_t j = 0; j < query->count; j++)
            mean += row.probs[j] * (double)v_of(query, j)[i];
        to[i] = (float)mean;
    }
    lse[query->head * s->offsets[s->examples] + query->token] = (float)row.log_sum;
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
    struct row row;
    double delta = 0;
    const float *g = dout + (query->token * s->heads + query->head) * s->head_dim, *q = q_of(query, s);
    float *dq = dqkv + query->token * query->ld + query->head * s->head_dim;
    fill_row(&row, query, s);
    for (size_t j = 0; j < query->count; j++)
        delta += row.probs[j] * dot(g, v_of(query, j), s->head_dim);
    for (size_t j = 0; j < query->count; j++) {
        const float *k = k_of(query, j);
        double p = row.probs[j];
        double ds = (double)s->scale * p * (dot(g, v_of(query, j), s->head_dim) - delta);
        ds *= score_slope(row.scores[j], s);
        float *dk = dqkv + key_row(query, j) + query->k_column;
        float *dv = dqkv + key_row(query, j) + query->v_column;
        for (size_t i = 0; i < s->head_dim; i++) {
            dq[i] = (float)((double)dq[i] + ds * (double)k[i]);
            dk[i] = (float)((double)dk[i] + ds * (double)q[i]);
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
