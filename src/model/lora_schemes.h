/*
 * The functions of the table of initialisation schemes. Internal to the model.
 */
#ifndef MPILORA_MODEL_LORA_SCHEMES_H
#define MPILORA_MODEL_LORA_SCHEMES_H

#include "model/lora.h"

/* Fills A [rank, in] and B [out, rank], which are zero, with random numbers. */
typedef enum err_code lora_draw(float *A, float *B, const struct lora_module *m, const struct lora_spec *spec,
                                struct err *e);

lora_draw lora_draw_normal;          /* A of N(0, 1 / (3 in)), the variance of PEFT's default; B = 0 */
lora_draw lora_draw_kaiming_uniform; /* A of U(-1/sqrt(in), 1/sqrt(in)); B = 0 */
lora_draw lora_draw_gaussian;        /* A of N(0, 1/rank^2); B = 0 */
lora_draw lora_draw_zero;            /* A = B = 0 */
lora_draw lora_draw_both_normal;     /* A as normal; B of N(0, std_b^2), by default with A's standard deviation */
lora_draw lora_draw_b_normal;        /* A = 0; B of N(0, 1 / (3 rank)): normal's rule at B's fan-in */
lora_draw lora_draw_constant;        /* all elements of A equal, with the Frobenius norm of normal; B = 0 */
lora_draw lora_draw_orthogonal;      /* B A = 0 with both non-zero */

/* Fills A and B from the base's matrix W [out, in]; the rank is at most in and at most out. */
typedef enum err_code lora_derive(float *A, float *B, const struct lora_module *m, const float *W,
                                  struct err *e);

lora_derive lora_derive_pissa; /* A = sqrt(S/s) V^T, B = U sqrt(S/s), from the largest S of W = U S V^T; s:
                                * scaling */
lora_derive lora_derive_olora; /* B = Q, A = R: the first rank columns and rows of W = Q R */

#endif
