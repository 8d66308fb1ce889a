/*
 * What the checks of the self-test share. Each check is one function, called on all ranks. It fills this rank's line;
 * selftest_check() then takes the line of the rank with the worst verdict for all. A check that communicates must go
 * through the same calls on all ranks, whatever it finds.
 */
#ifndef MPILORA_BENCH_SELFTEST_PARTS_H
#define MPILORA_BENCH_SELFTEST_PARTS_H

#include "base/arena.h"
#include "bench/selftest.h"
#include "data/examples/pack.h"
#include "data/tokenizer/tokenizer.h"
#include "io/store/store.h"
#include "model/model.h"
#include "ranks/reduce.h"
#include "ranks/threads.h"

/* A small model with its tokenizer, made in memory. */
struct selftest_model {
    struct str config, tokenizer, weights; /* its files */
    struct store_file files[3];
    struct store_image image;
    struct store store;
    struct tokenizer *words;
    struct model model;
    struct lora lora;
};
enum err_code selftest_model_open(struct selftest_model *m, struct err *e);
void selftest_model_close(struct selftest_model *m); /* a zeroed one is fine */

struct selftest {
    const struct options *options;
    struct dist *dist;
    struct threads_rank *table; /* [world] */
    int threads;                /* of this rank */
    struct selftest_model tiny;
    struct arena arena;
    struct lora_moments moments; /* of tiny.lora */
    struct pack pack;
    struct ids words; /* the text that it is trained on */
    bool alike;       /* all ranks compute with the same libraries and instruction set */
    bool trained;     /* tiny.lora is the same on all ranks */
};

/* Says what was found. A finding that is worse than those before it takes their place; fine ones follow each other,
 * after a semicolon. `cure` is NULL if it is fine. */
void selftest_find(struct selftest_line *l, enum selftest_verdict verdict, const char *cure,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The same for an error, as what is wrong. */
void selftest_find_error(struct selftest_line *l, const char *cure, const struct err *e);
void selftest_number(struct selftest_line *l, const char *name, double value);

/* Collective. The first rank whose `text` is not that of most ranks (*certain), or of rank 0; the number of ranks if
 * all have the same. */
enum err_code selftest_find_odd(size_t *odd, bool *certain, struct dist *d, const char *text, struct err *e);

typedef enum err_code selftest_function(struct selftest *t, struct selftest_line *l, struct err *e);
selftest_function selftest_ranks, selftest_threads, selftest_memory, selftest_products, selftest_tokenizer,
    selftest_training, selftest_bits, selftest_network, selftest_clock, selftest_files;

#endif
