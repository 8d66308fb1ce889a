/*
 * A checkpoint: one HDF5 file with all that a run needs to go on.
 *
 * - /adapter/<module>/lora_A, lora_B: f32 [rank, in], [out, rank]; the group has the attributes rank and scaling
 * - /optimizer/<module>/lora_A_m, lora_A_v, lora_B_m, lora_B_v: AdamW's moments, same shapes;
 *   with local steps also lora_A_outer and lora_B_outer, the outer step's momentum
 * - /adapter_start/<module>/lora_A, lora_B: what was taken out of the base, if anything was (lora-init pissa)
 * - /trace: see run/trace.h
 * - /guard, where steps may be skipped: attributes nonfinite, spikes, losses, mean, variance
 * - /evaluations, where there were any: attributes seen, best, worse, loss (run/best.h); hash of what was evaluated
 * - /config: the resolved configuration, a text
 * - root attributes: format, step, cursor, finished, lora_init, rslora, base_hash, tokenizer_hash, data_hash, version,
 *   hdf5_version, content_hash
 *
 * <module> is the module's path as a layer and what is in it (model.layers.0/self_attn.q_proj): run/module_group.h.
 *
 * Nothing in it depends on the number of ranks. No MPI here: one rank writes, one reads.
 */
#ifndef MPILORA_RUN_CKPT_H
#define MPILORA_RUN_CKPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "model/lora.h"
#include "run/best.h"
#include "run/guard.h"
#include "run/trace.h"

struct ckpt_state {
    uint64_t step;   /* optimizer steps done */
    uint64_t cursor; /* samples consumed */
    bool finished;   /* the run has done all its steps */
    struct guard guard;
    struct best best;
};

struct ckpt_identity {
    char base[FILE_HASH_SIZE], tokenizer[FILE_HASH_SIZE], data[FILE_HASH_SIZE];
    char evaluated[FILE_HASH_SIZE]; /* of the examples that are evaluated; not in a checkpoint, whose state has them */
};

/* Writes adapter and moments; `config` is the resolved configuration; `trace` may be NULL. After success the file is
 * whole under another name, and the caller's to h5_commit() or h5_discard(). */
enum err_code ckpt_build(struct h5_writer **out, const char *path, const struct lora *l,
                         const struct lora_moments *moments, const struct ckpt_state *state,
                         const struct ckpt_identity *identity, const char *config, const char *lora_init,
                         const struct trace_record *trace, struct err *e);

/* One module's matrices out of a flat array, as <group>/<module>/lora_A<suffix> and lora_B<suffix>. */
void ckpt_write_matrices(struct h5_writer *w, const char *group, const char *suffix,
                         const struct lora_module *m, const float *values);

/* A checkpoint that was opened and verified as a whole. */
struct ckpt {
    struct arena arena;
    struct h5_reader *file;
    const char *path;
    struct ckpt_state state;
    struct ckpt_identity identity;
    const char *config, *version, *lora_init;
    bool rslora, has_start;
    struct lora_given *modules;
    size_t module_count;
};

/* ERR_FORMAT when the file is damaged or not a checkpoint, ERR_UNSUPPORTED when it is of another format. After an
 * error there is nothing to close. */
enum err_code ckpt_open(struct ckpt *c, const char *path, struct err *e);
void ckpt_close(struct ckpt *c);

/* Reads the values into an adapter of the same modules, the moments too unless that is NULL, with `start` if
 * the checkpoint has it. ERR_MISMATCH names the first module that is missing on either side or has another rank,
 * scaling or shape, with both values; ERR_NUMERIC one with a value that is not finite. */
enum err_code ckpt_read(struct ckpt *c, struct lora *l, struct lora_moments *moments, struct err *e);

#endif
