#include "selftest_parts.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cpu.h"
#include "io/h5/h5.h"
#include "run/ckpt.h"
#include "run/rundir.h"
#include "run/runlock.h"

#define GIB          (1024.0 * 1024 * 1024)
#define ADAPTER_NAME "adapter.h5"
#define SPEED_NAME   "speed.h5"

enum { MEGABYTES = 16 }; /* of the file whose saving is timed: an adapter of a small model with its moments */

static const char another_folder[] = "give a folder on another file system with --output, also to training";

/* Kinds of file systems that one would like to know of; the numbers are those of statfs(2) and of their projects. */
static const struct kind {
    unsigned long number;
    const char *name;
} kinds[] = {{0x6969, "NFS"},           {0x0bd00bd0, "Lustre"},
             {0x47504653, "GPFS"},      {0x19830326, "BeeGFS"},
             {0x00c36400, "CephFS"},    {0xff534d42, "CIFS"},
             {0xfe534d42, "SMB"},       {0x01021997, "9p"},
             {0x65735546, "FUSE"},      {0x01021994, "tmpfs, which is memory"},
             {0x794c7630, "overlayfs"}, {0xef53, "ext4"},
             {0x58465342, "XFS"},       {0x9123683e, "Btrfs"},
             {0x2fc12fc1, "ZFS"}};

static const char *kind_of(const char *folder)
{
    struct statfs system;
    if (statfs(folder, &system))
        return "an unknown file system";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].number == ((unsigned long)system.f_type & 0xffffffffUL))
            return kinds[i].name;
    return "another file system";
}

/* Rank 0's folder. */
struct trial {
    char parent[PATH_MAX], folder[PATH_MAX];
    size_t there; /* bytes of `parent` that name what was there before */
};

static enum err_code make_folder(struct trial *p, const char *output, struct err *e)
{
    if (!realpath(output, p->parent))
        snprintf(p->parent, sizeof p->parent, "%s", output);
    p->there = file_length_there(p->parent);
    if (file_make_folders(p->parent, e) ||
        file_join(p->folder, sizeof p->folder, p->parent, "mpilora-selftest-XXXXXX", e))
        return e->code;
    if (!mkdtemp(p->folder)) {
        const int error = errno;
        *p->folder = '\0';
        return err_set_errno(e, error, "no folder can be made in %s", p->parent);
    }
    return ERR_OK;
}

static void remove_file(const struct trial *p, const char *name)
{
    char path[PATH_MAX];
    struct err ignored;
    if (!file_join(path, sizeof path, p->folder, name, &ignored))
        unlink(path);
}

static void remove_folder(struct trial *p)
{
    if (*p->folder) {
        remove_file(p, ADAPTER_NAME);
        remove_file(p, SPEED_NAME);
        remove_file(p, rundir_name(RUNDIR_LOCK)); /* which stays where it could not be locked */
        rmdir(p->folder);
    }
    while (strlen(p->parent) > p->there && rmdir(p->parent) == 0)
        file_cut_last_part(p->parent);
}

/* The adapter as a checkpoint, read back. */
static enum err_code save_adapter(struct selftest *t, const struct trial *p, struct err *e)
{
    struct lora *l = &t->tiny.lora;
    const size_t bytes = l->layout.size * sizeof *l->params;
    struct ckpt_state state = {.step = 1, .cursor = 1};
    struct ckpt_identity identity = {0};
    struct h5_writer *writer = NULL;
    struct ckpt saved;
    char path[PATH_MAX];
    file_hash_bytes(identity.base, t->tiny.weights.data, t->tiny.weights.length);
    file_hash_bytes(identity.data, t->tiny.config.data, t->tiny.config.length);
    memcpy(identity.tokenizer, tokenizer_hash(t->tiny.words), FILE_HASH_SIZE);
    float *before = arena_alloc(&t->arena, l->layout.size, sizeof *before, "adapter", e);
    if (!before || file_join(path, sizeof path, p->folder, ADAPTER_NAME, e) ||
        ckpt_build(&writer, path, l, &t->moments, &state, &identity, "", "normal", NULL, e) ||
        h5_commit(writer, e) || ckpt_open(&saved, path, e))
        return e->code;
    memcpy(before, l->params, bytes);
    memset(l->params, 0, bytes);
    enum err_code code = ckpt_read(&saved, l, &t->moments, e);
    if (!code && memcmp(before, l->params, bytes) != 0)
        code = err_set(e, ERR_MISMATCH, "%s: what is read is not what was written", path);
    memcpy(l->params, before, bytes);
    ckpt_close(&saved);
    return code;
}

