#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What the analyzer is told of them in the header is not how they are defined. */
#undef err_set
#undef err_set_errno
#undef err_wrap

static const struct {
    const char *word;
    int exit_status;
} err_classes[ERR_CODE_COUNT] = {
    [ERR_OK] = {"ok", 0},
#define ERR(code, text, status) [ERR_##code] = {text, status},
#include "base/err.def"
#undef ERR
};

static const char ellipsis[] = "...";

/* Ends a message that was cut at the end of its buffer, without half a UTF-8 character before the dots, and
 * without dots of a part that was cut before. */
static void mark_truncated(char *text, size_t size)
{
    size_t end = size - sizeof ellipsis;
    while (end > 0 && (((unsigned char)text[end] & 0xC0) == 0x80 || text[end - 1] == '.'))
        end--;
    memcpy(text + end, ellipsis, sizeof ellipsis);
}

__attribute__((format(printf, 3, 0))) static void format_message(char *text, size_t size, const char *format,
                                                                 va_list args)
{
    int length = vsnprintf(text, size, format, args);
    if (length < 0)
        snprintf(text, size, "message could not be formatted: %s", format);
    else if ((size_t)length >= size)
        mark_truncated(text, size);
}

static void append(struct err *e, const char *text)
{
    size_t used = strlen(e->message);
    int length = snprintf(e->message + used, sizeof e->message - used, ": %s", text);
    if (length < 0 || (size_t)length >= sizeof e->message - used)
        mark_truncated(e->message, sizeof e->message);
}

enum err_code err_set(struct err *e, enum err_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    format_message(e->message, sizeof e->message, format, args);
    va_end(args);
    return e->code = code;
}

enum err_code err_set_errno(struct err *e, int saved_errno, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    format_message(e->message, sizeof e->message, format, args);
    va_end(args);
    char reason[256];
    append(e, strerror_r(saved_errno, reason, sizeof reason));
    return e->code = ERR_IO;
}

enum err_code err_wrap(struct err *e, const char *format, ...)
{
    char old[sizeof e->message];
    memcpy(old, e->message, sizeof old);
    va_list args;
    va_start(args, format);
    format_message(e->message, sizeof e->message, format, args);
    va_end(args);
    append(e, old);
    return e->code;
}

void err_rename(struct err *e, const char *name, const char *other)
{
    char old[sizeof e->message];
    memcpy(old, e->message, sizeof old);
    const char *rest = old;
    size_t used = 0;
    for (const char *at; used < sizeof e->message && (at = strstr(rest, name)); rest = at + strlen(name))
        used += (size_t)snprintf(e->message + used, sizeof e->message - used, "%.*s%s", (int)(at - rest),
                                 rest, other);
    if (used < sizeof e->message)
        used += (size_t)snprintf(e->message + used, sizeof e->message - used, "%s", rest);
    if (used >= sizeof e->message)
        mark_truncated(e->message, sizeof e->message);
}

const char *err_word(enum err_code code)
{
    return (unsigned)code < ERR_CODE_COUNT ? err_classes[code].word : "unknown";
}

int err_exit_status(enum err_code code)
{
    return (unsigned)code < ERR_CODE_COUNT ? err_classes[code].exit_status : 1;
}
