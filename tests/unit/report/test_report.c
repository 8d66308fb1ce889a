/* Reports of folders: complete, incomplete, damaged, with names that would be markup. */
#include "unit.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/json.h"
#include "study_fixture.h"
#include "report/report.h"

SCRATCH_OF_GROUP(place, open_place, close_place)

static void write_report(const char *folder)
{
    struct err e;
    assert_ok(report_write(folder, 0, &e), &e);
}

static char *read_text(const char *folder, const char *name)
{
    char path[PATH_MAX];
    struct str text = {0};
    struct err e;
    assert_ok(file_join(path, sizeof path, folder, name, &e), &e);
    assert_ok(file_read_all(&text, path, 1 << 24, &e), &e);
    return text.data;
}

static struct json *read_json(const char *folder)
{
    char path[PATH_MAX];
    struct json *doc;
    struct err e;
    assert_ok(file_join(path, sizeof path, folder, "report.json", &e), &e);
    assert_ok(json_open_file(&doc, path, 1 << 24, &e), &e);
    return doc;
}

static const struct json_value *find(const struct json_value *list, const char *key, const char *value)
{
    for (size_t i = 0; i < json_count(list); i++)
        if (!strcmp(json_text(json_get(json_at(list, i), key)), value))
            return json_at(list, i);
    fail_msg("nothing with %s = %s", key, value);
    return NULL;
}

static void study_has_all_parts(void **state)
{
    (void)state;
    const char *folder = scratch_path(&place, "study");
    fixture_study(folder);
    write_report(folder);
    struct json *doc = read_json(folder);
    const struct json_value *root = json_root(doc), *figures = json_get(root, "figures");
    char *html = read_text(folder, "report.html");
    assert_int_equal(json_count(json_get(root, "claims")), 6);
    static const char *const plots[] = {"loss",   "eval-loss",    "learning-rate",
                                        "offset", "offset-final", "rank-final"};
    for (size_t i = 0; i < sizeof plots / sizeof *plots; i++) {
        char element[64];
        assert_true(json_count(json_get(find(figures, "plot", plots[i]), "series")) > 0);
        snprintf(element, sizeof element, " id=\"%s\"", plots[i]);
        assert_non_null(strstr(html, element));
    }
    /* The lowest of the valley at 3e-4 is 2.0225 over two seeds. */
    const struct json_value *normal =
        find(json_get(find(figures, "plot", "learning-rate"), "series"), "name", "normal");
    assert_int_equal(json_count(json_get(normal, "y")), 4);
    assert_float_equal(json_number(json_at(json_get(normal, "x"), 1), 0), 3e-4, 1e-9);
    assert_float_equal(json_number(json_at(json_get(normal, "y"), 1), 0), 2.0225, 1e-9);
    assert_float_equal(json_number(json_at(json_get(normal, "low"), 1), 0), 2.0125, 1e-9);
    assert_float_equal(json_number(json_at(json_get(normal, "high"), 1), 0), 2.0325, 1e-9);
    const struct json_value *offset = json_at(json_get(find(figures, "plot", "offset"), "series"), 0);
    assert_true(fabs(json_number(json_at(json_get(offset, "y"), 3), 0) - (3 + 200 * 0.032 * 0.032)) < 1e-9);
    assert_string_equal(json_text(json_get(find(json_get(root, "claims"), "verdict", "held"), "claim")),
                        "With both A and B zero, nothing ever changes.");
    free(html);
    json_close(doc);
}

