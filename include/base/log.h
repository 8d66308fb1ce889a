/*
 * Messages for people, on stderr: notes and warnings, printed once per run (not by each rank), and on a terminal a
 * progress line that is redrawn. The results of a command go to stdout and not through this module. Each message is
 * one line, and control characters in it are escaped (str_make_visible()).
 */
#ifndef MPILORA_BASE_LOG_H
#define MPILORA_BASE_LOG_H

#include <stdbool.h>

/* Whether this process prints notes and warnings (rank 0 does). Default: true. */
void log_set_speaking(bool speaking);

void log_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2))); /* "warning: ..." */

/* Always printed, on any rank: "mpilora: ..." */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says that output to stderr reaches the terminal of this descriptor (because a launcher forwards it), although
 * stderr itself is no terminal; -1: it does not. The caller keeps the descriptor, and keeps it open. */
void log_set_terminal(int descriptor);

/* True when stderr reaches a terminal that can redraw a line. */
bool log_is_terminal(void);

/* Columns of that terminal; 80 if there is none, or if its width is unknown. */
int log_columns(void);

/* Redraws the progress line; does nothing without a terminal. The next note clears the line first. */
void log_progress(const char *line);
void log_progress_end(void);

#endif
