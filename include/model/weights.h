/*
 * The weights of the base as a step needs them, in f32 or bf16. The rows of q, k and v form one matrix, and so do
 * those of gate and up, so that one matrix product computes each group. A matrix that is stored in the right type
 * and order is used directly from the store's mapping of the file. All others are expanded once, by all threads;
 * with keep_file they stay in the file and are expanded each time they are used. The store must stay open until
 * weights_release(). Loaded weights are never modified: a matrix is copied before it is changed.
 */
#ifndef MPILORA_MODEL_WEIGHTS_H
#define MPILORA_MODEL_WEIGHTS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "io/store/store.h"
#include "math/convert.h"
#include "model/arch.h"

struct weights_options {
    enum dtype type; /* of matrices in memory: DTYPE_F32 or DTYPE_BF16 */
    bool keep_file;  /* the layers' matrices stay in the file, in its type */
};

/* The numbers of xIELU, as a file has them: softplus of a is what x^2 is multiplied with, beta + softplus of n the
 * other side (struct kern_xielu). */
enum xielu_number { XIELU_ALPHA_P, XIELU_ALPHA_N, XIELU_BETA, XIELU_EPS, XIELU_COUNT };

struct layer_weights {
    const float *norm[AT_FINAL];     /* [D] by enum place; NULL: none */
    const float *norm_bias[AT_FINAL]; /* [D] by enum place; NULL: none */
    const void *weight[GROUP_COUNT]; /* [rows of the group, columns], row-major; NULL: only in the file */
    const float *bias[GROUP_COUNT];  /* [rows of the group] or NULL */
    const float *xielu[XIELU_COUNT]; /* [1] each, as trained; NULL: the activation has no numbers */
    const float *scale;              /* [1] of the block's output; NULL: none */
    const void *router;              /* [experts, D]; NULL: there are no experts */
};

/* Memory for the weights that the caller owns. If several processes map the same memory, they share one base. */
struct weights_place {
    void *memory; /* weights_size() bytes, aligned to ARENA_ALIGN; may be NULL if that is 0 */
    bool filled;  /* another process has filled it from the same store: nothing is converted or written */
};

struct weights {
    struct arena arena;
    size_t placed;                /* bytes in the caller's memory */
    size_t mapped;                /* bytes that are used directly from the file */
    enum dtype type;              /* of matrices */
    const void *embedding;        /* [V, D] */
    const void *positions;        /* [most positions, D]; NULL: they are not learned */
    const void *head;             /* [V, D]; == embedding when tied */
    const float *head_bias;       /* [V] or NULL */
    const float *norm;            /* [D] of the final norm */
    const float *norm_bias;       /* [D] or NULL */
    struct layer_weights *layers; /* [layer_count] */
    size_t layer_count;
    const struct family *family;
    struct convert_matrix *sources; /* [layer_count, modules of a block] the matrices in the file */
    /* [layer_count, experts, matrices of an expert]: their values, NULL: only in the file; and what the file has. */
    const void **experts;
    struct convert_matrix *expert_sources;
    size_t expert_count, expert_matrices; /* of a layer; of an expert */
    void *scratch; /* for one group, or one matrix of an expert, that is only in the file */
    /* The original weights, when matrices have been changed in memory; NULL before the first change. */
    struct arena changed;
    struct layer_weights *file_layers;
    const void *file_head;
};

/* Finds, checks and converts every tensor. A missing tensor, an unknown name, a wrong shape and a value that is not
 * finite are errors that name file and tensor. A tensor that has been converted is released in the store
 * (store_forget()), so a store whose image this process owns can be loaded from only once. */
enum err_code weights_load(struct weights *w, const struct arch *a, const struct store *store,
                           const struct weights_options *o, struct err *e);
/* The same in memory of the caller, which must be valid until weights_release(); NULL: in its own memory. */
enum err_code weights_load_at(struct weights *w, const struct arch *a, const struct store *store,
                              const struct weights_options *o, const struct weights_place *place,
                              struct err *e);
/* Bytes of all weights that are not used directly from the file. Errors as weights_load(), but values are not
 * checked. */
enum err_code weights_size(size_t *bytes, const struct arch *a, const struct store *store,
                           const struct weights_options *o, struct err *e);
/* Only checks the tensors, as weights_size(), and finds the layers' matrices in the files (w->sources): no weights are
 * loaded. weights_release(). */
enum err_code weights_locate(struct weights *w, const struct arch *a, const struct store *store, struct err *e);
/* The order in which a file of this kind has the rows of a linear layer's matrix, and of what else belongs to its
 * outputs (a bias, an adapter's B): the fields of struct convert_matrix that say it; all others are zero. */
struct convert_matrix weights_order(const struct arch *a, enum store_kind kind, size_t layer, size_t linear);
void weights_release(struct weights *w);

/* W [rows of the group, columns] of a group in w->type; for GROUP_HEAD, the head. A matrix that is only in the file
 * is expanded by all threads and is valid until the next call. */
const void *weights_group(const struct weights *w, size_t layer, enum linear_group g);

/* A matrix of an expert [rows, columns] in w->type. One that is only in the file is expanded as above. */
const void *weights_expert(const struct weights *w, size_t layer, size_t expert, size_t matrix);

/* Rows first .. first + count - 1 of W [out, in] of a linear layer, converted to f32 on the calling thread:
 * weights_read() gives the values in use (in w->type), weights_read_file() those that were loaded, before any
 * change. */
void weights_read(float *out, const struct weights *w, const struct arch *a, size_t layer, size_t linear,
                  size_t first, size_t count);
void weights_read_file(float *out, const struct weights *w, const struct arch *a, size_t layer, size_t linear,
                       size_t first, size_t count);

/* weights_change() makes a copy of a linear layer's matrix, which is used from now on. weights_write() changes rows
 * of the copy: rows[count, in] in f32 are rounded to w->type, on the calling thread. */
enum err_code weights_change(struct weights *w, const struct arch *a, size_t layer, size_t linear,
                             struct err *e);
void weights_write(struct weights *w, const struct arch *a, size_t layer, size_t linear, size_t first,
                   size_t count, const float *rows);
/* Undoes all changes: the loaded weights are used again. */
void weights_restore(struct weights *w);

#endif
