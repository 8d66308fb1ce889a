#include "unit.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "scratch.h"

SCRATCH_OF_GROUP(scratch, set_up, tear_down)

static int entries;

static int count_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)path, (void)st, (void)kind;
    entries += at->level == 1;
    return 0;
}

/* What the scratch folder holds: no temporary file may be left behind. */
static int count_entries(void)
{
    entries = 0;
    nftw(scratch.folder, count_entry, 4, FTW_PHYS);
    return entries;
}

static void writes_reads_and_maps(void **state)
{
    (void)state;
    struct err e;
    struct str text = {0};
    struct file_map map;
    const char *path = scratch_path(&scratch, "a.bin");
    assert_ok(file_write_atomic(path, "one\0two", 7, &e), &e);
    assert_ok(file_write_atomic(path, "three", 5, &e), &e); /* replaces */
    assert_ok(file_read_all(&text, path, 5, &e), &e);
    assert_string_equal(text.data, "three");
    assert_error(file_read_all(&text, path, 4, &e), &e, ERR_FORMAT, "a.bin");
    assert_int_equal(text.length, 0);
    assert_ok(file_map_open(&map, path, &e), &e);
    assert_int_equal(map.size, 5);
    assert_memory_equal(map.data, "three", 5);
    file_map_close(&map);
    assert_null(map.data);
    assert_ok(file_write_atomic(path, NULL, 0, &e), &e);
    assert_ok(file_map_open(&map, path, &e), &e);
    assert_non_null(map.data);
    assert_int_equal(map.size, 0);
    file_map_close(&map);
    assert_ok(file_read_all(&text, path, 0, &e), &e);
    assert_string_equal(text.data, "");
    str_release(&text);
    assert_int_equal(count_entries(), 1);
}

static void reads_pieces_of_an_open_file(void **state)
{
    (void)state;
    struct err e;
    struct file_in f;
    struct file_map map;
    char bytes[5] = "";
    const char *path = scratch_path(&scratch, "pieces");
    assert_ok(file_write_atomic(path, "abcdefgh", 8, &e), &e);
    assert_ok(file_in_open(&f, path, &e), &e);
    assert_int_equal(f.size, 8);
    assert_ok(file_in_read(bytes, &f, 4, 4, &e), &e);
    assert_string_equal(bytes, "efgh");
    assert_ok(file_in_read(bytes, &f, 8, 0, &e), &e);
    assert_error(file_in_read(bytes, &f, 5, 4, &e), &e, ERR_IO, "pieces has become shorter");
    assert_ok(file_in_map(&map, &f, &e), &e);
    unlink(path);
    assert_ok(file_in_read(bytes, &f, 0, 4, &e), &e);
    assert_string_equal(bytes, "abcd");
    file_in_close(&f);
    file_in_close(&f);
    assert_memory_equal(map.data, "abcdefgh", 8);
    file_map_close(&map);
    assert_error(file_in_open(&f, scratch.folder, &e), &e, ERR_IO, "is a folder");
    file_in_close(&f);
}

static void names_what_cannot_be_read(void **state)
{
    (void)state;
    struct err e;
    struct str text = {0};
    struct file_map map;
    const char *missing = scratch_path(&scratch, "missing"), *fifo = scratch_path(&scratch, "fifo");
    assert_error(file_map_open(&map, missing, &e), &e, ERR_IO, missing);
    assert_error(file_read_all(&text, missing, 9, &e), &e, ERR_IO, "No such file");
    assert_error(file_map_open(&map, scratch.folder, &e), &e, ERR_IO, "is a folder");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_error(file_map_open(&map, fifo, &e), &e, ERR_IO, "not a regular file"); /* and does not hang */
    assert_int_equal(unlink(fifo), 0);
    str_release(&text);
}

