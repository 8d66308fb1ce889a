/* What is read of a run while its files change, and the states that a folder can be in. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "report/watch.h"
#include "run/runlock.h"
#include "study_fixture.h"

SCRATCH_OF_GROUP(place, open_place, close_place)

static const struct watch_look plain = {.columns = 100, .ascii = true};

static double now(void)
{
    return (double)time(NULL);
}

/* The picture after all that is there was read. */
static char *picture_at(struct watch *w, double time)
{
    struct str out = {0};
    struct err e;
    for (bool more = true; more;)
        assert_ok(watch_read(w, 1 << 12, time, &more, &e), &e);
    assert_ok(watch_draw(&out, w, 0, &plain, &e), &e);
    return out.data;
}

static void expect(struct watch *w, double time, const char *piece)
{
    char *picture = picture_at(w, time);
    if (!strstr(picture, piece))
        fail_msg("no '%s' in:\n%s", piece, picture);
    free(picture);
}

static void append(const char *folder, const char *text)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static struct watch *open_watch(const char *folder)
{
    struct watch *w;
    struct err e;
    assert_ok(watch_open(&w, folder, NULL, &e), &e);
    return w;
}

static const char *make_run(const char *name, const char *metrics)
{
    const char *folder = scratch_path(&place, name);
    fixture_make_folder(folder);
    fixture_write_text(folder, "config.yaml", "max-steps: 40\nbatch-size: 10\n");
    fixture_write_text(folder, "metrics.jsonl", metrics);
    return folder;
}

static void lines_are_read_once_they_are_whole(void **state)
{
    (void)state;
    const char *folder = make_run("growing", "{\"step\": 1, \"loss\": 2}\n{\"step\": 2, \"lo");
    struct watch *w = open_watch(folder);
    expect(w, now(), "step 1 of 40");
    append(folder, "ss\": 1.5}\n");
    expect(w, now(), "step 2 of 40");
    expect(w, now(), "loss 1.5000");
    append(folder, "nonsense\n\n{\"step\": 2, \"loss\": 9}\n{\"step\": 3, \"loss\": null}\n");
    expect(w, now(), "3 lines of the metrics cannot be read");
    expect(w, now(), "loss not finite");
    /* A line that never ends takes no memory, and the lines after it count. */
    char *junk = malloc(3 << 20);
    assert_non_null(junk);
    memset(junk, 'x', 3 << 20);
    junk[(3 << 20) - 1] = '\0';
    append(folder, junk);
    free(junk);
    append(folder, "\n{\"step\": 4, \"loss\": 1}\n");
    expect(w, now(), "step 4 of 40");
    expect(w, now(), "4 lines of the metrics cannot be read");
    /* A resumed run replaces the file by a shorter one; then it is cut in place. */
    fixture_write_text(folder, "metrics.jsonl", "{\"step\": 1, \"loss\": 7}\n");
    expect(w, now(), "step 1 of 40");
    append(folder, "{\"step\": 2, \"loss\": 6}\n");
    expect(w, now(), "step 2 of 40");
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    assert_int_equal(truncate(path, 23), 0);
    expect(w, now(), "step 1 of 40");
    assert_int_equal(unlink(path), 0);
    expect(w, now(), "step 1 of 40");
    watch_close(w);
}

/* Of the last start; a name from a file is escaped. */
static void the_machine_is_that_of_the_last_start(void **state)
{
    (void)state;
    const char *folder = make_run("moved", "{\"step\": 1, \"loss\": 2, \"machine\": {\"ranks\": 4, \"processors\": "
                                           "[{\"name\": \"one\", \"hosts\": 2, \"ranks\": 4}]}}\n");
    struct watch *w = open_watch(folder);
    expect(w, now(), "4 ranks on 2 hosts  one\n");
    append(folder, "{\"step\": 2, \"loss\": 2, \"machine\": {\"ranks\": 1, \"threads\": 8, \"processors\": "
                   "[{\"name\": \"an\\u001b[31m\", \"hosts\": 1, \"ranks\": 1}]}}\n{\"step\": 3, \"loss\": 2}\n");
    expect(w, now(), "1 rank of 8 threads on 1 host  an\\u001b[31m\n");
    watch_close(w);
}

/* A file that is there and cannot be read is no file without lines. */
static void unreadable_files_are_told(void **state)
{
    (void)state;
    const char *folder = make_run("closed", "{\"step\": 1, \"loss\": 2}\n");
    fixture_write_text(folder, "config.yaml", "max-steps: [40\n");
    struct watch *w = open_watch(folder);
    expect(w, now(), "closed/config.yaml:");
    expect(w, now(), "step 1 ");
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0777), 0);
    expect(w, now(), "metrics.jsonl is a folder, a file is needed");
    assert_int_equal(rmdir(path), 0);
    fixture_write_text(folder, "config.yaml", "max-steps: 40\n");
    fixture_write_text(folder, "metrics.jsonl", "{\"step\": 2, \"loss\": 2}\n");
    char *picture = picture_at(w, now());
    assert_non_null(strstr(picture, "step 2 of 40"));
    assert_null(strstr(picture, "warnings"));
    free(picture);
    watch_close(w);
}

