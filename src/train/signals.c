#include "train/signals.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/stop.h"

#define SAY_TO_END "INT (Ctrl-C) now ends it at once, without saving"

static bool came, ends, speaking, over; /* ends: whoever sent it might not wait for long; over: signals_end() */
static const char *doing;
static sigset_t listening; /* the signals that its thread does not take while it waits for one of ours */
static pthread_mutex_t calling = PTHREAD_MUTEX_INITIALIZER;
static void (*to_call)(void *);
static void *context_of_call;

/* Says so only where it can be said at once: a terminal may have been stopped. */
static void leave_at_once(void)
{
    static const char line[] = "\nmpilora: interrupted again: ended at once, without saving\n";
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (speaking && poll(&out, 1, 0) == 1 && out.revents & POLLOUT)
        (void)!write(STDERR_FILENO, line, sizeof line - 1);
    _exit(128 + SIGINT);
}

static void note_signal(int number)
{
    if (number == SIGINT && stop_is_asked())
        leave_at_once();
    stop_ask();
    if (number != SIGUSR1)
        __atomic_store_n(&ends, true, __ATOMIC_RELAXED);
    __atomic_store_n(&came, true, __ATOMIC_RELAXED);
}

void signals_say(const char *what)
{
    __atomic_store_n(&doing, what, __ATOMIC_RELEASE);
}

void signals_end(void)
{
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
}

void signals_call(void (*function)(void *), void *context)
{
    pthread_mutex_lock(&calling);
    to_call = function;
    context_of_call = context;
    pthread_mutex_unlock(&calling);
}

/* Whether there was somebody to call. */
static bool call_once(void)
{
    pthread_mutex_lock(&calling);
    bool calls = to_call && __atomic_load_n(&ends, __ATOMIC_RELAXED);
    if (calls) {
        to_call(context_of_call);
        to_call = NULL;
    }
    pthread_mutex_unlock(&calling);
    return calls;
}

/* A thread for the handler to run on, and then to say what has come. */
static void *take_signals(void *nothing)
{
    (void)nothing;
    for (bool said = false;;) {
        while (!__atomic_exchange_n(&came, false, __ATOMIC_RELAXED))
            sigsuspend(&listening);
        pthread_sigmask(SIG_SETMASK, &listening, NULL); /* INT ends it even where a terminal does not take the line */
        if (!call_once() && !said && speaking && !__atomic_load_n(&over, __ATOMIC_RELAXED)) {
            const char *what = __atomic_load_n(&doing, __ATOMIC_ACQUIRE);
            log_error("asked to stop: %s; " SAY_TO_END, what ? what : "ending as soon as possible");
        }
        said = true;
        sigset_t signals = listening;
        sigaddset(&signals, SIGUSR1);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        pthread_sigmask(SIG_SETMASK, &signals, NULL);
    }
    return NULL;
}

/*
 * The handler must not run on a thread that computes. While oneDNN (before 3.11.2) multiplies, the stack
 * pointer is in a buffer of the heap; the frame that the system makes for a handler would go over what lies
 * below it. So a thread that does nothing else takes the signals, and this one and those that it starts from
 * here on do not.
 */
enum err_code signals_take(bool speaks, struct err *e)
{
    static const int numbers[] = {SIGUSR1, SIGTERM, SIGINT};
    pthread_t thread;
    sigset_t signals;
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
    speaking = speaks;
    sigemptyset(&action.sa_mask);
    sigemptyset(&signals);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset(&signals, numbers[i]);
    pthread_sigmask(SIG_BLOCK, &signals, &listening);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        sigdelset(&listening, numbers[i]);
        sigaction(numbers[i], &action, NULL);
    }
    int failure = pthread_create(&thread, NULL, take_signals, NULL);
    if (failure)
        return err_set(e, ERR_MEMORY, "cannot start the thread that signals go to: %s", strerror(failure));
    pthread_detach(thread);
    return ERR_OK;
}
