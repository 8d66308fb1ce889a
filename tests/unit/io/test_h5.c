#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/limits.h"
#include "io_files.h"
#include "io/h5/h5.h"

#define ROWS 3
#define COLS 5

static const uint64_t matrix_shape[2] = {ROWS, COLS};

static void fill(float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = (float)i * 0.25f - 1.0f;
}

/* A small file with every kind of content. */
static void write_sample(const char *path)
{
    struct err e;
    struct h5_writer *w;
    float matrix[ROWS * COLS];
    const int32_t tokens[4] = {1, -2, 3, 2147483647};
    const int8_t marks[4] = {0, 1, 1, -1};
    const uint64_t places[2] = {UINT64_MAX, 7};
    fill(matrix, ROWS * COLS);
    assert_ok(h5_create(&w, path, &e), &e);
    h5_write(w, "/adapter/q_proj/lora_A", H5_F32, 2, matrix_shape, matrix);
    h5_write(w, "/adapter/q_proj/lora_B", H5_F32, 2, (const uint64_t[]){0, COLS}, NULL);
    h5_write(w, "/examples/0/tokens", H5_I32, 1, (const uint64_t[]){4}, tokens);
    h5_write(w, "/examples/0/supervised", H5_I8, 1, (const uint64_t[]){4}, marks);
    h5_write(w, "/places", H5_U64, 1, (const uint64_t[]){2}, places);
    h5_attribute_int(w, "/", "step", -12345678901234);
    h5_attribute_text(w, "/", "options", "learning-rate: 1e-4 \xc3\xa9");
    h5_attribute_text(w, "/", "empty", "");
    h5_write_text(w, "/config", "model: \xc3\xa9\n");
    h5_write_text(w, "/nothing", "");
    h5_attribute_real(w, "/adapter/q_proj", "scale", 0.1);
    h5_attribute_int(w, "/places", "unit", 2);
    h5_attribute_int(w, "/made/on/the/way", "x", 1);
    assert_ok(h5_commit(w, &e), &e);
}

