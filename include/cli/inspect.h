/*
 * What `inspect` says about each kind of thing. Each function adds its facts to `f`; the caller prints them.
 */
#ifndef MPILORA_CLI_INSPECT_H
#define MPILORA_CLI_INSPECT_H

#include <stddef.h>

#include "base/err.h"
#include "cli/facts.h"
#include "data/examples/dataset.h"
#include "run/options.h"

enum err_code inspect_model(struct facts *f, const char *path, struct err *e);
enum err_code inspect_data(struct facts *f, const char *path, struct err *e);
/* With --model: what its tokens are too, and into `text` (not with --json, where they are facts) the first --examples
 * as they are trained; --html writes them as a page. */
enum err_code inspect_examples(struct facts *f, struct str *text, const char *path, const struct options *o,
                               struct err *e);
void inspect_add_data(struct facts *f, const struct dataset *d);
enum err_code inspect_checkpoint(struct facts *f, const char *path, struct err *e);
enum err_code inspect_adapter(struct facts *f, const char *path, struct err *e);
enum err_code inspect_run(struct facts *f, const char *path, struct err *e);

/* --verify, of a checkpoint (a file), an adapter or a run: lists what is intact and what is damaged; *damaged
 * is how many files that are. */
enum err_code inspect_verify(struct facts *f, const char *path, size_t *damaged, struct err *e);

#endif
