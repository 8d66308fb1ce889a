#include "train/expand.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "io/unpack.h"
#include "run/rundir.h"

/* The name of a copy, like that of a file half written, which rundir_clean() knows. */
static enum err_code choose_path(char path[PATH_MAX], const char *folder, const struct dist *d, struct err *e)
{
    char place[PATH_MAX];
    if (!folder)
        return file_temporary(path, PATH_MAX, rundir_name(RUNDIR_TEMPORARY_DATA), e);
    if (rundir_path(place, folder, RUNDIR_DATA, e))
        return e->code;
    /* Several nodes may expand into it. */
    if (snprintf(path, PATH_MAX, "%s" FILE_TEMPORARY "%ld-%s", place, (long)getpid(), d->host) >= PATH_MAX)
        return err_set(e, ERR_USAGE, "the path %s is too long", place);
    return ERR_OK;
}

/* Collective. Of file `f`, `kind` on this node. */
static enum err_code expand_file(struct dataset *data, size_t f, enum unpack_kind kind, const char *folder,
                                 struct dist *d, struct dist *node, struct err *e)
{
    char path[PATH_MAX] = "";
    enum err_code code = ERR_OK;
    const bool leads = node->rank == 0;
    if (leads && kind)
        code = choose_path(path, folder, d, e);
    if (!code && leads && kind) {
        log_note("expanding %s", data->paths[f]);
        unlink(path); /* of a process that was killed, and had this one's number */
        code = unpack_file(path, &data->files[f], kind, e);
    }
    code = dist_agree(d, code, e);
    if (code || dist_broadcast(node, path, sizeof path, 0, e))
        goto out;
    code = dist_agree(d, kind ? dataset_use_copy(data, f, path, e) : ERR_OK, e);
out:
    if (leads && kind)
        unlink(path);
    return code;
}

/* This rank's view of the files; all ranks go on together whether it is the same or not. */
static enum err_code recognise(enum unpack_kind *kinds, uint64_t *packed, const struct dataset *data, struct err *e)
{
    enum err_code code = ERR_OK;
    for (size_t f = 0; f < data->path_count && !code; f++) {
        code = unpack_recognise(&kinds[f], &data->files[f], e);
        *packed += kinds[f] != UNPACK_NONE;
    }
    return code;
}

enum err_code expand_data(struct dataset *data, const char *folder, struct dist *d, struct err *e)
{
    struct dist node = {0};
    uint64_t packed = 0;
    enum unpack_kind *kinds = calloc(data->path_count, sizeof *kinds);
    enum err_code code =
        kinds ? recognise(kinds, &packed, data, e) : err_set(e, ERR_MEMORY, "no memory for a list of files");
    code = dist_agree(d, code, e);
    assert(kinds || code);
    if (!code)
        code = dist_max_u64(d, &packed, 1, e);
    if (!code && packed)
        code = dist_split_node(&node, d, e);
    if (!code && packed) {
        if (!folder && node.rank == 0)
            rundir_clean(file_temporary_folder(), RUNDIR_OF_TEMPORARY);
        for (size_t f = 0; f < data->path_count && !code; f++)
            code = expand_file(data, f, kinds[f], folder, d, &node, e);
        dist_split_release(&node);
    }
    free(kinds);
    return code;
}
