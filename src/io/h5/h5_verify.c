#include <string.h>

#include "h5_format.h"
#include "h5_manifest.h"

/* Bytes of the manifest for a byte of the file, at most: names of groups stand in it again for all below
 * them. */
#define MANIFEST_SHARE 4

static enum err_code add_attributes(struct str *manifest, const struct h5_object *o, const char *path,
                                    struct err *e)
{
    for (size_t i = 0; i < o->attributes.count; i++) {
        const struct h5_attribute *a = (const struct h5_attribute *)o->attributes.sorted[i];
        const void *bytes = a->kind == H5_KIND_TEXT   ? (const void *)a->text
                            : a->kind == H5_KIND_REAL ? (const void *)&a->real
                                                      : (const void *)&a->integer;
        if (!o->parent && strcmp(a->item.name, H5_HASH_NAME) == 0)
            continue;
        if (h5_manifest_add_attribute(manifest, path, a->item.name, h5_kind_names[a->kind], bytes,
                                      a->kind == H5_KIND_TEXT ? strlen(a->text) : 8, e))
            return e->code;
    }
    return ERR_OK;
}

static enum err_code add_dataset(struct str *manifest, struct h5_reader *r, const struct h5_array *a,
                                 const char *path, struct err *e)
{
    char hash[FILE_HASH_SIZE];
    struct file_hasher *hasher = file_hasher_open(e);
    if (!hasher)
        return e->code;
    enum err_code code = h5_array_read(NULL, hasher, r, a, path, e);
    file_hasher_finish(hasher, hash);
    return code ? code
                : h5_manifest_add_dataset(manifest, path, h5_type_name(a->type), a->dims, a->shape, hash, e);
}

static enum err_code add_object(struct str *manifest, struct h5_reader *r, const struct h5_object *o,
                                struct err *e)
{
    char path[H5_PATH_SIZE];
    if (!h5_object_path(path, o))
        return err_set(e, ERR_FORMAT, "%s: the path of an object is too long", r->path);
    if (add_attributes(manifest, o, path, e) ||
        (o->is_dataset && add_dataset(manifest, r, &o->array, path, e)))
        return e->code;
    if (manifest->length / MANIFEST_SHARE > r->file.size)
        return err_set(e, ERR_FORMAT, "%s: has more names in it than fit a file of its size: damaged",
                       r->path);
    for (size_t i = 0; i < o->members.count; i++)
        if (add_object(manifest, r, (const struct h5_object *)o->members.sorted[i], e))
            return e->code;
    return ERR_OK;
}

enum err_code h5_verify(struct h5_reader *r, struct err *e)
{
    struct str manifest = {0};
    char hash[FILE_HASH_SIZE];
    const char *wanted;
    enum err_code code = h5_get_text(&wanted, r, "/", H5_HASH_NAME, &r->scratch, e);
    if (!code)
        code = add_object(&manifest, r, r->root, e);
    if (!code)
        code = h5_manifest_hash(hash, &manifest, e);
    if (!code && strcmp(hash, wanted) != 0)
        code = err_set(e, ERR_FORMAT,
                       "%s: its content has the hash %s, not %s as it should: damaged; use another file",
                       r->path, hash, wanted);
    str_release(&manifest);
    return code;
}
