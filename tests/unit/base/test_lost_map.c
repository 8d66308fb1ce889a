/* A mapped file that is shortened: one line and status 1, from any thread; a bus error elsewhere stays one. */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/lost_map.h"
#include "scratch.h"

enum { BYTES = 1 << 16 };

static struct scratch folder;

static int open_folder(void **state)
{
    (void)state;
    return scratch_open(&folder) ? 0 : -1;
}

static int close_folder(void **state)
{
    (void)state;
    scratch_close(&folder);
    return 0;
}

static void make_file(const char *path)
{
    static char bytes[BYTES];
    struct err e;
    assert_ok(file_write_atomic(path, bytes, sizeof bytes, &e), &e);
}

static void *read_end(void *at)
{
    return (void *)(uintptr_t) * (volatile unsigned char *)at;
}

/* Runs `work` in a process of its own, whose messages are `said`; its status as wait() has it. */
static int apart(char said[4096], void (*work)(const char *path), const char *path)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t process = fork();
    if (process == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGBUS, SIG_DFL); /* not the test library's */
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        lost_map_install();
        lost_map_install();
        work(path);
        _exit(0);
    }
    assert_true(process > 0);
    close(ends[1]);
    ssize_t length = 0, got;
    while ((got = read(ends[0], said + length, (size_t)(4095 - length))) > 0)
        length += got;
    said[length] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(process, &status, 0), process);
    return status;
}

static void shorten_and_read(const char *path)
{
    struct file_map map, other;
    struct err e;
    pthread_t thread;
    if (file_map_open(&other, path, &e))
        _exit(3);
    file_map_close(&other); /* an entry that is used again */
    if (file_map_open(&map, path, &e) || truncate(path, 0) ||
        pthread_create(&thread, NULL, read_end, (void *)(uintptr_t)(map.data + map.size - 1)))
        _exit(3);
    pthread_join(thread, NULL);
}

static void a_shortened_file_is_named(void **state)
{
    (void)state;
    char said[4096], wanted[512];
    const char *path = scratch_path(&folder, "model\033[31m.bin");
    make_file(path);
    int status = apart(said, shorten_and_read, path);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    snprintf(wanted, sizeof wanted, "mpilora: %s/model\\u001b[31m.bin: this file became shorter",
             folder.folder);
    assert_ptr_equal(strstr(said, wanted), said);
    assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
}

static void read_another(const char *path)
{
    struct file_map map;
    struct err e;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    char *own = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
    if (file_map_open(&map, path, &e))
        _exit(3);
    file_map_close(&map);
    if (truncate(path, 0) || own == MAP_FAILED)
        _exit(3);
    read_end(own);
}

static void another_bus_error_is_left_as_it_is(void **state)
{
    (void)state;
    char said[4096];
    const char *path = scratch_path(&folder, "other");
    make_file(path);
    int status = apart(said, read_another, path);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    assert_string_equal(said, "");
}

static void send_signal(const char *path)
{
    (void)path;
    kill(getpid(), SIGBUS);
}

static void a_signal_that_is_sent_ends_the_process(void **state)
{
    (void)state;
    char said[4096];
    int status = apart(said, send_signal, "");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shortened_file_is_named),
        cmocka_unit_test(another_bus_error_is_left_as_it_is),
        cmocka_unit_test(a_signal_that_is_sent_ends_the_process),
    };
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
