/*
 * Every call of the operating system and every allocation of ours in a merged export fails in turn: there is an error
 * and nothing under the final name, or a whole model; nothing is left behind, and the next attempt works.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

#include "fault.h"
#include "run/export/export.h"
#include "scratch.h"
#include "tiny_model.h"

SCRATCH_OF_GROUP(folder, open_folder, close_folder)

static int count_entries(const char *path)
{
    int count = 0;
    DIR *dir = opendir(path);
    for (; dir && readdir(dir); count++)
        ;
    if (dir)
        closedir(dir);
    return count;
}

/* Whether both are folders with the same files, or files with the same bytes. */
static bool is_same(const char *a, const char *b)
{
    struct stat st;
    struct str x = {0}, y = {0};
    struct err e;
    bool same = count_entries(a) == count_entries(b);
    assert_int_equal(stat(a, &st), 0);
    if (!S_ISDIR(st.st_mode)) {
        same = !file_read_all(&x, a, 1 << 24, &e) && !file_read_all(&y, b, 1 << 24, &e) && x.length == y.length &&
               !memcmp(x.data, y.data, x.length);
        str_release(&x);
        str_release(&y);
        return same;
    }
    DIR *dir = opendir(a);
    assert_non_null(dir);
    for (struct dirent *d; same && (d = readdir(dir));) {
        char in_a[PATH_MAX], in_b[PATH_MAX];
        if (d->d_name[0] == '.')
            continue;
        assert_ok(file_join(in_a, sizeof in_a, a, d->d_name, &e), &e);
        assert_ok(file_join(in_b, sizeof in_b, b, d->d_name, &e), &e);
        same = is_same(in_a, in_b);
    }
    closedir(dir);
    return same;
}

static void delete(const char *path)
{
    nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void walk(struct export_job *job, unsigned kind, bool for_good)
{
    const char *reference = scratch_path(&folder, "reference"), *output = scratch_path(&folder, "output");
    struct err e;
    int failures = 0;
    long counted = LONG_MAX;
    job->output = reference;
    assert_ok(export_write(job, EXPORT_MERGED, &e), &e);
    const int entries = count_entries(folder.folder);
    job->output = output;
    for (long n = 1; counted >= n - 1; n++) {
        e.message[0] = '\0';
        fault_arm(kind, n, for_good ? LONG_MAX - n : 1, n % 2 ? ENOSPC : EIO);
        enum err_code code = export_write(job, EXPORT_MERGED, &e);
        counted = fault_disarm();
        failures += code != ERR_OK;
        assert_true(code ? e.message[0] != '\0' : file_exists(output));
        if (file_exists(output))
            assert_true(is_same(output, reference));
        delete(output);
        if (kind != FAULT_NAME && kind != FAULT_OPEN) {
            assert_int_equal(count_entries(folder.folder), entries); /* nothing is left behind */
            continue;
        }
        assert_ok(export_write(job, EXPORT_MERGED, &e), &e);
        assert_true(is_same(output, reference));
        delete(output);
        assert_int_equal(count_entries(folder.folder), entries);
    }
    print_message("%ld calls of kind %u failed%s, %d times an error\n", counted, kind,
                  for_good ? " with all after them" : "", failures);
    assert_true(failures > 0);
    delete(reference);
}

static void every_call_fails(void **state)
{
    struct store base;
    struct arch arch;
    struct lora lora;
    struct err e;
    const struct lora_spec spec = {.targets = "q_proj,down_proj", .rank = 2, .alpha = 2, .init = LORA_BOTH_NORMAL};
    assert_ok(store_open(&base, tiny_base(*state), &e), &e);
    assert_ok(arch_read(&arch, &base, &e), &e);
    assert_ok(arch_hash(&base, &e), &e);
    assert_ok(lora_create(&lora, &arch, &spec, &e), &e);
    const struct origin unknown = {0};
    struct export_job job = {
        .lora = &lora, .arch = &arch, .store = &base, .base_name = "b", .origin = &unknown, .save_dtype = SAVE_OWN};
    static const unsigned kinds[] = {FAULT_OPEN, FAULT_READ, FAULT_WRITE, FAULT_SYNC, FAULT_CLOSE, FAULT_NAME};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (kinds[i] == FAULT_READ && base.kind == STORE_GGUF)
            continue; /* it is mapped */
        walk(&job, kinds[i], false);
        if (kinds[i] != FAULT_SYNC && kinds[i] != FAULT_CLOSE)
            walk(&job, kinds[i], true);
    }
    if (fault_has_memory())
        walk(&job, FAULT_MEMORY, false);
    lora_release(&lora);
    store_close(&base);
}

int main(void)
{
    static char sharded[] = "tiny_sharded", gguf[] = "tiny_gguf";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(every_call_fails, sharded),
        cmocka_unit_test_prestate(every_call_fails, gguf),
    };
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
