/*
 * What a step has to compute and to move.
 *
 * FLOP of products are 2 m n k, those that nobody can leave out (bench/bench.h); of the other phases they are
 * the operations on an element, exp and sqrt as one each, times the elements.
 *
 * Bytes are the planned arrays: each product and each pass over rows moves every array that it reads or
 * writes once, in the type in which the step keeps it. Tiles that live in caches for the length of a pass
 * (attention's scores) move nothing, writing counts once, and what one pass leaves in the caches for the next
 * counts as moved: an upper limit of the traffic with memory, and so a lower one of the intensity.
 */
#include "bench_parts.h"

struct work {
    const struct session *session;
    const struct arch *arch;
    double tokens, supervised;
    double
        real; /* bytes of a number that products read; the residual stream and gradients of inputs are f32 */
    struct bench_phase *phases;
};

static const double f32 = 4;

static void add(struct work *w, enum prof_phase phase, double flop, double bytes)
{
    w->phases[phase].flop += flop;
    w->phases[phase].bytes += bytes;
}

/* Bytes of a group's output: a number that is written, or added to the residual stream. */
static double output_bytes(const struct work *w, enum linear_group g)
{
    return g == GROUP_ATTN_OUT || g == GROUP_MLP_OUT ? 2 * f32 : w->real;
}

static void add_base(struct work *w, size_t layer, enum linear_group g, bool input_grad)
{
    double out = (double)arch_group_rows(w->arch, layer, g), in = (double)arch_group_columns(w->arch, layer, g);
    bool mlp = g == GROUP_MLP_IN || g == GROUP_MLP_OUT;
    double n = w->tokens * (mlp ? (double)arch_mlp_rows(w->arch) : 1);
    double weights = w->real * in * out * (mlp && arch_has_experts(w->arch) ? (double)w->arch->experts : 1);
    add(w, PROF_BASE_GEMM, 2 * n * in * out, w->real * in * n + weights + output_bytes(w, g) * n * out);
    if (input_grad)
        add(w, PROF_BASE_GEMM, 2 * n * in * out, w->real * out * n + weights + f32 * n * in);
}

/* Its logits are f32; its backward gives a gradient of its input too. */
static void add_router(struct work *w)
{
    double n = w->tokens, in = (double)w->arch->width, out = (double)w->arch->experts;
    add(w, PROF_BASE_GEMM, 4 * n * in * out, 2 * w->real * in * (n + out) + 2 * f32 * n * (in + out));
}

/* z = x A^T, y += z B^T; dB = dy^T z, dz = dy B, dA = dz^T x, dx += dz A. Inputs are read, and dx is made,
 * once for a group. */
static void add_lora(struct work *w, size_t layer, enum linear_group g, bool input_grad)
{
    const struct lora_layout *lora = &w->session->lora.layout;
    bool head = g == GROUP_HEAD;
    double n = head ? w->supervised : w->tokens, in = (double)arch_group_columns(w->arch, layer, g), outs = 0;
    enum prof_phase phase = head ? PROF_HEAD : PROF_LORA_GEMM;
    size_t unused;
    double ranks = (double)lora_group_ranks(lora, layer, g, &unused);
    if (ranks == 0)
        return;
    const struct arch_range range = arch_group(w->arch->family, g);
    for (size_t i = range.first; i < range.end; i++) {
        const struct lora_module *m = lora_at(lora, layer, i);
        if (!m)
            continue;
        double out = (double)m->out, rank = (double)m->rank;
        outs += out;
        add(w, phase, 6 * n * rank * out, 4 * f32 * rank * out); /* B twice, and its gradient added to */
    }
    double low = w->real * n * ranks, x = w->real * n * in, dy = w->real * n * outs;
    double y = n * outs * (output_bytes(w, g) == w->real ? 2 * w->real : 2 * f32);
    add(w, phase, 4 * n * ranks * in, 3 * f32 * ranks * in + x + low); /* A forward, its gradient */
    add(w, phase, 0, low + y);
    add(w, phase, 0, 2 * (dy + low) + x + low);
    if (input_grad)
        add(w, phase, 2 * n * ranks * in, f32 * ranks * in + low + 2 * f32 * n * in);
}

