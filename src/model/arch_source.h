/*
 * One way to read the configuration of a model from config.json or from the keys of a GGUF file. Each value has two
 * names, one for each kind of file. A name is NULL if that kind of file does not have the value; the result is then
 * `otherwise`. GGUF names are without the prefix of the architecture ("block_count"). Internal to arch_*.c and
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

/* The name of a key in this file: "num_hidden_layers" or "llama.block_count"; NULL if it has none. */
const char *source_key(char key[SOURCE_KEY_SIZE], const struct source *s, const char *json, const char *gguf);

/* Read a value; ERR_FORMAT with file and key if it has another kind. In config.json null counts as missing, except
 * in source_is_null(). */
enum err_code source_size(size_t *out, const struct source *s, const char *json, const char *gguf,
                          size_t otherwise, struct err *e);
enum err_code source_number(double *out, const struct source *s, const char *json, const char *gguf,
                            double otherwise, struct err *e);
enum err_code source_flag(bool *out, const struct source *s, const char *json, const char *gguf,
                          bool otherwise, struct err *e);
bool source_is_missing(const struct source *s, const char *json, const char *gguf);
bool source_is_null(const struct source *s, const char *json);

/* Sets an error with this code and the message "FILE: KEY: ..."; returns the code. */
enum err_code source_refuse(const struct source *s, enum err_code code, const char *key, struct err *e,
                            const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Examples of more than so many positions are refused (most_positions). */
void arch_limit_positions(struct arch *a, size_t most);

/* The parts of arch_read(). */
enum err_code arch_refuse_unhonoured(struct arch *a, const struct source *s, struct err *e);
enum err_code arch_read_kinds(struct arch *a, const struct source *s, struct err *e);
enum err_code arch_read_rotation(struct arch *a, const struct source *s, struct err *e);

#endif
