/* metrics.jsonl: lines as promised, cut back without a trace of what is undone. */
#include "unit.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "io/json.h"
#include "scratch.h"
#include "run/metrics.h"

static struct scratch folder;
static struct runlock lock;
static const char *path;

static int open_folder(void **state)
{
    (void)state;
    if (!scratch_open(&folder))
        return -1;
    static char place[PATH_MAX];
    snprintf(place, sizeof place, "%s/metrics.jsonl", folder.folder);
    path = place;
    struct err e;
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

static void write_steps(uint64_t from, uint64_t first, uint64_t last)
{
    struct metrics m;
    struct err e;
    assert_ok(metrics_open(&m, &lock, from, &e), &e);
    for (uint64_t step = first; step <= last; step++) {
        struct metrics_row row = {.step = step,
                                  .epoch = 0.5,
                                  .loss = 1.25,
                                  .learning_rate = 2e-4,
                                  .grad_norm = 3,
                                  .tokens = 100,
                                  .supervised_tokens = 40,
                                  .seconds = 0.5,
                                  .data_seconds = 0.25,
                                  .comm_seconds = 0.03125,
                                  .wait_seconds = 0.0625,
                                  .slowest_rank = 3,
                                  .slowest_host = step == 1 ? "node\"1" : NULL,
                                  .phases = {[PROF_HEAD] = 0.125},
                                  .evaluated = step % 2 == 0,
                                  .eval_loss = 7};
        assert_ok(metrics_write(&m, &row, &e), &e);
    }
    metrics_close(&m);
}

/* It would be another file that grows. */
static void a_link_is_refused(void **state)
{
    (void)state;
    struct metrics m;
    struct err e;
    unlink(path);
    assert_int_equal(symlink("elsewhere", path), 0);
    assert_error(metrics_open(&m, &lock, 0, &e), &e, ERR_IO, "metrics.jsonl is a link");
    assert_int_equal(unlink(path), 0);
}

static void expect_steps(const char *expected)
{
    struct str bytes = {0}, steps = {0};
    struct err e;
    assert_ok(file_read_all(&bytes, path, 1 << 20, &e), &e);
    char *rest = bytes.data;
    for (char *line; rest && (line = strsep(&rest, "\n")) && *line;) {
        struct json *doc;
        assert_ok(json_open_bytes(&doc, line, strlen(line), "line", &e), &e);
        assert_ok(str_appendf(&steps, &e, "%d ", (int)json_int(json_get(json_root(doc), "step"), -1)), &e);
        json_close(doc);
    }
    assert_string_equal(steps.data ? steps.data : "", expected);
    str_release(&steps);
    str_release(&bytes);
}

static void append(const char *text)
{
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void line_has_every_key(void **state)
{
    (void)state;
    struct str bytes = {0};
    struct err e;
    write_steps(0, 1, 2);
    assert_ok(file_read_all(&bytes, path, 1 << 20, &e), &e);
#define PHASES                                                                                               \
    "\"phases\": {\"other\": 0, \"embedding\": 0, \"norms\": 0, \"attention\": 0, \"activation\": 0, "       \
    "\"base_gemm\": 0, \"lora_gemm\": 0, \"head\": 0.125, \"optimizer\": 0, \"communication\": 0}"
    assert_string_equal(
        bytes.data,
        "{\"step\": 1, \"epoch\": 0.5, \"loss\": 1.25, \"learning_rate\": 0.0002, \"grad_norm\": 3, "
        "\"tokens\": 100, \"supervised_tokens\": 40, \"tokens_per_second\": 200, \"seconds\": 0.5, "
        "\"data_seconds\": 0.25, \"comm_seconds\": 0.03125, \"wait_seconds\": 0.0625, \"slowest_rank\": 3, "
        "\"slowest_host\": \"node\\\"1\", " PHASES "}\n"
        "{\"step\": 2, \"epoch\": 0.5, \"loss\": 1.25, \"learning_rate\": 0.0002, \"grad_norm\": 3, "
        "\"tokens\": 100, \"supervised_tokens\": 40, \"tokens_per_second\": 200, \"seconds\": 0.5, "
        "\"data_seconds\": 0.25, \"comm_seconds\": 0.03125, \"wait_seconds\": 0.0625, " PHASES
        ", \"eval_loss\": 7}\n");
    str_release(&bytes);
}

static void preferences_have_rewards(void **state)
{
    (void)state;
    struct metrics m;
    struct str bytes = {0};
    struct err e;
    struct metrics_row row = {.step = 1, .prefers = true, .rewards = {-0.5, -2, 1.5, 0.75}};
    const struct metrics_rewards late = {1, 2, -1, 0.25};
    assert_ok(metrics_open(&m, &lock, 0, &e), &e);
    assert_ok(metrics_write(&m, &row, &e), &e);
    metrics_close(&m);
    assert_ok(metrics_open(&m, &lock, 1, &e), &e);
    assert_ok(metrics_add_evaluation(&m, 1, 3, &late, &e), &e);
    row = (struct metrics_row){.step = 2, .prefers = true, .evaluated = true, .eval_rewards = late};
    assert_ok(metrics_write(&m, &row, &e), &e);
    metrics_close(&m);
    assert_ok(file_read_all(&bytes, path, 1 << 20, &e), &e);
    const char *first = strstr(bytes.data, "\"loss\": 0, \"reward_chosen\": -0.5, \"reward_rejected\": -2, "
                                           "\"reward_margin\": 1.5, \"reward_accuracy\": 0.75, ");
    const char evaluation[] = "\"eval_reward_chosen\": 1, \"eval_reward_rejected\": 2, \"eval_reward_margin\": -1, "
                              "\"eval_reward_accuracy\": 0.25}\n";
    const char *added = strstr(bytes.data, evaluation);
    assert_true(first && added && first < added);
    assert_non_null(strstr(added + 1, evaluation));
    str_release(&bytes);
}

static void no_step_stands_twice(void **state)
{
    (void)state;
    write_steps(0, 1, 5);
    write_steps(3, 4, 6);
    expect_steps("1 2 3 4 5 6 ");
    write_steps(6, 7, 7);
    expect_steps("1 2 3 4 5 6 7 ");
    write_steps(0, 1, 1);
    expect_steps("1 ");
}

static void torn_and_strange_lines_go(void **state)
{
    (void)state;
    write_steps(0, 1, 2);
    append("{\"step\": 3, \"lo");
    write_steps(2, 3, 3);
    expect_steps("1 2 3 ");
    append("\nnot json\n{\"step\": 2}\n{\"step\": -1}\n[]\n{\"step\": 4}\n{\"step\": 5}"); /* no line end:
                                                                                              torn */
    write_steps(9, 10, 10);
    expect_steps("1 2 3 4 10 ");
}

/* The same lines as are kept: whole ones, ascending, up to a step. */
static void lines_are_read(void **state)
{
    (void)state;
    struct metrics_log log;
    struct err e;
    write_steps(0, 1, 2);
    append("not json\n{\"step\": 2}\n{\"step\": 3, \"loss\": null, \"reward_margin\": 4, \"eval_reward_chosen\": 5}\n"
           "{\"step\": 7}\n{\"step\": 8");
    assert_ok(metrics_read(&log, path, 9, &e), &e);
    assert_int_equal(log.count, 4);
    const struct metrics_point *p = log.points;
    assert_true(p[1].step == 2 && p[1].tokens == 100 && p[1].epoch == 0.5 && p[1].loss == 1.25);
    assert_true(p[1].learning_rate == 2e-4 && p[1].grad_norm == 3 && p[1].eval_loss == 7);
    assert_true(p[0].step == 1 && isnan(p[0].eval_loss));
    assert_true(p[2].step == 3 && isnan(p[2].loss) && p[2].tokens == 0);
    assert_true(p[2].rewards.margin == 4 && isnan(p[2].rewards.chosen) && p[2].eval_rewards.chosen == 5);
    assert_true(isnan(p[2].eval_rewards.margin) && isnan(p[0].rewards.accuracy));
    assert_int_equal(p[3].step, 7);
    metrics_log_release(&log);
    assert_ok(metrics_read(&log, path, 2, &e), &e);
    assert_int_equal(log.count, 2);
    metrics_log_release(&log);
    write_steps(0, 1, 600); /* more than there is room for at first */
    assert_ok(metrics_read(&log, path, 1000, &e), &e);
    assert_int_equal(log.count, 600);
    assert_int_equal(log.points[599].step, 600);
    metrics_log_release(&log);
    assert_ok(metrics_read(&log, scratch_path(&folder, "nothing"), 9, &e), &e);
    assert_int_equal(log.count, 0);
    assert_error(metrics_read(&log, folder.folder, 9, &e), &e, ERR_IO, folder.folder);
    metrics_log_release(&log);
}

static void read_file(struct str *bytes)
{
    struct err e;
    assert_ok(file_read_all(bytes, path, 1 << 20, &e), &e);
}

/* Into its own line, once; all other bytes stay. */
static void evaluation_comes_later(void **state)
{
    (void)state;
    struct metrics m;
    struct err e;
    struct str before = {0}, after = {0};
    write_steps(0, 1, 3);
    read_file(&before);
    append("{\"step\": 4, \"lo");
    assert_ok(metrics_open(&m, &lock, 3, &e), &e);
    assert_true(m.last_step == 3 && !m.last_evaluated);
    assert_ok(metrics_add_evaluation(&m, 3, 0.1, NULL, &e), &e);
    assert_ok(metrics_add_evaluation(&m, 3, 0.2, NULL, &e), &e);
    before.length -= 2;
    assert_ok(str_append(&before, ", \"eval_loss\": 0.1}\n", 20, &e), &e);
    read_file(&after);
    assert_string_equal(after.data, before.data);
    assert_ok(metrics_write(&m, &(struct metrics_row){.step = 4}, &e), &e); /* into the new file */
    metrics_close(&m);
    expect_steps("1 2 3 4 ");
    assert_ok(metrics_open(&m, &lock, 4, &e), &e);
    assert_true(m.last_step == 4 && !m.last_evaluated);
    assert_error(metrics_add_evaluation(&m, 5, 0.1, NULL, &e), &e, ERR_FORMAT, "has lost the line of step 5");
    metrics_close(&m);
    assert_ok(metrics_open(&m, &lock, 3, &e), &e);
    assert_true(m.last_step == 3 && m.last_evaluated);
    metrics_close(&m);
    str_release(&before);
    str_release(&after);
}

static void unwritable_place_is_named(void **state)
{
    (void)state;
    struct metrics m;
    struct err e;
    assert_true(unlink(path) == 0 && mkdir(path, 0777) == 0);
    assert_error(metrics_open(&m, &lock, 0, &e), &e, ERR_IO, path);
    metrics_close(&m);
    assert_int_equal(rmdir(path), 0);
}

/* Part of a line fits, then nothing does; later there is room: no line is lost, none is torn. */
static void lines_wait_for_room(void **state)
{
    (void)state;
    struct metrics m;
    struct err e;
    struct rlimit saved;
    struct stat st;
    write_steps(0, 1, 2);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &saved), 0);
    assert_ok(metrics_open(&m, &lock, 2, &e), &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){(rlim_t)st.st_size + 30, saved.rlim_max}), 0);
    enum err_code codes[3], flushed = ERR_OK;
    for (uint64_t i = 0; i < 3; i++)
        codes[i] = metrics_write(&m, &(struct metrics_row){.step = i + 3}, &e);
    flushed = metrics_flush(&m, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &saved), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(codes[i], ERR_OK);
    assert_int_equal(flushed, ERR_IO);
    assert_non_null(strstr(e.message, path));
    assert_ok(metrics_write(&m, &(struct metrics_row){.step = 6}, &e), &e);
    metrics_close(&m);
    expect_steps("1 2 3 4 5 6 ");
}

