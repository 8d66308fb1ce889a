/*
 * The adapter: y = W x + scaling * B (A (dropout x)), A [rank, in], B [out, rank], for every adapted module.
 *
 * The layout, which is constant, says which modules are adapted and where their values are. Values are flat f32
 * arrays of layout.size numbers each: the parameters are here, the gradients where they are summed
 * (ranks/reduce.h), the moments with the optimizer (struct lora_moments). Inside a block, the A of all modules of a
 * linear group follow one another (so that one matrix product serves them), then their B. Source of the method: Hu
 * et al., LoRA, 2021; matching of module names and scaling as in PEFT.
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
    int32_t *index; /* [layers * modules of a block + 1] module number of each slot (arch.h), or -1; last: the
                     * head */
    const struct family *family;
    size_t layers;       /* of the model */
    size_t lowest_layer; /* the lowest adapted layer; == layers if only lm_head is adapted */
};

struct lora {
    struct arena arena;
    struct lora_layout layout;
    float *params;
    float *start; /* laid out like params: the B A that was subtracted from the base at the start; NULL: none */
    bool rslora;  /* scaling is alpha / sqrt(rank), not alpha / rank */
    double dropout;
    uint64_t seed; /* of dropout */
};

/* The state of the optimizer, laid out like params. */
struct lora_moments {
    float *m, *v; /* AdamW's */
    float *outer; /* momentum of the outer step; NULL: no local steps */
};

struct lora_spec {
    const char *targets; /* names (path suffixes) separated by commas, or a regular expression that matches whole
                          * paths; NULL: all linear layers except lm_head */
    size_t rank;
    double alpha, dropout;
    bool rslora;       /* scaling is alpha / sqrt(rank) (rsLoRA, arXiv 2312.03732) */
    enum lora_init init;
    double init_std;   /* of A; 0: the scheme's own */
    double init_std_b; /* of B; 0: the scheme's own */
    uint64_t seed;
};

/* Chooses the modules, allocates params and draws their initial values. With a scheme that derives the values from
 * the base, they stay zero and `start` is allocated (see lora_init.h). ERR_USAGE if a name or pattern matches
 * nothing, with the most similar module name, and for lm_head of a tied model. lora_release(). */
enum err_code lora_create(struct lora *l, const struct arch *a, const struct lora_spec *spec, struct err *e);

/* Makes an adapter from given modules (of a PEFT folder or checkpoint), with all values zero. The caller gives
 * path, rank and scaling of each, in any order; the shapes follow from the model. ERR_MISMATCH for a path that the
 * model does not have or that is given twice. */
struct lora_given {
    const char *path;
    size_t rank;
    double scaling;
};
enum err_code lora_create_given(struct lora *l, const struct arch *a, const struct lora_given *given,
                                size_t count, struct err *e);

/* Checks the modules that a file names, before memory is allocated for them. ERR_FORMAT if they have more
 * parameters than LIMIT_ADAPTER_SPARE and more than `most`, the largest number that the file can contain. */
enum err_code lora_check_given(const struct arch *a, const struct lora_given *given, size_t count,
                               uint64_t most, struct err *e);

/* Allocates `start`, with zeros. */
enum err_code lora_start_buffer(struct lora *l, struct err *e);
/* Allocates moments, with zeros, from the arena; `outer` only if asked for. */
enum err_code lora_moments_init(struct lora_moments *moments, const struct lora_layout *l, bool outer,
                                struct arena *a, struct err *e);
const struct lora_module *lora_find(const struct lora_layout *l, const char *path);
/* NULL if the linear layer is not adapted, or `l` is NULL. */
const struct lora_module *lora_at(const struct lora_layout *l, size_t layer, size_t linear);

/* A scaling is alpha over this: the rank, or with `rslora` its root. */
double lora_divisor(double rank, bool rslora);

/* The alpha that gives the module its scaling. */
double lora_alpha(const struct lora_module *m, bool rslora);

/* The A of a group's adapted modules form one matrix [ranks, in] at flat offset *a, in the order of the family's
 * table. Returns `ranks`, the sum of their ranks; 0, and *a is not set, if no module is adapted. */
size_t lora_group_ranks(const struct lora_layout *l, size_t layer, enum linear_group g, size_t *a);

/* The range of the flat arrays that belongs to a layer; layer == l->layers: lm_head. */
void lora_layer_range(size_t *begin, size_t *count, const struct lora_layout *l, size_t layer);

void lora_release(struct lora *l);

#endif
