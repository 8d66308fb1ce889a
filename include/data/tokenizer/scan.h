/*
 * The expressions that most byte-level tokenizers split by, as functions: GPT-2's, and those of Llama 3 and Qwen 2.
 * They match at every place of a text, so a match begins where the last one ended. What a letter, a number and a space
 * is comes from PCRE2 itself, for the characters up to U+FFFF: the matches are the same ones, found in a fraction of
 * the time. Where another character comes into play, the expression is asked.
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

struct scan; /* immutable: shared by all threads */

/* *out is NULL for any other expression. */
enum err_code scan_open(struct scan **out, const char *pattern, size_t length, struct err *e);
void scan_close(struct scan *s); /* NULL is fine */

/* The end of the match that begins at text[at], at < length; 0: only the expression knows. Well-formed UTF-8. */
size_t scan_match(const struct scan *s, const char *text, size_t length, size_t at);

#endif
