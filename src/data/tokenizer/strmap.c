#include "data/tokenizer/strmap.h"

#include <string.h>

/* Multiply-and-fold over words of eight bytes: good enough to spread vocabulary entries, and fast on short
 * keys. */
static uint32_t hash_bytes(const char *key, size_t length)
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
    uint64_t word = 0;
    for (size_t i = 0; i < length; i++)
        word |= (uint64_t)(unsigned char)key[i] << (8 * i);
    h = (h ^ word) * factor;
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
    uint32_t hash = hash_bytes(key, length);
    struct strmap_slot *slot = find_slot(m, key, length, hash);
    if (slot->key == NULL)
        *slot = (struct strmap_slot){.key = key, .length = (uint32_t)length, .hash = hash, .id = id};
    return slot->id;
}

int32_t strmap_get(const struct strmap *m, const char *key, size_t length)
{
    const struct strmap_slot *slot = find_slot(m, key, length, hash_bytes(key, length));
    return slot->key != NULL ? slot->id : -1;
}
