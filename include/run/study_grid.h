/*
 * What a study trains: a grid of cells, each a set of options of `train`, from one configuration.
 *
 *   model: m.gguf                         a plain key: the same for all cells
 *   max-steps: 30
 *   seed: [0, 1]                          a list: an axis, in every sweep
 *   rate.lora-init: [normal, zero]        a key with a name before a dot: for the cells of the sweep `rate`
 *   rate.learning-rate: [1e-4, 1e-3]      alone, in which it replaces the plain key
 *   std.lora-init: both-normal
 *   std.init-std-b: [0.01, 0.1]
 *
 * A sweep's cells are all combinations of its axes, the last axis fastest, sweeps in the order of the file;
 * without any named sweep the plain keys are one. Cells that come to the same options are one cell. What all
 * cells share in memory (base, data, types) cannot be an axis.
 *
 * A cell's name is made of its options: scheme, learning rate, rank, seed, then all other options that some
 * sweep varies where they differ from the plain keys' value: `normal-lr0.0002-r16-s0-rslora`. It does not
 * depend on the other cells, so that a study may grow.
 */
#ifndef MPILORA_RUN_STUDY_GRID_H
#define MPILORA_RUN_STUDY_GRID_H

#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "run/options.h"

struct study_axis;

struct study_cell {
    const char *name;
    const char *sweep; /* "" when none is named */
    size_t number;     /* of the combination within its sweep */
};

struct study_grid {
    struct arena arena;
    const struct options *given; /* the command line of `study`, which wins over the file */
    const char *file;            /* for messages */
    struct study_axis *axes;     /* one for each key of the file */
    size_t axis_count;
    const char **sweeps;
    size_t sweep_count;
    struct options base; /* of `train`: the plain keys that are no axes */
    struct study_cell *cells;
    size_t count;
};

/* Reads the configuration; every value of every cell is checked. ERR_USAGE names file and line. `given` must
 * outlive the grid, and the grid must not move. It may be released whatever this returns. */
enum err_code study_grid_read(struct study_grid *g, const struct options *given, const char *file,
                              const void *bytes, size_t length, struct err *e);
void study_grid_release(struct study_grid *g);

/* The options of one cell, as if `train` had been given them; --output is the cell's folder. The caller
 * releases them whatever this returns. */
enum err_code study_grid_options(const struct study_grid *g, const struct study_cell *cell, struct options *o,
                                 struct err *e);

/* The study with everything resolved, in the same format. */
enum err_code study_grid_write_yaml(const struct study_grid *g, struct str *out, struct err *e);

/* "2/4" -> 2 and 4. ERR_USAGE unless 1 <= part <= parts. "" is 1/1. */
enum err_code study_parse_share(size_t *part, size_t *parts, const char *text, struct err *e);

#endif
