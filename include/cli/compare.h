/*
 * The output of `compare`, in its three forms.
 */
#ifndef MPILORA_CLI_COMPARE_H
#define MPILORA_CLI_COMPARE_H

#include "base/err.h"
#include "base/str.h"
#include "cli/facts.h"
#include "run/options.h"
#include "train/compare.h"

/* For people, as wide as the terminal (wrap_width()): for each prompt the answers of the models, as many beside each
 * other as have room, and at the end how many are exact. */
enum err_code compare_append_text(struct str *out, const struct comparison *c, struct err *e);

/* One object with all texts as they are. */
void compare_add_facts(struct facts *f, const struct comparison *c);

/* An HTML page (report/page.h). */
enum err_code compare_write_page(const struct comparison *c, const struct options *o, const char *path, struct err *e);

#endif
