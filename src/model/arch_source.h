/*
 * The configuration of a model, config.json or the keys of a GGUF file, read in one way. Each value has two
 * names, one for each kind of file; NULL where a kind does not say, and then it is what the caller gives as
 * otherwise. Names of GGUF are without the architecture in front ("block_count"). Internal to arch_*.c and
 * families.
 */
#ifndef MPILORA_MODEL_ARCH_SOURCE_H
#define MPILORA_MODEL_ARCH_SOURCE_H

#include "model/family.h"

struct source {
    const struct store *store;
    const struct family *family;
    const struct wrapper *wrapper; /* NULL: none */
    struct json_fields json; /* config.json, or a wrapper's text_config; without an object for a GGUF file */
    char file[4096];         /* for messages */
};

#define SOURCE_KEY_SIZE 160

/* Fills `file` and `json` for a store with a config.json. */
void source_open_json(struct source *s);

/* What a key is called in this file: "num_hidden_layers" or "llama.block_count"; NULL if it does not say. */
const char *source_key(char key[SOURCE_KEY_SIZE], const struct source *s, const char *json, const char *gguf);

/* A value of another kind is ERR_FORMAT naming file and key. In config.json null counts as missing, but for
 * source_is_null(). */
enum err_code source_size(size_t *out, const struct source *s, const char *json, const char *gguf,
                          size_t otherwise, struct err *e);
enum err_code source_number(double *out, const struct source *s, const char *json, const char *gguf,
                            double otherwise, struct err *e);
enum err_code source_flag(bool *out, const struct source *s, const char *json, const char *gguf,
                          bool otherwise, struct err *e);
bool source_is_missing(const struct source *s, const char *json, const char *gguf);
bool source_is_null(const struct source *s, const char *json);

/* ERR_FORMAT or another code: "FILE: KEY: " and the message. */
enum err_code source_refuse(const struct source *s, enum err_code code, const char *key, struct err *e,
                            const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The parts of arch_read(). */
enum err_code arch_refuse_unhonoured(const struct source *s, struct err *e);
enum err_code arch_read_rotation(struct arch *a, const struct source *s, struct err *e);

#endif
