#include "ranks/node_memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* How the ranks of a node find the memory: as a file without a name, through the process that made it. */
struct address {
    pid_t process;
    int file; /* -1: there is none */
    dev_t device;
    ino_t inode;
};

static struct address make_file(size_t size)
{
    struct address a = {.process = getpid(), .file = memfd_create("mpilora-base", MFD_CLOEXEC)};
    struct stat status;
    if (a.file >= 0 && (ftruncate(a.file, (off_t)size) || fstat(a.file, &status))) {
        close(a.file);
        a.file = -1;
    }
    if (a.file >= 0) {
        a.device = status.st_dev;
        a.inode = status.st_ino;
    }
    return a;
}

/* In a container of its own a process may have another's number, hence the check. */
static int open_file(const struct address *a)
{
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)a->process, a->file);
    int file = a->file < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0 && (fstat(file, &status) || status.st_dev != a->device || status.st_ino != a->inode)) {
        close(file);
        file = -1;
    }
    return file;
}

static void map(struct node_memory *m, int file)
{
    int access = m->mine ? PROT_READ | PROT_WRITE : PROT_READ;
    void *memory = file < 0 ? MAP_FAILED : mmap(NULL, m->size, access, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED)
        return;
    m->memory = memory;
    madvise(memory, m->size, MADV_HUGEPAGE); /* a wish: matrix products walk over large arrays */
}

/* Collective over the node's ranks. */
static enum err_code share(struct node_memory *m, struct dist *node, struct err *e)
{
    struct address a = {.file = -1};
    if (m->mine)
        a = make_file(m->size);
    if (dist_broadcast(node, &a, sizeof a, 0, e)) {
        if (m->mine && a.file >= 0)
            close(a.file);
        return e->code;
    }
    int file = m->mine ? a.file : open_file(&a);
    map(m, file);
    uint64_t missing = !m->memory;
    enum err_code code = dist_max_u64(node, &missing, 1, e); /* all have opened the file, or failed to */
    if (file >= 0)
        close(file);
    if (code || missing)
        node_memory_close(m);
    return code;
}

enum err_code node_memory_open(struct node_memory *m, struct dist *d, struct dist *node, size_t size,
                               struct err *e)
{
    enum err_code code = ERR_OK;
    *m = (struct node_memory){0};
    if (node->world > 1 && size > 0) {
        m->size = size;
        m->mine = node->rank == 0;
        code = share(m, node, e);
    }
    code = dist_agree(d, code, e);
    if (code)
        node_memory_close(m);
    return code;
}

void node_memory_seal(struct node_memory *m)
{
    if (m->mine)
        mprotect(m->memory, m->size, PROT_READ);
}

void node_memory_close(struct node_memory *m)
{
    if (m->memory)
        munmap(m->memory, m->size);
    *m = (struct node_memory){0};
}
