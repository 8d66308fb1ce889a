/* Saving beside training: what is saved is the state that was handed over; failures are counted and tried
 * again. */
#include "small_lora.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "ranks/launch.h"
#include "scratch.h"
#include "run/rundir.h"
#include "train/saver.h"

static const struct ckpt_identity identity = {.base = "00112233445566778899aabbccddeeff",
                                              .tokenizer = "10112233445566778899aabbccddeeff",
                                              .data = "20112233445566778899aabbccddeeff"};
static const struct trace_record no_trace;

static struct scratch folder;
static struct lora adapter;
static struct lora_moments moments;
static struct saver saver;
static struct deadline deadline;
static struct runlock lock;
static char place[300]; /* the run's folder */

static int open_all(void **state)
{
    (void)state;
    struct err e;
    if (!scratch_open(&folder))
        return -1;
    small_make(&adapter, "q_proj", 2, 4);
    moments = small_moments(&adapter);
    snprintf(place, sizeof place, "%s/run", folder.folder);
    assert_ok(runlock_take(&lock, place, "here", &e), &e);
    const struct saver_facts facts = {.lock = &lock,
                                      .keep = 2,
                                      .every = 5,
                                      .failures_max = 3,
                                      .patience = 0.05,
                                      .identity = &identity,
                                      .config = "a: b\n",
                                      .lora_init = "normal",
                                      .trace = &no_trace,
                                      .deadline = &deadline};
    assert_ok(saver_open(&saver, &facts, &adapter, &moments, NULL, &e), &e);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    saver_close(&saver);
    saver_close(&saver);
    runlock_release(&lock);
    lora_release(&adapter);
    scratch_close(&folder);
    return 0;
}

/* Every value is the step's number. */
static void train_to(uint64_t step)
{
    for (size_t i = 0; i < adapter.layout.size; i++)
        adapter.params[i] = moments.m[i] = moments.v[i] = (float)step;
}

static enum err_code take_step(uint64_t step, bool due, struct err *e)
{
    train_to(step);
    return saver_step(&saver, &(struct ckpt_state){.step = step}, due, e);
}

static bool is_on_disk(uint64_t step)
{
    char path[PATH_MAX];
    struct err e;
    assert_ok(rundir_checkpoint_path(path, place, step, &e), &e);
    return file_exists(path);
}

static void expect_values(uint64_t step)
{
    char path[PATH_MAX];
    struct err e;
    struct ckpt c;
    struct lora l;
    assert_ok(rundir_checkpoint_path(path, place, step, &e), &e);
    assert_ok(ckpt_open(&c, path, &e), &e);
    assert_int_equal(c.state.step, step);
    small_make(&l, "q_proj", 2, 4);
    struct lora_moments own = small_moments(&l);
    assert_ok(ckpt_read(&c, &l, &own, &e), &e);
    for (size_t i = 0; i < l.layout.size; i++)
        assert_true(l.params[i] == (float)step && own.m[i] == (float)step && own.v[i] == (float)step);
    ckpt_close(&c);
    lora_release(&l);
}

static uint64_t rescued(double seconds)
{
    uint64_t step;
    return saver_rescue(&saver, seconds, &step) ? step : 0;
}

/* Told to end: the last whole state is saved, if it is not there yet, there is time, and no step changes it. */
static void the_last_state_is_rescued(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(rescued(9), 0);
    saver_begin_change(&saver);
    train_to(1);
    assert_int_equal(rescued(9), 0);
    saver_end_change(&saver, &(struct ckpt_state){.step = 1});
    deadline_note_save(&deadline, 10);
    assert_int_equal(rescued(9), 0);
    deadline = (struct deadline){0};
    assert_int_equal(rescued(9), 1);
    expect_values(1);
    saver_begin_change(&saver);
    train_to(2);
    assert_int_equal(rescued(9), 1);
    saver_end_change(&saver, &(struct ckpt_state){.step = 2});
    assert_ok(saver_step(&saver, &(struct ckpt_state){.step = 2}, true, &e), &e); /* its thread is at work */
    assert_int_equal(rescued(9), 2);
    expect_values(2);
    assert_ok(saver_last(&saver, &(struct ckpt_state){.step = 2}, NULL, &e), &e); /* nothing is left to do */
    deadline = (struct deadline){0};
}

