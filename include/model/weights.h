/*
 * The base's weights for the step, f32 or bf16: q, k, v rows together and gate, up rows together, so that one
 * matrix product serves each. Matrices of the file that need no change lie where they are, in the store's
 * mapping of it; all others are expanded once, by all threads, or stay in the file and are expanded each time
 * that they are used (keep_file). The store must stay open until the release. What was loaded is never
 * written to: a matrix that is to change is copied first.
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
    bool keep_file;  /* the layers' matrices stay in the file, as it has them */
};

struct layer_weights {
    const float *norm[AT_FINAL];     /* [D] by enum place */
    const float *norm_bias[AT_FINAL]; /* likewise; NULL: none */
    const void *weight[GROUP_COUNT]; /* [rows of the group, columns], row-major; NULL: in the file only */
    const float *bias[GROUP_COUNT];  /* [rows of the group] or NULL */
};

/* Memory for the weights that the caller owns: several processes that map the same have one base between
 * them. */
struct weights_place {
    void *memory; /* weights_size() bytes, aligned to ARENA_ALIGN; may be NULL if that is 0 */
    bool filled;  /* by another process, from the same store: nothing is converted or written here */
};

struct weights {
    struct arena arena;
    size_t placed;                /* bytes that lie in the caller's memory */
    size_t mapped;                /* bytes of the file that are used where they lie */
    enum dtype type;              /* of matrices */
    const void *embedding;        /* [V, D] */
    const void *head;             /* [V, D]; == embedding when tied */
    const float *norm;            /* [D] final */
    const float *norm_bias;       /* [D] or NULL */
    struct layer_weights *layers; /* [layer_count] */
    size_t layer_count;
    const struct family *family;
    struct convert_matrix *sources; /* [layer_count, modules of a block] as the file has them */
    void *scratch;                  /* for one group that is in the file only */
    /* The base of the file beside matrices that were changed in memory; NULL before the first change. */
    struct arena changed;
    struct layer_weights *file_layers;
    const void *file_head;
};

/* Finds, checks and converts every tensor. Missing, surplus (unknown names) or misshapen tensors and
 * non-finite values are errors that name file and tensor. What is laid out anew is forgotten in the store
 * (store_forget()), so that one whose image this process owns can be loaded from once. */
enum err_code weights_load(struct weights *w, const struct arch *a, const struct store *store,
                           const struct weights_options *o, struct err *e);
/* The same in memory of the caller's, which must stay until the release; NULL: in memory of its own. */
enum err_code weights_load_at(struct weights *w, const struct arch *a, const struct store *store,
                              const struct weights_options *o, const struct weights_place *place,
                              struct err *e);
/* Bytes of all that does not lie in the file; the errors are weights_load()'s but for non-finite values. */
enum err_code weights_size(size_t *bytes, const struct arch *a, const struct store *store,
                           const struct weights_options *o, struct err *e);
void weights_release(struct weights *w);

/* W of a group [rows of the group, columns] in w->type, of GROUP_HEAD the head. What is in the file only is
 * expanded by all threads and valid until the next call. */
const void *weights_group(const struct weights *w, size_t layer, enum linear_group g);

/* Rows first .. first + count - 1 of W [out, in] of a linear layer, in f32, on the calling thread: as they
 * are used (of values in w->type), and as they were loaded, before any change. */
void weights_read(float *out, const struct weights *w, const struct arch *a, size_t layer, size_t linear,
                  size_t first, size_t count);
void weights_read_file(float *out, const struct weights *w, const struct arch *a, size_t layer, size_t linear,
                       size_t first, size_t count);

/* From now on a copy of a linear layer's matrix is used, which weights_write() may change: rows [count, in]
 * of f32, rounded to w->type, on the calling thread. */
enum err_code weights_change(struct weights *w, const struct arch *a, size_t layer, size_t linear,
                             struct err *e);
void weights_write(struct weights *w, const struct arch *a, size_t layer, size_t linear, size_t first,
                   size_t count, const float *rows);
/* Back to what was loaded. */
void weights_restore(struct weights *w);

#endif
