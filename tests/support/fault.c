#include "fault.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static struct {
    unsigned kinds;
    long first, length;
    int error, signal;
    const char *under, *during, *report;
    atomic_long count;
} plan;

/* The C library's own function of that name. */
#define REAL(name) ((__typeof__(name) *)real_function(#name))

static void *real_function(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort();
    return found;
}

void fault_arm(unsigned kinds, long first, long length, int error)
{
    plan.first = first;
    plan.length = length;
    plan.error = error;
    atomic_store(&plan.count, 0);
    plan.kinds = kinds;
}

long fault_disarm(void)
{
    plan.kinds = 0;
    return atomic_load(&plan.count);
}

static long number(const char *name, long initial)
{
    const char *text = getenv(name);
    return text && *text ? strtol(text, NULL, 10) : initial;
}

__attribute__((constructor)) static void read_environment(void)
{
    static const struct {
        const char *name;
        unsigned kind;
    } kinds[] = {{"open", FAULT_OPEN},         {"read", FAULT_READ}, {"write", FAULT_WRITE},
                 {"truncate", FAULT_TRUNCATE}, {"sync", FAULT_SYNC}, {"close", FAULT_CLOSE},
                 {"name", FAULT_NAME},         {"all", FAULT_FILES}, {"memory", FAULT_MEMORY},
                 {"hdf5", FAULT_HDF5}};
    const char *calls = getenv("FAULT_CALLS");
    unsigned wanted = 0;
    for (size_t i = 0; calls && i < sizeof kinds / sizeof *kinds; i++)
        wanted |= strstr(calls, kinds[i].name) ? kinds[i].kind : 0;
    plan.under = getenv("FAULT_UNDER");
    plan.report = getenv("FAULT_REPORT");
    plan.during = getenv("FAULT_WHILE");
    plan.signal = (int)number("FAULT_SIGNAL", 0);
    if (wanted)
        fault_arm(wanted, number("FAULT_NTH", 0), number("FAULT_LENGTH", 1), (int)number("FAULT_ERRNO", EIO));
}

/* A path by way of a folder that is held open (base/file.h) is that of the folder. */
static bool is_under(const char *path)
{
    char real[PATH_MAX], link[64];
    int number, length = 0;
    if (plan.under && sscanf(path, "/proc/self/fd/%d%n", &number, &length) == 1) {
        int saved = errno;
        snprintf(link, sizeof link, "/proc/self/fd/%d", number);
        ssize_t folder = readlink(link, real, sizeof real / 2);
        errno = saved;
        if (folder < 0)
            return false;
        snprintf(real + folder, sizeof real - (size_t)folder, "%s", path + length);
        path = real;
    }
    return !plan.under || strncmp(path, plan.under, strlen(plan.under)) == 0;
}

/* Is this call to fail? */
static bool fails(enum fault_kind kind)
{
    if (!(plan.kinds & kind))
        return false;
    long at = atomic_fetch_add(&plan.count, 1) + 1;
    bool now = plan.during ? access(plan.during, F_OK) == 0
                           : plan.first && at >= plan.first && at - plan.first < plan.length;
    if (now && plan.report)
        REAL(close)(REAL(open)(plan.report, O_WRONLY | O_CREAT, 0666));
    if (now && plan.signal)
        kill(getpid(), plan.signal);
    else if (now)
        errno = plan.error;
    return now && !plan.signal;
}

static bool path_fails(enum fault_kind kind, const char *path)
{
    return (plan.kinds & kind) && is_under(path) && fails(kind);
}

static bool file_fails(enum fault_kind kind, int fd)
{
    char link[64], path[PATH_MAX];
    if (!(plan.kinds & kind))
        return false;
    if (plan.under) {
        int saved = errno;
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, sizeof path - 1);
        errno = saved;
        if (length < 0)
            return false;
        path[length] = '\0';
        if (!is_under(path))
            return false;
    }
    return fails(kind);
}

