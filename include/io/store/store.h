/*
 * A model's files as one table of tensors. The model is a Hugging Face folder (config.json, and one safetensors
 * file or shards with an index) or a GGUF file, on disk or as an image of its files in memory. Files are mapped,
 * not read; the bytes of a tensor belong to the store and are valid until it is closed. Until then files on disk
 * must not be modified in place, but may be replaced or deleted (base/file.h). A store may be read by several
 * threads; store_open(), store_close(), store_name() and store_hash() must be called by one thread at a time.
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

struct safetensors; /* io/store/safetensors.h */

enum store_kind { STORE_HF, STORE_GGUF };

#define STORE_MAX_DIMS 4

struct store_tensor {
    const char
        *name; /* as in the file: "model.layers.0.self_attn.q_proj.weight", "blk.0.attn_q.weight" */
    enum dtype type;
    int dims;
    uint64_t shape[STORE_MAX_DIMS]; /* outermost dimension first, as in PyTorch: [out, in] for a linear layer */
    uint64_t elements;
    const void *data; /* aligned for its type */
    size_t bytes;
    const char *file; /* path of the file that holds it */
    const char
        *unreadable; /* NULL, or why it cannot be read: "type I64"; then `type` and `data` are not set */
};

struct store_file {
    const char *name; /* within its folder */
    const char *path; /* for messages */
    struct file_map map;
};

/* The files of a model in memory: all texts and files that a store opened from disk would have. They must stay
 * valid until the store is closed. */
struct store_image {
    bool is_folder;                 /* otherwise it is a single file, whatever its name */
    const struct store_file *files; /* their `path` is not used */
    size_t count;
    bool owned; /* shared memory, mapped for writing, that this process may return to the system: see
                 * store_forget() */
};

/* Number of JSON and text files of a folder: configurations, tokenizer, chat template, index of the shards. */
#define STORE_MAX_TEXTS     9
#define STORE_TOOL_TEMPLATE "additional_chat_templates/tool_use.jinja" /* for conversations with tools */

struct store {
    enum store_kind kind;
    const char *path;                /* as given, without a trailing slash */
    const struct store_image *image; /* NULL: on disk */
    struct arena arena;
    struct store_tensor *tensors; /* sorted by name */
    size_t tensor_count;
    struct store_tensor *unread; /* tensors that cannot be read (for example integer buffers), sorted by name */
    size_t unread_count;
    struct json *config;                      /* HF: config.json, else NULL */
    struct json *generation_config;           /* HF: generation_config.json if there, else NULL */
    struct json *tokenizer_config;            /* HF: tokenizer_config.json if there, else NULL */
    struct gguf *gguf;                        /* GGUF: header and keys, else NULL */
    struct store_file texts[STORE_MAX_TEXTS]; /* those that exist */
    size_t text_count;
    struct store_file *files; /* the files with weights, in order */
    size_t file_count;
    struct safetensors *headers; /* [file_count] of safetensors files; NULL: of a GGUF */
    char hash[FILE_HASH_SIZE]; /* of configuration and weights, see store_hash(); empty before its first call */
};

/* Opens `path`. These are refused with a message that names them: a folder without config.json, an index that names
 * a missing shard or tensor, a tensor that does not start where the previous one ends or that goes beyond its file,
 * a GGUF tensor of a type that is not in dtype.def, a split GGUF, a pickled checkpoint (pytorch_model.bin). After
 * an error `s` need not be closed. */
enum err_code store_open(struct store *s, const char *path, struct err *e);
/* Opens an image in memory; `path` is only for messages and need not exist. */
enum err_code store_open_image(struct store *s, const char *path, const struct store_image *image,
                               struct err *e);
void store_close(struct store *s); /* a zeroed or closed store is fine */

/* NULL if there is no such tensor, or if it cannot be read. */
const struct store_tensor *store_find(const struct store *s, const char *name);

/* The same for a tensor that must exist: ERR_FORMAT if it is missing, ERR_UNSUPPORTED if it cannot be read. */
enum err_code store_require(const struct store_tensor **t, const struct store *s, const char *name,
                            struct err *e);

/* A text file of the folder; NULL if there is none of this name. */
const struct store_file *store_text(const struct store *s, const char *name);

/* Says that no process with this store will read the tensor's bytes again: they no longer count as memory of this
 * process. The bytes of a file on disk stay readable. Those of an image that this process owns are returned to the
 * system and must not be read. */
void store_forget(const struct store *s, const struct store_tensor *t);

/* The name under which people know the model. For a folder: OWNER/NAME of the hub, from the path (the hub's cache,
 * scripts/fetch_model.sh) or from config.json's _name_or_path. For a GGUF: the repository that it says it was made
 * from, or its general.name. If there is no such name, the path as given. The text belongs to the store. */
const char *store_name(struct store *s);

/* Is this OWNER/NAME, as repositories of the hub are called? No path, and no address. */
bool store_is_repository(const char *text);

/* Computes the hash of the base, XXH3-128, and keeps it in s->hash. The hash identifies what the model computes,
 * not how its files are written. It covers the keys and values of the configuration, in the order of their names,
 * and then the name, type, shape and bytes of each tensor. Not covered are: keys that do not affect the computation
 * (transformers_version, use_cache, ...; in a GGUF, all keys that are not of its architecture); the distribution of
 * tensors over files; and tensors whose names begin with one of `without` (a list that ends with NULL; NULL: all
 * tensors count). */
enum err_code store_hash(struct store *s, const char *const *without, struct err *e);

/* Opens a single safetensors file without config.json: the tensors of a PEFT adapter. */
enum err_code store_open_safetensors(struct store *s, const char *file, struct err *e);

/* What the file says under this key, a text: in the __metadata__ of the only safetensors file, or in a GGUF. NULL if it
 * does not say it. The text is in `a`. */
enum err_code store_note(const char **text, const struct store *s, const char *key, struct arena *a, struct err *e);

struct store_output {
    const char *name;
    uint64_t shape[2]; /* outermost dimension first */
    const float *data;
};
struct store_key {
    const char *name;
    const char *text; /* NULL: a number (f32) */
    float number;
};

/* Writes a safetensors file atomically: F32 matrices in the given order, and __metadata__ with "format": "pt" and the
 * keys, which have texts. The names must be UTF-8 and distinct. */
enum err_code store_write_safetensors(const char *path, const struct store_key *keys, size_t key_count,
                                      const struct store_output *tensors, size_t count, struct err *e);

/* Writes a GGUF file atomically: keys, then F32 matrices, in the given order. Names must be distinct. */
enum err_code store_write_gguf(const char *path, const struct store_key *keys, size_t key_count,
                               const struct store_output *tensors, size_t count, struct err *e);

#endif
