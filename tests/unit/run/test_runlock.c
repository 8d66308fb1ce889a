/* One run in a folder: what the lock file may be, and whether the folder is still this run's. */
#include "unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "run/runlock.h"
#include "scratch.h"

static struct scratch folder;
static char place[300], aside[300], lock_path[300];

static int open_folder(void **state)
{
    (void)state;
    if (!scratch_open(&folder))
        return -1;
    snprintf(place, sizeof place, "%s/run", folder.folder);
    snprintf(aside, sizeof aside, "%s/aside", folder.folder);
    snprintf(lock_path, sizeof lock_path, "%s/run/.lock", folder.folder);
    return mkdir(place, 0777);
}

static int close_folder(void **state)
{
    (void)state;
    scratch_close(&folder);
    return 0;
}

static void expect_text(const char *path, const char *text)
{
    struct str bytes = {0};
    struct err e;
    assert_ok(file_read_all(&bytes, path, 1000, &e), &e);
    assert_string_equal(bytes.data, text);
    str_release(&bytes);
}

static void enters(const struct runlock *l)
{
    struct file_folder in;
    struct err e;
    assert_ok(runlock_enter(&in, l, &e), &e);
    assert_ok(file_folder_leave(&in, ERR_OK, &e), &e);
}

static void the_second_is_told_of_the_first(void **state)
{
    (void)state;
    struct runlock first, second;
    struct err e;
    char owner[100];
    assert_ok(runlock_take(&first, place, "one", &e), &e);
    snprintf(owner, sizeof owner, "is in use by another run, process %ld on one: wait", (long)getpid());
    assert_error(runlock_take(&second, place, "two", &e), &e, ERR_BUSY, owner);
    enters(&first);
    const char *written = scratch_path(&folder, "run/config.yaml");
    assert_ok(file_write_atomic(written, "", 0, &e), &e);
    runlock_release(&first);
    assert_ok(runlock_take(&second, place, "two", &e), &e);
    runlock_release(&second);
    runlock_release(&second);
    expect_text(lock_path, "");
    unlink(written);
}

/* What a start that wrote nothing has made is gone, and nothing else. */
static void nothing_is_left_of_a_start_that_wrote_nothing(void **state)
{
    (void)state;
    static const char *const paths[] = {"new", "new/er", "new/er/est/", "new//er"};
    char path[320], top[300];
    struct runlock l, second;
    struct err e;
    snprintf(top, sizeof top, "%s/new", folder.folder);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        snprintf(path, sizeof path, "%s/%s", folder.folder, paths[i]);
        assert_ok(runlock_take(&l, path, "here", &e), &e);
        assert_int_equal(runlock_take(&second, path, "here", &e), ERR_BUSY);
        assert_true(file_is_folder(path));
        runlock_release(&l);
        assert_false(file_exists(top));
    }
    assert_ok(runlock_take(&l, place, "here", &e), &e); /* was there, so it stays */
    runlock_release(&l);
    assert_true(file_is_folder(place));
    assert_false(file_exists(lock_path));
    snprintf(path, sizeof path, "%s/er", top);
    assert_ok(runlock_take(&l, path, "here", &e), &e);
    assert_ok(file_write_atomic(scratch_path(&folder, "new/mine"), "", 0, &e), &e);
    runlock_release(&l);
    assert_false(file_exists(path));
    assert_true(file_exists(scratch_path(&folder, "new/mine")));
}

/* Runs that fail at their start make and delete the same folders: each has the lock or is told who has it. */
static void starts_that_fail_do_not_disturb_each_other(void **state)
{
    (void)state;
    enum { PROCESSES = 4, ROUNDS = 300 };
    char path[320];
    pid_t processes[PROCESSES];
    snprintf(path, sizeof path, "%s/a/b/c/d/e/f/g/h", folder.folder);
    for (size_t p = 0; p < PROCESSES; p++) {
        processes[p] = fork();
        if (processes[p] != 0)
            continue;
        struct runlock l;
        struct err e;
        enum err_code code = ERR_OK;
        for (int i = 0; i < ROUNDS && (!code || code == ERR_BUSY); i++) {
            code = runlock_take(&l, path, "here", &e);
            if (!code)
                runlock_release(&l);
        }
        if (code && code != ERR_BUSY)
            fprintf(stderr, "%s\n", e.message);
        _exit(code && code != ERR_BUSY);
    }
    for (size_t p = 0; p < PROCESSES; p++) {
        int status;
        assert_int_equal(waitpid(processes[p], &status, 0), processes[p]);
        assert_int_equal(status, 0);
    }
}

