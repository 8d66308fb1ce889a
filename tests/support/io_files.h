/*
 * For the tests of readers: a folder per test program (the group's setup and teardown), and whole files in
 * it.
 */
#ifndef MPILORA_TESTS_IO_FILES_H
#define MPILORA_TESTS_IO_FILES_H

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "scratch.h"
#include "unit.h"

static struct scratch test_scratch;

static int test_folder_make(void **state)
{
    (void)state;
    return scratch_open(&test_scratch) ? 0 : -1;
}

static int test_folder_remove(void **state)
{
    (void)state;
    scratch_close(&test_scratch);
    return 0;
}

static inline const char *test_path(const char *name)
{
    return scratch_path(&test_scratch, name);
}

static inline void test_file_write(const char *path, const void *bytes, size_t length)
{
    unlink(path); /* a new file: file systems flush one that is cut to nothing and written again */
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, length, f), length);
    assert_int_equal(fclose(f), 0);
}

static inline void test_file_read(struct str *out, const char *path)
{
    struct err e;
    assert_ok(file_read_all(out, path, (size_t)1 << 30, &e), &e);
}

#endif
