/*
 * The adapter: y = W x + scaling * B (A (dropout x)), A [rank, in], B [out, rank], for every adapted module.
 *
 * The layout says which modules are adapted and where their values lie; it is constant. Values are flat f32
 * arrays of layout.size numbers each: params here, gradients with whoever adds them up (ranks/reduce.h),
 * moments with whoever steps (struct lora_moments). Inside a block the A of one input group lie together (one
 * matrix product), then its B. Source of the method: Hu et al., LoRA, 2021; matching rules and scaling as in
 * PEFT.
 */
#ifndef MPILORA_MODEL_LORA_H
#define MPILORA_MODEL_LORA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/arch.h"
#include "model/lora_scheme.h"

struct lora_module {
    const char *path; /* "model.layers.0.self_attn.q_proj" */
    size_t layer;     /* 0 for lm_head */
    size_t linear;    /* index into the family's modules */
    size_t in, out, rank;
    float scaling; /* alpha / rank, or alpha / sqrt(rank) */
    size_t a, b;   /* offsets of A [rank, in] and B [out, rank] in the flat arrays */
};

struct lora_layout {
    struct lora_module *modules; /* in flat order: by layer, then as the family lists them; head last */
    size_t count;
    size_t size;    /* length of each flat array */
    int32_t *index; /* [layers * modules of a block + 1] module number of a linear, or -1; last: the head */
    const struct family *family;
    size_t layers;       /* of the model */
    size_t lowest_layer; /* no gradient is needed below; == layers when only lm_head is adapted */
};

struct lora {
    struct arena arena;
    struct lora_layout layout;
    float *params;
    float *start; /* what was taken out of the base when the run began, like params; NULL: nothing was */
    bool rslora;  /* scalings are alpha / sqrt(rank), not alpha / rank */
    double dropout;
    uint64_t seed; /* of dropout */
};

/* What the optimizer keeps from step to step, laid out like params. */
struct lora_moments {
    float *m, *v; /* AdamW's */
    float *outer; /* momentum of the outer step where ranks step by themselves; NULL: they do not */
};

struct lora_spec {
    const char *targets; /* names with commas (path suffixes), or a regular expression (full match); NULL: all
                          * linear layers but lm_head */
    size_t rank;
    double alpha, dropout;
    bool rslora;       /* scaling is alpha / sqrt(rank) (rsLoRA, arXiv 2312.03732) */
    enum lora_init init;
    double init_std;   /* of A; 0: the scheme's own */
    double init_std_b; /* of B; likewise */
    uint64_t seed;
};

/* Chooses the modules, lays out params and draws their initial values; those of a scheme that takes them out
 * of the base stay zero, with room for `start` (see lora_init.h). A name or pattern that matches nothing
 * is ERR_USAGE naming it and the nearest module name, and so is lm_head of a tied model. */
enum err_code lora_create(struct lora *l, const struct arch *a, const struct lora_spec *spec, struct err *e);

/* Lays out given modules (from a PEFT folder or checkpoint), all values zero: path, rank and scaling of each
 * are set by the caller, in any order. ERR_MISMATCH for a path that the model does not have or that comes
 * twice. Shapes follow from the model. */
struct lora_given {
    const char *path;
    size_t rank;
    double scaling;
};
enum err_code lora_create_given(struct lora *l, const struct arch *a, const struct lora_given *given,
                                size_t count, struct err *e);

/* Modules that a file names, before memory is taken for them: ERR_FORMAT if they have more parameters than
 * `most`, what the file can hold, and more than LIMIT_ADAPTER_SPARE. */
enum err_code lora_check_given(const struct arch *a, const struct lora_given *given, size_t count,
                               uint64_t most, struct err *e);

/* Room for `start`, zero. */
enum err_code lora_start_buffer(struct lora *l, struct err *e);
/* Moments of zero, in memory of the arena's; `outer` only if it is wanted. */
enum err_code lora_moments_init(struct lora_moments *moments, const struct lora_layout *l, bool outer,
                                struct arena *a, struct err *e);
const struct lora_module *lora_find(const struct lora_layout *l, const char *path);
/* NULL if it is not adapted, or `l` is. */
const struct lora_module *lora_at(const struct lora_layout *l, size_t layer, size_t linear);

/* The A of a group's adapted modules are one matrix [ranks, in] at flat offset *a, in the table's order; 0
 * (and *a untouched) when there are none. */
size_t lora_group_ranks(const struct lora_layout *l, size_t layer, enum linear_group g, size_t *a);

/* The part of the flat arrays that a layer's modules have; layer == l->layers: lm_head. */
void lora_layer_range(size_t *begin, size_t *count, const struct lora_layout *l, size_t layer);

void lora_release(struct lora *l);

#endif
