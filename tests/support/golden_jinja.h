/*
 * What scripts/make_golden_jinja.py wrote into tests/golden/jinja.
 */
#ifndef MPILORA_TESTS_GOLDEN_JINJA_H
#define MPILORA_TESTS_GOLDEN_JINJA_H

#include <stdlib.h>

#include "base/file.h"
#include "base/str.h"
#include "io/json.h"
#include "unit.h"

static inline struct json *golden_jinja_open(const char *name)
{
    char path[4096];
    struct json *doc;
    struct err e;
    snprintf(path, sizeof path, "%s/jinja/%s", getenv("GOLDEN"), name);
    assert_ok(json_open_file(&doc, path, (size_t)64 << 20, &e), &e);
    return doc;
}

#endif
