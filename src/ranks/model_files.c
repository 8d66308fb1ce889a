#include "ranks/model_files.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cpu.h"
#include "base/log.h"
#include "base/stop.h"
#include "model/arch.h"
#include "ranks/node_hash.h"

/* Bytes that travel at a time. */
#define PIECE ((size_t)16 << 20)

/* A file begins at a multiple of this, as in a mapping of its own. */
#define ALIGN ((size_t)4096)

#define NAME_SIZE 256

/* What the other nodes are told of a file. */
struct entry {
    char name[NAME_SIZE];
    uint64_t size;
};

struct list {
    uint64_t is_folder;
    struct entry *entries;
    size_t count;
};

static size_t padded(uint64_t size)
{
    return ((size_t)size + ALIGN - 1) / ALIGN * ALIGN;
}

static size_t file_count(const struct store *s)
{
    return s->text_count + s->file_count;
}

static const struct store_file *file_at(const struct store *s, size_t i)
{
    return i < s->text_count ? &s->texts[i] : &s->files[i - s->text_count];
}

static enum err_code make_list(struct list *l, const struct store *s, struct err *e)
{
    l->is_folder = s->kind == STORE_HF;
    l->count = file_count(s);
    l->entries = calloc(l->count, sizeof *l->entries);
    if (!l->entries)
        return err_set(e, ERR_MEMORY, "%s: no memory for the list of its files", s->path);
    for (size_t i = 0; i < l->count; i++) {
        const struct store_file *f = file_at(s, i);
        if (snprintf(l->entries[i].name, NAME_SIZE, "%s", f->name) >= NAME_SIZE)
            return err_set(e, ERR_UNSUPPORTED, "%s: its name is too long for --load broadcast", f->path);
        l->entries[i].size = f->map.size;
    }
    return ERR_OK;
}

/* Collective. Rank 0's list on all ranks. */
static enum err_code share_list(struct list *l, struct dist *d, const struct store *s, struct err *e)
{
    enum err_code code = dist_agree(d, d->rank == 0 ? make_list(l, s, e) : ERR_OK, e);
    void *bytes = l->entries;
    size_t length = l->count * sizeof *l->entries;
    if (!code)
        code = dist_broadcast(d, &l->is_folder, sizeof l->is_folder, 0, e);
    if (!code)
        code = dist_broadcast_block(d, &bytes, &length, 0, e);
    if (code)
        return code;
    l->entries = bytes;
    l->count = length / sizeof *l->entries;
    return ERR_OK;
}

/* Collective. Room for the image on the nodes that are to have one; who fills it takes part in the sending.
 */
static enum err_code make_room(struct model_files *m, bool *fills, struct dist *d, struct dist *node,
                               bool has_path, const struct list *l, struct err *e)
{
    size_t size = 0;
    for (size_t i = 0; i < l->count; i++)
        size += padded(l->entries[i].size);
    *fills = d->rank == 0;
    if (d->rank == 0 && d->world > node->world)
        log_note("sending the model's files, %.0f MiB, into the memory of each node but the first (--load "
                 "broadcast)",
                 (double)size / (1024 * 1024));
    enum err_code code = node_memory_open(&m->shared, d, node, has_path ? 0 : size, e);
    if (code || has_path)
        return dist_agree(d, code, e);
    m->size = size;
    *fills = !m->shared.memory || m->shared.mine;
    if (!m->shared.memory) {
        m->own = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (m->own == MAP_FAILED) {
            m->own = NULL;
            code = err_set(e, ERR_MEMORY, "rank %d on %s: no memory for the %zu bytes of the model's files",
                           d->rank, d->host, size);
        }
    }
    return dist_agree(d, code, e);
}

static unsigned char *image_bytes(const struct model_files *m)
{
    return m->shared.memory ? m->shared.memory : m->own;
}

