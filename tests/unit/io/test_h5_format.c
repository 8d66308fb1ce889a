/*
 * The reader of HDF5 files by itself: what HDF5 writes in every form that there is for it, and files that
 * somebody made for an attack, with every checksum right.
 */
#include <inttypes.h>
#include <sys/stat.h>
#include <time.h>

#include "base/limits.h"
#include "h5_mend.h"
#include "io_files.h"
#include "io/h5/h5.h"

static const char *golden(const char *name)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/h5/%s.h5", getenv("GOLDEN"), name);
    return path;
}

/* Values of `accepted` in scripts/make_golden_h5.py. Its content hash is no right one. */
static enum err_code read_accepted(const char *path, struct err *e)
{
    static const char *const texts[] = {"short", "long"};
    static const size_t lengths[] = {3, 5000};
    struct h5_reader *r;
    struct arena a = {0};
    const char *text;
    float rows[13 * 15];
    uint64_t cube[5 * 13 * 3], shape[3];
    int32_t one[195];
    int8_t bytes[195];
    char name[32];
    bool right = true;
    if (h5_open(&r, path, false, e))
        return e->code;
    enum err_code code = ERR_OK;
    for (int i = 0; !code && i < 60; i++) {
        static const char letters[] = "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm";
        char member[128];
        int64_t n = -1;
        snprintf(member, sizeof member, "/members/%.*s%d", i, letters, i);
        code = h5_get_int(&n, r, member, "n", e);
        right = right && (code || n == i);
    }
    for (int i = 0; !code && i < 12; i++) {
        double real = -1;
        snprintf(name, sizeof name, "real%d", i);
        code = h5_get_real(&real, r, "/", name, e);
        right = right && (code || real == i / 2.0);
    }
    for (int i = 0; !code && i < 2; i++) {
        code = h5_get_text(&text, r, "/", texts[i], &a, e);
        right = right && (code || (strlen(text) == lengths[i] && strspn(text, "y") == lengths[i]));
    }
    if (!code)
        code = h5_read(r, "/rows", H5_F32, 2, (const uint64_t[]){13, 15}, rows, e);
    if (!code)
        code = h5_read(r, "/cube", H5_U64, 3, (const uint64_t[]){5, 13, 3}, cube, e);
    if (!code)
        code = h5_read(r, "/one", H5_I32, 1, (const uint64_t[]){195}, one, e);
    if (!code)
        code = h5_read(r, "/bytes", H5_I8, 2, (const uint64_t[]){1, 195}, bytes, e);
    if (!code)
        code = h5_shape(r, "/none", H5_F32, 2, shape, e);
    if (!code)
        code = h5_read_text(&text, r, "/text", &a, e);
    right = right && (code || (strlen(text) == 3000 && strspn(text, "z") == 3000));
    for (int i = 0; !code && i < 195; i++)
        right =
            right && rows[i] == (float)i && cube[i] == (uint64_t)i && one[i] == i && bytes[i] == (int8_t)i;
    h5_close(r);
    arena_release(&a);
    return code || right ? code : err_set(e, ERR_MISMATCH, "%s holds other values", path);
}

static void another_version_wrote_it(void **state)
{
    (void)state;
    struct err e;
    assert_ok(read_accepted(golden("accepted"), &e), &e);
}

/* More members than a group of ours has, whose header goes on in other places; all attributes that an object may have;
 * the longest text of an attribute, and a longer one as a dataset. */