/* A file that was deleted is started afresh: lines do not go where nobody sees them. */
static void deleted_file_is_begun_anew(void **state)
{
    (void)state;
    struct metrics m;
    struct err e;
    assert_ok(metrics_open(&m, &lock, 0, &e), &e);
    assert_ok(metrics_write(&m, &(struct metrics_row){.step = 1}, &e), &e);
    assert_int_equal(unlink(path), 0);
    assert_ok(metrics_write(&m, &(struct metrics_row){.step = 2}, &e), &e);
    metrics_close(&m);
    expect_steps("2 ");
}

/* Another name of the file, as `cp -al` of the folder makes one, keeps the lines of its time; so does one that is made
 * while the run writes. */
static void another_name_keeps_its_lines(void **state)
{
    (void)state;
    struct metrics m;
    struct err e;
    struct str before = {0}, after = {0};
    const char *names[] = {scratch_path(&folder, "first"), scratch_path(&folder, "second")};
    write_steps(0, 1, 2);
    read_file(&before);
    assert_int_equal(link(path, names[0]), 0);
    assert_ok(metrics_open(&m, &lock, 2, &e), &e);
    assert_ok(metrics_write(&m, &(struct metrics_row){.step = 3}, &e), &e);
    assert_ok(file_read_all(&after, names[0], 1 << 20, &e), &e);
    assert_string_equal(after.data, before.data);
    read_file(&before);
    assert_int_equal(link(path, names[1]), 0);
    assert_ok(metrics_write(&m, &(struct metrics_row){.step = 4}, &e), &e);
    assert_ok(metrics_write(&m, &(struct metrics_row){.step = 5}, &e), &e);
    assert_ok(file_read_all(&after, names[1], 1 << 20, &e), &e);
    assert_string_equal(after.data, before.data);
    metrics_close(&m);
    expect_steps("1 2 3 4 5 ");
    str_release(&before);
    str_release(&after);
}

