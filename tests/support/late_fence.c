/*
 * Preloaded, it holds the rank LATE_RANK of Slurm back for a second within MPI_Init() of Open MPI: between the two
 * fences of PMIx there, when other ranks can reach it and it does not expect their messages yet. It then makes the
 * file LATE_FILE. A rank that comes out of the second fence before that ends with status 9.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void done_function(int status, void *data);
typedef int fence_function(const void *procs, size_t nprocs, const void *info, size_t ninfo, done_function *done,
                           void *data);

fence_function PMIx_Fence_nb;

/* What a fence that is under way is to call at its end. */
static struct {
    done_function *done;
    void *data;
    int status;
} fences[2];

static void *tell_late(void *file)
{
    sleep(1);
    int made = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (made < 0)
        abort();
    close(made);
    fences[0].done(fences[0].status, fences[0].data);
    return NULL;
}

static void after_first(int status, void *file)
{
    pthread_t thread;
    fences[0].status = status;
    if (pthread_create(&thread, NULL, tell_late, file))
        abort();
}

static void after_second(int status, void *file)
{
    if (access(file, F_OK) != 0) {
        dprintf(STDERR_FILENO, "the fence did not wait for the late rank\n");
        _exit(9);
    }
    fences[1].done(status, fences[1].data);
}

int PMIx_Fence_nb(const void *procs, size_t nprocs, const void *info, size_t ninfo, done_function *done, void *data)
{
    static int calls;
    fence_function *real = (fence_function *)dlsym(RTLD_NEXT, "PMIx_Fence_nb");
    const char *rank = getenv("SLURM_PROCID"), *late = getenv("LATE_RANK");
    char *file = getenv("LATE_FILE");
    if (!real || !rank || !late || !file)
        abort();
    int call = calls++;
    if (call > 1 || (call == 0 && strcmp(rank, late) != 0))
        return real(procs, nprocs, info, ninfo, done, data);
    fences[call].done = done;
    fences[call].data = data;
    return real(procs, nprocs, info, ninfo, call ? after_second : after_first, file);
}
