/*
 * Errors as values.
 *
 * A function that can fail returns enum err_code (0 is success) and takes a last argument `struct err *e`,
 * which it fills exactly once, with a message that names what went wrong, where (file and line, key, tensor,
 * byte offset) and what to do about it. The caller passes `e` on, or adds its own context in front with
 * err_wrap(). Messages carry no trailing newline and no program name. `e` is never NULL.
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

/* Puts "context: " in front of the message that `e` has; returns its code. */
enum err_code err_wrap(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Calls something by another name, wherever the message has it; what does not fit is cut as by err_set(). */
void err_rename(struct err *e, const char *name, const char *other);

#ifdef __clang_analyzer__ /* sees one file at a time: tells it that these never give back ERR_OK */
#define err_set(e, c, ...)       (err_set(e, c, __VA_ARGS__), (e)->code = (c))
#define err_set_errno(e, n, ...) (err_set_errno(e, n, __VA_ARGS__), (e)->code = ERR_IO)
#define err_wrap(e, ...)         (err_wrap(e, __VA_ARGS__), (e)->code ? (e)->code : ERR_IO)
#endif

/* The word for a code ("format"), and the exit status it maps to. */
const char *err_word(enum err_code code);
int err_exit_status(enum err_code code);

#endif
