/*
 * Calls of the C library that fail when a test says so, in the program and in the libraries that it uses:
 * link with `fault` (a shared library that stands before the C library), or preload that into a program and
 * tell it in the environment:
 *
 *   FAULT_CALLS=open,write,...  the kinds below that count; all: every one but memory and hdf5
 *   FAULT_UNDER=/path           only calls for paths that begin so (memory has none)
 *   FAULT_NTH=N, FAULT_LENGTH=K the Nth call, and K - 1 after it, fail (K is 1 without it)
 *   FAULT_WHILE=FILE            every call fails while this file exists
 *   FAULT_REPORT=FILE           is made when a call has failed
 *   FAULT_ERRNO=N               with this error number (EIO without it)
 *   FAULT_SIGNAL=N              the process gets this signal there instead, and the call is made
 */
#ifndef MPILORA_TESTS_FAULT_H
#define MPILORA_TESTS_FAULT_H

#include <stdbool.h>

enum fault_kind {
    FAULT_OPEN = 1,
    FAULT_READ = 2,
    FAULT_WRITE = 4,
    FAULT_TRUNCATE = 8,
    FAULT_SYNC = 16,
    FAULT_CLOSE = 32, /* closes all the same */
    FAULT_NAME = 64,  /* rename, symlink, mkdir, unlink */
    FAULT_FILES = 127,
    FAULT_MEMORY = 128, /* the program's own allocations */
    FAULT_HDF5 = 256,   /* those of the HDF5 library */
};

/* From now on the calls of these kinds are counted; those from number `first` (from 1; 0: none) up to `first`
 * + `length`
 * - 1 fail with `error`. */
void fault_arm(unsigned kinds, long first, long length, int error);

/* Calls work again; how many were counted since fault_arm(). */
long fault_disarm(void);

/* Can allocations fail? Not those of a sanitizer. */
bool fault_has_memory(void);

#endif
