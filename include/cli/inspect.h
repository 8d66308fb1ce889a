/*
 * The output of `inspect` for each kind of file. Each function adds its facts to `f`; the caller prints them.
 */
#ifndef MPILORA_CLI_INSPECT_H
#define MPILORA_CLI_INSPECT_H

#include <stddef.h>

#include "base/err.h"
#include "cli/facts.h"
#include "data/examples/dataset.h"
#include "io/store/store.h"
#include "run/options.h"

enum err_code inspect_model(struct facts *f, const char *path, struct err *e);
enum err_code inspect_open_model(struct facts *f, struct store *s, struct err *e); /* the same, of its open files */
enum { INSPECT_BAD_LINES = 20 }; /* that are listed */

enum err_code inspect_data(struct facts *f, const char *path, const struct options *o, struct err *e);
/* With --model: also adds facts about tokens, and appends the first --examples examples, as they are trained, to
 * `text` (with --json they are facts); --html writes them as a page. */
enum err_code inspect_examples(struct facts *f, struct str *text, const char *path, const struct options *o,
                               struct err *e);
void inspect_add_data(struct facts *f, const struct dataset *d);
enum err_code inspect_checkpoint(struct facts *f, const char *path, struct err *e);
enum err_code inspect_adapter(struct facts *f, const char *path, struct err *e);
enum err_code inspect_gguf(struct facts *f, const char *path, struct err *e); /* a model, or an adapter of llama.cpp */
enum err_code inspect_run(struct facts *f, const char *path, struct err *e);
enum err_code inspect_study(struct facts *f, const char *path, struct err *e);

/* --verify for a checkpoint (a file), an adapter, a run or a study: lists the intact and the damaged files; *damaged is
 * the number of damaged ones. */
enum err_code inspect_verify(struct facts *f, const char *path, size_t *damaged, struct err *e);

#endif