static void steps_follow_from_the_epochs(void **state)
{
    (void)state;
    /* 37 examples in batches of 10: 4 steps an epoch, 2.5 epochs. */
    const char *folder = make_run("epochs", "{\"step\": 1, \"loss\": 2, \"epoch\": 0.2702702702702703}\n");
    struct watch *w = open_watch(folder);
    fixture_write_text(folder, "config.yaml", "batch-size: 10\n");
    expect(w, now(), "step 1 of 4 ");
    fixture_write_text(folder, "config.yaml", "epochs: 2.5\nbatch-size: 10\n");
    expect(w, now(), "step 1 of 10 ");
    append(folder, "{\"step\": 6, \"loss\": 2, \"epoch\": 1.5405405405405406}\n");
    expect(w, now(), "step 6 of 10 ");
    fixture_write_text(folder, "config.yaml", "{{");
    expect(w, now(), "step 6  epoch");
    assert_int_equal(watch_count(w), 1);
    watch_close(w);
}

static void states_are_told_apart(void **state)
{
    (void)state;
    char host[200] = "", text[256], path[PATH_MAX];
    const char *folder = make_run("states", "{\"step\": 1, \"loss\": 2, \"seconds\": 1}\n");
    struct watch *w = open_watch(folder);
    struct runlock lock;
    struct err e;
    gethostname(host, sizeof host - 1);
    expect(w, now(), "stopped");
    assert_ok(runlock_take(&lock, folder, "node7", &e), &e);
    expect(w, now(), "running");
    expect(w, now() + 7200, "silent");
    expect(w, now() + 7200, "on node7 works in the folder");
    runlock_release(&lock);
    expect(w, now(), "stopped");
    fixture_write_text(folder, ".lock", "process 7 on node7\n"); /* of which this host may not hear */
    expect(w, now(), "running");
    expect(w, now() + 7200, "seems dead");
    snprintf(text, sizeof text, "process 7 on %s\n", host);
    fixture_write_text(folder, ".lock", text);
    expect(w, now(), "seems dead");
    fixture_write_text(folder, "failed.txt", "the loss is \033[31mnot finite\nsecond line");
    expect(w, now(), "the loss is \\u001b[31mnot finite\n");
    watch_close(w);
    /* A finished run has exported its adapter after its last checkpoint. */
    folder = scratch_path(&place, "finished");
    struct fixture_cell c = fixture_usual;
    fixture_run(folder, &c);
    w = open_watch(folder);
    expect(w, now(), "stopped");
    snprintf(path, sizeof path, "%s/adapter", folder);
    fixture_make_folder(path);
    static const char *const files[] = {"adapter_model.safetensors", "adapter_config.json", "README.md"};
    for (size_t i = 0; i < 3; i++)
        fixture_write_text(path, files[i], "x");
    expect(w, now(), "finished");
    watch_close(w);
}

static void folders_of_runs(void **state)
{
    (void)state;
    char path[PATH_MAX];
    struct watch *w;
    struct err e;
    char folder[PATH_MAX / 2];
    snprintf(folder, sizeof folder, "%s", scratch_path(&place, "several"));
    fixture_make_folder(folder);
    assert_error(watch_open(&w, folder, NULL, &e), &e, ERR_USAGE, "this is not the folder of a run, nor one with runs");
    make_run("several/b \033[1m", "");
    make_run("several/a", "{\"step\": 3, \"loss\": 2}\n");
    fixture_write_text(folder, "note.txt", "no run");
    snprintf(path, sizeof path, "%s/data", folder);
    fixture_make_folder(path);
    snprintf(path, sizeof path, "%s/study", folder);
    fixture_make_folder(path);
    fixture_write_text(path, "study.yaml", "model: m\n");
    make_run("several/study/cells/normal-1", "");
    w = open_watch(folder);
    expect(w, now(), "a ");
    expect(w, now(), "b \\u001b[1m ");
    expect(w, now(), "study/normal-1 ");
    assert_int_equal(watch_count(w), 3);
    make_run("several/c", "");
    expect(w, now(), "\n  c ");
    assert_error(watch_open(&(struct watch *){NULL}, folder, path, &e), &e, ERR_USAGE, "--log is for one run");
    watch_close(w);
}

/* No line is wider than the terminal, whatever its width, and at none of its sizes does anything break. */
static void pictures_fit(void **state)
{
    (void)state;
    const char *folder = scratch_path(&place, "wide");
    struct fixture_cell c = fixture_usual;
    fixture_run(folder, &c);
    struct watch *one = open_watch(folder), *all = open_watch(scratch_path(&place, "."));
    free(picture_at(one, now()));
    free(picture_at(all, now()));
    for (size_t columns = 1; columns < 260; columns += columns < 90 ? 1 : 13)
        for (size_t rows = 0; rows < 70; rows += 5)
            for (int of = 0; of < 4; of++) {
                const struct watch_look look = {
                    .columns = columns, .rows = rows, .ascii = of & 1, .keys = rows > 0};
                struct str out = {0};
                struct err e;
                assert_ok(watch_draw(&out, of & 2 ? all : one, 0, &look, &e), &e);
                size_t width = 0;
                for (const char *at = out.data; *at; at++) {
                    width = *at == '\n' ? 0 : width + (((unsigned char)*at & 0xc0) != 0x80);
                    assert_true(width <= columns);
                    assert_true(!look.ascii || (unsigned char)*at < 0x7f);
                }
                str_release(&out);
            }
    watch_close(one);
    watch_close(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read_once_they_are_whole), cmocka_unit_test(steps_follow_from_the_epochs),
        cmocka_unit_test(unreadable_files_are_told),
        cmocka_unit_test(the_machine_is_that_of_the_last_start),
        cmocka_unit_test(states_are_told_apart),              cmocka_unit_test(folders_of_runs),
        cmocka_unit_test(pictures_fit),
    };
    return cmocka_run_group_tests(tests, open_place, close_place);
}
