/*
 * What `inspect` says about each kind of thing. Each function adds its facts to `f`; the caller prints them.
 */
#ifndef MPILORA_CLI_INSPECT_H
#define MPILORA_CLI_INSPECT_H

#include <stddef.h>

#include "base/err.h"
#include "cli/facts.h"

enum err_code inspect_model(struct facts *f, const char *path, struct err *e);
enum err_code inspect_data(struct facts *f, const char *path, struct err *e);
enum err_code inspect_checkpoint(struct facts *f, const char *path, struct err *e);
enum err_code inspect_adapter(struct facts *f, const char *path, struct err *e);
enum err_code inspect_run(struct facts *f, const char *path, struct err *e);

/* --verify, of a checkpoint (a file), an adapter or a run: lists what is intact and what is damaged; *damaged
 * is how many files that are. */
enum err_code inspect_verify(struct facts *f, const char *path, size_t *damaged, struct err *e);

#endif