static void what_is_missing_is_said(void **state)
{
    (void)state;
    const char *folder = scratch_path(&place, "part");
    fixture_make_folder(folder);
    fixture_write_text(folder, "study.yaml", "model: m\ndata: d\nseed: [0, 1]\n");
    write_report(folder); /* nothing has begun */
    char *html = read_text(folder, "report.html");
    assert_non_null(strstr(html, "0 of 2"));
    assert_non_null(strstr(html, "Nothing has been measured yet"));
    free(html);
    fixture_write_text(folder, "study.yaml", "model: m\ndata: d\nseed: [0, 1]\nlora-init: [normal, zero]\n");
    write_report(folder); /* nor of a study of starts, which has claims */
    html = read_text(folder, "report.html");
    assert_non_null(strstr(html, "0 of 4"));
    assert_non_null(strstr(html, "not measured"));
    fixture_write_text(folder, "study.yaml", "model: m\ndata: d\nseed: [0, 1]\n");
    free(html);
    struct fixture_cell c = fixture_usual;
    fixture_add(folder, &c);
    c.seed = 1;
    c.unfinished = true;
    fixture_add(folder, &c);
    c.seed = 2;
    fixture_add(folder, &c);
    char cell[PATH_MAX];
    fixture_cell_folder(cell, folder, &c);
    fixture_write_text(cell, "failed.txt", "step 3: <loss> is \"nan\" & gone\nsecond line");
    write_report(folder);
    html = read_text(folder, "report.html");
    assert_non_null(strstr(html, "1 of 5"));
    assert_non_null(strstr(html, "1 cell failed, 3 are not finished"));
    assert_non_null(strstr(html, "step 3: &lt;loss&gt; is &quot;nan&quot; &amp; gone</td>"));
    assert_null(strstr(html, "second line"));
    free(html);
    struct json *doc = read_json(folder);
    const struct json_value *all = json_get(json_root(doc), "cells");
    assert_string_equal(json_text(json_get(find(all, "status", "failed"), "error")),
                        "step 3: <loss> is \"nan\" & gone");
    json_close(doc);
    char *csv = read_text(folder, "report.csv");
    assert_non_null(strstr(csv, ",\"step 3: <loss> is \"\"nan\"\" & gone\"\n"));
    assert_non_null(strstr(csv, "\nnormal-lr0.0002-r16-s0,not done,normal,"));
    free(csv);
}

/* Cells that start alike are no study of starts: the page is about what they differ in. */
static void sweep_has_its_own_page(void **state)
{
    (void)state;
    const char *folder = scratch_path(&place, "sweep");
    fixture_make_folder(folder);
    fixture_write_text(folder, "study.yaml",
                       "model: m\ndata: d\nlora-rank: [4, 8]\nweight-decay: [0, 0.1]\nseed: [0, 1]\n"
                       "max-steps: 20\nlearning-rate: 2e-4\nlora-alpha: 32\n");
    for (int k = 0; k < 8; k++) {
        struct fixture_cell c = fixture_usual;
        c.rank = k & 1 ? 8 : 4;
        c.weight_decay = k & 2 ? 0.1 : 0;
        c.seed = k >> 2;
        c.last = 2 - 0.1 * (k & 1) + 0.02 * (k & 2) + 0.01 * c.seed;
        fixture_add(folder, &c);
    }
    write_report(folder);
    char *html = read_text(folder, "report.html");
    assert_non_null(strstr(html, "<h1>Study of lora-rank × weight-decay</h1>"));
    assert_null(strstr(html, "random and B zero"));
    assert_null(strstr(html, "matrices should start"));
    assert_non_null(
        strstr(html, "<th>Cell</th><th class=\"number\">lora-rank</th><th class=\"number\">weight-decay</th>"
                     "<th class=\"number\">seed</th>"));
    free(html);
    struct json *doc = read_json(folder);
    const struct json_value *figures = json_get(json_root(doc), "figures");
    assert_int_equal(json_count(json_get(find(figures, "plot", "eval-loss"), "series")), 4);
    const struct json_value *lines = json_get(find(figures, "plot", "final-lora-rank"), "series");
    assert_int_equal(json_count(lines), 2);
    const struct json_value *line = find(lines, "name", "weight-decay 0.1");
    assert_float_equal(json_number(json_at(json_get(line, "x"), 1), 0), 8, 1e-9);
    assert_float_equal(json_number(json_at(json_get(line, "y"), 0), 0), 2.045, 1e-9); /* over two seeds */
    assert_float_equal(json_number(json_at(json_get(line, "y"), 1), 0), 1.945, 1e-9);
    assert_int_equal(json_count(json_get(find(figures, "plot", "final-weight-decay"), "series")), 2);
    const struct json_value *cell = json_at(json_get(json_root(doc), "cells"), 0);
    assert_non_null(json_text(json_get(json_get(cell, "options"), "weight-decay")));
    json_close(doc);
    char *csv = read_text(folder, "report.csv");
    assert_non_null(strstr(csv, ",batch-size,weight-decay,steps,"));
    free(csv);
}

