/*
 * A growing byte string, and small helpers on C strings.
 *
 * `data` is always zero-terminated when not NULL; `length` does not count the terminator, and the bytes may
 * hold zeros. A `struct str s = {0}` is empty and ready. The owner calls str_release().
 */
#ifndef MPILORA_BASE_STR_H
#define MPILORA_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct str {
    char *data;
    size_t length, capacity;
};

enum err_code str_append(struct str *s, const void *bytes, size_t length, struct err *e);
enum err_code str_appendf(struct str *s, struct err *e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum err_code str_reserve(struct str *s, size_t capacity, struct err *e);
void str_clear(struct str *s); /* length 0; keeps the memory */
void str_release(struct str *s);

/* The number of edits from one word to the other: letters inserted, deleted, replaced, or swapped with the next one
 * (STR_DISTANCE_MAX + 1 if a word is longer than STR_DISTANCE_MAX). And the candidate that is most similar to
 * `word`, or NULL if none is similar enough to be a typing error. */
#define STR_DISTANCE_MAX 127
int str_distance(const char *a, const char *b);
const char *str_nearest(const char *word, const char *const *candidates, size_t count);

bool str_starts_with(const char *s, const char *prefix);
bool str_starts_with_any(const char *s, const char *const *prefixes); /* NULL after the last */
bool str_ends_with(const char *s, const char *suffix);

/* The item of a list "a, b" that begins at `at` and ends before the next comma, without the blanks around it. */
const char *str_list_item(size_t *length, const char *at);

/* Byte offset of the first byte that is not well-formed UTF-8 (no surrogates, no overlong forms), or
 * `length`. */
size_t str_utf8_valid_prefix(const void *bytes, size_t length);

/* "4:07", "1:02:03": a duration in minutes and seconds, or hours. */
void str_format_time(char *text, size_t size, double seconds);

/* Number of bytes of a text to quote with "%.*s": up to `most` bytes, without cutting a character. */
int str_utf8_cut(const char *text, int most);

/* Appends a text as one word of a shell's command line, in quotes if it needs them. */
enum err_code str_append_word(struct str *s, const char *text, struct err *e);

/* Appends foreign text in a form that cannot control a terminal. Control characters (C0, DEL, C1) and marks that
 * change the direction of a line are written as \u001b, as in JSON; bytes that are not UTF-8 as \x9b; newline and
 * tab as \n and \t. Characters in `kept` stay unchanged. */
enum err_code str_append_visible(struct str *s, const char *text, size_t length, const char *kept,
                                 struct err *e);
/* The same into `out[size]`, as much as fits, with a terminating zero; returns the length. */
size_t str_make_visible(char *out, size_t size, const char *text, size_t length, const char *kept);

#endif
