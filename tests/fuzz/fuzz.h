/*
 * What the fuzz targets share. A target is one file, fuzz_<reader>.c, with fuzz_read(): it lets a reader
 * loose on one input and uses all that comes out. What holds for every input is checked here: the reader
 * comes back, an error has a code and a message that names the file, and no input makes memory run short.
 *
 * Built by clang with MPILORA_FUZZ, libFuzzer makes up the inputs; in every other build replay.c runs those
 * of tests/fuzz/seeds and tests/fuzz/found as an ordinary test.
 */
#ifndef MPILORA_TESTS_FUZZ_H
#define MPILORA_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* The target's. `bytes` is not NULL; its errors name a file in the folder of fuzz_path(). */
enum err_code fuzz_read(const char *bytes, size_t size, struct err *e);

/* Stands between the parts of an input that is several files. */
#define FUZZ_CUT "\n====\n"

/* folder/name, in a folder of this process that is removed at its end; for the next four calls. */
const char *fuzz_path(const char *name);
const char *fuzz_folder(void);

/* Writes a file of that folder anew, and copies one from tests/golden into it. */
void fuzz_put(const char *name, const void *bytes, size_t size);
void fuzz_copy(const char *name, const char *golden);

/* Takes what stands before the first FUZZ_CUT (or all) from the input. */
struct fuzz_part {
    const char *bytes;
    size_t size;
};
struct fuzz_part fuzz_next(struct fuzz_part *rest);

/* Ends the process, and so finds a fault, if `good` is false; a call that must not fail. */
void fuzz_check(int good, const char *what);
void fuzz_need(enum err_code code, const struct err *e);

/* What has been tried and refused so far, and why the last input was; "" if it was not. */
void fuzz_tally(size_t *tried, size_t *refused, const char **reason);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t room);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t room, unsigned seed);

#endif
