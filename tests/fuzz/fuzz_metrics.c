/* metrics.jsonl: reported on and verified as it is; then cut back as by a run that goes on, which adds to it; and made
 * into the history that is beside an exported adapter. */
#include "fuzz.h"

#include <string.h>
#include <unistd.h>

#include "io/json.h"
#include "run/export/export.h"
#include "run/metrics.h"
#include "report/report.h"
#include "run/verify.h"

static size_t lines_damaged;

static void count_damage(void *context, const char *path, const char *why)
{
    (void)context;
    lines_damaged += why && strstr(path, "metrics.jsonl");
}

static size_t verify(void)
{
    struct verify v = {.tell = count_damage};
    struct err e;
    lines_damaged = 0;
    fuzz_need(verify_run(&v, fuzz_folder(), &e), &e);
    return lines_damaged;
}

static enum err_code report(struct err *e)
{
    static const char *const files[] = {"report.html", "report.csv", "metrics.csv", "report.json"};
    struct json *doc;
    struct err trouble;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(fuzz_path(files[i]));
    if (report_write(fuzz_folder(), 0, e))
        return e->code;
    fuzz_check(file_exists(fuzz_path("report.html")) && file_exists(fuzz_path("report.csv")),
               "a report without its files");
    fuzz_need(json_open_file(&doc, fuzz_path("report.json"), (size_t)64 << 20, &trouble), &trouble);
    json_close(doc);
    return ERR_OK;
}

static const struct runlock *lock(void)
{
    static struct runlock l;
    struct err e;
    if (!l.open)
        fuzz_need(runlock_take(&l, fuzz_folder(), "here", &e), &e);
    return &l;
}

/* A run that goes on from this step. */
static void go_on(const char *bytes, size_t size, uint64_t step)
{
    const char *path = fuzz_path("metrics.jsonl");
    struct metrics m;
    struct err e;
    fuzz_put("metrics.jsonl", bytes, size);
    fuzz_need(metrics_open(&m, lock(), step, &e), &e);
    uint64_t last = m.last_step;
    fuzz_check(last <= step, "a line that is later than the run");
    if (last && !m.last_evaluated)
        fuzz_need(metrics_add_evaluation(&m, last, 1.5, NULL, &e), &e);
    fuzz_need(metrics_write(&m, &(struct metrics_row){.step = last + 1}, &e), &e);
    metrics_close(&m);
    fuzz_check(verify() == 0, "lines that do not verify when they are cut back");

    struct str before = {0}, after = {0};
    fuzz_need(file_read_all(&before, path, (size_t)1 << 20, &e), &e);
    fuzz_need(metrics_open(&m, lock(), last + 1, &e), &e);
    metrics_close(&m);
    fuzz_need(file_read_all(&after, path, (size_t)1 << 20, &e), &e);
    fuzz_check(m.last_step == last + 1 && !m.last_evaluated, "a line that is not found again");
    fuzz_check(before.length == after.length && memcmp(before.data, after.data, after.length) == 0,
               "lines that go the second time");
    if (last) {
        fuzz_need(metrics_open(&m, lock(), last, &e), &e);
        metrics_close(&m);
        fuzz_check(m.last_step == last && m.last_evaluated, "an evaluation that is not found again");
    }
    str_release(&before);
    str_release(&after);
}

/* Of a run whose last step this is. */
static void write_history(const char *config, uint64_t last)
{
    static const struct ckpt_identity nobody;
    const struct ckpt_state state = {.step = last, .cursor = 8};
    struct origin origin;
    struct str text = {0};
    struct json *doc;
    struct err e;
    origin_set(&origin, "config.yaml", config, &state, &nobody);
    origin_read_log(&origin, fuzz_folder());
    if (origin_has_history(&origin)) {
        fuzz_check(origin.log.points[origin.log.count - 1].step == last, "a history that ends elsewhere");
        fuzz_need(export_state(&text, &origin, &e), &e);
        fuzz_need(json_open_bytes(&doc, text.data, text.length, "history", &e), &e);
        json_close(doc);
    }
    str_release(&text);
    origin_release(&origin);
}

enum err_code fuzz_read(const char *bytes, size_t size, struct err *e)
{
    static const char config[] = "eval-every: 2\n";
    fuzz_put("config.yaml", config, strlen(config));
    fuzz_put("metrics.jsonl", bytes, size);
    bool torn = size && bytes[size - 1] != '\n', damaged = verify() > 0;
    enum err_code code = report(e);
    fuzz_check(code || torn || !damaged, "a report of what does not verify");
    struct metrics m;
    struct file_map map;
    struct err trouble;
    fuzz_need(metrics_open(&m, lock(), UINT64_MAX, &trouble), &trouble);
    metrics_close(&m);
    write_history(config, m.last_step);
    fuzz_need(file_map_open(&map, fuzz_path("metrics.jsonl"), &trouble), &trouble);
    fuzz_check(damaged == (map.size != size), "a line that is damaged, and kept");
    file_map_close(&map);
    go_on(bytes, size, 5);
    go_on(bytes, size, INT64_MAX - 1);
    return code;
}