/* Reads all of it; ERR_OK only when every value is the one that was written. */
static enum err_code read_sample(const char *path, bool verify, struct err *e)
{
    struct h5_reader *r;
    struct arena a = {0};
    float want[ROWS * COLS], matrix[ROWS * COLS] = {0};
    int32_t tokens[4] = {0};
    int8_t marks[4] = {0};
    uint64_t places[2] = {0};
    int64_t step = 0, unit = 0, x = 0;
    double scale = 0;
    const char *options = "", *empty = "x", *text = "", *nothing = "x";
    fill(want, ROWS * COLS);
    if (h5_open(&r, path, verify, e))
        return e->code;
    enum err_code code = h5_read(r, "/adapter/q_proj/lora_A", H5_F32, 2, matrix_shape, matrix, e);
    code =
        code ? code : h5_read(r, "/adapter/q_proj/lora_B", H5_F32, 2, (const uint64_t[]){0, COLS}, NULL, e);
    code = code ? code : h5_read(r, "/examples/0/tokens", H5_I32, 1, (const uint64_t[]){4}, tokens, e);
    code = code ? code : h5_read(r, "/examples/0/supervised", H5_I8, 1, (const uint64_t[]){4}, marks, e);
    code = code ? code : h5_read(r, "/places", H5_U64, 1, (const uint64_t[]){2}, places, e);
    code = code ? code : h5_get_int(&step, r, "/", "step", e);
    code = code ? code : h5_get_text(&options, r, "/", "options", &a, e);
    code = code ? code : h5_get_text(&empty, r, "/", "empty", &a, e);
    code = code ? code : h5_read_text(&text, r, "/config", &a, e);
    code = code ? code : h5_read_text(&nothing, r, "/nothing", &a, e);
    code = code ? code : h5_get_real(&scale, r, "/adapter/q_proj", "scale", e);
    code = code ? code : h5_get_int(&unit, r, "/places", "unit", e);
    code = code ? code : h5_get_int(&x, r, "/made/on/the/way", "x", e);
    h5_close(r);
    if (!code &&
        (memcmp(matrix, want, sizeof want) != 0 || tokens[1] != -2 || tokens[3] != 2147483647 ||
         tokens[0] != 1 || tokens[2] != 3 || memcmp(marks, "\0\1\1\xff", 4) != 0 || places[0] != UINT64_MAX ||
         places[1] != 7 || step != -12345678901234 || *empty || scale != 0.1 || unit != 2 || x != 1 ||
         strcmp(options, "learning-rate: 1e-4 \xc3\xa9") != 0 || strcmp(text, "model: \xc3\xa9\n") != 0 ||
         *nothing))
        fail_msg("a wrong value was read without an error");
    arena_release(&a);
    return code;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct err e;
    struct arena a = {0};
    struct h5_reader *r;
    const char **names;
    size_t count;
    uint64_t shape[2];
    write_sample(test_path("sample.h5"));
    assert_ok(read_sample(test_path("sample.h5"), true, &e), &e);
    assert_ok(h5_open(&r, test_path("sample.h5"), true, &e), &e);
    assert_ok(h5_shape(r, "/adapter/q_proj/lora_A", H5_F32, 2, shape, &e), &e);
    assert_true(shape[0] == ROWS && shape[1] == COLS);
    assert_true(h5_exists(r, "/") && h5_exists(r, "/adapter") && h5_exists(r, "/adapter/q_proj/lora_A"));
    assert_false(h5_exists(r, "/adapter/k_proj/lora_A") || h5_exists(r, "") || h5_exists(r, "adapter"));
    assert_ok(h5_list_groups(&names, &count, r, "/adapter", "lora_A", &a, &e), &e);
    assert_int_equal(count, 1);
    assert_string_equal(names[0], "/adapter/q_proj");
    assert_ok(h5_list_groups(&names, &count, r, "/adapter", "q_proj", &a, &e), &e);
    assert_int_equal(count, 0); /* the group itself is not below it */
    assert_ok(h5_list_groups(&names, &count, r, "/exam", "tokens", &a, &e), &e);
    assert_int_equal(count, 0);
    assert_ok(h5_list_groups(&names, &count, r, "/examples", "tokens", &a, &e), &e);
    assert_int_equal(count, 1);
    assert_string_equal(names[0], "/examples/0");
    h5_close(r);
    arena_release(&a);
}

static void test_the_wrong_thing_is_refused(void **state)
{
    (void)state;
    struct err e;
    struct arena a = {0};
    struct h5_reader *r;
    const char *text;
    uint64_t shape[2];
    float matrix[ROWS * COLS];
    int64_t value;
    double real;
    write_sample(test_path("sample.h5"));
    assert_ok(h5_open(&r, test_path("sample.h5"), true, &e), &e);
    assert_int_equal(h5_shape(r, "/absent", H5_F32, 2, shape, &e), ERR_FORMAT);
    assert_non_null(strstr(e.message, "/absent"));
    assert_int_equal(h5_shape(r, "/adapter", H5_F32, 2, shape, &e), ERR_FORMAT);
    assert_int_equal(h5_shape(r, "/places", H5_F32, 1, shape, &e), ERR_FORMAT);
    assert_int_equal(h5_shape(r, "/places", H5_U64, 2, shape, &e), ERR_FORMAT);
    assert_int_equal(
        h5_read(r, "/adapter/q_proj/lora_A", H5_F32, 2, (const uint64_t[]){COLS, ROWS}, matrix, &e),
        ERR_FORMAT);
    assert_non_null(strstr(e.message, "dimension 0"));
    assert_int_equal(h5_read_text(&text, r, "/places", &a, &e), ERR_FORMAT);
    assert_int_equal(h5_read_text(&text, r, "/absent", &a, &e), ERR_FORMAT);
    assert_int_equal(h5_get_int(&value, r, "/", "absent", &e), ERR_FORMAT);
    assert_int_equal(h5_get_int(&value, r, "/absent", "step", &e), ERR_FORMAT);
    assert_int_equal(h5_get_int(&value, r, "/", "options", &e), ERR_FORMAT);
    assert_int_equal(h5_get_real(&real, r, "/", "step", &e), ERR_FORMAT);
    assert_int_equal(h5_get_text(&text, r, "/", "step", &a, &e), ERR_FORMAT);
    h5_close(r);
    arena_release(&a);
    assert_int_equal(h5_open(&r, test_path("no-such-file"), true, &e), ERR_IO);
    test_file_write(test_path("text.h5"), "hello", 5);
    assert_int_equal(h5_open(&r, test_path("text.h5"), true, &e), ERR_FORMAT);
    assert_null(r);
}

