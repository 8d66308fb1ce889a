/*
 * What every command works with, opened in one order from the options: the ranks' threads, the base, the
 * tokenizer, the adapter. Errors are agreed on by all ranks: every function here returns the same code and
 * message on each.
 */
#ifndef MPILORA_TRAIN_SESSION_H
#define MPILORA_TRAIN_SESSION_H

#include <stdbool.h>

#include "base/err.h"
#include "data/examples/chat.h"
#include "data/examples/dataset.h"
#include "data/tokenizer/tokenizer.h"
#include "io/store/store.h"
#include "model/lora.h"
#include "model/model.h"
#include "ranks/dist.h"
#include "ranks/model_files.h"
#include "ranks/node_memory.h"
#include "run/options.h"
#include "train/deadline.h"

struct runlock;

struct session {
    const struct options *options;
    struct dist *dist;
    struct model_files files;
    struct store store; /* of them, with its hash */
    struct tokenizer *tokenizer;
    struct chat *chat;      /* its chat templates, or --chat-template */
    struct columns columns; /* --columns */
    struct node_memory base_memory; /* of the model's weights, when ranks share it */
    struct model model;
    double load_seconds;        /* that base and tokenizer took */
    struct lora lora;           /* model.lora == &lora when there is an adapter */
    int threads;                /* of this rank */
    struct str map;             /* of all ranks (ranks/threads.h) */
    struct deadline deadline;   /* of the process: what is known of saves and steps outlasts a study's cell */
    const struct runlock *lock; /* a run's, of its folder: the caller's, held by rank 0 */
    void (*on_step)(void *context); /* called after each training step, on every rank; NULL: nothing */
    void *on_step_context;
};

/* Collective. Opens base and tokenizer, checks that they belong together (vocabulary sizes, EOS) and are the
 * same on all ranks, sets threads. No adapter yet. */
enum err_code session_open(struct session *s, const struct options *o, struct dist *d, struct err *e);

/* The chat templates of a tokenizer as the options have them: --chat-template takes their place, in the tokenizer and
 * its hash. An error if that cannot be used. *chat is to be closed in any case. */
enum err_code session_open_chat(struct chat **chat, struct tokenizer *t, const struct options *o, struct err *e);

/* Collective. The adapter that --adapter names: checkpoint .h5, run folder (its latest checkpoint), PEFT
 * folder. */
enum err_code session_load_adapter(struct session *s, const char *path, struct err *e);

/* Collective. A fresh adapter from the LoRA options. One that takes its start out of the base is zero as yet,
 * and the base untouched, until session_start_adapter(): a run that goes on from a checkpoint has its start
 * there. */
enum err_code session_new_adapter(struct session *s, struct err *e);

/* Collective. Makes the start of an adapter that takes it out of the base, the ranks sharing the work, and
 * changes the base in memory. Nothing for any other. */
enum err_code session_start_adapter(struct session *s, struct err *e);

/* Collective. The same with the start that the adapter brought along, from a checkpoint. */
enum err_code session_change_base(struct session *s, struct err *e);

/* Without an adapter again: the session as session_open() left it, for another one. Fine without one. */
void session_drop_adapter(struct session *s);

/* Collective. Opens a data set: every rank scans its part, the index is gathered. `hash` (may be NULL) gets
 * the hash of its content. */
enum err_code session_open_data(struct session *s, struct dataset *d, const struct opt_list *paths,
                                char hash[FILE_HASH_SIZE], struct err *e);

/* Collective. Likewise what --eval-data names, cut to --max-eval-examples. */
enum err_code session_open_eval_data(struct session *s, struct dataset *d, struct err *e);

/* Tokens of a pack: --micro-batch-tokens, whose `auto` is max(--max-length, 512): it depends on nothing else,
 * the number of ranks least of all. ERR_USAGE when it is below --max-length. */
enum err_code session_pack_tokens(const struct session *s, size_t *tokens, struct err *e);

/* What the options say of the memory of a step; the caller adds the packs' sizes. */
struct model_plan session_plan(const struct session *s, bool train);

void session_close(struct session *s);

#endif
