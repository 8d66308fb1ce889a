/*
 * What every command works with, opened in a fixed order from the options: the threads of the ranks, the base, the
 * tokenizer, the adapter. All ranks agree on errors: every collective function here returns the same code and
 * message on each rank.
 */
#ifndef MPILORA_TRAIN_SESSION_H
#define MPILORA_TRAIN_SESSION_H

#include <stdbool.h>

#include "base/err.h"
#include "base/file.h"
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
#include "run/prompts.h"
#include "train/deadline.h"

struct runlock;

struct session {
    const struct options *options;
    struct dist *dist;
    struct model_files files;
    struct store store; /* of these files, with its hash */
    struct tokenizer *tokenizer;
    struct chat *chat;      /* its chat templates, or --chat-template */
    struct columns columns; /* --columns */
    struct node_memory base_memory; /* of the model's weights, if ranks share it */
    struct model model;
    double load_seconds;        /* time to load base and tokenizer */
    struct lora lora;           /* model.lora == &lora if there is an adapter */
    size_t in_use;              /* number of the --adapter that session_use_adapter() has loaded, from 1; 0: none */
    bool checked;               /* session_check_adapters() has said what there is to say of them */
    enum prompts trained_on;    /* of the adapter that was loaded last; on rank 0 */
    enum prompts asked;         /* the form of those of session_open_prompts(), after it */
    bool continued;             /* that one is known to have started as another; on rank 0 */
    struct objective trained_for; /* of the run of the adapter that session_load_adapter() has loaded, if it is known
                                   * and was of pairs; else that of supervised fine-tuning */
    char given[FILE_HASH_SIZE]; /* hash of the adapter that training starts with; "": a new one */
    int threads;                /* of this rank */
    bool whole_pairs;           /* set by the caller: the sides of pairs share nothing, so that each can be shown */
    struct str map;             /* the map of all ranks (ranks/threads.h) */
    struct deadline deadline;   /* of the process; durations noted in one cell of a study also count for the next */
    const struct runlock *lock; /* of the run's folder; belongs to the caller, held by rank 0 */
    void (*on_step)(void *context); /* called after each training step, on every rank; NULL: nothing */
    void *on_step_context;
};

/* Collective. Sets the threads, opens base and tokenizer, and checks that they fit together (vocabulary sizes, EOS)
 * and are the same on all ranks. Without an adapter. */
enum err_code session_open(struct session *s, const struct options *o, struct dist *d, struct err *e);

/* Opens the chat templates of a tokenizer, with the options: --chat-template replaces them, also in the tokenizer's
 * hash; if that template cannot be used, it is an error. The caller closes *chat in any case. */
enum err_code session_open_chat(struct chat **chat, struct tokenizer *t, const struct options *o, struct err *e);

/* Collective. Loads an adapter: a checkpoint .h5, a run folder (its newest checkpoint), a PEFT folder, or an
 * adapter of llama.cpp. */
enum err_code session_load_adapter(struct session *s, const char *path, struct err *e);

/* For commands that take several --adapter, and use one after the other. The first function reads each of them and
 * drops it again, so that one that cannot be used is known before the first is at work; on rank 0, `hashes` (may be
 * NULL) gets the adapter_hash() of each. The second loads number i, in place of that in use; nothing happens if it
 * is in use already. Both are collective. */
enum err_code session_check_adapters(struct session *s, char (*hashes)[FILE_HASH_SIZE], struct err *e);
enum err_code session_use_adapter(struct session *s, size_t i, struct err *e);

/* Collective. The adapter to train: that of --adapter, or a new one from the LoRA options. ERR_USAGE for LoRA options
 * that contradict --adapter. If a new adapter's initial values are derived from the base, they stay zero until
 * session_start_adapter(), because a run that is resumed from a checkpoint has them there. The base is unchanged until
 * then in any case. */
enum err_code session_new_adapter(struct session *s, struct err *e);

/* Collective. If the adapter's initial values are derived from the base: computes them, unless --adapter gave them,
 * dividing the work among the ranks, and changes the base in memory. Otherwise does nothing. */
enum err_code session_start_adapter(struct session *s, struct err *e);

/* Collective. Changes the base in the same way, with the initial values from the adapter's checkpoint. */
enum err_code session_change_base(struct session *s, struct err *e);

/* Arrays as large as the adapter that training keeps beside its values, their gradient and the moments: its initial
 * values if they were taken from the base, and those of --adapter if that is the reference of the objective. */
size_t session_adapter_copies(const struct session *s);

/* Says where the prompts of this data have another form than those that the adapter in use was trained on. */
void session_compare_prompts(const struct session *s, const struct dataset *d);

/* Removes the adapter, if there is one: the session is then as after session_open(). */
void session_drop_adapter(struct session *s);

/* --objective with its parameters. Those that are not given, neither as options nor in the configuration, are those of
 * the run of the adapter that session_load_adapter() has loaded, if that run had the same objective. */
struct objective session_objective(const struct session *s);

/* ERR_USAGE for --train-on all with an objective for preferences that counts no prompt. */
enum err_code session_check_objective(const struct options *o, struct err *e);

/* Warns of options that were given and change nothing (options_tell_idle()). */
enum err_code session_tell_idle(const struct options *o, struct err *e);

/* With --objective for preferences, data are pairs, whose sides share their prompt (data/examples/example.h). */
enum example_pairs session_takes_pairs(const struct options *o);

/* Collective. Opens a data set: every rank scans a part, and the index is gathered. `hash` (may be NULL) gets the
 * hash of its content. The caller calls dataset_close(). */
enum err_code session_open_data(struct session *s, struct dataset *d, const struct opt_list *paths,
                                char hash[FILE_HASH_SIZE], struct err *e);

/* Collective. The same for prompts to be answered, with or without answers in the data. None of them is cut. */
enum err_code session_open_prompts(struct session *s, struct dataset *d, const struct opt_list *paths, struct err *e);

/* Collective. The same for --eval-data, cut to --max-eval-examples; warns of examples that `trained`, the data, has
 * too. */
enum err_code session_open_eval_data(struct session *s, struct dataset *d, struct dataset *trained, struct err *e);

/* Number of tokens of a pack: --micro-batch-tokens, where `auto` means max(--max-length, 512). It depends on
 * nothing else, in particular not on the number of ranks. ERR_USAGE if it is less than --max-length. */
enum err_code session_pack_tokens(const struct session *s, size_t *tokens, struct err *e);

/* The part of the plan of a step's memory that follows from the options; the caller adds the sizes of packs. */
struct model_plan session_plan(const struct session *s, bool train);

void session_close(struct session *s);

#endif
