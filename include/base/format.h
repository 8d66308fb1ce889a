/*
 * Recognises the format of a file by its first bytes. A reader that was given a file of another format can then say
 * which format it is and what to do, instead of reporting a syntax error. File names are not used, because they can
 * be wrong.
 */
#ifndef MPILORA_BASE_FORMAT_H
#define MPILORA_BASE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum format {
    FORMAT_TEXT,     /* any: YAML, say */
    FORMAT_JSON,     /* also as lines: any text but a table */
    FORMAT_TEMPLATE, /* Jinja: any text but JSON */
    FORMAT_SAFETENSORS,
    FORMAT_GGUF,
    FORMAT_HDF5
};

#define FORMAT_BYTES 512 /* at the start of a file that are examined, if it has as many */

/* Do these bytes start a file of this format, or, for the kinds of text, of one that may be? */
bool format_is(enum format format, const void *bytes, size_t length);

/* What they are the start of, in words that go after "this is"; a constant. */
const char *format_name(const void *bytes, size_t length);

/* ERR_FORMAT, with the path, if the bytes are recognised as the start of something else: a Git LFS pointer, a web
 * page, an archive, a pickle, UTF-16, another of these formats, ... Unknown bytes pass; the reader of the wanted
 * format judges them. */
enum err_code format_expect(enum format wanted, const void *bytes, size_t length, const char *path,
                            struct err *e);

#endif