/* A file that has another name, as in a copy of the folder by hard links, or planted, is not written into. */
static void another_name_of_the_file_is_safe(void **state)
{
    (void)state;
    const char *precious = scratch_path(&folder, "precious");
    struct runlock l, second;
    struct err e;
    struct stat st;
    unlink(lock_path);
    assert_ok(file_write_atomic(precious, "gold", 4, &e), &e);
    assert_int_equal(link(precious, lock_path), 0);
    assert_ok(runlock_take(&l, place, "here", &e), &e);
    expect_text(precious, "gold");
    assert_true(stat(precious, &st) == 0 && st.st_nlink == 1);
    enters(&l);
    assert_error(runlock_take(&second, place, "here", &e), &e, ERR_BUSY, "in use");
    assert_int_equal(link(lock_path, scratch_path(&folder, "copy")), 0); /* while the run is at work */
    enters(&l);
    runlock_release(&l);
    assert_true(stat(scratch_path(&folder, "copy"), &st) == 0 && st.st_size > 0);
}

static void a_link_is_refused(void **state)
{
    (void)state;
    const char *precious = scratch_path(&folder, "linked");
    struct runlock l;
    struct err e;
    unlink(lock_path);
    assert_ok(file_write_atomic(precious, "gold", 4, &e), &e);
    assert_int_equal(symlink(precious, lock_path), 0);
    assert_error(runlock_take(&l, place, "here", &e), &e, ERR_IO, "is a link");
    runlock_release(&l);
    expect_text(precious, "gold");
    assert_int_equal(unlink(lock_path), 0);
    assert_int_equal(mkfifo(lock_path, 0600), 0);
    assert_error(runlock_take(&l, place, "here", &e), &e, ERR_IO, "is not a regular file");
    runlock_release(&l);
    assert_int_equal(unlink(lock_path), 0);
}

/* Who may only read the file could lock it for reading, and so keep its owner out. */
static void readers_do_not_keep_the_owner_out(void **state)
{
    (void)state;
    struct runlock l;
    struct err e;
    struct stat st;
    unlink(lock_path);
    assert_ok(file_write_atomic(lock_path, "", 0, &e), &e);
    assert_int_equal(chmod(lock_path, 0644), 0);
    int reader = open(lock_path, O_RDONLY | O_CLOEXEC);
    assert_true(reader >= 0);
    struct flock shared = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    assert_int_equal(fcntl(reader, F_OFD_SETLK, &shared), 0);
    assert_ok(runlock_take(&l, place, "here", &e), &e);
    assert_true(l.held);
    enters(&l);
    close(reader);
    assert_true(stat(lock_path, &st) == 0 && (st.st_mode & 0777) == 0600);
    runlock_release(&l);
}

/* In the child that sets it: a deletion waits until the name is another file's. */
static int deletes;

int unlink(const char *path)
{
    struct stat before, now;
    if (deletes && stat(path, &before) == 0 && write(deletes, "x", 1) == 1)
        do
            usleep(1000);
        while (stat(path, &now) || now.st_ino == before.st_ino);
    return unlinkat(AT_FDCWD, path, 0);
}

/* In the children that set them: when one comes to wait after a replacement, it says so; the other waits for that. */
static int tells, hears;

int nanosleep(const struct timespec *duration, struct timespec *left)
{
    char byte = 'x';
    if ((tells && write(tells, &byte, 1) != 1) || (hears && read(hears, &byte, 1) != 1))
        return -1;
    return clock_nanosleep(CLOCK_MONOTONIC, 0, duration, left);
}

/* A child that takes the lock, and keeps it until `until` is closed; its exit status is the code. */
static pid_t start_run(const int until[2], int deletion, int telling, int hearing)
{
    struct runlock l;
    struct err e;
    char byte;
    pid_t child = fork();
    if (child)
        return child;
    deletes = deletion;
    tells = telling;
    hears = hearing;
    alarm(60);
    close(until[1]);
    enum err_code code = runlock_take(&l, place, "here", &e);
    if (!code && read(until[0], &byte, 1))
        code = ERR_IO;
    _exit((int)code);
}

