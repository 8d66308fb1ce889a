/*
 * The merged matrices of an export: W + scaling * B A, in float64 and rounded once, in the order in which the base's
 * file has W. One matrix at a time is in memory. merged_hf.c and merged_gguf.c put them into files.
 */
#ifndef MPILORA_RUN_EXPORT_MERGE_H
#define MPILORA_RUN_EXPORT_MERGE_H

#include "base/file.h"
#include "io/store/store.h"
#include "model/weights.h"
#include "run/export/export.h"

struct merge {
    const struct export_job *job;
    struct lora wide;   /* with the part that was taken out of the base, if one was */
    struct weights at;  /* where the base's matrices are in its files */
    struct convert_matrix head;
};

/* Finds the matrices. merge_close(), also after an error. */
enum err_code merge_open(struct merge *m, const struct export_job *job, struct err *e);
void merge_close(struct merge *m);

/* The module whose matrix the tensor is, if it is adapted, and how the tensor has it; otherwise NULL. */
const struct lora_module *merge_module(struct convert_matrix *matrix, const struct merge *m,
                                       const struct store_tensor *t);

/* The type that a tensor is saved in: its own, unless it is adapted. */
enum dtype merge_type(const struct merge *m, const struct store_tensor *t);

/* Writes an adapted tensor, merged, or another one as it is. ERR_NUMERIC if a merged value is not finite. */
enum err_code merge_put(const struct file_out *f, const struct merge *m, const struct store_tensor *t, struct err *e);

/* Copies bytes of a mapped file, which then no longer count as memory of this process. */
enum err_code merge_copy(const struct file_out *f, const struct file_map *map, const unsigned char *bytes,
                         size_t length, struct err *e);

/* ---- the base's containers: a folder (merged_hf.c), a file (merged_gguf.c) ---- */

enum err_code merge_write_hf(const struct merge *m, struct err *e);
enum err_code merge_write_gguf(const struct merge *m, struct err *e);

#endif