/* Collective over the group, whose rank 0 has the file open; the others have room for it. */
static enum err_code send_file(struct dist *group, const struct file_in *f, unsigned char *room, size_t size,
                               unsigned char *buffer, struct err *e)
{
    enum err_code code = ERR_OK;
    for (size_t at = 0; at < size && !code; at += PIECE) {
        size_t length = size - at < PIECE ? size - at : PIECE;
        unsigned char *bytes = group->rank == 0 ? buffer : room + at;
        code = stop_check("the model was sent", e);
        if (!code && group->rank == 0)
            code = file_in_read(bytes, f, at, length, e);
        code = dist_agree(group, code, e);
        if (!code)
            code = dist_broadcast(group, bytes, length, 0, e);
    }
    return code;
}

/* The file that the store has mapped, to be read from its beginning. */
static enum err_code open_again(struct file_in *in, const struct store_file *f, struct err *e)
{
    if (file_in_open(in, f->path, e))
        return e->code;
    if (memcmp(&in->stamp, &f->map.stamp, sizeof in->stamp) == 0)
        return ERR_OK;
    return err_set(e, ERR_IO, "%s was changed while it was read: start again", f->path);
}

/* Collective over the group of those who fill an image, and rank 0. */
static enum err_code send_files(struct dist *group, const struct list *l, const struct store *s,
                                unsigned char *room, struct err *e)
{
    unsigned char *buffer = group->rank == 0 ? malloc(PIECE) : NULL;
    enum err_code code = ERR_OK;
    if (group->rank == 0 && !buffer)
        code = err_set(e, ERR_MEMORY, "no memory to send the model's files from");
    code = dist_agree(group, code, e);
    for (size_t i = 0; i < l->count && !code; i++) {
        struct file_in in = {0};
        if (group->rank == 0)
            code = open_again(&in, file_at(s, i), e);
        code = dist_agree(group, code, e);
        if (!code)
            code = send_file(group, &in, room, l->entries[i].size, buffer, e);
        file_in_close(&in);
        if (group->rank > 0)
            room += padded(l->entries[i].size);
    }
    free(buffer);
    return code;
}

/* Collective. */
static enum err_code fill_images(struct dist *d, bool fills, const struct list *l, const struct store *s,
                                 unsigned char *room, struct err *e)
{
    struct dist group;
    double begun = cpu_seconds();
    if (dist_split(&group, d, fills, e))
        return e->code;
    enum err_code code = fills && group.world > 1 ? send_files(&group, l, s, room, e) : ERR_OK;
    code = dist_agree(d, code, e);
    if (!code && d->rank == 0) {
        uint64_t bytes = 0;
        for (size_t i = 0; i < l->count; i++)
            bytes += l->entries[i].size;
        log_note("%s: %.1f MB read by rank 0 on %s; copies sent to other nodes: %d, in %.2f s", s->path,
                 (double)bytes / 1e6, d->host, group.world - 1, cpu_seconds() - begun);
    }
    dist_split_release(&group);
    return code;
}

static enum err_code open_image(struct model_files *m, struct store *s, const char *path,
                                const struct list *l, struct err *e)
{
    const unsigned char *at = image_bytes(m);
    m->names = l->entries;
    m->files = calloc(l->count, sizeof *m->files);
    if (!m->files)
        return err_set(e, ERR_MEMORY, "%s: no memory for the list of its files", path);
    for (size_t i = 0; i < l->count; i++) {
        m->files[i] =
            (struct store_file){.name = l->entries[i].name,
                                .map = {.data = l->entries[i].size ? at : NULL, .size = l->entries[i].size}};
        at += padded(l->entries[i].size);
    }
    m->image = (struct store_image){.is_folder = l->is_folder,
                                    .files = m->files,
                                    .count = l->count,
                                    .owned = !m->shared.memory || m->shared.mine};
    return store_open_image(s, path, &m->image, e);
}

