/*
 * What the program says to a person, on stderr: notes and warnings, once per run (not once a rank), with a
 * progress line in place on a terminal. Results that a command exists to print go to stdout, not through
 * here. Whatever a message has in it, it is one line, and nothing in it acts on a terminal (str_make_visible()).
 */
#ifndef MPILORA_BASE_LOG_H
#define MPILORA_BASE_LOG_H

#include <stdbool.h>

/* Only a speaking process prints notes and warnings; rank 0 speaks. Default: true. */
void log_set_speaking(bool speaking);

void log_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2))); /* "warning: ..." */

/* Always printed, whoever calls: "mpilora: ..." */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What is written to stderr reaches the terminal of this descriptor (a launcher passes it on), although stderr is
 * none; -1: it does not. The descriptor stays the caller's, and open. */
void log_set_terminal(int descriptor);

/* True when stderr reaches a terminal that can redraw a line. */
bool log_is_terminal(void);

/* Columns of that terminal; 80 where there is none, or it does not say. */
int log_columns(void);

/* Redraws the progress line (terminal only; otherwise nothing). The next note clears it first. */
void log_progress(const char *line);
void log_progress_end(void);

#endif
