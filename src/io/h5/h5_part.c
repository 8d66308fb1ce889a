#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "h5_checksum.h"
#include "h5_format.h"

#define CHECKSUM_SIZE 4

const unsigned char *h5_bytes(struct h5_part *p, uint64_t count)
{
    if (p->over || count > p->size - p->at) {
        p->over = true;
        return NULL;
    }
    const unsigned char *bytes = p->data + p->at;
    p->at += (size_t)count;
    return bytes;
}

uint64_t h5_number(struct h5_part *p, size_t bytes)
{
    uint64_t x = 0;
    const unsigned char *b = h5_bytes(p, bytes);
    for (size_t i = 0; b && i < bytes; i++)
        x |= (uint64_t)b[i] << (8 * i);
    return x;
}

enum err_code h5_damaged(const struct h5_reader *r, uint64_t address, const char *what, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: %s at byte %" PRIu64 ": the file is damaged: use another one", r->path,
                   what, address);
}

enum err_code h5_claim(struct h5_reader *r, uint64_t address, uint64_t size, struct err *e)
{
    if (address > r->file.size || size > r->file.size - address)
        return h5_damaged(r, address, "a part that lies outside of the file", e);
    if (size > r->left)
        return err_set(e, ERR_FORMAT,
                       "%s: has more in it than fits a file of its size: it is damaged: use another one",
                       r->path);
    r->left -= size;
    return ERR_OK;
}

enum err_code h5_fetch(struct h5_part *out, struct h5_reader *r, uint64_t address, uint64_t size,
                       struct arena *a, struct err *e)
{
    if (h5_claim(r, address, size, e))
        return e->code;
    unsigned char *data = arena_alloc(a, (size_t)size, 1, r->path, e);
    if (!data || file_in_read(data, &r->file, address, (size_t)size, e))
        return e->code;
    *out = (struct h5_part){.data = data, .address = address, .size = (size_t)size};
    return ERR_OK;
}

enum err_code h5_fetch_block(struct h5_part *out, struct h5_reader *r, uint64_t address, uint64_t size,
                             const char *letters, int version, struct arena *a, struct err *e)
{
    if (h5_fetch(out, r, address, size, a, e))
        return e->code;
    size_t front = strlen(letters) + (version != H5_NO_VERSION);
    if (size < front + CHECKSUM_SIZE || memcmp(out->data, letters, strlen(letters)) != 0 ||
        (version != H5_NO_VERSION && out->data[front - 1] != version))
        return h5_damaged(r, address, "no block of the kind and version that should be there", e);
    out->at = front;
    out->size -= CHECKSUM_SIZE;
    struct h5_part sum = {.data = out->data, .size = (size_t)size};
    sum.at = out->size;
    if (h5_number(&sum, CHECKSUM_SIZE) != h5_lookup3(out->data, out->size))
        return h5_damaged(r, address, "a block with a wrong checksum", e);
    return ERR_OK;
}

void h5_set_add(struct h5_set *s, struct h5_item *item)
{
    item->next = s->first;
    s->first = item;
    s->count++;
}

static int compare_items(const void *a, const void *b)
{
    const struct h5_item *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

enum err_code h5_set_sort(struct h5_set *s, const char **twice, struct arena *a, struct err *e)
{
    size_t count = 0;
    *twice = NULL;
    s->sorted = arena_alloc(a, s->count, sizeof *s->sorted, "names in a file", e);
    if (!s->sorted)
        return e->code;
    for (struct h5_item *i = s->first; i; i = i->next)
        s->sorted[count++] = i;
    qsort(s->sorted, count, sizeof *s->sorted, compare_items);
    for (size_t i = 1; i < count; i++)
        if (strcmp(s->sorted[i - 1]->name, s->sorted[i]->name) == 0)
            *twice = s->sorted[i]->name;
    return ERR_OK;
}

struct h5_item *h5_set_find(const struct h5_set *s, const char *name, size_t length)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct h5_item *item = s->sorted[middle];
        int order = strncmp(name, item->name, length);
        if (!order && !item->name[length])
            return item;
        if (order > 0)
            low = middle + 1;
        else /* also when `name` is the beginning of this one */
            high = middle;
    }
    return NULL;
}