static void much_of_everything(void **state)
{
    enum { MEMBERS = 1000, NAME = 250 };
    static const size_t lengths[] = {1, 1000, 5000, LIMIT_H5_TEXT, 1 << 20};
    enum { LENGTHS = sizeof lengths / sizeof *lengths };
    (void)state;
    struct err e;
    struct h5_writer *w;
    struct h5_reader *r;
    struct arena a = {0};
    char path[NAME + 32], *text = malloc(lengths[LENGTHS - 1] + 1);
    const char *found;
    int64_t value;
    assert_non_null(text);
    memset(text, 't', lengths[LENGTHS - 1]);
    assert_ok(h5_create(&w, test_path("much.h5"), &e), &e);
    for (int i = 0; i < MEMBERS; i++) {
        snprintf(path, sizeof path, "/group/%0*d", NAME, i);
        h5_attribute_int(w, path, "n", i);
    }
    for (int i = 0; i < LIMIT_H5_ATTRIBUTES; i++) {
        snprintf(path, sizeof path, "n%d", i);
        h5_attribute_int(w, "/group", path, i);
    }
    for (size_t i = 0; i < LENGTHS; i++) {
        text[lengths[i]] = '\0';
        snprintf(path, sizeof path, "/texts/t%zu", lengths[i]);
        h5_write_text(w, path, text);
        if (lengths[i] <= LIMIT_H5_TEXT)
            h5_attribute_text(w, i % 2 ? "/" : "/texts", strrchr(path, '/') + 1, text);
        text[lengths[i]] = 't';
    }
    assert_ok(h5_commit(w, &e), &e);
    assert_ok(h5_open(&r, test_path("much.h5"), true, &e), &e);
    for (int i = 0; i < MEMBERS; i++) {
        snprintf(path, sizeof path, "/group/%0*d", NAME, i);
        assert_ok(h5_get_int(&value, r, path, "n", &e), &e);
        assert_int_equal(value, i);
    }
    for (int i = 0; i < LIMIT_H5_ATTRIBUTES; i++) {
        snprintf(path, sizeof path, "n%d", i);
        assert_ok(h5_get_int(&value, r, "/group", path, &e), &e);
        assert_int_equal(value, i);
    }
    for (size_t i = 0; i < LENGTHS; i++) {
        snprintf(path, sizeof path, "/texts/t%zu", lengths[i]);
        assert_ok(h5_read_text(&found, r, path, &a, &e), &e);
        assert_true(strlen(found) == lengths[i] && strspn(found, "t") == lengths[i]);
        if (lengths[i] > LIMIT_H5_TEXT)
            continue;
        assert_ok(h5_get_text(&found, r, i % 2 ? "/" : "/texts", strrchr(path, '/') + 1, &a, &e), &e);
        assert_true(strlen(found) == lengths[i] && strspn(found, "t") == lengths[i]);
    }
    h5_close(r);
    arena_release(&a);
    free(text);
}

/* ---- files made for an attack ---- */

static size_t peak_of_memory(void)
{
    char line[256];
    size_t kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "VmPeak: %zu", &kib) == 1)
            break;
    fclose(f);
    return kib << 10;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Each number of a file's metadata, whatever its place and size, becomes a huge one, none, or the address of
 * a block: its own, the root's, another one's. All checksums are right. Memory and time of reading stay those
 * of the file. */
static void every_number_is_made_up(void **state)
{
    (void)state;
    static struct h5_blocks blocks;
    static const struct {
        size_t width;
        uint64_t value;
    } lies[] = {{1, 0xff},     {2, 0xffff}, {4, 0x7fffffff}, {4, 0xffffffff}, {8, 0}, {8, (uint64_t)1 << 40},
                {8, INT64_MAX}};
    enum { LIES = sizeof lies / sizeof *lies, ADDRESSES = 3, SHARE = 13 }; /* one in SHARE is tried */
    struct str bytes = {0};
    struct err e;
    size_t made = 0, tried = 0, refused = 0;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", test_path("crafted.h5"));
    test_file_read(&bytes, golden("accepted"));
    uint8_t *b = (uint8_t *)bytes.data;
    h5_find_blocks(&blocks, b, bytes.length);
    assert_in_range(blocks.count, 70, H5_BLOCKS_MAX - 1);
    size_t before = peak_of_memory();
    double start = now(), slowest = 0;
    for (size_t n = 0; n < blocks.count; n++) {
        const struct h5_block *block = &blocks.items[n];
        const uint64_t addresses[ADDRESSES] = {block->begin, 48, blocks.items[(n + 7) % blocks.count].begin};
        uint8_t saved[8192 + 4];
        size_t end = block->begin + block->size, saved_size = block->size + 4;
        assert_true(saved_size <= sizeof saved);
        memcpy(saved, b + block->begin, saved_size);
        for (size_t at = block->begin + 4; at < end; at++)
            for (size_t l = 0; l < LIES + ADDRESSES; l++) {
                size_t width = l < LIES ? lies[l].width : 8;
                uint64_t value = l < LIES ? lies[l].value : addresses[l - LIES];
                if (at + width > end || ++made % SHARE)
                    continue;
                memcpy(b + at, &value, width);
                h5_mend_block(block, b);
                test_file_write(path, b, bytes.length);
                tried++;
                double begin = now();
                enum err_code code = read_accepted(path, &e);
                slowest = now() - begin > slowest ? now() - begin : slowest;
                if (code) {
                    assert_non_null(strstr(e.message, path));
                    assert_true(code == ERR_FORMAT || code == ERR_MISMATCH || code == ERR_UNSUPPORTED);
                    refused++;
                }
                memcpy(b + block->begin, saved, saved_size);
            }
    }
    print_message("%zu files, %zu refused, in %.1f s, %.1f ms at most; %zu MiB more than before\n", tried,
                  refused, now() - start, 1e3 * slowest, (peak_of_memory() - before) >> 20);
    assert_true(refused > tried / 2);
    assert_true(peak_of_memory() - before < (size_t)64 << 20);
    assert_true(slowest < 5);
    str_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_is_made_up), /* first: it looks at the peak of memory */
        cmocka_unit_test(another_version_wrote_it), cmocka_unit_test(much_of_everything)};
    return cmocka_run_group_tests(tests, test_folder_make, test_folder_remove);
}
