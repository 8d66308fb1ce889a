/*
 * The printable alphabet in which byte-level vocabularies are written: one character for each of the 256
 * bytes (GPT-2's table: the printable characters of Latin-1 stand for themselves, the rest follow from U+0100
 * on).
 */
#ifndef MPILORA_DATA_TOKENIZER_BYTELEVEL_H
#define MPILORA_DATA_TOKENIZER_BYTELEVEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The character that stands for a byte, in UTF-8: 1 or 2 bytes, their number is returned. */
size_t bytelevel_encode(char out[2], unsigned char byte);

/* The bytes that well-formed UTF-8 text stands for, into out[length]; their number in *count. False if a
 * character is not of the alphabet. */
bool bytelevel_decode(char *out, size_t *count, const char *text, size_t length);

#endif
