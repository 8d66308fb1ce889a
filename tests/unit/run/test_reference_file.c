/* reference.h5: read back as it was written, and not used for other inputs, or damaged. */
#include "unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "io/h5/h5.h"
#include "run/reference_file.h"
#include "run/rundir.h"
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
    assert_ok(runlock_take(&lock, folder.folder, "here", &e), &e);
    assert_ok(rundir_path(path, folder.folder, RUNDIR_CHECKPOINTS, &e), &e);
    assert_ok(file_make_folders(path, &e), &e);
    assert_ok(rundir_path(path, folder.folder, RUNDIR_REFERENCE, &e), &e);
    return 0;
}

static int close_folder(void **state)
{
    (void)state;
    runlock_release(&lock);
    scratch_close(&folder);
    return 0;
}

static double training[] = {-1, -2.5, -1e300, -0.1, 0, -7}, evaluation[] = {-3, -4};
static double got_training[6], got_evaluation[2];

static const char these[] = "base: 12\n--max-length: 64\n--columns: \n";

static struct reference_values values(bool evaluates)
{
    return (struct reference_values){{training, 3, 3}, {evaluates ? evaluation : NULL, 1, 1}, these, "abc"};
}

static struct reference_values read_file(const char *inputs, size_t pairs, bool evaluates, const char *evaluated)
{
    struct reference_values v = {
        {got_training, pairs, 9}, {evaluates ? got_evaluation : NULL, 1, 9}, inputs, evaluated};
    struct err e;
    assert_ok(reference_file_read(&v, folder.folder, &e), &e);
    return v;
}

static bool read_back(const char *inputs, size_t pairs, bool evaluates)
{
    const struct reference_values v = read_file(inputs, pairs, evaluates, "abc");
    return v.training.samples == pairs && v.evaluation.samples == evaluates;
}

static void write_file(const struct reference_values *v)
{
    struct err e;
    assert_ok(reference_file_write(v, &lock, &e), &e);
}

static void write_values(bool evaluates)
{
    const struct reference_values v = values(evaluates);
    write_file(&v);
}

static void values_come_back(void **state)
{
    (void)state;
    assert_false(read_back(these, 3, true)); /* no file yet */
    write_values(true);
    assert_true(read_back(these, 3, true));
    assert_memory_equal(got_training, training, sizeof training);
    assert_memory_equal(got_evaluation, evaluation, sizeof evaluation);
    write_values(false);
    assert_true(read_back(these, 3, false));
}

/* The training data's values do not depend on what is evaluated, and both may be fewer than the pairs. */
static void parts_are_kept(void **state)
{
    (void)state;
    struct reference_values v = values(true);
    v.training.samples = 2;
    write_file(&v);
    v = read_file(these, 3, true, "other");
    assert_true(v.training.samples == 2 && !v.evaluation.samples);
    v = read_file(these, 3, true, "abc");
    assert_true(v.training.samples == 2 && v.evaluation.samples == 1);
    assert_memory_equal(got_training, training, sizeof training);
    v = values(true);
    v.evaluation.samples = 0;
    write_file(&v);
    v = read_file(these, 3, true, "abc");
    assert_true(v.training.samples == 3 && !v.evaluation.samples);
}

/* They are not read, and `said` says why. */
static void expect_refused(const char *others, const char *said)
{
    struct err e;
    struct str text = {0};
    const char *log = scratch_path(&folder, "log");
    const int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), kept = dup(STDERR_FILENO);
    assert_true(fd >= 0 && kept >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    const bool found = read_back(others, 3, false);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    close(fd);
    assert_false(found);
    assert_ok(file_read_all(&text, log, 10000, &e), &e);
    if (!strstr(text.data, said))
        fail_msg("%s: not said of: %s", said, text.data);
    str_release(&text);
}

static void others_are_not_used(void **state)
{
    (void)state;
    static const struct {
        const char *inputs, *said;
    } rows[] = {{"base: 13\n--max-length: 64\n--columns: \n", "a different base:"},
                {"base: 12\n--max-length: 641\n--columns: \n", "a different --max-length:"},
                {"base: 12\n--max-length: 64\n--columns: a=b\n", "a different --columns:"},
                {"base: 12\n--max-length: 64\n", "a different --columns:"},
                {"base: 12\n--max-length: 64\n--columns: \n--seed: 0\n", "a different --seed:"}};
    write_values(false);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect_refused(rows[i].inputs, rows[i].said);
}

static void damaged_ones_are_not_used(void **state)
{
    (void)state;
    struct reference_values v = values(false);
    v.training.samples = 4; /* more than there are */
    write_file(&v);
    assert_false(read_back(these, 3, false));
    assert_int_equal(read_file(these, 3, false, "abc").training.samples, 0);
    write_values(false);
    assert_true(read_back(these, 3, false));
    assert_false(read_back(these, 2, false)); /* of another shape */
    assert_false(read_back(these, 3, true));
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    fseek(f, -9, SEEK_END);
    fputc('x', f);
    fclose(f);
    assert_false(read_back(these, 3, false));
    assert_int_equal(truncate(path, 100), 0);
    assert_false(read_back(these, 3, false));
}

/* One in which everything depends on what was evaluated. */
static void older_ones_are_not_used(void **state)
{
    (void)state;
    struct err e;
    struct h5_writer *w = NULL;
    assert_ok(h5_create(&w, path, &e), &e);
    h5_attribute_text(w, "/", "computed_with", "base: 12\nset of evaluation data: 1\n");
    h5_write(w, "/training", H5_F64, 1, (const uint64_t[]){6}, training);
    assert_ok(h5_commit(w, &e), &e);
    expect_refused(these, "reference.h5: / has no attribute evaluated: the reference is recomputed");
}

/* What a process left that was killed while it wrote. */
static void unfinished_files_are_deleted(void **state)
{
    (void)state;
    char unfinished[PATH_MAX + 32];
    snprintf(unfinished, sizeof unfinished, "%s/checkpoints/.reference.h5.tmp-77", folder.folder);
    FILE *f = fopen(unfinished, "w");
    assert_non_null(f);
    fclose(f);
    write_values(false);
    rundir_clean(folder.folder, RUNDIR_OF_RUN);
    assert_false(file_exists(unfinished));
    assert_true(read_back(these, 3, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back),
        cmocka_unit_test(parts_are_kept),
        cmocka_unit_test(others_are_not_used),
        cmocka_unit_test(damaged_ones_are_not_used),
        cmocka_unit_test(older_ones_are_not_used),
        cmocka_unit_test(unfinished_files_are_deleted),
    };
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