/* A folder that is another run's is not written to. */
static void another_runs_file_is_left_alone(void **state)
{
    (void)state;
    struct metrics m;
    struct err e;
    struct runlock other;
    struct str before = {0}, after = {0};
    write_steps(0, 1, 2);
    assert_ok(metrics_open(&m, &lock, 2, &e), &e);
    read_file(&before);
    assert_int_equal(unlink(scratch_path(&folder, ".lock")), 0);
    assert_ok(runlock_take(&other, folder.folder, "there", &e), &e);
    assert_error(metrics_write(&m, &(struct metrics_row){.step = 3}, &e), &e, ERR_BUSY,
                 "is not this run's any more");
    assert_error(metrics_flush(&m, &e), &e, ERR_BUSY, "on there");
    assert_error(metrics_add_evaluation(&m, 2, 1, NULL, &e), &e, ERR_BUSY, "is not this run's any more");
    metrics_close(&m);
    assert_error(metrics_open(&m, &lock, 0, &e), &e, ERR_BUSY, "is not this run's any more");
    metrics_close(&m);
    read_file(&after);
    assert_string_equal(after.data, before.data);
    runlock_release(&lock);
    lock = other;
    str_release(&before);
    str_release(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_is_refused),
        cmocka_unit_test(line_has_every_key),
        cmocka_unit_test(preferences_have_rewards),
        cmocka_unit_test(no_step_stands_twice),
        cmocka_unit_test(torn_and_strange_lines_go),
        cmocka_unit_test(lines_are_read),
        cmocka_unit_test(unwritable_place_is_named),
        cmocka_unit_test(lines_wait_for_room),
        cmocka_unit_test(deleted_file_is_begun_anew),
        cmocka_unit_test(evaluation_comes_later),
        cmocka_unit_test(another_name_keeps_its_lines),
        cmocka_unit_test(another_runs_file_is_left_alone),
    };
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
