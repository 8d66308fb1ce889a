#include "data/tokenizer/strmap.h"

#include <string.h>

/* Fewer than eight bytes as a word, all of them. */
static uint64_t load_tail(const char *key, size_t length)
{
    if (length >= 4) {
        uint32_t first, last;
        memcpy(&first, key, 4);
        memcpy(&last, key + length - 4, 4);
        return (uint64_t)last << 32 | first;
    }
    if (length == 0)
        return 0;
    return (uint64_t)(unsigned char)key[0] | (uint64_t)(unsigned char)key[length / 2] << 8 |
           (uint64_t)(unsigned char)key[length - 1] << 16;
}

/* Multiply-and-fold over words of eight bytes: good enough to spread vocabulary entries, and fast on short
 * keys. */
uint32_t strmap_hash(const char *key, size_t length)
{
    const uint64_t factor = 0x9E3779B97F4A7C15u;
    uint64_t h = length * factor;
    while (length >= 8) {
        uint64_t word;
        memcpy(&word, key, 8);
        h = (h ^ word) * factor;
        h ^= h >> 32;
        key += 8;
        length -= 8;
    }
    h = (h ^ load_tail(key, length)) * factor;
    return (uint32_t)(h >> 32);
}

enum err_code strmap_init(struct strmap *m, size_t capacity, struct arena *a, struct err *e)
{
    size_t slots = 16;
    while (slots / 2 < capacity && slots <= SIZE_MAX / 4)
        slots *= 2;
    m->slots = arena_alloc(a, slots, sizeof *m->slots, "string table", e);
    m->mask = slots - 1;
    return m->slots ? ERR_OK : e->code;
}

static struct strmap_slot *find_slot(const struct strmap *m, const char *key, size_t length, uint32_t hash)
{
    size_t i = hash & m->mask;
    while (m->slots[i].key != NULL && (m->slots[i].hash != hash || m->slots[i].length != length ||
                                       memcmp(m->slots[i].key, key, length) != 0))
        i = (i + 1) & m->mask;
    return &m->slots[i];
}

int32_t strmap_add(struct strmap *m, const char *key, size_t length, int32_t id)
{
    uint32_t hash = strmap_hash(key, length);
    struct strmap_slot *slot = find_slot(m, key, length, hash);
    if (slot->key == NULL)
        *slot = (struct strmap_slot){.key = key, .length = (uint32_t)length, .hash = hash, .id = id};
    return slot->id;
}

int32_t strmap_get_hashed(const struct strmap *m, const char *key, size_t length, uint32_t hash)
{
    const struct strmap_slot *slot = find_slot(m, key, length, hash);
    return slot->key != NULL ? slot->id : -1;
}

int32_t strmap_get(const struct strmap *m, const char *key, size_t length)
{
    return strmap_get_hashed(m, key, length, strmap_hash(key, length));
}
