/*
 * Errors as values.
 *
 * A function that can fail returns enum err_code (0 is success) and takes `struct err *e` as its last argument. On
 * failure it fills `e` exactly once, with a message that says what went wrong, where (file and line, key, tensor,
 * byte offset) and what to do about it. The caller returns the code to its own caller, after adding context with
 * err_wrap() if that helps. Messages have no newline at the end and no program name. `e` is never NULL.
 */
#ifndef MPILORA_BASE_ERR_H
#define MPILORA_BASE_ERR_H

enum err_code {
    ERR_OK = 0,
#define ERR(code, word, status) ERR_##code,
#include "base/err.def"
#undef ERR
    ERR_CODE_COUNT
};

struct err {
    enum err_code code;
    char message[2048];
};

/* Sets code and message (truncated with "..." if it does not fit); returns code: `return err_set(e, ...)`. */
enum err_code err_set(struct err *e, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, with ": " and the text of errno `saved_errno` at the end. */
enum err_code err_set_errno(struct err *e, int saved_errno, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the message in `e`; returns its code. */
enum err_code err_wrap(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Replaces `name` by `other` everywhere in the message; what does not fit is cut as by err_set(). */
void err_rename(struct err *e, const char *name, const char *other);

#ifdef __clang_analyzer__ /* it sees one file at a time: this tells it that these functions never return ERR_OK */
#define err_set(e, c, ...)       (err_set(e, c, __VA_ARGS__), (e)->code = (c))
#define err_set_errno(e, n, ...) (err_set_errno(e, n, __VA_ARGS__), (e)->code = ERR_IO)
#define err_wrap(e, ...)         (err_wrap(e, __VA_ARGS__), (e)->code ? (e)->code : ERR_IO)
#endif

/* The word for a code ("format"), and the exit status it maps to. */
const char *err_word(enum err_code code);
int err_exit_status(enum err_code code);

#endif
