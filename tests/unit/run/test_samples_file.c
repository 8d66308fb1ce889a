/* samples.jsonl: cut back to the evaluation that a run goes on from, several lines a step. */
#include "unit.h"

#include "base/file.h"
#include "run/samples_file.h"
#include "scratch.h"

static struct scratch folder;
static struct runlock lock;
static char path[PATH_MAX];

static int open_folder(void **state)
{
    (void)state;
    struct err e;
    if (!scratch_open(&folder))
        return -1;
    snprintf(path, sizeof path, "%s/samples.jsonl", folder.folder);
    assert_ok(runlock_take(&lock, folder.folder, "here", &e), &e);
    return 0;
}

static int close_folder(void **state)
{
    (void)state;
    runlock_release(&lock);
    scratch_close(&folder);
    return 0;
}

static void go_on(uint64_t from, const char *lines)
{
    struct lines_file f;
    struct err e;
    assert_ok(samples_file_open(&f, &lock, from, &e), &e);
    assert_ok(str_appendf(&f.pending, &e, "%s", lines), &e);
    assert_ok(lines_put(&f, &e), &e);
    assert_int_equal(f.pending.length, 0);
    lines_close(&f);
}

static void expect(const char *text)
{
    struct str bytes = {0};
    struct err e;
    assert_ok(file_read_all(&bytes, path, 1 << 20, &e), &e);
    assert_string_equal(bytes.length ? bytes.data : "", text);
    str_release(&bytes);
}

#define LINE(step, example) "{\"step\": " #step ", \"example\": " #example "}\n"

static void no_step_stands_twice(void **state)
{
    (void)state;
    go_on(0, LINE(4, 0) LINE(4, 1));
    go_on(4, LINE(8, 0) LINE(8, 1));
    expect(LINE(4, 0) LINE(4, 1) LINE(8, 0) LINE(8, 1));
    go_on(4, LINE(8, 0) LINE(8, 1) LINE(12, 0));
    expect(LINE(4, 0) LINE(4, 1) LINE(8, 0) LINE(8, 1) LINE(12, 0));
    go_on(0, LINE(4, 0));
    expect(LINE(4, 0));
}

static void what_is_torn_or_not_ours_goes(void **state)
{
    (void)state;
    struct err e;
    static const char text[] = LINE(4, 0) "not JSON\n[]\n{\"example\": 3}\n" LINE(4, 1) "{\"step\": 4, \"exam";
    assert_ok(file_write_atomic(path, text, sizeof text - 1, &e), &e);
    go_on(4, LINE(8, 0));
    expect(LINE(4, 0) LINE(4, 1) LINE(8, 0));
}

/* A run without sample answers has no file, and nothing of it to write. */
static void none_at_all(void **state)
{
    (void)state;
    struct lines_file f = {0};
    struct err e;
    assert_ok(lines_flush(&f, &e), &e);
    lines_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_step_stands_twice, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(what_is_torn_or_not_ours_goes, open_folder, close_folder),
        cmocka_unit_test(none_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
