/*
 * A checkpoint: one HDF5 file with everything that is needed to resume a run.
 *
 * - /adapter/<module>/lora_A, lora_B: f32 [rank, in], [out, rank]; the group has the attributes rank and scaling
 * - /optimizer/<module>/lora_A_m, lora_A_v, lora_B_m, lora_B_v: AdamW's moments, same shapes;
 *   with local steps also lora_A_outer and lora_B_outer, the outer step's momentum
 * - /adapter_start/<module>/lora_A, lora_B: what was subtracted from the base, if anything (lora-init pissa, olora)
 * - /trace: see run/trace.h
 * - /guard, if steps may be skipped: attributes nonfinite, spikes, losses, mean, variance (run/guard.h)
 * - /evaluations, if there were any: attributes seen, best, worse, loss, hash (run/best.h)
 * - /prompts, if all examples have them in one form: attribute form (run/prompts.h)
 * - /begun_with, if the run started with --adapter: attribute hash, of that adapter
 * - /config: the resolved configuration, a text
 * - root attributes: format, step, cursor, finished, lora_init, rslora, base_hash, tokenizer_hash, data_hash, version,
 *   hdf5_version, content_hash
 *
 * <module> is the module's path, divided into the layer and the rest (model.layers.0/self_attn.q_proj):
 * run/module_group.h.
 *
 * Nothing in it depends on the number of ranks. This module does not use MPI: one rank writes, one reads.
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
#include "run/prompts.h"
#include "run/trace.h"

struct ckpt_state {
    uint64_t step;   /* optimizer steps done */
    uint64_t cursor; /* samples consumed */
    bool finished;   /* the run had done all its steps */
    struct guard guard;
    struct best best;
};

struct ckpt_identity {
    char base[FILE_HASH_SIZE], tokenizer[FILE_HASH_SIZE], data[FILE_HASH_SIZE];
    char adapter[FILE_HASH_SIZE];   /* that the run started with; "": a new one */
    enum prompts prompts;           /* of the data */
    char evaluated[FILE_HASH_SIZE]; /* of the evaluated examples; a checkpoint has this hash in its state.best */
};

/* Writes a checkpoint under a temporary name. `config` is the resolved configuration; `trace` may be NULL. After
 * success the file is complete, and the caller calls h5_commit() or h5_discard(). */
enum err_code ckpt_build(struct h5_writer **out, const char *path, const struct lora *l,
                         const struct lora_moments *moments, const struct ckpt_state *state,
                         const struct ckpt_identity *identity, const char *config, const char *lora_init,
                         const struct trace_record *trace, struct err *e);

/* Writes a module's matrices from a flat array, as <group>/<module>/lora_A<suffix> and lora_B<suffix>. */
void ckpt_write_matrices(struct h5_writer *w, const char *group, const char *suffix,
                         const struct lora_module *m, const float *values);

/* An open checkpoint; the whole file has been verified. */
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

/* Opens and verifies a checkpoint. ERR_FORMAT if the file is damaged or not a checkpoint, ERR_UNSUPPORTED if it has
 * another format version. After an error there is nothing to close. */
enum err_code ckpt_open(struct ckpt *c, const char *path, struct err *e);
void ckpt_close(struct ckpt *c);

/* Reads the values into an adapter with the same modules, also the moments unless they are NULL, and `start` if the
 * checkpoint has it. ERR_MISMATCH names the first module that is missing on either side or has another rank,
 * scaling or shape, with both values; ERR_NUMERIC one with a value that is not finite. */
enum err_code ckpt_read(struct ckpt *c, struct lora *l, struct lora_moments *moments, struct err *e);

#endif
