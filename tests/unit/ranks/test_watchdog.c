/* A call that does not come back ends the process with status 75; work of its own, and standing still, do
 * not. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"

#include "ranks/watchdog.h"

enum act { WAIT, WORK, MANY_CALLS, STAND_STILL, FIRST_STEP, LONG_WORK, ENDED, OFF, ADVISED };

static void rest(double seconds)
{
    nanosleep(
        &(struct timespec){.tv_sec = (time_t)seconds, .tv_nsec = (long)(fmod(seconds, 1) * 1e9)},
        NULL);
}

static void act_out(enum act act)
{
    struct err e;
    if (watchdog_start(act == OFF ? 0 : 0.2, "rank 1 on here", act == ADVISED ? "look at the cable" : NULL, &e))
        _exit(1);
    watchdog_note_step(17);
    if (act != FIRST_STEP)
        watchdog_note_work(act == LONG_WORK ? 5 : 0.001);
    if (act == ENDED)
        watchdog_stop();
    for (int i = 0; i < 40 && act == MANY_CALLS; i++) {
        watchdog_enter("a sum");
        rest(0.02);
        watchdog_leave(ERR_OK);
    }
    if (act != WORK && act != MANY_CALLS)
        watchdog_enter("a sum");
    if (act == STAND_STILL) {
        raise(SIGSTOP);
        watchdog_leave(ERR_OK);
    } else {
        rest(act == WAIT || act == ADVISED ? 20 : 0.8);
    }
    _exit(0);
}

/* Status of a process that does this; what it writes to standard error is in `text`. */
static int status_of(enum act act, char *text, size_t size)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t process = fork();
    if (process == 0) {
        dup2(ends[1], STDERR_FILENO);
        act_out(act);
    }
    close(ends[1]);
    if (act == STAND_STILL) {
        assert_int_equal(waitpid(process, &status, WUNTRACED), process);
        assert_true(WIFSTOPPED(status));
        rest(0.8);
        kill(process, SIGCONT);
    }
    assert_int_equal(waitpid(process, &status, 0), process);
    ssize_t length = read(ends[0], text, size - 1);
    text[length > 0 ? length : 0] = '\0';
    close(ends[0]);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void call_without_end(void **state)
{
    (void)state;
    char text[512];
    assert_int_equal(status_of(WAIT, text, sizeof text), 75);
    assert_non_null(strstr(text, "rank 1 on here has waited for 0."));
    assert_non_null(strstr(text, "s in a sum of step 17"));
}

/* What cannot be continued is a failure, and says what to do. */
static void call_without_end_of_other_work(void **state)
{
    (void)state;
    char text[512];
    assert_int_equal(status_of(ADVISED, text, sizeof text), 1);
    assert_non_null(strstr(text, "rank 1 on here has waited for 0."));
    assert_non_null(strstr(text, "s in a sum: look at the cable\n"));
}

/* Whoever waits for the launcher finds a file; a place for it that does not answer keeps nobody. */
static void leaving_is_noted(void **state)
{
    (void)state;
    char text[512], folder[] = "/tmp/mpilora-test.XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/left", folder);
    setenv("MPILORA_LEFT", path, 1);
    assert_int_equal(status_of(WORK, text, sizeof text), 0);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(status_of(WAIT, text, sizeof text), 75);
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0); /* opening it waits for a reader, who never comes */
    double begun = (double)time(NULL);
    assert_int_equal(status_of(WAIT, text, sizeof text), 75);
    assert_true((double)time(NULL) - begun < 10);
    unlink(path);
    rmdir(folder);
    unsetenv("MPILORA_LEFT");
}

static void all_else(void **state)
{
    (void)state;
    static const enum act acts[] = {WORK, MANY_CALLS, STAND_STILL, FIRST_STEP, LONG_WORK, ENDED, OFF};
    char text[512];
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        assert_int_equal(status_of(acts[i], text, sizeof text), 0);
        assert_string_equal(text, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(call_without_end),
        cmocka_unit_test(call_without_end_of_other_work), cmocka_unit_test(leaving_is_noted),
                                       cmocka_unit_test(all_else)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
