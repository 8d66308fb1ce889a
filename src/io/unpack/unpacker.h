/*
 * What a library for a compressed format does here: from one buffer to another.
 */
#ifndef MPILORA_IO_UNPACK_UNPACKER_H
#define MPILORA_IO_UNPACK_UNPACKER_H

#include <stdbool.h>
#include <stddef.h>

struct unpack_buffers {
    const unsigned char *in;
    size_t in_left;
    unsigned char *out;
    size_t out_left;
    bool whole; /* all that was taken is given, and the file may end here */
};

struct unpacker {
    const char *name;
    unsigned char magic[4];
    size_t magic_length;
    void *(*open)(void); /* NULL: no memory */
    /* Takes and gives as much as it can; false when the input is damaged, with the reason. */
    bool (*run)(void *state, struct unpack_buffers *b, const char **why);
    void (*close)(void *state);
};

extern const struct unpacker unpack_gzip; /* gzip.c, over zlib */
extern const struct unpacker unpack_zstd; /* zstd.c, over libzstd */

#endif
