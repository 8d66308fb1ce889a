/*
 * Characters as Python sees them. Texts are UTF-8; bytes that are none count as characters of their own, so that
 * nothing here can run over the end.
 */
#ifndef MPILORA_DATA_TEMPLATE_UNICODE_H
#define MPILORA_DATA_TEMPLATE_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The character at *at, which goes on to the next; and the one that ends at *at, which goes back to its start. */
uint32_t jinja_char_next(const char *bytes, size_t length, size_t *at);
uint32_t jinja_char_before(const char *bytes, size_t *at);

/* Writes the character; its length, 1 to 4. */
size_t jinja_char_put(char out[4], uint32_t c);

/* Characters in a text, and the byte offset of one of them (`length` from the last one on). */
size_t jinja_char_count(const char *bytes, size_t length);
size_t jinja_char_offset(const char *bytes, size_t length, size_t index);

/* str.isspace and its kin, of one character. */
bool jinja_is_space(uint32_t c);
bool jinja_is_line_end(uint32_t c); /* where splitlines cuts */
bool jinja_is_printable(uint32_t c);
bool jinja_is_alpha(uint32_t c);
bool jinja_is_decimal(uint32_t c);
bool jinja_is_digit(uint32_t c);
bool jinja_is_numeric(uint32_t c);
bool jinja_is_upper(uint32_t c);
bool jinja_is_lower(uint32_t c);
bool jinja_is_title(uint32_t c);
bool jinja_is_name_start(uint32_t c);
bool jinja_is_name_part(uint32_t c);

/* Upper, lower and title case of a character: one to three characters, their number. */
enum jinja_case { JINJA_UPPER, JINJA_LOWER, JINJA_TITLE, JINJA_FOLD };
int jinja_char_case(uint32_t out[3], uint32_t c, enum jinja_case to);

#endif
