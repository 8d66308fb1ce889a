/*
 * The printable alphabet of byte-level vocabularies: one character for each of the 256 bytes (GPT-2's table: the
 * printable characters of Latin-1 stand for themselves, the other bytes are characters from U+0100 on).
 */
#ifndef MPILORA_DATA_TOKENIZER_BYTELEVEL_H
#define MPILORA_DATA_TOKENIZER_BYTELEVEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes the character for a byte in UTF-8; returns its number of bytes, 1 or 2. */
size_t bytelevel_encode(char out[2], unsigned char byte);

/* Converts well-formed UTF-8 text in this alphabet to bytes, in out[length]; *count is their number. False if a
 * character is not in the alphabet. */
bool bytelevel_decode(char *out, size_t *count, const char *text, size_t length);

#endif
