#include "gemm_stall.h"

#include <signal.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"

enum { SECONDS = 2 }; /* loading everything takes a twentieth of one */

static struct sigaction before;
static timer_t timer; /* of this thread's processor time, since those that wait for work may spin */
static volatile bool limited; /* volatile: clang runs constructors that need no libraries when it compiles */

/* Only what a handler may call. */
static void give_up(int number)
{
    static const char line[] =
        "mpilora: OpenBLAS gets no memory for its buffers (128 MiB for each thread): this process may use too little "
        "address space. Raise the limit (ulimit -v unlimited), or take fewer threads (OMP_NUM_THREADS, --threads)\n";
    (void)number;
    const ssize_t ignored = write(STDERR_FILENO, line, sizeof line - 1);
    (void)ignored;
    _exit(err_exit_status(ERR_MEMORY));
}

void gemm_stall_begin(void)
{
    const struct itimerspec limit = {.it_value = {.tv_sec = SECONDS}};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF};
    struct sigaction action = {.sa_handler = give_up};
    sigemptyset(&action.sa_mask);
    limited = sigaction(SIGPROF, &action, &before) == 0 && timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) == 0 &&
              timer_settime(timer, 0, &limit, NULL) == 0;
}

void gemm_stall_end(void)
{
    if (!limited)
        return;
    timer_delete(timer);
    sigaction(SIGPROF, &before, NULL);
}

/* The one list of functions that comes before the libraries' constructors; those of the program itself come after
 * them. A sanitizer is not ready for code so early. */
#ifndef MPILORA_SANITIZED
__attribute__((section(".preinit_array"), used)) static void (*const before_libraries)(void) = gemm_stall_begin;
__attribute__((constructor)) static void after_libraries(void)
{
    gemm_stall_end();
}
#endif
