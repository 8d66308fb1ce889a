#include "train/stop.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static bool wanted, ends; /* ends: whoever sent it might not wait for long */
static int interrupts;
static pthread_mutex_t calling = PTHREAD_MUTEX_INITIALIZER;
static void (*to_call)(void *);
static void *context_of_call;

static void note_signal(int number)
{
    __atomic_store_n(&wanted, true, __ATOMIC_RELAXED);
    if (number != SIGUSR1)
        __atomic_store_n(&ends, true, __ATOMIC_RELAXED);
    if (number == SIGINT && __atomic_add_fetch(&interrupts, 1, __ATOMIC_RELAXED) > 1)
        _exit(128 + SIGINT);
}

void stop_call(void (*function)(void *), void *context)
{
    pthread_mutex_lock(&calling);
    to_call = function;
    context_of_call = context;
    pthread_mutex_unlock(&calling);
}

static void call_once(void)
{
    pthread_mutex_lock(&calling);
    if (to_call && __atomic_load_n(&ends, __ATOMIC_RELAXED)) {
        to_call(context_of_call);
        to_call = NULL;
    }
    pthread_mutex_unlock(&calling);
}

/* A thread for the handler to run on. */
static void *take_signals(void *nothing)
{
    (void)nothing;
    for (;;) {
        pause();
        call_once();
    }
    return NULL;
}

/*
 * The handler must not run on a thread that computes. While oneDNN (before 3.11.2) multiplies, the stack
 * pointer is in a buffer of the heap; the frame that the system makes for a handler would go over what lies
 * below it. So a thread that does nothing else takes the signals, and this one and those that it starts from
 * here on do not.
 */
enum err_code stop_install(struct err *e)
{
    pthread_t thread;
    sigset_t signals;
    int failure = pthread_create(&thread, NULL, take_signals, NULL);
    if (failure)
        return err_set(e, ERR_MEMORY, "cannot start the thread that signals go to: %s", strerror(failure));
    pthread_detach(thread);
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    return ERR_OK;
}

bool stop_wanted(void)
{
    return __atomic_load_n(&wanted, __ATOMIC_RELAXED);
}
