#include <fcntl.h>
#include <omp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "base/stop.h"
#include "math/gemm.h"
#include "numbers.h"
#include "train/signals.h"

static void rest(long nanoseconds)
{
    nanosleep(&(struct timespec){.tv_nsec = nanoseconds}, NULL);
}

/* A process that has been told to stop by a signal ends with 0; it is killed when that takes too long. */
static pid_t start_waiting(void)
{
    pid_t process = fork();
    if (process != 0)
        return process;
    struct err e;
    alarm(30);
    if (stop_is_asked() || signals_take(false, &e))
        _exit(1);
    raise(SIGSTOP);
    while (!stop_is_asked())
        rest(1000000);
    _exit(0);
}

static int end_of(pid_t process)
{
    int status;
    assert_int_equal(waitpid(process, &status, 0), process);
    return status;
}

static void each_signal_asks_to_stop(void **state)
{
    (void)state;
    static const int signals[] = {SIGUSR1, SIGTERM, SIGINT};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        int status;
        pid_t process = start_waiting();
        assert_int_equal(waitpid(process, &status, WUNTRACED), process);
        assert_true(WIFSTOPPED(status));
        assert_int_equal(kill(process, signals[i]), 0);
        assert_int_equal(kill(process, SIGCONT), 0);
        assert_int_equal(end_of(process), 0);
    }
}

/* Waits until what the process writes into the pipe holds `line`; false if it ends before. */
static bool is_said(char *text, size_t size, int pipe, const char *line)
{
    for (size_t length = strlen(text); length + 1 < size && !strstr(text, line);) {
        ssize_t more = read(pipe, text + length, size - 1 - length);
        if (more <= 0)
            return false;
        length += (size_t)more;
        text[length] = '\0';
    }
    return strstr(text, line) != NULL;
}

/* A process that never reaches the end of its step, and speaks into a pipe; `full`: which then takes no more; `over`:
 * its command has ended. */
static pid_t start_speaking(int *said, bool full, bool over)
{
    int ends[2];
    struct err e;
    assert_int_equal(pipe(ends), 0);
    pid_t process = fork();
    if (process == 0) {
        alarm(30);
        dup2(ends[1], STDERR_FILENO);
        close(ends[1]);
        if (signals_take(true, &e))
            _exit(1);
        signals_say("finishing a step");
        if (over)
            signals_end();
        fputs("ready\n", stderr);
        fcntl(STDERR_FILENO, F_SETFL, full ? O_NONBLOCK : 0);
        while (full && write(STDERR_FILENO, ".", 1) == 1)
            ;
        fcntl(STDERR_FILENO, F_SETFL, 0);
        for (;;)
            pause();
    }
    close(ends[1]);
    *said = ends[0];
    return process;
}

/* The first signal is answered at once; more of TERM and USR1 change nothing, and INT ends the process. */
static void the_first_signal_is_answered_and_an_interrupt_then_ends(void **state)
{
    (void)state;
    static const int signals[] = {SIGUSR1, SIGTERM, SIGINT};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        char text[512] = "";
        int said, status;
        pid_t process = start_speaking(&said, false, false);
        assert_true(is_said(text, sizeof text, said, "ready"));
        assert_int_equal(kill(process, signals[i]), 0);
        assert_true(is_said(text, sizeof text, said, "mpilora: asked to stop: finishing a step; INT"));
        assert_int_equal(kill(process, SIGTERM), 0);
        assert_int_equal(kill(process, SIGUSR1), 0);
        rest(20000000);
        assert_int_equal(waitpid(process, &status, WNOHANG), 0);
        assert_int_equal(kill(process, SIGINT), 0);
        assert_true(is_said(text, sizeof text, said, "interrupted again: ended at once, without saving\n"));
        assert_null(strstr(strstr(text, "asked to stop") + 1, "asked to stop"));
        status = end_of(process);
        close(said);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 128 + SIGINT);
    }
}

/* A launcher ends the ranks that are left after an error: that is no news. */
static void a_signal_after_the_end_is_not_told(void **state)
{
    (void)state;
    char text[512] = "";
    int said;
    pid_t process = start_speaking(&said, false, true);
    assert_true(is_said(text, sizeof text, said, "ready"));
    assert_int_equal(kill(process, SIGTERM), 0);
    rest(20000000);
    assert_int_equal(kill(process, SIGINT), 0);
    assert_true(is_said(text, sizeof text, said, "interrupted again: ended at once, without saving\n"));
    assert_null(strstr(text, "asked to stop"));
    end_of(process);
    close(said);
}

