/*
 * A made-up study: cells whose metrics follow simple formulas, so that a test knows what its report must say.
 */
#ifndef MPILORA_TESTS_STUDY_FIXTURE_H
#define MPILORA_TESTS_STUDY_FIXTURE_H

#include <math.h>

#include "base/file.h"
#include "scratch.h"
#include "small_lora.h"
#include "ckpt_write.h"
#include "run/metrics.h"
#include "run/rundir.h"

struct fixture_cell {
    const char *scheme;
    double rate, std_b;
    int rank, seed;
    bool rslora;
    int steps;
    double weight_decay;
    double first, last; /* loss at the first step, eval loss at the end */
    double gradient;
    bool unfinished;
    bool prefers; /* a run of preference training */
};

static const struct fixture_cell fixture_usual = {
    .scheme = "normal", .rate = 2e-4, .rank = 8, .steps = 20, .first = 3, .last = 2, .gradient = 1};

static inline void fixture_make_folder(const char *folder)
{
    struct err e;
    assert_ok(file_make_folders(folder, &e), &e);
}

static inline void fixture_write_text(const char *folder, const char *name, const char *text)
{
    char path[PATH_MAX];
    struct err e;
    assert_ok(file_join(path, sizeof path, folder, name, &e), &e);
    assert_ok(file_write_atomic(path, text, strlen(text), &e), &e);
}

static inline void fixture_metrics(const char *folder, const struct fixture_cell *c)
{
    struct runlock lock;
    struct metrics m;
    struct err e;
    assert_ok(runlock_take(&lock, folder, "here", &e), &e);
    assert_ok(metrics_open(&m, &lock, 0, &e), &e);
    for (int step = 1; step <= c->steps; step++) {
        double done = c->steps > 1 ? (step - 1) / (double)(c->steps - 1) : 1;
        struct metrics_row row = {.step = (uint64_t)step,
                                  .epoch = step / 10.0,
                                  .loss = c->last + (c->first - c->last) * exp(-4 * done),
                                  .learning_rate = c->rate * (1 - 0.5 * done),
                                  .grad_norm = c->gradient * (1 - 0.3 * done),
                                  .tokens = 2048,
                                  .supervised_tokens = 1000,
                                  .seconds = 0.5 + 0.01 * (step % 3),
                                  .evaluated = step == 1 || step % 5 == 0 || step == c->steps};
        row.prefers = c->prefers;
        row.rewards = row.eval_rewards = (struct metrics_rewards){done, -done, 2 * done, 0.5 + 0.5 * done};
        row.eval_loss = step == c->steps ? c->last : row.loss;
        assert_ok(metrics_write(&m, &row, &e), &e);
    }
    metrics_close(&m);
    runlock_release(&lock);
}

static inline void fixture_checkpoint(const char *folder, const char *config, const struct fixture_cell *c)
{
    static const struct ckpt_identity identity = {.base = "00112233445566778899aabbccddeeff",
                                                  .tokenizer = "10112233445566778899aabbccddeeff",
                                                  .data = "20112233445566778899aabbccddeeff"};
    const struct ckpt_state state = {.step = (uint64_t)c->steps, .finished = !c->unfinished};
    char path[PATH_MAX];
    struct lora l;
    struct err e;
    assert_ok(file_join(path, sizeof path, folder, "checkpoints", &e), &e);
    fixture_make_folder(path);
    small_make(&l, "q_proj", 2, 4);
    assert_ok(rundir_checkpoint_path(path, folder, state.step, &e), &e);
    const struct lora_moments moments = small_moments(&l);
    assert_ok(ckpt_write(path, &l, &moments, &state, &identity, config, c->scheme, NULL, &e), &e);
    assert_ok(rundir_settle(folder, state.step, 0, 0, &e), &e);
    lora_release(&l);
}

/* A run folder as `train` leaves it. */
static inline void fixture_run(const char *folder, const struct fixture_cell *c)
{
    char config[1024];
    fixture_make_folder(folder);
    snprintf(config, sizeof config,
             "model: models/tiny <base>.gguf\ndata:\n  - data/train & more.jsonl\nlora-init: "
             "%s\nlearning-rate: %g\n"
             "lora-rank: %d\nlora-alpha: 32\nrslora: %s\ninit-std-b: %g\nseed: %d\nmax-steps: %d\nweight-decay: %g\n",
             c->scheme, c->rate, c->rank, c->rslora ? "true" : "false", c->std_b, c->seed, c->steps,
             c->weight_decay);
    fixture_write_text(folder, "config.yaml", config);
    fixture_metrics(folder, c);
    fixture_checkpoint(folder, config, c);
}

static inline const char *fixture_cell_name(const struct fixture_cell *c)
{
    static char name[128];
    int length = snprintf(name, sizeof name, "%s-lr%g-r%d-s%d%s-b%g", c->scheme, c->rate, c->rank, c->seed,
                          c->rslora ? "-rslora" : "", c->std_b);
    if (c->weight_decay > 0)
        snprintf(name + length, sizeof name - (size_t)length, "-wd%g", c->weight_decay);
    return name;
}

static inline void fixture_cell_folder(char folder[PATH_MAX], const char *study, const struct fixture_cell *c)
{
    char cells[PATH_MAX];
    struct err e;
    assert_ok(file_join(cells, sizeof cells, study, "cells", &e), &e);
    assert_ok(file_join(folder, PATH_MAX, cells, fixture_cell_name(c), &e), &e);
}

static inline void fixture_add(const char *study, const struct fixture_cell *c)
{
    char folder[PATH_MAX];
    fixture_cell_folder(folder, study, c);
    fixture_run(folder, c);
}

/* Every kind of cell that a study has: schemes, learning rates, seeds, stds of B, ranks and both scalings. */
static inline void fixture_study(const char *study)
{
    static const char *const schemes[] = {"normal", "kaiming-uniform", "gaussian", "constant", "b-normal",
                                          "zero",   "orthogonal",      "pissa",    "olora",    "both-normal"};
    fixture_make_folder(study);
    fixture_write_text(study, "study.yaml",
                       "model: m\ndata: d.jsonl\nlearning-rate: 0.5\nlora-init: [normal, zero]\n");
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        for (int rate = 0; rate < 4; rate++)
            for (int seed = 0; seed < 2; seed++) {
                struct fixture_cell c = fixture_usual;
                bool zero = !strcmp(schemes[i], "zero"), both = !strcmp(schemes[i], "both-normal");
                double off = rate - 1.5 - 0.2 * (double)i;
                c.scheme = schemes[i];
                c.rate = 1e-4 * pow(3, rate);
                c.seed = seed;
                c.std_b = both ? 0.02 : 0;
                c.first = both ? 3.08 : 3;
                c.last = zero ? 3 : 2 + 0.05 * off * off + 0.02 * seed + 0.015 * (double)i;
                c.gradient = zero ? 0 : 1;
                fixture_add(study, &c);
            }
    for (int k = 0; k < 4; k++) {
        struct fixture_cell c = fixture_usual;
        c.scheme = "both-normal";
        c.rate = 9e-4;
        c.std_b = 0.002 * pow(4, k);
        c.first = 3 + 200 * c.std_b * c.std_b;
        c.last = 2 + 3 * c.std_b;
        fixture_add(study, &c);
    }
    for (int k = 0; k < 8; k++) {
        struct fixture_cell c = fixture_usual;
        c.rate = 9e-4;
        c.rank = 2 << (k / 2 * 2);
        c.rslora = k % 2;
        c.last = 2.1 - 0.01 * k;
        fixture_add(study, &c);
    }
}

#endif
