/*
 * The cells of a study, from its configuration. A cell is a set of options of `train`.
 *
 *   model: m.gguf                         a plain key: the same for all cells
 *   max-steps: 30
 *   seed: [0, 1]                          a list: an axis, in every sweep
 *   rate.lora-init: [normal, zero]        a key with a prefix: only for the cells of the sweep `rate`, where it
 *   rate.learning-rate: [1e-4, 1e-3]      replaces the plain key
 *   std.lora-init: both-normal
 *   std.init-std-b: [0.01, 0.1]
 *
 * The cells of a sweep are all combinations of its axes, the last axis changing fastest; sweeps are in the order of
 * the file. Without a named sweep the plain keys form the only sweep. Cells with the same options are one cell.
 * Options for data that all cells share in memory (base, data, types) cannot be axes. The objective can, among those
 * for preferences: their data are pairs.
 *
 * A cell's name consists of its initialisation, learning rate, rank and seed, and then of all other options that
 * some sweep varies and that differ from the plain keys: `normal-lr0.0002-r16-s0-rslora`. It does not depend on the
 * other cells, so cells may be added to a study later.
 */
#ifndef MPILORA_RUN_STUDY_GRID_H
#define MPILORA_RUN_STUDY_GRID_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "run/options.h"

struct study_axis;

struct study_cell {
    const char *name;
    const char *sweep; /* "" when none is named */
    size_t number;     /* number of the combination in its sweep */
};

struct study_grid {
    struct arena arena;
    const struct options *given; /* the command line of `study`, which overrides the file */
    const char *file;            /* for messages */
    struct study_axis *axes;     /* one for each key of the file */
    size_t axis_count;
    const char **sweeps;
    size_t sweep_count;
    struct options base; /* options of `train`: the plain keys that are not axes */
    struct study_cell *cells;
    size_t count;
    bool pairs; /* of all cells: their objectives learn from pairs */
};

/* Reads the configuration and checks every value of every cell. ERR_USAGE names file and line. `given` must outlive
 * the grid, and the grid must not be moved. The caller calls study_grid_release(), also after an error. */
enum err_code study_grid_read(struct study_grid *g, const struct options *given, const char *file,
                              const void *bytes, size_t length, struct err *e);
/* Reads the study.yaml that a study has left in its folder, with the folder where it is now as --output. Also after an
 * error the caller calls study_grid_release() and options_release(given); the grid refers to `given`. */
enum err_code study_grid_open(struct study_grid *g, struct options *given, const char *folder, struct err *e);

void study_grid_release(struct study_grid *g);

/* The options of one cell, as if they had been given to `train`; --output is the cell's folder. The caller calls
 * options_release(), also after an error. */
enum err_code study_grid_options(const struct study_grid *g, const struct study_cell *cell, struct options *o,
                                 struct err *e);

/* Writes the study with every option resolved, in the same format. */
enum err_code study_grid_write_yaml(const struct study_grid *g, struct str *out, struct err *e);

/* Parses --cells: "2/4" gives 2 and 4, "" gives 1 and 1. ERR_USAGE unless 1 <= part <= parts. */
enum err_code study_parse_share(size_t *part, size_t *parts, const char *text, struct err *e);

#endif