/* A terminal that takes no more (after Ctrl-S, say) does not keep the second interrupt from ending the process. */
static void an_interrupt_ends_even_if_nothing_can_be_said(void **state)
{
    (void)state;
    int said, status = 0;
    char text[512] = "";
    pid_t process = start_speaking(&said, true, false);
    assert_true(is_said(text, sizeof text, said, "ready"));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kill(process, SIGINT), 0);
        rest(20000000);
    }
    status = end_of(process);
    close(said);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 128 + SIGINT);
}

static void note_call(void *calls)
{
    __atomic_add_fetch((int *)calls, 1, __ATOMIC_RELAXED);
}

/* By TERM and INT, not by USR1, which leaves time for all; and once. */
static void the_end_is_told_beside(void **state)
{
    (void)state;
    pid_t process = fork();
    if (process == 0) {
        struct err e;
        int calls = 0;
        alarm(30);
        if (signals_take(false, &e))
            _exit(1);
        signals_call(note_call, &calls);
        kill(getpid(), SIGUSR1);
        while (!stop_is_asked())
            rest(1000000);
        rest(50000000);
        if (__atomic_load_n(&calls, __ATOMIC_RELAXED))
            _exit(2);
        kill(getpid(), SIGTERM);
        while (!__atomic_load_n(&calls, __ATOMIC_RELAXED))
            rest(1000000);
        kill(getpid(), SIGTERM);
        rest(50000000);
        signals_call(NULL, NULL);
        _exit(calls == 1 ? 0 : 3);
    }
    assert_int_equal(end_of(process), 0);
}

static bool takes(int signal)
{
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    return !sigismember(&blocked, signal);
}

static void threads_that_compute_take_no_signals(void **state)
{
    (void)state;
    struct err e;
    int taking = 0, threads = 0;
    assert_int_equal(signals_take(false, &e), ERR_OK);
#pragma omp parallel num_threads(3) reduction(+ : taking, threads)
    {
        threads++;
        taking += takes(SIGUSR1) || takes(SIGTERM) || takes(SIGINT);
    }
    assert_int_equal(threads, 3);
    assert_int_equal(taking, 0);
}

static void *send_signals(void *ended)
{
    while (!__atomic_load_n((bool *)ended, __ATOMIC_RELAXED)) {
        kill(getpid(), SIGUSR1);
        rest(20000);
    }
    return NULL;
}

/* Products as of an adapter's gradient, on all threads, among blocks of the heap that come and go. Counts the
 * products that are not what they were without signals. */
static size_t count_wrong(const float *a, const float *b, const float *expected, double seconds)
{
    size_t m = 48, n = 4, k = 123, wrong = 0;
    double end = cpu_seconds() + seconds;
#pragma omp parallel num_threads(2) reduction(+ : wrong)
    for (size_t i = 0; cpu_seconds() < end; i++) {
        void *block = malloc(8 + i * 1237 % 9000);
        float *c = malloc(m * n * sizeof *c);
        gemm_f32(GEMM_T, GEMM_N, m, n, k, 1, a, m, b, n, 0, c, n);
        wrong += memcmp(c, expected, m * n * sizeof *c) != 0;
        free(block);
        free(c);
    }
    return wrong;
}

static void signals_do_no_harm_to_products(void **state)
{
    (void)state;
    pthread_t sender;
    bool ended = false;
    struct err e;
    assert_int_equal(signals_take(false, &e), ERR_OK);
    float *a = numbers_new(48 * 123, 1, 1), *b = numbers_new(4 * 123, 1, 2), *c = numbers_new(48 * 4, 1, 3);
    gemm_f32(GEMM_T, GEMM_N, 48, 4, 123, 1, a, 48, b, 4, 0, c, 4);
    assert_int_equal(pthread_create(&sender, NULL, send_signals, &ended), 0);
    size_t wrong = count_wrong(a, b, c, 0.5);
    __atomic_store_n(&ended, true, __ATOMIC_RELAXED);
    assert_int_equal(pthread_join(sender, NULL), 0);
    assert_int_equal(wrong, 0);
    assert_true(stop_is_asked());
    free(a);
    free(b);
    free(c);
}

int main(void)
{
    /* Processes are forked before there are threads. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_signal_asks_to_stop),
        cmocka_unit_test(the_first_signal_is_answered_and_an_interrupt_then_ends),
        cmocka_unit_test(a_signal_after_the_end_is_not_told),
        cmocka_unit_test(an_interrupt_ends_even_if_nothing_can_be_said),
        cmocka_unit_test(the_end_is_told_beside),
        cmocka_unit_test(threads_that_compute_take_no_signals),
        cmocka_unit_test(signals_do_no_harm_to_products),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