/* Larger than the pieces in which an array is hashed; whole pieces, and some bytes over. */
static void test_large_arrays(void **state)
{
    (void)state;
    static const uint64_t shapes[][2] = {{5, 700001}, {2, 131072}, {3000001, 1}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        struct err e;
        struct h5_writer *w;
        struct h5_reader *r;
        size_t count = (size_t)(shapes[s][0] * shapes[s][1]);
        float *x = malloc(count * sizeof *x), *y = calloc(count, sizeof *y);
        assert_true(x && y);
        fill(x, count);
        assert_ok(h5_create(&w, test_path("large.h5"), &e), &e);
        h5_write(w, "/x", H5_F32, 2, shapes[s], x);
        assert_ok(h5_commit(w, &e), &e);
        assert_ok(h5_open(&r, test_path("large.h5"), true, &e), &e);
        assert_ok(h5_read(r, "/x", H5_F32, 2, shapes[s], y, &e), &e);
        assert_memory_equal(x, y, count * sizeof *x);
        h5_close(r);
        free(x);
        free(y);
    }
}

static void hash_of(char hash[64], const char *path)
{
    struct err e;
    struct arena a = {0};
    struct h5_reader *r;
    const char *text;
    assert_ok(h5_open(&r, path, true, &e), &e);
    assert_int_equal(h5_get_text(&text, r, "/", "content_hash", &a, &e), ERR_OK);
    snprintf(hash, 64, "%s", text);
    h5_close(r);
    arena_release(&a);
}

static void test_hash_is_of_the_content(void **state)
{
    (void)state;
    char hash[4][64];
    for (int i = 0; i < 4; i++) {
        struct err e;
        struct h5_writer *w;
        const int32_t one = 1, two = i == 2 ? 3 : 2;
        assert_ok(h5_create(&w, test_path("hash.h5"), &e), &e);
        if (i == 1) {
            h5_write(w, "/b", H5_I32, 1, (const uint64_t[]){1}, &two);
            h5_write(w, "/a", H5_I32, 1, (const uint64_t[]){1}, &one);
        } else {
            h5_write(w, "/a", H5_I32, 1, (const uint64_t[]){1}, &one);
            h5_write(w, i == 3 ? "/c" : "/b", H5_I32, 1, (const uint64_t[]){1}, &two);
        }
        assert_ok(h5_commit(w, &e), &e);
        hash_of(hash[i], test_path("hash.h5"));
    }
    assert_string_equal(hash[0], hash[1]); /* another order of writing */
    assert_string_not_equal(hash[0], hash[2]);
    assert_string_not_equal(hash[0], hash[3]);
}

static void test_every_truncation(void **state)
{
    (void)state;
    struct err e;
    struct str bytes = {0};
    write_sample(test_path("sample.h5"));
    test_file_read(&bytes, test_path("sample.h5"));
    for (size_t length = 0; length < bytes.length; length++) {
        test_file_write(test_path("cut.h5"), bytes.data, length);
        assert_int_not_equal(read_sample(test_path("cut.h5"), true, &e), ERR_OK);
        assert_int_not_equal(read_sample(test_path("cut.h5"), false, &e), ERR_OK);
    }
    str_release(&bytes);
}