static void training_goes_on_meanwhile(void **state)
{
    (void)state;
    struct err e;
    double patience = saver.facts.patience;
    saver.facts.patience = 60; /* a busy machine is no disk that does not answer */
    for (uint64_t step = 1; step <= 30; step++) {
        assert_ok(take_step(step, true, &e), &e);
        train_to(1000); /* what comes next is in the adapter before the thread is done */
    }
    train_to(30);
    assert_ok(saver_last(&saver, &(struct ckpt_state){.step = 30}, NULL, &e), &e);
    expect_values(29);
    expect_values(30);
    assert_false(is_on_disk(28)); /* keep is 2 */
    assert_ok(saver_last(&saver, &(struct ckpt_state){.step = 30, .finished = true}, NULL, &e), &e);
    expect_values(30);
    saver.facts.patience = patience;
}

/* The job script learns of the first checkpoint beyond the start, and of no other. */
static void progress_is_noted(void **state)
{
    (void)state;
    struct err e;
    struct str text = {0};
    const char *note = scratch_path(&folder, "saved");
    setenv("MPILORA_SAVED", note, 1);
    saver.facts.begun_at = 91;
    assert_ok(saver_last(&saver, &(struct ckpt_state){.step = 91}, NULL, &e), &e);
    assert_false(file_exists(note));
    saver_note_reference(&saver);
    assert_ok(file_read_all(&text, note, 100, &e), &e);
    assert_string_equal(text.data, "91\n");
    saver.has_saved = false;
    saver_note_reference(&saver);
    assert_ok(file_read_all(&text, note, 100, &e), &e);
    assert_string_equal(text.data, "0\n");
    saver.has_saved = true;
    for (uint64_t step = 92; step < 94; step++)
        assert_ok(saver_last(&saver, &(struct ckpt_state){.step = step}, NULL, &e), &e);
    assert_ok(file_read_all(&text, note, 100, &e), &e);
    assert_string_equal(text.data, "92\n");
    str_release(&text);
    unsetenv("MPILORA_SAVED");
}

static void failures_are_tried_again_ever_later(void **state)
{
    (void)state;
    struct err e;
    char aside[PATH_MAX];
    snprintf(aside, sizeof aside, "%s.aside", place);
    assert_int_equal(rename(place, aside), 0);
    assert_ok(take_step(40, true, &e), &e); /* fails, which shows later */
    while (!__atomic_load_n(&saver.done, __ATOMIC_ACQUIRE))
        usleep(1000);
    assert_ok(take_step(41, false, &e), &e); /* the first try again is at once, and fails, too */
    assert_int_equal(saver.failures, 1);
    while (!__atomic_load_n(&saver.done, __ATOMIC_ACQUIRE))
        usleep(1000);
    assert_ok(take_step(42, false, &e), &e); /* the next one would be at 43 */
    assert_int_equal(saver.failures, 2);
    assert_false(saver.running);
    assert_int_equal(rename(aside, place), 0);
    assert_ok(take_step(43, false, &e), &e);
    train_to(43);
    assert_ok(saver_last(&saver, &(struct ckpt_state){.step = 43}, NULL, &e), &e);
    assert_int_equal(saver.failures, 0);
    expect_values(43);
    expect_values(30);
    assert_int_equal(rename(place, aside), 0);
    saver.facts.failures_max = 1;
    assert_ok(take_step(50, true, &e), &e);
    assert_error(saver_last(&saver, &(struct ckpt_state){.step = 50}, NULL, &e), &e, ERR_IO,
                 "step 50 could not be saved (--save-failures); the newest checkpoint, of step 43, cannot be found");
    assert_int_equal(rename(aside, place), 0);
    expect_values(43);
}

