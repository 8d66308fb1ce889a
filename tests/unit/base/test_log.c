#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "scratch.h"

/* Runs `speak` with stderr on descriptor `to`. */
static void with_stderr(int to, void (*speak)(void))
{
    int kept = dup(STDERR_FILENO);
    assert_true(dup2(to, STDERR_FILENO) >= 0);
    speak();
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
}

static void speak_plainly(void)
{
    log_progress("never seen: not a terminal");
    log_note("note %d", 1);
    log_set_speaking(false);
    log_note("not heard");
    log_warn("not heard");
    log_error("heard from %s", "anyone");
    log_set_speaking(true);
    log_warn("careful");
    log_progress_end();
}

/* What is written to a file, which no terminal is. */
static void expect_said(void (*speak)(void), const char *said)
{
    struct scratch scratch;
    struct str text = {0};
    struct err e;
    assert_true(scratch_open(&scratch));
    const char *path = scratch_path(&scratch, "log");
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    with_stderr(fd, speak);
    close(fd);
    assert_ok(file_read_all(&text, path, 10000, &e), &e);
    assert_string_equal(text.data, said);
    str_release(&text);
    scratch_close(&scratch);
}

static void speaks_once_per_run(void **state)
{
    (void)state;
    expect_said(speak_plainly, "note 1\nmpilora: heard from anyone\nwarning: careful\n");
}

static void speak_of_others(void)
{
    log_error("cannot reach %s", "node\033[31m7\nmpilora: all is well");
    log_warn("%s", "\xC2\x9B"
                   "32m \x9B \x7F \t \xE2\x80\xAE \xC3\xA9");
}

/* Each is one line, in which nothing acts. */
static void what_others_wrote_is_made_visible(void **state)
{
    (void)state;
    expect_said(speak_of_others, "mpilora: cannot reach node\\u001b[31m7\\nmpilora: all is well\n"
                                 "warning: \\u009b32m \\x9b \\u007f \\t \\u202e \xC3\xA9\n");
}

static void speak_to_terminal(void)
{
    log_progress("step 1");
    log_progress("step 2 is a line longer than the window");
    log_note("note");
    log_note("again");
    log_progress("\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9");
    log_progress_end();
    log_progress_end();
}

/* What was written to the terminal so far. It may come in pieces: a mark after it tells when all is there.
 */
static void read_terminal(char *got, size_t size, int master, int slave)
{
    size_t length = 0;
    assert_int_equal(write(slave, "\x04", 1), 1);
    while (length == 0 || got[length - 1] != '\x04') {
        ssize_t more = read(master, got + length, size - length);
        assert_true(more > 0);
        length += (size_t)more;
    }
    got[length - 1] = '\0';
}

static void redraws_on_a_terminal(void **state)
{
    (void)state;
    struct winsize window = {.ws_row = 24, .ws_col = 10};
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master))
        skip(); /* no pseudo-terminals here */
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    assert_int_equal(ioctl(slave, TIOCSWINSZ, &window), 0);
    setenv("TERM", "xterm", 1);
    with_stderr(slave, speak_to_terminal);
    char got[512];
    read_terminal(got, sizeof got, master, slave);
    assert_string_equal(
        got, "\r\033[Kstep 1"
             "\r\033[Kstep 2 is" /* one column short of the window, so that it never wraps */
             "\r\033[Knote\r\nagain\r\n"
             "\r\033[K\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\r\n");
    setenv("TERM", "dumb", 1);
    with_stderr(slave, speak_plainly);
    read_terminal(got, sizeof got, master, slave);
    assert_null(strstr(got, "\033"));
    close(master);
    close(slave);
}

static void speak_at_length(void)
{
    char text[20000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    log_note("%s", text);
    log_note("next");
}

static void cuts_endless_lines(void **state)
{
    (void)state;
    struct scratch scratch;
    struct str text = {0};
    struct err e;
    assert_true(scratch_open(&scratch));
    const char *path = scratch_path(&scratch, "log");
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    with_stderr(fd, speak_at_length);
    close(fd);
    assert_ok(file_read_all(&text, path, 100000, &e), &e);
    assert_true(text.length > 4000);
    assert_true(str_ends_with(text.data, "x\nnext\n"));
    str_release(&text);
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(speaks_once_per_run), cmocka_unit_test(what_others_wrote_is_made_visible),
        cmocka_unit_test(redraws_on_a_terminal), cmocka_unit_test(cuts_endless_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
