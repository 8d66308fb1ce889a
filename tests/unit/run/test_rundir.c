/* The names in a run's folder, and what is swept away of files that were never finished. */
#include "unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "run/rundir.h"
#include "scratch.h"

static struct scratch folder;

static int open_folder(void **state)
{
    (void)state;
    char path[PATH_MAX];
    struct err e;
    if (!scratch_open(&folder))
        return -1;
    assert_ok(rundir_path(path, folder.folder, RUNDIR_CHECKPOINTS, &e), &e);
    assert_ok(file_make_folders(path, &e), &e);
    assert_ok(rundir_path(path, folder.folder, RUNDIR_ADAPTER, &e), &e);
    assert_ok(file_make_folders(path, &e), &e);
    return 0;
}

static int close_folder(void **state)
{
    (void)state;
    scratch_close(&folder);
    return 0;
}

static void plant(char path[PATH_MAX], const char *name)
{
    struct err e;
    assert_ok(file_join(path, PATH_MAX, folder.folder, name, &e), &e);
    assert_ok(file_write_atomic(path, "half", 4, &e), &e);
}

static void names_are_found_under_the_folder(void **state)
{
    (void)state;
    char path[PATH_MAX], wanted[PATH_MAX];
    struct err e;
    assert_ok(rundir_path(path, folder.folder, RUNDIR_LATEST, &e), &e);
    snprintf(wanted, sizeof wanted, "%s/checkpoints/latest", folder.folder);
    assert_string_equal(path, wanted);
    assert_string_equal(rundir_name(RUNDIR_LATEST), "latest");
    assert_true(rundir_has(folder.folder, RUNDIR_ADAPTER));
    assert_false(rundir_has(folder.folder, RUNDIR_METRICS));
}

/* Every file of a run that is written whole, and a checkpoint on its way. */
static void a_run_sweeps_what_is_its_own(void **state)
{
    (void)state;
    static const char *const own[] = {"config.yaml.tmp17",
                                      "metrics.jsonl.tmp1",
                                      "failed.txt.tmp5",
                                      "checkpoints/latest.tmp",
                                      "checkpoints/.step-00000007.h5.tmp3",
                                      "adapter/README.md.tmp9",
                                      "adapter/trainer_state.json.tmp9",
                                      "adapter/adapter_config.json.tmp9",
                                      "adapter/adapter_model.safetensors.tmp9"},
                             *const others[] = {"report.html.tmp17", "study.yaml.tmp17",
                                                "config.yaml",       "metrics.jsonl",
                                                "notes.tmp17",       "checkpoints/step-00000007.h5"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        plant(path, own[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        plant(path, others[i]);
    rundir_clean(folder.folder, RUNDIR_OF_RUN);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        snprintf(path, sizeof path, "%s/%s", folder.folder, own[i]);
        if (file_exists(path))
            fail_msg("%s is left", own[i]);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(path, sizeof path, "%s/%s", folder.folder, others[i]);
        if (!file_exists(path))
            fail_msg("%s is gone", others[i]);
    }
}

/* The number of a process that has ended. */
static pid_t dead_process(void)
{
    int status;
    pid_t process = fork();
    if (process == 0)
        _exit(0);
    assert_int_equal(waitpid(process, &status, 0), process);
    return process;
}

/* Reports hold no lock: one that is at work keeps its file. */
static void a_report_sweeps_what_the_dead_have_left(void **state)
{
    (void)state;
    char name[64], dead[PATH_MAX], alive[PATH_MAX], odd[PATH_MAX];
    const pid_t process = dead_process();
    snprintf(name, sizeof name, "report.html.tmp%ld", (long)process);
    plant(dead, name);
    snprintf(name, sizeof name, "report.html.tmp%ld", (long)getpid());
    plant(alive, name);
    plant(odd, "report.csv.tmp");
    rundir_clean(folder.folder, RUNDIR_OF_REPORT);
    assert_false(file_exists(dead));
    assert_true(file_exists(alive));
    assert_false(file_exists(odd));
    /* An hour old: its number is another process's by now. */
    const struct timespec old = {.tv_sec = time(NULL) - 3600};
    assert_int_equal(utimensat(AT_FDCWD, alive, (const struct timespec[]){old, old}, 0), 0);
    rundir_clean(folder.folder, RUNDIR_OF_REPORT);
    assert_false(file_exists(alive));
}

/* Of a file in any folder, and of no other file there. */
static void an_hdf5_file_is_swept_like_a_report(void **state)
{
    (void)state;
    char name[64], dead[PATH_MAX], alive[PATH_MAX], other[PATH_MAX], path[PATH_MAX];
    const pid_t process = dead_process();
    snprintf(name, sizeof name, ".probe.h5.tmp-%ld", (long)process);
    plant(dead, name);
    snprintf(name, sizeof name, ".probe.h5.tmp-%ld", (long)getpid());
    plant(alive, name);
    snprintf(name, sizeof name, ".probes.h5.tmp-%ld", (long)process);
    plant(other, name);
    snprintf(path, sizeof path, "%s/probe.h5", folder.folder);
    rundir_clean_h5(path);
    assert_false(file_exists(dead));
    assert_true(file_exists(alive));
    assert_true(file_exists(other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_under_the_folder),
        cmocka_unit_test(a_run_sweeps_what_is_its_own),
        cmocka_unit_test(a_report_sweeps_what_the_dead_have_left),
        cmocka_unit_test(an_hdf5_file_is_swept_like_a_report),
    };
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