/* A flipped bit either changes nothing that is read or is an error: read_sample() fails the test otherwise.
 */
static void test_every_flipped_byte(void **state)
{
    (void)state;
    struct err e;
    struct str bytes = {0};
    int refused = 0;
    write_sample(test_path("sample.h5"));
    test_file_read(&bytes, test_path("sample.h5"));
    for (size_t i = 0; i < bytes.length; i++) {
        char kept = bytes.data[i];
        bytes.data[i] ^= (char)(1 << i % 8);
        test_file_write(test_path("flip.h5"), bytes.data, bytes.length);
        bytes.data[i] = kept;
        refused += read_sample(test_path("flip.h5"), true, &e) != ERR_OK;
    }
    assert_true(refused > 500);
    str_release(&bytes);
}

static int count_files(void)
{
    int count = 0;
    DIR *folder = opendir(test_scratch.folder);
    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(folder);
    return count;
}

/* The file system says no at every point of the writing, once after another: each time it is an error, the
 * old file stays, no temporary one does, and the next file is written as if nothing had happened. */
static void test_a_full_disk_keeps_the_old_file(void **state)
{
    (void)state;
    struct err e;
    struct str before = {0}, after = {0};
    struct rlimit saved;
    size_t count = 200000;
    float *x = malloc(count * sizeof *x);
    assert_non_null(x);
    fill(x, count);
    write_sample(test_path("kept.h5"));
    test_file_read(&before, test_path("kept.h5"));
    int files = count_files();
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &saved), 0);
    for (rlim_t limit = 0; limit < 800000; limit += limit < 4000 ? 500 : 53777) {
        struct h5_writer *w;
        struct rlimit small = {limit, saved.rlim_max};
        char name[32];
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        enum err_code code = h5_create(&w, test_path("kept.h5"), &e);
        for (size_t i = 0; !code && i < 50; i++) {
            snprintf(name, sizeof name, "/set/%zu", i);
            h5_write(w, name, H5_F32, 1, (const uint64_t[]){count / 50}, x + i * (count / 50));
            h5_attribute_int(w, name, "index", (int64_t)i);
        }
        code = code ? code : h5_commit(w, &e);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &saved), 0);
        assert_int_equal(code, ERR_IO);
        assert_non_null(strstr(e.message, "kept.h5"));
        assert_int_equal(count_files(), files);
    }
    test_file_read(&after, test_path("kept.h5"));
    assert_int_equal(before.length, after.length);
    assert_memory_equal(before.data, after.data, after.length);
    write_sample(test_path("next.h5"));
    assert_ok(read_sample(test_path("next.h5"), true, &e), &e);
    str_release(&before);
    str_release(&after);
    free(x);
}

static void test_errors_are_sticky(void **state)
{
    (void)state;
    struct err e;
    struct h5_writer *w;
    const int32_t one = 1;
    unlink(test_path("sticky.h5"));
    assert_ok(h5_create(&w, test_path("sticky.h5"), &e), &e);
    h5_write(w, "/a", H5_I32, 1, (const uint64_t[]){1}, &one);
    h5_write(w, "/a", H5_I32, 1, (const uint64_t[]){1}, &one); /* there already */
    h5_write(w, "/b", H5_I32, 1, (const uint64_t[]){1}, &one);
    h5_attribute_text(w, "/", "x", "y");
    assert_int_equal(h5_commit(w, &e), ERR_IO);
    assert_non_null(strstr(e.message, "dataset /a"));
    assert_false(file_exists(test_path("sticky.h5")));
    assert_ok(h5_create(&w, test_path("sticky.h5"), &e), &e);
    h5_write(w, "/a", H5_I32, 1, (const uint64_t[]){1}, &one);
    h5_write(w, "/a/b", H5_I32, 1, (const uint64_t[]){1}, &one); /* in a dataset */
    assert_error(h5_commit(w, &e), &e, ERR_IO, "/a");
    assert_ok(h5_create(&w, test_path("sticky.h5"), &e), &e);
    h5_discard(w);
    h5_discard(NULL);
    assert_false(file_exists(test_path("sticky.h5")));
    assert_int_equal(h5_create(&w, test_path("no/such/folder.h5"), &e), ERR_IO);
    assert_null(w);
    assert_ok(h5_create(&w, test_path("over.h5"), &e), &e);
    h5_write(w, "/a", H5_F32, 2, (const uint64_t[]){UINT64_MAX / 2, 8}, &one);
    assert_int_equal(h5_commit(w, &e), ERR_MEMORY);
}

