/*
 * A model, whatever its container: a Hugging Face folder (config.json, one safetensors file or shards with an
 * index) or a GGUF file; on disk, or as an image of its files in memory. Files are mapped, not read; the
 * bytes of a tensor are borrowed until the store is closed. Until then files on disk must not be written to
 * in place; to replace or delete them is fine (base/file.h).
 */
#ifndef MPILORA_IO_STORE_STORE_H
#define MPILORA_IO_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "io/store/gguf.h"
#include "io/json.h"
#include "math/dtype.h"

enum store_kind { STORE_HF, STORE_GGUF };

#define STORE_MAX_DIMS 4

struct store_tensor {
    const char
        *name; /* as in the container: "model.layers.0.self_attn.q_proj.weight", "blk.0.attn_q.weight" */
    enum dtype type;
    int dims;
    uint64_t shape[STORE_MAX_DIMS]; /* outermost first, as PyTorch prints it: [out, in] for a linear layer */
    uint64_t elements;
    const void *data; /* aligned for its type */
    size_t bytes;
    const char *file; /* path of the file that holds it */
    const char
        *unreadable; /* NULL, or in words what keeps it from being read: "type I64"; then no type, no data */
};

struct store_file {
    const char *name; /* in its folder */
    const char *path; /* for messages */
    struct file_map map;
};

/* The files of a model in memory, all that a store of it on disk has (its texts and its files). They and
 * their bytes stay until the store is closed. */
struct store_image {
    bool is_folder;                 /* else it is one file, whatever its name */
    const struct store_file *files; /* what stands in `path` is not looked at */
    size_t count;
    bool owned; /* it is shared memory, mapped for writing, that this process may give back: see
                   store_forget() */
};

/* JSON and text files of a folder: configurations, tokenizer, chat template, index of the shards. */
#define STORE_MAX_TEXTS 8

struct store {
    enum store_kind kind;
    const char *path;                /* as given, without a trailing slash */
    const struct store_image *image; /* NULL: on disk */
    struct arena arena;
    struct store_tensor *tensors; /* sorted by name */
    size_t tensor_count;
    struct store_tensor *unread; /* those that cannot be read here (integer buffers, say), sorted by name */
    size_t unread_count;
    struct json *config;                      /* HF: config.json, else NULL */
    struct json *generation_config;           /* HF: generation_config.json if there, else NULL */
    struct json *tokenizer_config;            /* HF: tokenizer_config.json if there, else NULL */
    struct gguf *gguf;                        /* GGUF: header and keys, else NULL */
    struct store_file texts[STORE_MAX_TEXTS]; /* those that are there */
    size_t text_count;
    struct store_file *files; /* with the weights, in order */
    size_t file_count;
    char hash[FILE_HASH_SIZE]; /* content of config and weights, see store_hash(); empty until asked for */
};

/* Opens `path`. A folder without config.json, an index that names a missing shard or tensor, a tensor that
 * does not begin where the one before it ends or runs past its file, a GGUF tensor of a type that is not in
 * dtype.def, a split GGUF, a pickled checkpoint (pytorch_model.bin): all are refused by name. `s` need not be
 * closed after an error. */
enum err_code store_open(struct store *s, const char *path, struct err *e);
/* The same out of memory; `path` is for messages, nothing needs to be there. */
enum err_code store_open_image(struct store *s, const char *path, const struct store_image *image,
                               struct err *e);
void store_close(struct store *s); /* a zeroed or closed store is fine */

/* NULL when there is no such tensor that can be read. */
const struct store_tensor *store_find(const struct store *s, const char *name);

/* The same where the tensor must be there: ERR_FORMAT names a missing one, ERR_UNSUPPORTED one of an unread
 * type. */
enum err_code store_require(const struct store_tensor **t, const struct store *s, const char *name,
                            struct err *e);

/* A text of the folder; NULL if it does not have it. */
const struct store_file *store_text(const struct store *s, const char *name);

/* A tensor's bytes will not be read again, by no process that has this store: they stop counting as this
 * process's memory. On disk they stay readable; those of an image that this process owns go back to the
 * system, and must not be read. */
void store_forget(const struct store *s, const struct store_tensor *t);

/* The name under which people know the model: OWNER/NAME of the hub, as the place of a folder (the hub's cache,
 * scripts/fetch_model.sh) or config.json's _name_or_path have it; of a GGUF the repository that it says it was made of,
 * or its general.name. Where nothing says one, the path as given. Memory of the store. */
const char *store_name(struct store *s);

/* Hash of the base, XXH3-128: of what it computes, not of how it is written. The configuration's keys and values enter
 * in the order of their names, but for those that only say who wrote it (transformers_version, use_cache, ...; of a
 * GGUF those of its architecture alone); then each tensor's name, type, shape and bytes. How they are spread over
 * files does not, nor do tensors whose names begin with one of `without` (NULL after the last; NULL itself: all count).
 * Computed once, kept in s->hash. */
enum err_code store_hash(struct store *s, const char *const *without, struct err *e);

/* A PEFT adapter's tensors: one safetensors file by itself (no config.json). */
enum err_code store_open_safetensors(struct store *s, const char *file, struct err *e);

/* Writes a safetensors file atomically: F32 matrices, in the order given, __metadata__ {"format":"pt"}. Names
 * are distinct UTF-8. */
struct store_output {
    const char *name;
    uint64_t shape[2];
    const float *data;
};
enum err_code store_write_safetensors(const char *path, const struct store_output *tensors, size_t count,
                                      struct err *e);

#endif
