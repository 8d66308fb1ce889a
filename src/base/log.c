#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/str.h"

#define CLEAR_LINE "\r\033[K"

static bool speaking = true;
static bool progress_shown;
static int passed_on_to = -1;

void log_set_speaking(bool speaks)
{
    speaking = speaks;
}

void log_set_terminal(int descriptor)
{
    passed_on_to = descriptor;
}

static int terminal(void)
{
    return isatty(STDERR_FILENO) ? STDERR_FILENO : passed_on_to;
}

bool log_is_terminal(void)
{
    const char *term = getenv("TERM");
    return terminal() >= 0 && term && strcmp(term, "dumb") != 0;
}

int log_columns(void)
{
    struct winsize window = {0};
    return terminal() >= 0 && ioctl(terminal(), TIOCGWINSZ, &window) == 0 && window.ws_col ? window.ws_col : 80;
}

/* One write for the whole line, so that lines of several processes on one terminal do not mix; nor do those of
 * threads, with each other and with the progress line. What the message has
 * from files and the environment is made visible here, for all of them. */
__attribute__((format(printf, 2, 0))) static void print_line(const char *prefix, const char *format,
                                                             va_list args)
{
    char message[8192], line[2 * sizeof message];
    int length = vsnprintf(message, sizeof message, format, args);
    if (length < 0)
        return;
    flockfile(stderr);
    size_t end = (size_t)snprintf(line, sizeof line, "%s%s", progress_shown ? CLEAR_LINE : "", prefix);
    end += str_make_visible(line + end, sizeof line - end - 1, message, strlen(message), "");
    line[end] = '\n';
    line[end + 1] = '\0';
    progress_shown = false;
    fputs(line, stderr);
    funlockfile(stderr);
}

void log_note(const char *format, ...)
{
    if (!speaking)
        return;
    va_list args;
    va_start(args, format);
    print_line("", format, args);
    va_end(args);
}

void log_warn(const char *format, ...)
{
    if (!speaking)
        return;
    va_list args;
    va_start(args, format);
    print_line("warning: ", format, args);
    va_end(args);
}

void log_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_line("mpilora: ", format, args);
    va_end(args);
}

/* Bytes of `line` that fit into `columns`, each UTF-8 character taken as one column. */
static int fitting_length(const char *line, int columns)
{
    int length = 0;
    for (int used = 0; line[length]; length++) {
        bool starts_character = ((unsigned char)line[length] & 0xC0) != 0x80;
        if (starts_character && ++used > columns)
            break;
    }
    return length;
}

void log_progress(const char *line)
{
    if (!speaking || !log_is_terminal())
        return;
    char visible[1024];
    str_make_visible(visible, sizeof visible, line, strlen(line), "");
    /* A line that wraps could not be redrawn in place. */
    flockfile(stderr);
    fprintf(stderr, CLEAR_LINE "%.*s", fitting_length(visible, log_columns() - 1), visible);
    progress_shown = true;
    funlockfile(stderr);
}

void log_progress_end(void)
{
    flockfile(stderr);
    if (progress_shown)
        fputc('\n', stderr);
    progress_shown = false;
    funlockfile(stderr);
}
