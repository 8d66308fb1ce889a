#include "cli/terminal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/cpu.h"

#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"

static const int watched[] = {SIGWINCH, SIGTSTP, SIGINT, SIGTERM, SIGHUP, SIGQUIT};
enum { WATCHED = sizeof watched / sizeof *watched };

/* Signals are blocked but for the time of waiting, so none is lost between a look at these and that. */
static volatile sig_atomic_t resized, suspended, ended;

static void note(int number)
{
    if (number == SIGWINCH)
        resized = 1;
    else if (number == SIGTSTP)
        suspended = 1;
    else
        ended = number;
}

bool terminal_can_show(void)
{
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

void terminal_size(size_t *columns, size_t *rows)
{
    struct winsize size = {0};
    const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row;
    *columns = known ? size.ws_col : 80;
    *rows = known ? size.ws_row : 24;
}

static bool put(const char *bytes, size_t length)
{
    while (length) {
        const ssize_t done = write(STDOUT_FILENO, bytes, length);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        bytes += done;
        length -= (size_t)done;
    }
    return true;
}

static void enter(struct terminal *t)
{
    struct termios raw = t->before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* keys one by one, unseen; Ctrl-C and Ctrl-Z remain signals */
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (t->keys)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    put(ENTER, strlen(ENTER));
    str_clear(&t->shown);
}

static void leave(const struct terminal *t)
{
    put(LEAVE, strlen(LEAVE));
    if (t->keys)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &t->before);
}

enum err_code terminal_open(struct terminal *t, struct err *e)
{
    struct sigaction action = {.sa_handler = note};
    sigset_t signals;
    *t = (struct terminal){.keys = isatty(STDIN_FILENO)};
    if (t->keys && tcgetattr(STDIN_FILENO, &t->before))
        return err_set_errno(e, errno, "cannot read keys from the terminal");
    sigemptyset(&action.sa_mask);
    sigemptyset(&signals);
    for (size_t i = 0; i < WATCHED; i++)
        sigaddset(&signals, watched[i]);
    sigprocmask(SIG_BLOCK, &signals, &t->mask);
    for (size_t i = 0; i < WATCHED; i++)
        sigaction(watched[i], &action, NULL);
    t->open = true;
    enter(t);
    return ERR_OK;
}

/* The lines of a picture, each without what was there before; the last one without a line end, which would scroll. */
void terminal_show(struct terminal *t, const struct str *picture)
{
    struct err ignored;
    struct str out = {0};
    const char *at = picture->length ? picture->data : "", *end = at + picture->length;
    if (picture->length == t->shown.length && (!picture->length || !memcmp(at, t->shown.data, picture->length)))
        return;
    size_t columns, rows;
    terminal_size(&columns, &rows);
    enum err_code code = str_append(&out, "\033[H", 3, &ignored);
    for (size_t row = 0; !code && at < end && row < rows; row++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
        code = row ? str_append(&out, "\n", 1, &ignored) : ERR_OK;
        if (!code)
            code = str_append(&out, at, (size_t)(stop - at), &ignored);
        if (!code)
            code = str_append(&out, "\033[K", 3, &ignored);
        at = newline ? newline + 1 : end;
    }
    if (!code && !str_append(&out, "\033[J", 3, &ignored) && !put(out.data, out.length))
        ended = SIGHUP;
    str_clear(&t->shown);
    str_append(&t->shown, picture->data, picture->length, &ignored);
    str_release(&out);
}

/* Until the program is continued. */
static void suspend(struct terminal *t)
{
    leave(t);
    raise(SIGSTOP);
    enter(t);
    suspended = 0;
}

/* Takes the first key out of those that were read: one character, or a sequence such as that of an arrow. Keys that
 * mean nothing here are TERMINAL_TIME. */
static enum terminal_event take_key(struct terminal *t)
{
    const char *keys = t->pressed, first = keys[0];
    const bool sequence = first == '\033' && t->pressed_count > 2 && (keys[1] == '[' || keys[1] == 'O');
    size_t used = sequence ? 3 : 1;
    while (sequence && used < t->pressed_count && (keys[used - 1] < '@' || keys[used - 1] > '~'))
        used++;
    const char last = keys[used - 1];
    t->pressed_count -= used;
    memmove(t->pressed, t->pressed + used, t->pressed_count);
    if (sequence)
        return last == 'A' || last == 'D' || last == 'Z' ? TERMINAL_BACK
               : last == 'B' || last == 'C'              ? TERMINAL_NEXT
                                                         : TERMINAL_TIME;
    if (first == '\033' || first == 'q' || first == 'Q' || first == '\004')
        return TERMINAL_QUIT;
    return first == '\t' || first == 'j' ? TERMINAL_NEXT : first == 'k' ? TERMINAL_BACK : TERMINAL_TIME;
}

/* Waits once: TERMINAL_TIME if nothing came that is of interest. */
static enum terminal_event wait_once(struct terminal *t, double seconds)
{
    struct pollfd in = {.fd = t->keys ? STDIN_FILENO : -1, .events = POLLIN};
    const time_t whole = (time_t)seconds;
    const struct timespec time = {.tv_sec = whole, .tv_nsec = (long)((seconds - (double)whole) * 1e9)};
    if (t->pressed_count)
        return take_key(t);
    const int ready = ppoll(&in, 1, &time, &t->mask);
    if (ended)
        return TERMINAL_SIGNAL;
    if (suspended) {
        suspend(t);
        return TERMINAL_SIZE;
    }
    if (resized) {
        resized = 0;
        str_clear(&t->shown);
        return TERMINAL_SIZE;
    }
    if (ready <= 0)
        return TERMINAL_TIME;
    const ssize_t length = read(STDIN_FILENO, t->pressed, sizeof t->pressed);
    t->pressed_count = length > 0 ? (size_t)length : 0;
    return length > 0 ? take_key(t) : TERMINAL_SIGNAL;
}

enum terminal_event terminal_wait(struct terminal *t, double seconds)
{
    const double end = cpu_seconds() + seconds;
    enum terminal_event event = TERMINAL_TIME;
    for (double left = seconds; event == TERMINAL_TIME && left >= 0; left = end - cpu_seconds())
        event = wait_once(t, left);
    return event;
}

void terminal_close(struct terminal *t)
{
    if (!t->open)
        return;
    leave(t);
    for (size_t i = 0; i < WATCHED; i++)
        signal(watched[i], SIG_DFL);
    str_release(&t->shown);
    t->open = false;
    if (ended)
        raise(ended);
    sigprocmask(SIG_SETMASK, &t->mask, NULL);
}
