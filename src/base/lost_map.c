#include "base/lost_map.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/str.h"

/* An entry is never freed, but used again, so that the handler may walk the list at any moment. */
struct entry {
    struct entry *next;
    uintptr_t begin, end; /* equal: free */
    size_t length;
    char line[PATH_MAX + 512];
};

static struct entry *entries;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction before;

static void describe(struct entry *n, const char *path)
{
    static const char
        begin[] = "mpilora: ",
        end[] = ": this file became shorter while it was in use, or its disk failed. Put it back as it "
                "was; what is on disk of a run is whole, and the same command goes on from its newest "
                "checkpoint\n";
    memcpy(n->line, begin, sizeof begin);
    n->length = sizeof begin - 1;
    n->length += str_make_visible(n->line + n->length, sizeof n->line - n->length - sizeof end, path,
                                  strlen(path), "");
    memcpy(n->line + n->length, end, sizeof end);
    n->length += sizeof end - 1;
}

void lost_map_add(const void *data, size_t size, const char *path)
{
    pthread_mutex_lock(&lock);
    struct entry *n = entries;
    while (n && n->begin != n->end)
        n = n->next;
    const bool found = n != NULL;
    if (!found)
        n = calloc(1, sizeof *n);
    if (n) { /* without memory the file stays without a name */
        describe(n, path);
        __atomic_store_n(&n->begin, (uintptr_t)data, __ATOMIC_RELEASE);
        __atomic_store_n(&n->end, (uintptr_t)data + size, __ATOMIC_RELEASE);
        if (!found) {
            n->next = entries;
            __atomic_store_n(&entries, n, __ATOMIC_RELEASE);
        }
    }
    pthread_mutex_unlock(&lock);
}

void lost_map_remove(const void *data)
{
    pthread_mutex_lock(&lock);
    struct entry *n = entries;
    while (n && (n->begin != (uintptr_t)data || n->begin == n->end))
        n = n->next;
    if (n)
        __atomic_store_n(&n->end, n->begin, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&lock);
}

/* Only what a handler may call. A stack pointer that is out of place (train/stop.c) does no harm: nothing returns. */
static void take(int number, siginfo_t *info, void *context)
{
    (void)context;
    const uintptr_t at = (uintptr_t)info->si_addr;
    for (const struct entry *n = __atomic_load_n(&entries, __ATOMIC_ACQUIRE); n && info->si_code > 0;
         n = n->next)
        if (at >= __atomic_load_n(&n->begin, __ATOMIC_ACQUIRE) &&
            at < __atomic_load_n(&n->end, __ATOMIC_ACQUIRE)) {
            const ssize_t ignored = write(STDERR_FILENO, n->line, n->length);
            (void)ignored;
            _exit(err_exit_status(ERR_IO));
        }
    sigaction(number, &before, NULL);
    if (info->si_code <= 0) /* sent by a process: it does not come again by itself */
        raise(number);
}

void lost_map_install(void)
{
    struct sigaction action = {.sa_sigaction = take, .sa_flags = SA_SIGINFO | SA_ONSTACK}, old;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, &action, &old) == 0 && !((old.sa_flags & SA_SIGINFO) && old.sa_sigaction == take))
        before = old;
}