static void run_has_its_curves(void **state)
{
    (void)state;
    const char *folder = scratch_path(&place, "run");
    struct fixture_cell c = fixture_usual;
    c.steps = 3000; /* more than there are pixels */
    c.unfinished = true;
    fixture_run(folder, &c);
    write_report(folder);
    struct json *doc = read_json(folder);
    const struct json_value *figures = json_get(json_root(doc), "figures");
    assert_string_equal(json_text(json_get(json_root(doc), "kind")), "run");
    static const char *const plots[] = {"loss", "learning-rate", "gradient-norm", "speed"};
    for (size_t i = 0; i < 4; i++) {
        size_t points =
            json_count(json_get(json_at(json_get(find(figures, "plot", plots[i]), "series"), 0), "x"));
        assert_in_range(points, 200, 400);
    }
    json_close(doc);
    char *html = read_text(folder, "report.html");
    assert_non_null(strstr(html, "tiny &lt;base&gt;.gguf"));
    assert_null(strstr(html, "<base>"));
    assert_null(strstr(html, "http-equiv"));
    assert_null(strstr(html, "data-reload"));
    free(html);
}

static void preferences_have_rewards(void **state)
{
    (void)state;
    for (int prefers = 0; prefers < 2; prefers++) {
        const char *folder = scratch_path(&place, prefers ? "preferences" : "no-preferences");
        struct fixture_cell c = fixture_usual;
        c.prefers = prefers;
        fixture_run(folder, &c);
        write_report(folder);
        struct json *doc = read_json(folder);
        const struct json_value *figures = json_get(json_root(doc), "figures");
        size_t plots = 0;
        for (size_t i = 0; i < json_count(figures); i++)
            plots += str_starts_with(json_text(json_get(json_at(figures, i), "plot")), "reward");
        assert_int_equal(plots, prefers ? 2 : 0);
        if (prefers) {
            const struct json_value *rewards = json_get(find(figures, "plot", "rewards"), "series");
            const struct json_value *accuracy = json_get(find(figures, "plot", "reward-accuracy"), "series");
            assert_int_equal(json_count(rewards), 4);
            assert_int_equal(json_count(accuracy), 2);
            const struct json_value *margin = json_get(json_at(rewards, 2), "y");
            assert_true(json_number(json_at(margin, json_count(margin) - 1), 0) == 2);
        }
        json_close(doc);
    }
}

static void damaged_metrics_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"step\": 1, \"loss\": 2}\nnot json\n", "metrics.jsonl:2: "},
        {"{\"step\": 1, \"loss\": \"x\"}\n", "metrics.jsonl:1: \"loss\" must be a number, not a string"},
        {"{\"loss\": 1}\n", "metrics.jsonl:1: \"step\" must be a whole number, not nothing"},
        {"{\"step\": 2, \"loss\": 1}\n{\"step\": 2, \"loss\": 1}\n",
         "metrics.jsonl:2: step 2 does not follow step 2"},
        {"{\"step\": 1, \"loss\": 2, \"phases\": {\"head\": \"x\"}}\n",
         "metrics.jsonl:1: phases: \"head\" must be a number, not a string"},
        {"[]\n", "metrics.jsonl:1: "},
        {"\n", "metrics.jsonl:1: "},
        {"{\"step\": -1, \"loss\": 1}\n", "metrics.jsonl:1: \"step\" must not be negative"},
        {"{\"step\": 1.5, \"loss\": 1}\n",
         "metrics.jsonl:1: \"step\" must be a whole number, not a real number"},
        {"{\"step\": null, \"loss\": 1}\n", "metrics.jsonl:1: "},
    };
    const char *folder = scratch_path(&place, "damaged");
    struct err e;
    fixture_make_folder(folder);
    fixture_write_text(folder, "config.yaml", "lora-rank: 4\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture_write_text(folder, "metrics.jsonl", cases[i].text);
        assert_error(report_write(folder, 0, &e), &e, ERR_FORMAT, cases[i].message);
    }
    fixture_write_text(folder, "metrics.jsonl",
                       "{\"step\": 1, \"loss\": null}\n{\"step\": 2, \"lo"); /* torn */
    write_report(folder);
    fixture_write_text(folder, "config.yaml", "a: [1\n");
    assert_error(report_write(folder, 0, &e), &e, ERR_USAGE, "config.yaml");
}

