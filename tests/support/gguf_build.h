/*
 * Builds small GGUF files, right and wrong ones, piece by piece.
 */
#ifndef MPILORA_TESTS_GGUF_BUILD_H
#define MPILORA_TESTS_GGUF_BUILD_H

#include "base/str.h"
#include "io/store/gguf.h"
#include "unit.h"

static inline void put(struct str *s, const void *bytes, size_t length)
{
    struct err e;
    assert_ok(str_append(s, bytes, length, &e), &e);
}

static inline void put_u32(struct str *s, uint32_t x)
{
    put(s, &x, sizeof x);
}

static inline void put_u64(struct str *s, uint64_t x)
{
    put(s, &x, sizeof x);
}

static inline void put_text(struct str *s, const char *text)
{
    put_u64(s, strlen(text));
    put(s, text, strlen(text));
}

static inline void put_head(struct str *s, uint32_t version, uint64_t tensors, uint64_t keys)
{
    put(s, "GGUF", 4);
    put_u32(s, version);
    put_u64(s, tensors);
    put_u64(s, keys);
}

static inline void put_key(struct str *s, const char *name, enum gguf_type type, const void *value,
                           size_t size)
{
    put_text(s, name);
    put_u32(s, type);
    put(s, value, size);
}

static inline void put_tensor(struct str *s, const char *name, uint32_t dims, const uint64_t *ne,
                              uint32_t type, uint64_t offset)
{
    put_text(s, name);
    put_u32(s, dims);
    put(s, ne, dims * sizeof *ne);
    put_u32(s, type);
    put_u64(s, offset);
}

static inline void put_padding(struct str *s, size_t alignment)
{
    while (s->length % alignment != 0)
        put(s, "", 1);
}

#endif
