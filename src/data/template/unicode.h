/*
 * Characters and their classes as in Python. Texts are UTF-8; each byte that is not valid UTF-8 counts as one
 * character, so that no function reads beyond the end.
 */
#ifndef MPILORA_DATA_TEMPLATE_UNICODE_H
#define MPILORA_DATA_TEMPLATE_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The character that starts at *at, moving *at to the next one; and the character that ends at *at, moving *at to
 * its start. */
uint32_t jinja_char_next(const char *bytes, size_t length, size_t *at);
uint32_t jinja_char_before(const char *bytes, size_t *at);

/* Writes the character; returns its length, 1 to 4 bytes. */
size_t jinja_char_put(char out[4], uint32_t c);

/* The number of characters in a text; and the byte offset of one of them (`length` if there are fewer). */
size_t jinja_char_count(const char *bytes, size_t length);
size_t jinja_char_offset(const char *bytes, size_t length, size_t index);

/* str.isspace and similar methods, for one character. */
bool jinja_is_space(uint32_t c);
bool jinja_is_line_end(uint32_t c); /* splitlines splits here */
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

/* Upper, lower, title or folded case of a character: writes one to three characters and returns their number. */
enum jinja_case { JINJA_UPPER, JINJA_LOWER, JINJA_TITLE, JINJA_FOLD };
int jinja_char_case(uint32_t out[3], uint32_t c, enum jinja_case to);

#endif