/* What no curve can show is said. */
static void losses_that_are_not_finite_are_told(void **state)
{
    (void)state;
    const char *folder = scratch_path(&place, "not-finite");
    fixture_make_folder(folder);
    fixture_write_text(folder, "config.yaml", "lora-rank: 4\n");
    fixture_write_text(folder, "metrics.jsonl", "{\"step\": 1, \"loss\": 2}\n{\"step\": 2, \"loss\": null}\n"
                                                "{\"step\": 3, \"loss\": 1}\n{\"step\": 4, \"loss\": null}\n");
    write_report(folder);
    char *html = read_text(folder, "report.html");
    assert_non_null(strstr(html, "The loss was not finite in 2 of 4 steps, first in step 2"));
    free(html);
    fixture_write_text(folder, "metrics.jsonl", "{\"step\": 1, \"loss\": null}\n");
    write_report(folder);
    html = read_text(folder, "report.html");
    assert_non_null(strstr(html, "No number can be drawn."));
    free(html);
    fixture_write_text(folder, "metrics.jsonl", "{\"step\": 1, \"loss\": 2}\n");
    write_report(folder);
    html = read_text(folder, "report.html");
    assert_null(strstr(html, "not finite"));
    free(html);
}

static void damaged_checkpoint_fails_its_cell(void **state)
{
    (void)state;
    const char *folder = scratch_path(&place, "cut");
    struct fixture_cell c = fixture_usual;
    fixture_make_folder(folder);
    fixture_write_text(folder, "study.yaml", "model: m\ndata: d\n");
    fixture_add(folder, &c);
    char cell[PATH_MAX], path[PATH_MAX];
    struct err e;
    fixture_cell_folder(cell, folder, &c);
    assert_ok(rundir_checkpoint_path(path, cell, 20, &e), &e);
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    assert_int_equal(ftruncate(fileno(f), 1000), 0);
    fclose(f);
    write_report(folder);
    struct json *doc = read_json(folder);
    assert_non_null(
        strstr(json_text(json_get(find(json_get(json_root(doc), "cells"), "status", "failed"), "error")),
               "checkpoints can be used"));
    json_close(doc);
}

static void other_folders_are_refused(void **state)
{
    (void)state;
    struct err e;
    const char *folder = scratch_path(&place, "empty");
    fixture_make_folder(folder);
    assert_error(report_write(folder, 0, &e), &e, ERR_USAGE, "this is not the folder of a run or of a study");
    const char *absent = scratch_path(&place, "absent");
    assert_error(report_write(absent, 0, &e), &e, ERR_USAGE, absent);
    fixture_write_text(folder, "study.yaml", "nonsense: 1\n");
    assert_error(report_write(folder, 0, &e), &e, ERR_USAGE, "study.yaml");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(study_has_all_parts),       cmocka_unit_test(what_is_missing_is_said),
        cmocka_unit_test(sweep_has_its_own_page),    cmocka_unit_test(run_has_its_curves),
        cmocka_unit_test(preferences_have_rewards),
        cmocka_unit_test(damaged_metrics_are_named), cmocka_unit_test(damaged_checkpoint_fails_its_cell),
        cmocka_unit_test(other_folders_are_refused), cmocka_unit_test(losses_that_are_not_finite_are_told),
    };
    return cmocka_run_group_tests(tests, open_place, close_place);
}
