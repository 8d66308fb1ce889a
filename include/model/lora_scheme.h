/*
 * The initialisation schemes of A and B, as one list: the enum, the words of --lora-init and the table in
 * lora_init.c are made from it.
 *
 * Sources: normal, kaiming-uniform, gaussian, orthogonal, pissa and olora are those of PEFT (LoraLayer; PiSSA:
 * arXiv 2404.02948, OLoRA: 2406.01775); b-normal is Init[B] of 2406.08447, both-normal Init[AB] of
 * 2505.23194.
 */
#ifndef MPILORA_MODEL_LORA_SCHEME_H
#define MPILORA_MODEL_LORA_SCHEME_H

#include <stdbool.h>

struct lora_scheme {
    const char *name;
    bool takes_std_a, takes_std_b; /* may the user set the standard deviation of A, of B? */
    bool changes_base;             /* W becomes W - scaling * B A, so that W + scaling * B A stays the same */
    bool needs_even_rank;
    bool moves_start; /* B A is not zero: the model at the start is not the base */
    const char *warning; /* printed when the scheme is chosen, or NULL */
};

/* SCHEME(constant, word, properties): `draw` fills A and B with random numbers, `derive` computes them from the
 * base (src/model/lora_schemes.h). */
#define LORA_SCHEMES(SCHEME)                                                                                 \
    SCHEME(LORA_NORMAL, "normal", .draw = lora_draw_normal, .scheme.takes_std_a = true)                      \
    SCHEME(LORA_KAIMING_UNIFORM, "kaiming-uniform", .draw = lora_draw_kaiming_uniform,                       \
           .scheme.takes_std_a = true)                                                                       \
    SCHEME(LORA_GAUSSIAN, "gaussian", .draw = lora_draw_gaussian, .scheme.takes_std_a = true)                \
    SCHEME(LORA_ZERO, "zero", .draw = lora_draw_zero,                                                        \
           .scheme.warning = "with A and B both zero nothing trains: the gradient of A is a multiple of B "  \
                             "and that of B a multiple of A, so both stay zero for ever")                    \
    SCHEME(LORA_BOTH_NORMAL, "both-normal", .draw = lora_draw_both_normal, .scheme.takes_std_a = true,       \
           .scheme.takes_std_b = true, .scheme.moves_start = true)                                           \
    SCHEME(LORA_B_NORMAL, "b-normal", .draw = lora_draw_b_normal, .scheme.takes_std_b = true)                \
    SCHEME(LORA_CONSTANT, "constant", .draw = lora_draw_constant, .scheme.takes_std_a = true)                \
    SCHEME(LORA_ORTHOGONAL, "orthogonal", .draw = lora_draw_orthogonal, .scheme.needs_even_rank = true)      \
    SCHEME(LORA_PISSA, "pissa", .derive = lora_derive_pissa, .scheme.changes_base = true)                    \
    SCHEME(LORA_OLORA, "olora", .derive = lora_derive_olora, .scheme.changes_base = true)

#define LORA_SCHEME_CONSTANT(constant, ...) constant,
enum lora_init { LORA_SCHEMES(LORA_SCHEME_CONSTANT) LORA_SCHEME_COUNT };
#undef LORA_SCHEME_CONSTANT

const struct lora_scheme *lora_scheme(enum lora_init init);

#endif
