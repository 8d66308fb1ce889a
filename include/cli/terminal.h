/*
 * A terminal that shows one picture, which is replaced while keys and signals are waited for. It has a screen of its
 * own, and the one before comes back when it is closed.
 */
#ifndef MPILORA_CLI_TERMINAL_H
#define MPILORA_CLI_TERMINAL_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

#include "base/err.h"
#include "base/str.h"

enum terminal_event {
    TERMINAL_TIME,  /* the time is over */
    TERMINAL_SIZE,  /* it has another size, or its picture is lost: draw again */
    TERMINAL_QUIT,  /* q, Escape or Ctrl-D */
    TERMINAL_NEXT,  /* down, right, tab, j */
    TERMINAL_BACK,  /* up, left, k */
    TERMINAL_SIGNAL /* that ends programs has come; or the terminal is gone */
};

struct terminal {
    bool open, keys;
    struct termios before; /* of stdin, if it has keys */
    sigset_t mask;         /* of signals, before */
    struct str shown;
    char pressed[64]; /* [pressed_count] keys that were read and not looked at yet */
    size_t pressed_count;
};

/* Can stdout show pictures? It is a terminal, and not one that says it cannot (TERM=dumb). */
bool terminal_can_show(void);

/* Its size; 80 x 24 if it does not say. */
void terminal_size(size_t *columns, size_t *rows);

enum err_code terminal_open(struct terminal *t, struct err *e);
/* Shows a picture of lines, unless it is the one that is shown. */
void terminal_show(struct terminal *t, const struct str *picture);
/* Ctrl-Z suspends the program in here. */
enum terminal_event terminal_wait(struct terminal *t, double seconds);
/* Leaves everything as it was; may be called if it is not open. If a signal had come, it now ends the program. */
void terminal_close(struct terminal *t);

#endif