#define OPEN(name)                                                                                           \
    int name(const char *path, int flags, ...);                                                              \
    int name(const char *path, int flags, ...)                                                               \
    {                                                                                                        \
        va_list args;                                                                                        \
        va_start(args, flags);                                                                               \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;                              \
        va_end(args);                                                                                        \
        return path_fails(FAULT_OPEN, path) ? -1 : REAL(name)(path, flags, mode);                            \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                                         \
    int name(int folder, const char *path, int flags, ...);                                                  \
    int name(int folder, const char *path, int flags, ...)                                                   \
    {                                                                                                        \
        va_list args;                                                                                        \
        va_start(args, flags);                                                                               \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;                              \
        va_end(args);                                                                                        \
        return path_fails(FAULT_OPEN, path) ? -1 : REAL(name)(folder, path, flags, mode);                    \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t read(int fd, void *bytes, size_t length)
{
    return file_fails(FAULT_READ, fd) ? -1 : REAL(read)(fd, bytes, length);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    return file_fails(FAULT_WRITE, fd) ? -1 : REAL(write)(fd, bytes, length);
}

#define POSITIONED(name, kind, buffer)                                                                       \
    ssize_t name(int fd, buffer bytes, size_t length, off_t at)                                              \
    {                                                                                                        \
        return file_fails(kind, fd) ? -1 : REAL(name)(fd, bytes, length, at);                                \
    }
POSITIONED(pread, FAULT_READ, void *)
POSITIONED(pread64, FAULT_READ, void *)
POSITIONED(pwrite, FAULT_WRITE, const void *)
POSITIONED(pwrite64, FAULT_WRITE, const void *)

int ftruncate(int fd, off_t length)
{
    return file_fails(FAULT_TRUNCATE, fd) ? -1 : REAL(ftruncate)(fd, length);
}

int ftruncate64(int fd, off_t length)
{
    return file_fails(FAULT_TRUNCATE, fd) ? -1 : REAL(ftruncate64)(fd, length);
}

int fsync(int fd)
{
    return file_fails(FAULT_SYNC, fd) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
    return file_fails(FAULT_SYNC, fd) ? -1 : REAL(fdatasync)(fd);
}

int close(int fd)
{
    bool failed = file_fails(FAULT_CLOSE, fd);
    int error = errno, result = REAL(close)(fd);
    if (!failed)
        return result;
    errno = error;
    return -1;
}

int rename(const char *from, const char *to)
{
    return path_fails(FAULT_NAME, from) ? -1 : REAL(rename)(from, to);
}

int symlink(const char *target, const char *path)
{
    return path_fails(FAULT_NAME, path) ? -1 : REAL(symlink)(target, path);
}

int mkdir(const char *path, mode_t mode)
{
    return path_fails(FAULT_NAME, path) ? -1 : REAL(mkdir)(path, mode);
}

int unlink(const char *path)
{
    return path_fails(FAULT_NAME, path) ? -1 : REAL(unlink)(path);
}

bool fault_has_memory(void)
{
#ifdef FAULT_WITHOUT_MEMORY
    return false;
#else
    return true;
#endif
}

#ifndef FAULT_WITHOUT_MEMORY /* a sanitizer has these for itself */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

/* The code of an object in the process: the first is the program itself. */
struct object {
    const char *name; /* part of it; NULL: the first */
    uintptr_t begin, end;
};

static int find_object(struct dl_phdr_info *info, size_t size, void *wanted)
{
    (void)size;
    struct object *o = wanted;
    if (o->name && !strstr(info->dlpi_name, o->name))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X) {
            o->begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            o->end = o->begin + info->dlpi_phdr[i].p_memsz;
        }
    return 1;
}

static bool memory_fails(const void *caller)
{
    static struct object program, hdf5 = {.name = "/libhdf5"};
    if (!(plan.kinds & (FAULT_MEMORY | FAULT_HDF5)))
        return false;
    struct object *o = plan.kinds & FAULT_HDF5 ? &hdf5 : &program;
    if (!o->end)
        dl_iterate_phdr(find_object, o);
    return (uintptr_t)caller >= o->begin && (uintptr_t)caller < o->end &&
           fails(plan.kinds & FAULT_HDF5 ? FAULT_HDF5 : FAULT_MEMORY);
}

void *malloc(size_t size)
{
    return memory_fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return memory_fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    return memory_fails(__builtin_return_address(0)) ? NULL : __libc_realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memory_fails(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
}
#endif