/* Who cannot open the model, and what may help. */
static void explain(struct err *e, const struct dist *d, bool broadcast, bool is_first_node)
{
    static const char cure[] =
        "; where the first host alone has the model's files, or the file system is slow, "
        "--load broadcast sends them to the others";
    const struct err why = *e;
    if (d->rank > 0)
        err_set(e, why.code, "rank %d on %s: %s%s", d->rank, d->host, why.message, is_first_node ? "" : cure);
    else if (broadcast && d->world > 1)
        err_set(e, why.code, "rank 0 on %s, which is to read the model for all (--load broadcast): %s",
                d->host, why.message);
}

/* Collective. A store on each rank that is to open the path itself. */
static enum err_code open_path(struct store *s, struct dist *d, const char *path, bool broadcast,
                               bool is_first_node, struct err *e)
{
    enum err_code code = !broadcast || is_first_node ? store_open(s, path, e) : ERR_OK;
    if (code)
        explain(e, d, broadcast, is_first_node);
    return dist_agree(d, code, e);
}

/* Collective. */
static enum err_code receive(struct model_files *m, struct store *s, struct dist *d, struct dist *node,
                             const char *path, bool has_path, struct err *e)
{
    struct list l = {0};
    bool fills = false;
    enum err_code code = share_list(&l, d, s, e);
    if (!code)
        code = make_room(m, &fills, d, node, has_path, &l, e);
    if (!code)
        code = fill_images(d, fills, &l, s, image_bytes(m), e);
    if (!code && !has_path)
        code = open_image(m, s, path, &l, e);
    if (!m->names)
        free(l.entries);
    return dist_agree(d, code, e);
}

enum err_code model_files_open(struct model_files *m, struct store *store, struct dist *d, struct dist *node,
                               const char *path, bool broadcast, struct err *e)
{
    int leader = d->rank;
    *m = (struct model_files){0};
    *store = (struct store){0};
    enum err_code code = dist_agree(d, dist_broadcast(node, &leader, sizeof leader, 0, e), e);
    if (!code)
        code = open_path(store, d, path, broadcast, leader == 0, e);
    if (!code && broadcast)
        code = receive(m, store, d, node, path, leader == 0, e);
    if (code) {
        store_close(store);
        model_files_close(m);
    }
    return code;
}

/* Which files this rank has open: those that feed the same have the same bytes. */
static void describe(struct file_hasher *files, const struct model_files *m, const struct store *s,
                     const struct dist *d)
{
    int copy = m->own ? d->rank : -1;
    file_hasher_add(files, &copy, sizeof copy);
    for (size_t i = 0; i < file_count(s); i++)
        file_hasher_add(files, &file_at(s, i)->map.stamp, sizeof(struct file_stamp));
}

static enum err_code take_hash(char hash[FILE_HASH_SIZE], void *from, struct err *e)
{
    struct store *store = from;
    if (arch_hash(store, e))
        return e->code;
    memcpy(hash, store->hash, sizeof store->hash);
    return ERR_OK;
}

enum err_code model_files_hash(const struct model_files *m, struct store *store, struct dist *d,
                               struct dist *node, struct err *e)
{
    char hash[FILE_HASH_SIZE];
    struct file_hasher *files = file_hasher_open(e);
    if (files)
        describe(files, m, store, d);
    enum err_code code = node_hash(hash, files, take_hash, store, d, node, e);
    if (!code)
        memcpy(store->hash, hash, sizeof store->hash);
    return code;
}

void model_files_keep(struct model_files *m)
{
    m->image.owned = false;
}

void model_files_seal(struct model_files *m)
{
    model_files_keep(m);
    node_memory_seal(&m->shared);
    if (m->own)
        mprotect(m->own, m->size, PROT_READ);
}

void model_files_close(struct model_files *m)
{
    if (m->own)
        munmap(m->own, m->size);
    node_memory_close(&m->shared);
    free(m->files);
    free(m->names);
    *m = (struct model_files){0};
}
