/* The self-test names the rank at fault, on all ranks: one whose adapter, gradient or clock is not the others'. And it
 * tells of file systems that are slow or have no locks. */
#include "mpi_unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#include "scratch.h"

#include "../../src/bench/selftest/selftest_parts.h"

static time_t ahead; /* seconds of this rank's time of day */

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int status = __real_clock_gettime(clock, now);
    now->tv_sec += clock == CLOCK_REALTIME ? ahead : 0;
    return status;
}

static bool no_locks, slow_disk; /* of the file system, as this rank sees it */

int __real_fcntl(int fd, int command, void *argument);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (no_locks && command == F_OFD_SETLK) {
        errno = ENOLCK;
        return -1;
    }
    return __real_fcntl(fd, command, argument);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    if (slow_disk)
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    return __real_fsync(fd);
}

static struct options options;

/* Its check of files works in this folder; NULL: in the working directory. */
static struct selftest *begin_in(const char *folder)
{
    struct err e;
    struct selftest *t = NULL;
    static char threads[] = "--threads=1";
    char output[PATH_MAX + 16];
    char *const words[] = {threads, output};
    snprintf(output, sizeof output, "--output=%s", folder ? folder : "");
    assert_ok(options_parse(&options, "selftest", folder ? 2 : 1, words, &e), &e);
    assert_ok(selftest_open(&t, &options, &ranks, &e), &e);
    t->alike = true; /* as the check of products finds, which takes its time */
    return t;
}

static struct selftest *begin(void)
{
    return begin_in(NULL);
}

static void end(struct selftest *t)
{
    selftest_close(t);
    options_release(&options);
}

static struct selftest_line check(struct selftest *t, const char *name)
{
    struct err e;
    struct selftest_line line;
    size_t i = 0;
    while (strcmp(selftest_name(i), name) != 0)
        i++;
    assert_ok(selftest_check(&line, t, i, &e), &e);
    return line;
}

static void flip_a_bit(struct selftest *t, int rank)
{
    uint32_t bits;
    float *value = &t->tiny.lora.params[t->tiny.lora.layout.size / 2];
    memcpy(&bits, value, sizeof bits);
    bits ^= 1U << 20;
    if (ranks.rank == rank)
        memcpy(value, &bits, sizeof bits);
}

static void all_is_fine(void **state)
{
    (void)state;
    struct selftest *t = begin();
    static const char *const names[] = {"ranks", "tokenizer", "training", "bits", "clock"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct selftest_line line = check(t, names[i]);
        expect(line.verdict < SELFTEST_WRONG && !line.cure[0] == (line.verdict == SELFTEST_FINE));
        if (line.verdict == SELFTEST_WRONG)
            print_error("%s: %s\n", line.name, line.text);
    }
    end(t);
    agree();
}

/* Wrong, and the line begins with the rank. */
static void expect_named(const struct selftest_line *line, int rank)
{
    char named[DIST_HOST_SIZE + 32];
    snprintf(named, sizeof named, "rank %d on %s", rank, ranks.host);
    expect(line->verdict == SELFTEST_WRONG && *line->cure);
    expect(strncmp(line->text, named, strlen(named)) == 0);
    if (strncmp(line->text, named, strlen(named)) != 0)
        print_error("not '%s': %s\n", named, line->text);
}

static void another_adapter_is_named(void **state)
{
    (void)state;
    if (ranks.world == 1)
        skip();
    struct selftest *t = begin();
    const int odd = ranks.world - 1; /* of two ranks too: the first is taken for the right one */
    flip_a_bit(t, odd);
    struct selftest_line line = check(t, "training");
    expect_named(&line, odd);
    expect(strstr(line.text, ranks.world == 2 ? "not that of rank 0" : "not that of most ranks"));
    line = check(t, "bits");
    expect(line.verdict == SELFTEST_FINE && strstr(line.text, "not compared"));
    end(t);
    agree();
}

/* What the other ranks compute is not what each would compute by itself. */
static void another_gradient_is_seen(void **state)
{
    (void)state;
    if (ranks.world == 1)
        skip();
    struct selftest *t = begin();
    expect(check(t, "training").verdict < SELFTEST_WRONG);
    flip_a_bit(t, ranks.world - 1);
    struct selftest_line line = check(t, "bits");
    expect_named(&line, 0);
    expect(strstr(line.text, "is not what this rank computes by itself"));
    end(t);
    agree();
}

static void another_time_of_day_is_named(void **state)
{
    (void)state;
    if (ranks.world == 1)
        skip();
    struct selftest *t = begin();
    ahead = ranks.rank == ranks.world - 1 ? 90 : 0;
    struct selftest_line line = check(t, "clock");
    ahead = 0;
    expect_named(&line, ranks.world - 1);
    expect(strstr(line.text, " after that of rank 0") && strstr(line.cure, "NTP"));
    expect(line.number_count == 1 && line.numbers[0].value > 89 && line.numbers[0].value < 120);
    end(t);
    agree();
}

/* Rank 0 alone writes; without moments there is nothing to save, so it trains first. */
static void poor_file_systems_are_told(void **state)
{
    (void)state;
    struct scratch scratch = {0};
    assert_true(ranks.rank > 0 || scratch_open(&scratch));
    struct selftest *t = begin_in(ranks.rank > 0 ? file_temporary_folder() : scratch.folder);
    expect(check(t, "training").verdict < SELFTEST_WRONG);
    expect(check(t, "files").verdict < SELFTEST_WRONG);
    no_locks = true;
    struct selftest_line line = check(t, "files");
    no_locks = false;
    expect(line.verdict == SELFTEST_SLOW && strstr(line.text, " has no locks (") &&
           strstr(line.cure, "-o flock"));
    slow_disk = true;
    line = check(t, "files");
    slow_disk = false;
    expect(line.verdict == SELFTEST_SLOW && strstr(line.text, " MB/s") && strstr(line.cure, "--save-every"));
    end(t);
    expect(ranks.rank > 0 || file_holds_only(scratch.folder, NULL));
    if (ranks.rank == 0)
        scratch_close(&scratch);
    agree();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(poor_file_systems_are_told),   cmocka_unit_test(all_is_fine),
    cmocka_unit_test(another_adapter_is_named),     cmocka_unit_test(another_gradient_is_seen),
    cmocka_unit_test(another_time_of_day_is_named),
};
MPI_UNIT_MAIN(tests)
