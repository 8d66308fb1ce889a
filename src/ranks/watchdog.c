#include "ranks/watchdog.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/str.h"

enum { FIRST_STEP = 10 };  /* times as long may be waited in it */
enum { NOTE_SECONDS = 5 }; /* that leaving waits for a file system which may be gone too */

/* What the main thread says. */
static struct {
    uint64_t calls; /* entered and left: odd inside of one */
    const char *what;
    uint64_t step;
    double work; /* 0: not known yet */
} state;

/* The guard. */
static struct {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool running, end;
    double seconds;
    char who[192];
    const char *advice; /* NULL: of a training */
} guard = {.lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};

static double limit(void)
{
    double work;
    __atomic_load(&state.work, &work, __ATOMIC_RELAXED);
    return work > 0 ? guard.seconds + 2 * work : guard.seconds * FIRST_STEP;
}

static void *make_note(void *path)
{
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (file >= 0)
        close(file);
    return NULL;
}

/* For the script that waits for the launcher, which may never end: see jobs/supervise.sh. */
static void note_leaving(void)
{
    char *path = getenv("MPILORA_LEFT");
    pthread_t thread;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += NOTE_SECONDS;
    if (path && *path && pthread_create(&thread, NULL, make_note, path) == 0)
        pthread_timedjoin_np(thread, NULL, &until);
}

static void leave_process(double waited)
{
    const char *what = __atomic_load_n(&state.what, __ATOMIC_RELAXED);
    const enum err_code code = guard.advice ? ERR_COMM : ERR_STOPPED;
    if (guard.advice)
        dprintf(STDERR_FILENO, "error: %s has waited for %.1f s in %s: %s\n", guard.who, waited, what, guard.advice);
    else
        dprintf(STDERR_FILENO,
                "error: %s has waited for %.1f s in %s of step %" PRIu64
                ": another rank or the network is gone (--rank-timeout); leaving with status %d, the same "
                "command goes on "
                "from the last checkpoint\n",
                guard.who, waited, what, __atomic_load_n(&state.step, __ATOMIC_RELAXED), err_exit_status(code));
    note_leaving();
    _exit(err_exit_status(code));
}

/* Sleeps for a while; false when the guard is to end. */
static bool rest(double seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    long nanoseconds = until.tv_nsec + (long)(seconds * 1e9);
    until.tv_sec += nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    pthread_mutex_lock(&guard.lock);
    while (!guard.end && pthread_cond_timedwait(&guard.ended, &guard.lock, &until) == 0)
        ;
    bool end = guard.end;
    pthread_mutex_unlock(&guard.lock);
    return !end;
}

static void *watch(void *nothing)
{
    (void)nothing;
    double period = guard.seconds / 20 < 1 ? guard.seconds / 20 : 1, last = cpu_seconds(), waited = 0;
    uint64_t seen = 0;
    while (rest(period)) {
        uint64_t calls = __atomic_load_n(&state.calls, __ATOMIC_ACQUIRE);
        double now = cpu_seconds(), passed = now - last;
        last = now;
        if (calls % 2 == 0 || calls != seen)
            waited = 0;
        else
            waited += passed < 2 * period ? passed : period; /* longer: this process stood still */
        seen = calls;
        if (waited > limit())
            leave_process(waited);
    }
    return NULL;
}

enum err_code watchdog_start(double seconds, const char *who, const char *advice, struct err *e)
{
    if (seconds <= 0)
        return ERR_OK;
    guard.seconds = seconds;
    guard.end = false;
    guard.advice = advice;
    str_make_visible(guard.who, sizeof guard.who, who, strlen(who), "");
    watchdog_note_work(0);
    int failure = pthread_create(&guard.thread, NULL, watch, NULL);
    if (failure)
        return err_set(e, ERR_MEMORY, "cannot start the thread that watches over communication: %s",
                       strerror(failure));
    guard.running = true;
    return ERR_OK;
}

void watchdog_stop(void)
{
    if (!guard.running)
        return;
    pthread_mutex_lock(&guard.lock);
    guard.end = true;
    pthread_cond_signal(&guard.ended);
    pthread_mutex_unlock(&guard.lock);
    pthread_join(guard.thread, NULL);
    guard.running = false;
}

void watchdog_enter(const char *what)
{
    __atomic_store_n(&state.what, what, __ATOMIC_RELAXED);
    __atomic_fetch_add(&state.calls, 1, __ATOMIC_RELEASE);
}

enum err_code watchdog_leave(enum err_code code)
{
    __atomic_fetch_add(&state.calls, 1, __ATOMIC_RELEASE);
    return code;
}

void watchdog_note_step(uint64_t step)
{
    __atomic_store_n(&state.step, step, __ATOMIC_RELAXED);
}

void watchdog_note_work(double seconds)
{
    double longest;
    __atomic_load(&state.work, &longest, __ATOMIC_RELAXED);
    if (seconds == 0 || seconds > longest)
        __atomic_store(&state.work, &seconds, __ATOMIC_RELAXED);
}