/* The other end of the pipe that stands where metrics.jsonl should: opening it hangs until then. */
static void *answer_later(void *path)
{
    char aside[PATH_MAX];
    snprintf(aside, sizeof aside, "%s.aside", (const char *)path);
    usleep(700000);
    assert_int_equal(rename(path, aside), 0);
    int fd = open(aside, O_WRONLY | O_CLOEXEC);
    close(fd);
    return NULL;
}

static void a_disk_that_does_not_answer_is_named(void **state)
{
    (void)state;
    struct err e;
    pthread_t disk;
    static char pipe_path[PATH_MAX];
    char said[4096] = "";
    snprintf(pipe_path, sizeof pipe_path, "%s/metrics.jsonl", place);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    saver.facts.failures_max = 3;
    FILE *messages = tmpfile();
    int stderr_kept = dup(STDERR_FILENO);
    assert_true(messages && stderr_kept >= 0 && dup2(fileno(messages), STDERR_FILENO) >= 0);
    log_set_speaking(true);
    enum err_code first = take_step(60, true, &e);
    assert_int_equal(pthread_create(&disk, NULL, answer_later, pipe_path), 0);
    enum err_code second = take_step(61, true, &e);
    bool went_on = saver.running;
    struct dist alone;
    launch_alone(&alone);
    struct duty_company company = {.ranks = &alone};
    enum err_code last = saver_last(&saver, &(struct ckpt_state){.step = 61}, &company, &e);
    pthread_join(disk, NULL);
    log_set_speaking(false);
    dup2(stderr_kept, STDERR_FILENO);
    close(stderr_kept);
    rewind(messages);
    assert_true(fread(said, 1, sizeof said - 1, messages) > 0);
    fclose(messages);
    assert_ok(first, &e);
    assert_ok(second, &e);
    assert_ok(last, &e);
    assert_true(went_on);
    assert_true(company.told >= 3); /* while the disk says nothing, and before the next try */
    assert_non_null(strstr(said, "warning: step 60 is not on disk yet, and training has waited 0 s for it"));
    assert_non_null(strstr(said, "gone? It goes on without newer checkpoints."));
    assert_non_null(strstr(said, "step 60 could not be saved")); /* a pipe cannot be flushed */
    expect_values(61);
    assert_true(deadline.save_longest >= 0.4); /* the pipe's, less what the thread took to start */
}

/* Another run's folder: an end at once, and nothing of it is touched. */
static void a_folder_of_another_is_left_alone(void **state)
{
    (void)state;
    struct err e;
    struct runlock other;
    char aside[PATH_MAX];
    saver.facts.failures_max = 3;
    snprintf(aside, sizeof aside, "%s.aside", place);
    assert_int_equal(rename(place, aside), 0);
    assert_ok(runlock_take(&other, place, "there", &e), &e);
    assert_error(saver_last(&saver, &(struct ckpt_state){.step = 100}, NULL, &e), &e, ERR_BUSY,
                 "is not this run's any more: the lock .lock in it is another's now, that of process");
    assert_false(is_on_disk(100));
    assert_int_equal(rmdir(place), -1);
    assert_int_equal(unlink(scratch_path(&folder, "run/.lock")), 0);
    assert_int_equal(rmdir(place), 0); /* there is nothing else in it */
    runlock_release(&other);
    assert_int_equal(rename(aside, place), 0);
    assert_false(is_on_disk(100));
}

int main(void)
{
    log_set_speaking(false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_state_is_rescued),
        cmocka_unit_test(training_goes_on_meanwhile),
        cmocka_unit_test(failures_are_tried_again_ever_later),
        cmocka_unit_test(a_disk_that_does_not_answer_is_named),
        cmocka_unit_test(progress_is_noted),
        cmocka_unit_test(a_folder_of_another_is_left_alone),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
