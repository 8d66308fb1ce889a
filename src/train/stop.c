#include "train/stop.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static bool wanted;
static int interrupts;

static void note_signal(int number)
{
    __atomic_store_n(&wanted, true, __ATOMIC_RELAXED);
    if (number == SIGINT && __atomic_add_fetch(&interrupts, 1, __ATOMIC_RELAXED) > 1)
        _exit(128 + SIGINT);
}

/* A thread for the handler to run on. */
static void *take_signals(void *nothing)
{
    (void)nothing;
    for (;;)
        pause();
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
