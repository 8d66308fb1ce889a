#include <stdlib.h>
#include <string.h>

#include "h5_format.h"
#include "h5_manifest.h"

#define PIECE ((size_t)1 << 20)

static enum err_code add_attributes(struct str *manifest, const struct h5_object *o, struct err *e)
{
    for (const struct h5_attribute *a = o->attributes; a; a = a->next) {
        if (!o->path[1] && strcmp(a->name, H5_HASH_NAME) == 0)
            continue;
        if (h5_manifest_add_attribute(manifest, o->path, a->name, h5_type_name(a->type), a->value, a->size,
                                      e))
            return e->code;
    }
    return ERR_OK;
}

static enum err_code hash_array(struct h5_array *a, struct h5_reader *r, unsigned char *piece, struct err *e)
{
    struct file_hasher *hasher = file_hasher_open(e);
    if (!hasher)
        return e->code;
    enum err_code code = a->bytes ? h5_claim(r, a->address, a->bytes, e) : ERR_OK;
    for (uint64_t at = 0, bytes; !code && at < a->bytes; at += bytes) {
        bytes = a->bytes - at < PIECE ? a->bytes - at : PIECE;
        code = file_in_read(piece, &r->file, a->address + at, (size_t)bytes, e);
        file_hasher_add(hasher, piece, code ? 0 : (size_t)bytes);
    }
    file_hasher_finish(hasher, a->hash);
    return code;
}

static enum err_code add_objects(struct str *manifest, struct h5_reader *r, unsigned char *piece,
                                 struct err *e)
{
    for (struct h5_object *o = r->first; o; o = o->next) {
        struct h5_array *a = &o->array;
        if (add_attributes(manifest, o, e))
            return e->code;
        if (o->is_dataset &&
            (hash_array(a, r, piece, e) || h5_manifest_add_dataset(manifest, o->path, h5_type_name(a->type),
                                                                   a->dims, a->shape, a->hash, e)))
            return e->code;
    }
    return ERR_OK;
}

enum err_code h5_verify(struct h5_reader *r, struct err *e)
{
    struct str manifest = {0};
    char hash[FILE_HASH_SIZE];
    const char *wanted;
    if (h5_get_text(&wanted, r, "/", H5_HASH_NAME, &r->scratch, e))
        return e->code;
    unsigned char *piece = malloc(PIECE);
    enum err_code code = piece ? add_objects(&manifest, r, piece, e)
                               : err_set(e, ERR_MEMORY, "not enough memory to verify %s", r->path);
    if (!code)
        code = h5_manifest_hash(hash, &manifest, e);
    if (!code && strcmp(hash, wanted) != 0)
        code = err_set(e, ERR_FORMAT,
                       "%s: its content has the hash %s, not %s as it should: damaged; use another file",
                       r->path, hash, wanted);
    free(piece);
    str_release(&manifest);
    return code;
}