/* Pairs of a query and a key that it sees, of one example. */
static double seen_pairs(double length, double window)
{
    if (window == 0 || length <= window)
        return length * (length + 1) / 2;
    return window * (window + 1) / 2 + (length - window) * window;
}

static void add_attention(struct work *w, size_t layer, const struct bench_size *size)
{
    const struct arch *a = w->arch;
    double n = w->tokens, length = (double)size->length, q = (double)arch_key_column(a, layer);
    double turned = n * (double)arch_value_column(a, layer), qkv = n * (double)arch_qkv_columns(a, layer);
    double pairs = seen_pairs(length, (double)arch_kind(a, layer)->window);
    add(w, PROF_ATTENTION, 12 * q * (double)size->examples * pairs,
        w->real * (4 * turned + 3 * qkv + 2 * n * q) + f32 * n * q);
}

/* A norm of a block: forward, again for its adapter's gradient, and backward; in bf16 it also makes the
 * copies that are kept and multiplied. */
static void add_norm(struct work *w, bool input_grad)
{
    double numbers = w->tokens * (double)w->arch->width, copy = w->real < f32 ? w->real : 0;
    add(w, PROF_NORMS, 6 * numbers, (f32 + copy + 3 * w->real) * numbers);
    if (input_grad)
        add(w, PROF_NORMS, 9 * numbers, (3 * f32 + w->real + copy) * numbers);
}

/* silu(gate) * up forward, again for the adapter of down_proj, and backward. */
static void add_activation(struct work *w)
{
    double numbers = w->tokens * (double)(arch_mlp_rows(w->arch) * w->arch->ffn);
    add(w, PROF_ACTIVATION, (2 * 5 + 12) * numbers, (2 * 3 * w->real + f32 + 4 * w->real) * numbers);
}

/* Logits are f32 and made a chunk of rows at a time; their gradient is what products read. */
static void add_head(struct work *w)
{
    size_t chunk = model_head_rows(&w->session->model);
    double n = w->supervised, width = (double)w->arch->width, vocab = (double)w->arch->vocab;
    size_t whole_chunks = ((size_t)n + chunk - 1) / chunk;
    double chunks = (double)whole_chunks;
    add(w, PROF_HEAD, 4 * n * width * vocab,
        2 * w->real * chunks * width * vocab + 2 * (f32 + w->real) * n * vocab +
            2 * (3 * f32 + w->real) * n * width);
    add_lora(w, 0, GROUP_HEAD, true);
}

void bench_count_work(struct bench_phase phases[PROF_COUNT], const struct session *s,
                      const struct bench_size *size)
{
    const struct arch *a = &s->model.arch;
    struct work w = {.session = s,
                     .arch = a,
                     .tokens = (double)size->tokens,
                     .supervised = (double)size->supervised,
                     .real = (double)dtype_info(s->model.weights.type)->block_bytes,
                     .phases = phases};
    for (size_t layer = 0; layer < a->layers; layer++) {
        for (int g = 0; g < GROUP_COUNT; g++) {
            bool input_grad = layer > 0 || g != GROUP_ATTN_IN;
            add_base(&w, layer, (enum linear_group)g, input_grad);
            add_lora(&w, layer, (enum linear_group)g, input_grad);
        }
        add_attention(&w, layer, size);
        add_norm(&w, layer > 0);
        add_norm(&w, true);
        add_activation(&w);
        if (arch_has_experts(a))
            add_router(&w);
    }
    add_head(&w);
    add(&w, PROF_EMBEDDING, 0, (w.real + f32) * w.tokens * (double)a->width);
    /* the norm of the gradient reads it; AdamW reads four arrays and writes three */
    add(&w, PROF_OPTIMIZER, (2 + 16) * (double)s->lora.layout.size, 8 * f32 * (double)s->lora.layout.size);
}
