/*
 * The interface to a library for a compressed format: it expands from one buffer to another.
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
    bool whole; /* all input has been expanded and written out, and the file may end here */
};

struct unpacker {
    const char *name;
    unsigned char magic[4];
    size_t magic_length;
    void *(*open)(void); /* returns a new state; NULL: no memory */
    /* Reads and writes as much as it can; false if the input is damaged, with the reason in *why. */
    bool (*run)(void *state, struct unpack_buffers *b, const char **why);
    void (*close)(void *state);
};

extern const struct unpacker unpack_gzip; /* gzip.c, over zlib */
extern const struct unpacker unpack_zstd; /* zstd.c, over libzstd */

#endif