static void leaves_the_old_file_when_writing_fails(void **state)
{
    (void)state;
    struct err e;
    struct str text = {0};
    assert_error(file_write_atomic(scratch_path(&scratch, "no/such/file"), "x", 1, &e), &e, ERR_IO,
                 "no/such");
    /* A folder in the place of the file: the rename fails, and the temporary file must go. */
    assert_ok(file_make_folders(scratch_path(&scratch, "taken/inside"), &e), &e);
    assert_error(file_write_atomic(scratch_path(&scratch, "taken"), "x", 1, &e), &e, ERR_IO, "rename");
    assert_true(file_is_folder(scratch_path(&scratch, "taken/inside")));
    const char *path = scratch_path(&scratch, "kept");
    assert_ok(file_write_atomic(path, "old", 3, &e), &e);
    /* A full disk, played by a limit on the size of files. */
    struct rlimit full, before;
    static const char large[100000];
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    full = (struct rlimit){50000, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
    enum err_code code = file_write_atomic(path, large, sizeof large, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(code, ERR_IO);
    assert_non_null(strstr(e.message, "kept"));
    assert_int_equal(count_entries(), 3); /* a.bin, taken, kept */
    assert_error(file_commit(scratch_path(&scratch, "nothing"), path, &e), &e, ERR_IO, "nothing");
    assert_ok(file_read_all(&text, path, 100, &e), &e);
    assert_string_equal(text.data, "old");
    str_release(&text);
}

static void plant(const char *name)
{
    FILE *f = fopen(scratch_path(&scratch, name), "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
}

/* Names as killed writers leave them go, unless a process holds the file; all other names stay. */
static void deletes_what_killed_writers_left(void **state)
{
    (void)state;
    static const char *const left[] = {"out.tmp1", "out.tmp99999999"};
    static const char *const others[] = {"out.tmp",   "out.tmp1x", "out.tmpx", "out.temp1",
                                         "xout.tmp1", "out2.tmp1", "out"};
    struct err e;
    for (size_t i = 0; i < 2; i++)
        plant(left[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        plant(others[i]);
    assert_int_equal(symlink("out.tmp1x", scratch_path(&scratch, "out.tmp77")), 0);
    struct file_out f;
    assert_ok(file_out_replace(&f, scratch_path(&scratch, "out"), &e), &e); /* a writer that is at work */
    for (size_t i = 0; i < 2; i++)
        assert_false(file_exists(scratch_path(&scratch, left[i])));
    char own[PATH_MAX];
    snprintf(own, sizeof own, "%s", scratch_path(&scratch, "out.tmp5"));
    assert_int_equal(rename(f.temporary, own), 0); /* as if of another process */
    assert_ok(file_write_atomic(scratch_path(&scratch, "out"), "new", 3, &e), &e);
    assert_true(file_exists(own));
    assert_int_equal(close(f.fd), 0);
    assert_ok(file_write_atomic(scratch_path(&scratch, "out"), "new", 3, &e), &e);
    assert_false(file_exists(own));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_true(file_exists(scratch_path(&scratch, others[i])));
        assert_int_equal(unlink(scratch_path(&scratch, others[i])), 0);
    }
    assert_int_equal(unlink(scratch_path(&scratch, "out.tmp77")), 0); /* a link is not ours */
}

static void commits_a_finished_file(void **state)
{
    (void)state;
    struct err e;
    struct str text = {0};
    const char *temporary = scratch_path(&scratch, "new.tmp"), *path = scratch_path(&scratch, "kept");
    assert_ok(file_write_atomic(temporary, "new", 3, &e), &e);
    assert_ok(file_commit(temporary, path, &e), &e);
    assert_false(file_exists(temporary));
    assert_ok(file_read_all(&text, path, 100, &e), &e);
    assert_string_equal(text.data, "new");
    str_release(&text);
}

static void makes_folders(void **state)
{
    (void)state;
    struct err e;
    const char *deep = scratch_path(&scratch, "x//y/z/");
    assert_ok(file_make_folders(deep, &e), &e);
    assert_ok(file_make_folders(deep, &e), &e); /* again is fine */
    assert_true(file_is_folder(scratch_path(&scratch, "x/y/z")));
    assert_error(file_make_folders(scratch_path(&scratch, "a.bin/y"), &e), &e, ERR_IO, "a.bin");
    assert_error(file_make_folders(scratch_path(&scratch, "a.bin"), &e), &e, ERR_IO, "Not a directory");
    assert_error(file_make_folders("", &e), &e, ERR_USAGE, "empty");
    assert_ok(file_make_folders("/", &e), &e);
}

static void joins_paths(void **state)
{
    (void)state;
    struct err e;
    char path[8];
    assert_ok(file_join(path, sizeof path, "abc", "def", &e), &e);
    assert_string_equal(path, "abc/def");
    assert_ok(file_join(path, sizeof path, "abc/", "def", &e), &e);
    assert_string_equal(path, "abc/def");
    assert_ok(file_join(path, sizeof path, "", "def", &e), &e);
    assert_string_equal(path, "def");
    assert_error(file_join(path, sizeof path, "abc", "defg", &e), &e, ERR_USAGE, "abc/defg");
}

/* Known answers from the xxhsum program (-H2). */
static void hashes_as_xxhsum_does(void **state)
{
    (void)state;
    struct err e;
    char hash[FILE_HASH_SIZE], streamed[FILE_HASH_SIZE];
    file_hash_bytes(hash, NULL, 0);
    assert_string_equal(hash, "99aa06d3014798d86001c324468d497f");
    file_hash_bytes(hash, "abc", 3);
    assert_string_equal(hash, "06b05ab6733a618578af5f94892f3950");
    static unsigned char bytes[100000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * i >> 3);
    file_hash_bytes(hash, bytes, sizeof bytes);
    struct file_hasher *h = file_hasher_open(&e);
    assert_non_null(h);
    for (size_t at = 0, step = 0; at < sizeof bytes; at += step) {
        step = at % 977 + 1;
        step = step < sizeof bytes - at ? step : sizeof bytes - at;
        file_hasher_add(h, bytes + at, step);
        file_hasher_add(h, NULL, 0);
    }
    file_hasher_finish(h, streamed);
    assert_string_equal(hash, streamed);
    bytes[77777] ^= 1;
    file_hash_bytes(streamed, bytes, sizeof bytes);
    assert_string_not_equal(hash, streamed);
}

/* Pages that are dropped are read again from the file; memory that is not of the mapping is left alone. */
static void dropped_bytes_stay_readable(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    struct err e;
    struct file_map map;
    char *own = malloc(SIZE);
    const char *path = scratch_path(&scratch, "dropped");
    for (size_t i = 0; i < SIZE; i++)
        own[i] = (char)(i % 251);
    assert_ok(file_write_atomic(path, own, SIZE, &e), &e);
    assert_ok(file_map_open(&map, path, &e), &e);
    for (int i = 0; i < 2; i++) {
        assert_memory_equal(map.data, own, SIZE);
        file_map_drop(&map, map.data + 1, SIZE - 2); /* whole pages only */
        file_map_drop(&map, map.data, 0);
        file_map_drop(&map, own, SIZE);
    }
    assert_memory_equal(map.data, own, SIZE);
    file_map_close(&map);
    assert_int_equal((unsigned char)own[SIZE - 1], (SIZE - 1) % 251);
    free(own);
    unlink(path);
}

static void last_part_of_a_path(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"a/b/c", "c"}, {"a/b/c//", "c"}, {"a", "a"}, {"/a", "a"}, {"", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t length;
        const char *part = file_last_part(&length, cases[i][0]);
        assert_int_equal(length, strlen(cases[i][1]));
        assert_memory_equal(part, cases[i][1], length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(last_part_of_a_path),
        cmocka_unit_test(dropped_bytes_stay_readable),
        cmocka_unit_test(writes_reads_and_maps),
        cmocka_unit_test(reads_pieces_of_an_open_file),
        cmocka_unit_test(names_what_cannot_be_read),
        cmocka_unit_test(leaves_the_old_file_when_writing_fails),
        cmocka_unit_test(deletes_what_killed_writers_left),
        cmocka_unit_test(commits_a_finished_file),
        cmocka_unit_test(makes_folders),
        cmocka_unit_test(joins_paths),
        cmocka_unit_test(hashes_as_xxhsum_does),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
