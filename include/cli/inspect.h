/*
 * What `inspect` says about each kind of thing. Each function adds its facts to `f`; the caller prints them.
 */
#ifndef MPILORA_CLI_INSPECT_H
#define MPILORA_CLI_INSPECT_H

#include "base/err.h"
#include "cli/facts.h"

enum err_code inspect_model(struct facts *f, const char *path, struct err *e);
enum err_code inspect_data(struct facts *f, const char *path, struct err *e);
enum err_code inspect_checkpoint(struct facts *f, const char *path, struct err *e);
enum err_code inspect_adapter(struct facts *f, const char *path, struct err *e);
enum err_code inspect_run(struct facts *f, const char *path, struct err *e);

#endif