/* A writer that is killed leaves a file that says so. */
static void test_unfinished_file(void **state)
{
    (void)state;
    struct err e;
    struct h5_writer *w;
    struct h5_reader *r;
    struct str bytes = {0};
    char name[64];
    assert_ok(h5_create(&w, test_path("open.h5"), &e), &e);
    snprintf(name, sizeof name, ".open.h5.tmp-%ld", (long)getpid());
    test_file_read(&bytes, test_path(name));
    h5_discard(w);
    assert_false(file_exists(test_path(name)));
    test_file_write(test_path("unfinished.h5"), bytes.data ? bytes.data : "", bytes.length);
    assert_int_equal(h5_open(&r, test_path("unfinished.h5"), true, &e), ERR_FORMAT);
    assert_non_null(strstr(e.message, "unfinished.h5"));
    str_release(&bytes);
}

/* More than is ever written is refused where it would be written, too. */
static void test_limits(void **state)
{
    (void)state;
    struct err e;
    struct h5_writer *w;
    char name[32];
    const char *path = test_path("limits.h5");
    assert_ok(h5_create(&w, path, &e), &e);
    for (int i = 0; i <= LIMIT_H5_ATTRIBUTES; i++) {
        snprintf(name, sizeof name, "a%d", i);
        h5_attribute_int(w, "/group", name, i);
    }
    assert_error(h5_commit(w, &e), &e, ERR_FORMAT, "/group has more than 100 attributes");
    char *text = calloc(1, LIMIT_H5_TEXT + 2);
    assert_non_null(text);
    memset(text, 'x', LIMIT_H5_TEXT + 1);
    assert_ok(h5_create(&w, path, &e), &e);
    h5_attribute_text(w, "/", "config", text);
    assert_error(h5_commit(w, &e), &e, ERR_USAGE, "text config of 60001 bytes is longer than 60000");
    free(text);
    assert_false(file_exists(path));
}

struct golden_file {
    const char *name, *text; /* of tests/golden/h5, and what its error says beside its path */
};

static void refuse_golden(const struct golden_file *files, size_t count, enum err_code code)
{
    for (size_t i = 0; i < count; i++) {
        struct h5_reader *r;
        struct err e;
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/h5/%s.h5", getenv("GOLDEN"), files[i].name);
        assert_error(h5_open(&r, path, true, &e), &e, code, files[i].text);
        assert_non_null(strstr(e.message, path));
    }
}

/* What h5py can make and this program does not (tests/golden/h5): each refused for what is odd about it. */
static void test_foreign_files(void **state)
{
    static const struct golden_file files[] = {
        {"compound", "dataset /data has a type or shape that is not written here"},
        {"chunked", "a kind of message that is not written here"},
        {"deep", "the path of an object is longer than 4096 bytes"},
        {"deflated", "a kind of message that is not written here"},
        {"earliest", "does not begin as an HDF5 file of format 1.10"},
        {"external_link", "group /: a member is a link"},
        {"external_storage", "a kind of message that is not written here"},
        {"filled", "dataset /data is not stored in one piece"},
        {"five_dimensions", "dataset /data has a type or shape that is not written here"},
        {"list_attribute", "attribute list has a type or shape that is not written here"},
        {"loop", "a kind of message that is not written here"},
        {"no_format", "is not a file of mpilora: it has no format version"},
        {"reference", "attribute ref has a type or shape that is not written here"},
        {"soft_link", "group /: a member is a link"},
        {"text_without_length", "attribute config has a type or shape that is not written here"},
        {"virtual", "dataset /data is not stored in one piece"},
    };
    (void)state;
    refuse_golden(files, sizeof files / sizeof *files, ERR_FORMAT);
}

