/*
 * The patterns of a tokenizer.json are written for Oniguruma (Ruby syntax, Unicode). PCRE2 reads most of them
 * the same way; where the two differ, the pattern is rewritten, or refused when there is no sure equivalent:
 * \w and \b (another set of characters), \h (another meaning), nested classes, {1,3}+ (not possessive there),
 * ...
 *
 * The result is for PCRE2 with UTF, UCP, MULTILINE and LF as the newline.
 */
#ifndef MPILORA_DATA_TOKENIZER_PATTERN_H
#define MPILORA_DATA_TOKENIZER_PATTERN_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

/* Appends the translation to `out`. ERR_UNSUPPORTED names the construct and its byte offset. */
enum err_code pattern_translate(struct str *out, const char *pattern, size_t length, struct err *e);

#endif