/* One is about to delete a file with a reader's lock; meanwhile the other has put its own there, and holds it. */
static void of_two_that_replace_one_holds(void **state)
{
    (void)state;
    int until[2], told[2], settling[2], status[2];
    char byte;
    FILE *lock = fopen(lock_path, "w");
    assert_non_null(lock);
    struct flock shared = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    int reader = open(lock_path, O_RDONLY);
    assert_int_equal(fcntl(reader, F_OFD_SETLK, &shared), 0);
    fclose(lock);
    assert_true(pipe2(until, O_CLOEXEC) == 0 && pipe2(told, O_CLOEXEC) == 0 && pipe2(settling, O_CLOEXEC) == 0);
    pid_t slow = start_run(until, told[1], settling[1], 0);
    assert_int_equal(read(told[0], &byte, 1), 1);
    pid_t quick = start_run(until, 0, 0, settling[0]);
    assert_int_equal(waitpid(quick, &status[1], 0), quick);
    close(until[1]);
    assert_int_equal(waitpid(slow, &status[0], 0), slow);
    assert_true(WIFEXITED(status[0]) && WEXITSTATUS(status[0]) == ERR_OK);
    assert_true(WIFEXITED(status[1]) && WEXITSTATUS(status[1]) == ERR_BUSY);
    close(settling[0]);
    close(settling[1]);
    close(until[0]);
    close(told[0]);
    close(told[1]);
    close(reader);
}

/* Deleted or replaced, the file or the folder: it is another's from then on. */
static void a_lost_folder_is_known(void **state)
{
    (void)state;
    struct runlock l, other;
    struct file_folder in;
    struct err e;
    assert_ok(runlock_take(&l, place, "here", &e), &e);
    enters(&l);
    assert_int_equal(unlink(lock_path), 0);
    assert_error(runlock_enter(&in, &l, &e), &e, ERR_BUSY, "the lock .lock in it was deleted");
    assert_ok(runlock_take(&other, place, "there", &e), &e);
    assert_error(runlock_enter(&in, &l, &e), &e, ERR_BUSY, "on there, so that another run may be at work");
    enters(&other);
    runlock_release(&l);
    enters(&other);

    assert_int_equal(rename(place, aside), 0);
    assert_error(runlock_enter(&in, &other, &e), &e, ERR_IO, "is gone");
    assert_int_equal(mkdir(place, 0777), 0);
    assert_error(runlock_enter(&in, &other, &e), &e, ERR_BUSY, "was deleted");
    assert_int_equal(rmdir(place), 0);
    assert_int_equal(rename(aside, place), 0);
    enters(&other);

    /* The very file, with another's words in it: its number was given out again. */
    assert_int_equal(truncate(lock_path, 0), 0);
    assert_error(runlock_enter(&in, &other, &e), &e, ERR_BUSY, "is another's now");
    runlock_release(&other);
}

/* What is written inside of a folder lands in that one, whatever has its name by then; messages have the name. */
static void inside_is_the_folder_that_was_opened(void **state)
{
    (void)state;
    struct file_folder in;
    struct err e;
    char path[PATH_MAX], wanted[PATH_MAX];
    assert_ok(file_folder_enter(&in, place, &e), &e);
    assert_int_equal(rename(place, aside), 0);
    assert_int_equal(mkdir(place, 0777), 0);
    assert_ok(file_join(path, sizeof path, in.inside, "new", &e), &e);
    assert_ok(file_write_atomic(path, "x", 1, &e), &e);
    assert_ok(file_join(path, sizeof path, in.inside, "no/such", &e), &e);
    snprintf(wanted, sizeof wanted, "cannot create %s/no/such.tmp", place);
    assert_error(file_folder_leave(&in, file_write_atomic(path, "x", 1, &e), &e), &e, ERR_IO, wanted);
    assert_int_equal(rmdir(place), 0); /* empty */
    assert_int_equal(rename(aside, place), 0);
    expect_text(scratch_path(&folder, "run/new"), "x");
}

int main(void)
{
    log_set_speaking(false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_is_told_of_the_first),
        cmocka_unit_test(nothing_is_left_of_a_start_that_wrote_nothing),
        cmocka_unit_test(starts_that_fail_do_not_disturb_each_other),
        cmocka_unit_test(another_name_of_the_file_is_safe),
        cmocka_unit_test(a_link_is_refused),
        cmocka_unit_test(readers_do_not_keep_the_owner_out),
        cmocka_unit_test(of_two_that_replace_one_holds),
        cmocka_unit_test(a_lost_folder_is_known),
        cmocka_unit_test(inside_is_the_folder_that_was_opened),
    };
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
