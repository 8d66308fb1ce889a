#include "train/stop.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t wanted, interrupts;

static void note_signal(int number)
{
    wanted = 1;
    if (number == SIGINT && ++interrupts > 1)
        _exit(128 + SIGINT);
}

void stop_install(void)
{
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

bool stop_wanted(void)
{
    return wanted != 0;
}