/* Bytes per second of a larger file, with all that saving does: writing, reading it for its hash, fsync, a name. */
static enum err_code time_save(struct selftest *t, const struct trial *p, double *rate, struct err *e)
{
    const uint64_t shape[1] = {(uint64_t)MEGABYTES * 1000000 / sizeof(float)};
    struct h5_writer *writer = NULL;
    char path[PATH_MAX];
    float *values = arena_alloc(&t->arena, shape[0], sizeof *values, "numbers to save", e);
    if (!values || file_join(path, sizeof path, p->folder, SPEED_NAME, e))
        return e->code;
    rng_fill_normal(values, rng_key_make(1, RNG_SAMPLE, 3), 0,
                    shape[0] / 64); /* a file system may pack zeros */
    for (size_t i = shape[0] / 64; i < shape[0]; i++)
        values[i] = values[i - shape[0] / 64] + 1;
    const double begun = cpu_seconds();
    if (h5_create(&writer, path, e))
        return e->code;
    h5_write(writer, "/values", H5_F32, 1, shape, values);
    enum err_code code = h5_commit(writer, e);
    *rate = (double)MEGABYTES * 1e6 / (cpu_seconds() - begun);
    return code;
}

/* A larger file than this would end the process by a signal. */
static bool is_limited(struct selftest_line *l)
{
    struct rlimit size;
    if (getrlimit(RLIMIT_FSIZE, &size) || size.rlim_cur == RLIM_INFINITY ||
        size.rlim_cur > (rlim_t)MEGABYTES * 2000000)
        return false;
    selftest_find(l, SELFTEST_WRONG, "raise it: ulimit -f unlimited",
                  "a file may have no more than %.1f MB (ulimit -f)", (double)size.rlim_cur / 1e6);
    return true;
}

/* Rank 0: everything that a run does with its folder. */
static void try_folder(struct selftest *t, const struct trial *p, struct selftest_line *l)
{
    const double least_rate = 10e6, least_room = 2 * GIB;
    struct runlock lock;
    struct statvfs system;
    struct err trouble;
    double rate = 0,
           room = statvfs(p->folder, &system) ? 0 : (double)system.f_bavail * (double)system.f_frsize;
    if (runlock_take(&lock, p->folder, t->dist->host, &trouble)) {
        selftest_find_error(l, another_folder, &trouble);
        return;
    }
    const bool locks = lock.held;
    const enum err_code code = save_adapter(t, p, &trouble) ? trouble.code : time_save(t, p, &rate, &trouble);
    runlock_release(&lock);
    selftest_number(l, "save_megabytes_per_second", rate / 1e6);
    selftest_number(l, "free_gigabytes", room / 1e9);
    selftest_find(l, SELFTEST_FINE, NULL,
                  "HDF5 %s saves and loads in %s (%s), at %.0f MB/s, with %.1f GB free", h5_version(),
                  p->parent, kind_of(p->parent), rate / 1e6, room / 1e9);
    if (code)
        selftest_find_error(l, another_folder, &trouble);
    else if (!locks)
        selftest_find(l, SELFTEST_SLOW,
                      "mount it with locks (Lustre: -o flock), or see to it that no two runs use one folder",
                      "%s has no locks (%s)", p->parent, kind_of(p->parent));
    else if (rate < least_rate)
        selftest_find(
            l, SELFTEST_SLOW,
            "give a folder on another file system with --output, or train with a larger --save-every",
            "%s (%s) takes %.1f MB/s", p->parent, kind_of(p->parent), rate / 1e6);
    else if (room < least_room)
        selftest_find(l, SELFTEST_SLOW,
                      "make room, or give a folder on another file system with --output, also to training",
                      "%s has %.2f GB free", p->parent, room / 1e9);
}

enum err_code selftest_files(struct selftest *t, struct selftest_line *l, struct err *e)
{
    struct dist *d = t->dist;
    struct trial p = {0};
    struct err trouble;
    bool made = false;
    if (d->rank == 0 && !is_limited(l)) {
        made = !make_folder(&p, options_given(t->options, "output") ? t->options->output : ".", &trouble);
        if (!made)
            selftest_find_error(l, another_folder, &trouble);
    }
    if (dist_broadcast(d, p.folder, sizeof p.folder, 0, e))
        return e->code;
    if (d->rank > 0 && *p.folder && !file_is_folder(p.folder))
        selftest_find(l, SELFTEST_SLOW,
                      "take one on a file system that all hosts share: data are read on each of them, and a "
                      "run that is started again may have its rank 0 elsewhere",
                      "it does not see the folder that rank 0 has made, %s", p.folder);
    enum err_code code = dist_agree(d, ERR_OK, e); /* all have looked */
    if (made)
        try_folder(t, &p, l);
    if (d->rank == 0)
        remove_folder(&p);
    return code;
}
