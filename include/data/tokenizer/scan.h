/*
 * The regular expressions by which most byte-level tokenizers split, as functions: those of GPT-2, Llama 3 and Qwen
 * 2. They match at every place of a text, so each match starts where the last one ended. The classes of letters,
 * numbers and spaces are taken from PCRE2, for characters up to U+FFFF. So the matches are the same as with the
 * expression, in a fraction of the time. If another character is involved, the caller must use the expression.
 */
#ifndef MPILORA_DATA_TOKENIZER_SCAN_H
#define MPILORA_DATA_TOKENIZER_SCAN_H

#include <stddef.h>

#include "base/err.h"

#define SCAN_CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
#define SCAN_GPT2         "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define SCAN_LLAMA3_LIKE(digits)                                                                                       \
    SCAN_CONTRACTIONS "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits                                                          \
                      "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define SCAN_LLAMA3 SCAN_LLAMA3_LIKE("\\p{N}{1,3}")
#define SCAN_QWEN2  SCAN_LLAMA3_LIKE("\\p{N}")

struct scan; /* immutable, shared by all threads */

/* Makes the function of an expression; *out is NULL for any other expression. */
enum err_code scan_open(struct scan **out, const char *pattern, size_t length, struct err *e);
void scan_close(struct scan *s); /* NULL is fine */

/* The end of the match that starts at text[at], at < length; 0: the expression must be used. The text is
 * well-formed UTF-8. */
size_t scan_match(const struct scan *s, const char *text, size_t length, size_t at);

#endif