/* Files of other formats, older and newer, say that they are. */
static void test_other_formats(void **state)
{
    static const struct golden_file files[] = {
        {"format_2", "/ is not of format 3, the one that this mpilora reads: if an older one wrote the file"},
        {"times", "/ is not of format 3"},
        {"in_a_heap", "/adapter is not of format 3"},
        {"named_type", "/type is not of format 3"},
        {"format_4", "is of format 4, this mpilora reads 3: use the one that wrote it"}};
    (void)state;
    refuse_golden(files, sizeof files / sizeof *files, ERR_UNSUPPORTED);
}

/* What changes after the file was opened and verified is found when it is read. */
static void test_a_change_after_opening(void **state)
{
    (void)state;
    struct err e;
    struct h5_reader *r;
    struct str bytes = {0};
    float matrix[ROWS * COLS], want[ROWS * COLS];
    fill(want, ROWS * COLS);
    write_sample(test_path("open.h5"));
    assert_ok(h5_open(&r, test_path("open.h5"), true, &e), &e);
    assert_ok(h5_read(r, "/adapter/q_proj/lora_A", H5_F32, 2, matrix_shape, matrix, &e), &e);
    test_file_read(&bytes, test_path("open.h5"));
    const char *at = memmem(bytes.data, bytes.length, want, sizeof want);
    assert_non_null(at);
    FILE *f = fopen(test_path("open.h5"), "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at - bytes.data + 7, SEEK_SET), 0);
    assert_int_equal(fputc(at[7] ^ 1, f), (unsigned char)(at[7] ^ 1));
    assert_int_equal(fclose(f), 0);
    assert_error(h5_read(r, "/adapter/q_proj/lora_A", H5_F32, 2, matrix_shape, matrix, &e), &e, ERR_FORMAT,
                 "dataset /adapter/q_proj/lora_A was changed");
    h5_close(r);
    str_release(&bytes);
}

/* Nothing in a file depends on when it was written. */
static void test_equal_content_makes_equal_bytes(void **state)
{
    (void)state;
    struct str one = {0}, two = {0};
    write_sample(test_path("one.h5"));
    sleep(1); /* HDF5's times are whole seconds */
    write_sample(test_path("two.h5"));
    test_file_read(&one, test_path("one.h5"));
    test_file_read(&two, test_path("two.h5"));
    assert_int_equal(one.length, two.length);
    assert_memory_equal(one.data, two.data, one.length);
    str_release(&one);
    str_release(&two);
}

static void test_version(void **state)
{
    (void)state;
    assert_true(strlen(h5_version()) >= 5 && strncmp(h5_version(), "1.", 2) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_the_wrong_thing_is_refused),
        cmocka_unit_test(test_large_arrays),
        cmocka_unit_test(test_hash_is_of_the_content),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_every_flipped_byte),
        cmocka_unit_test(test_a_full_disk_keeps_the_old_file),
        cmocka_unit_test(test_errors_are_sticky),
        cmocka_unit_test(test_unfinished_file),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_foreign_files),
        cmocka_unit_test(test_other_formats),
        cmocka_unit_test(test_a_change_after_opening),
        cmocka_unit_test(test_equal_content_makes_equal_bytes),
        cmocka_unit_test(test_version),
    };
    return cmocka_run_group_tests(tests, test_folder_make, test_folder_remove);
}
