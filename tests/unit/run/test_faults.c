/*
 * Every call of the operating system and every allocation of ours in a save and in a load fails in turn: each
 * time there is an error or all is well, what was on disk is there as it was, and the next attempt works.
 */
#include "small_lora.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "fault.h"
#include "io/h5/h5.h"
#include "scratch.h"
#include "run/adapter.h"
#include "ckpt_write.h"
#include "run/metrics.h"
#include "run/export/export.h"
#include "run/export/gguf_adapter.h"
#include "run/rundir.h"

static const struct ckpt_identity identity = {.base = "00112233445566778899aabbccddeeff",
                                              .tokenizer = "10112233445566778899aabbccddeeff",
                                              .data = "20112233445566778899aabbccddeeff"};
static const char config[] = "lora-rank: 3\n";

static struct scratch folder;
static struct lora adapters[2]; /* the one on disk, and the one to be saved over it */
static struct lora_moments moments[2];
static struct metrics_point points[] = {{.step = 1, .epoch = 0.5, .loss = 2}};
static struct origin origin; /* of the one on disk */

static int open_folder(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        small_make(&adapters[i], "model.layers.[01].self_attn.q_proj", 2, 5);
        moments[i] = small_moments(&adapters[i]);
        small_fill(adapters[i].params, adapters[i].layout.size, (uint64_t)i + 10);
    }
    origin_set(&origin, "config", config, &(struct ckpt_state){.step = 1, .cursor = 8}, &identity);
    origin.log = (struct metrics_log){.points = points, .count = 1};
    assert_true(origin_has_history(&origin));
    return scratch_open(&folder) ? 0 : -1;
}

static int close_folder(void **state)
{
    (void)state;
    origin.log = (struct metrics_log){0}; /* not of the heap */
    origin_release(&origin);
    lora_release(&adapters[0]);
    lora_release(&adapters[1]);
    scratch_close(&folder);
    return 0;
}

static int count_entries(const char *path)
{
    int count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* Something that is saved at one place again and again, and can be read back. */
struct subject {
    const char *place;
    enum err_code (*save)(const char *place, int which, struct err *e);
    enum err_code (*load)(const char *place, int *which, struct err *e); /* which of the two is there */
};

static enum err_code save_checkpoint(const char *place, int which, struct err *e)
{
    const struct ckpt_state state = {.step = (uint64_t)which + 1, .cursor = 345};
    return ckpt_write(place, &adapters[which], &moments[which], &state, &identity, config, "normal", NULL, e);
}

static int which_values(const struct lora *l)
{
    for (int i = 0; i < 2; i++)
        if (memcmp(l->params, adapters[i].params, l->layout.size * sizeof *l->params) == 0)
            return i;
    fail_msg("values that nobody saved were loaded");
    return -1;
}

static enum err_code load_checkpoint(const char *place, int *which, struct err *e)
{
    struct ckpt c;
    struct lora l = {0};
    struct lora_moments own;
    enum err_code code = ckpt_open(&c, place, e);
    if (code)
        return code;
    code = lora_create_given(&l, &small_arch, c.modules, c.module_count, e);
    if (!code)
        code = lora_moments_init(&own, &l.layout, false, &l.arena, e);
    if (!code)
        code = ckpt_read(&c, &l, &own, e);
    if (!code) {
        *which = which_values(&l);
        assert_int_equal(c.state.step, *which + 1);
        assert_memory_equal(own.m, moments[*which].m, l.layout.size * sizeof *own.m);
        assert_memory_equal(own.v, moments[*which].v, l.layout.size * sizeof *own.v);
    }
    lora_release(&l);
    ckpt_close(&c);
    return code;
}

/* With card and history, which the second adapter does not have. */
static enum err_code save_peft(const char *place, int which, struct err *e)
{
    static const struct store base = {.hash = "00112233445566778899aabbccddeeff"};
    static const struct origin unknown;
    const struct export_job job = {.output = place,
                                   .lora = &adapters[which],
                                   .arch = &small_arch,
                                   .store = &base,
                                   .base_name = "base",
                                   .origin = which ? &unknown : &origin};
    return export_write(&job, EXPORT_PEFT, e);
}

static enum err_code load_adapter(const char *place, int *which, struct err *e)
{
    const struct adapter_check check = {.model = "", .base_hash = "", .allow_base_mismatch = true, .silent = true};
    struct lora l = {0};
    enum err_code code = adapter_load(&l, &small_arch, place, &check, e);
    if (!code)
        *which = which_values(&l);
    lora_release(&l);
    return code;
}

static enum err_code save_gguf(const char *place, int which, struct err *e)
{
    return gguf_adapter_write(place, &adapters[which], &small_arch, &small_base, e);
}

static const char texts[2][8] = {"text 0\n", "text 1\n"};

static enum err_code save_text(const char *place, int which, struct err *e)
{
    return file_write_atomic(place, texts[which], sizeof texts[which], e);
}

static enum err_code load_text(const char *place, int *which, struct err *e)
{
    struct str text = {0};
    enum err_code code = file_read_all(&text, place, 100, e);
    if (!code) {
        *which = text.data[5] == '1';
        assert_string_equal(text.data, texts[*which]);
    }
    str_release(&text);
    return code;
}

/* One call after another fails while 1 is saved over 0, alone or with all calls after it. */
static void walk_save(const struct subject *s, unsigned kind, bool for_good)
{
    struct err e;
    int which = -1, failures = 0, entries;
    long counted;
    const char *place = scratch_path(&folder, s->place);
    assert_ok(s->save(place, 0, &e), &e);
    entries = count_entries(folder.folder);
    for (long n = 1;; n++) {
        e.message[0] = '\0';
        fault_arm(kind, n, for_good ? LONG_MAX - n : 1, n % 2 ? ENOSPC : EIO);
        enum err_code code = s->save(place, 1, &e);
        counted = fault_disarm();
        failures += code != ERR_OK;
        assert_true(!code || e.message[0]);
        if (kind != FAULT_NAME && !for_good)
            assert_int_equal(count_entries(folder.folder), entries); /* nothing is left behind */
        struct err trouble;
        assert_ok(s->load(place, &which, &trouble), &trouble);
        assert_true(code || which == 1);
        if (counted < n)
            break;
        assert_ok(s->save(place, 0, &trouble), &trouble);
        assert_ok(s->load(place, &which, &trouble), &trouble);
        assert_int_equal(which, 0);
    }
    print_message("%s: %ld calls of kind %u failed%s while it was saved, %d times an error\n", s->place,
                  counted, kind, for_good ? " with all after them" : "", failures);
}

static void walk_load(const struct subject *s, unsigned kind)
{
    struct err e;
    int which = -1, failures = 0;
    long counted;
    const char *place = scratch_path(&folder, s->place);
    assert_ok(s->save(place, 1, &e), &e);
    for (long n = 1;; n++) {
        e.message[0] = '\0';
        fault_arm(kind, n, 1, EIO);
        enum err_code code = s->load(place, &which, &e);
        counted = fault_disarm();
        failures += code != ERR_OK;
        assert_true(code ? e.message[0] != '\0' : which == 1);
        if (counted < n)
            break;
        assert_ok(s->load(place, &which, &e), &e);
        assert_int_equal(which, 1);
    }
    print_message("%s: %ld calls of kind %u failed while it was loaded, %d times an error\n", s->place,
                  counted, kind, failures);
}

static const struct subject subjects[] = {{"checkpoint.h5", save_checkpoint, load_checkpoint},
                                          {"adapter", save_peft, load_adapter},
                                          {"adapter.gguf", save_gguf, load_adapter},
                                          {"config.yaml", save_text, load_text}};

static void every_call_of_a_save_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
        for (unsigned kind = FAULT_OPEN; kind <= FAULT_NAME; kind *= 2)
            if (kind != FAULT_READ) {
                walk_save(&subjects[i], kind, false);
                walk_save(&subjects[i], kind, true);
            }
}

/* One call after another fails while an evaluation is put into the last line of metrics.jsonl: the line stays
 * or is the new one, and the next attempt makes it that. */
static void every_call_of_a_late_evaluation_fails(void **state)
{
    (void)state;
    static const char old[] = "{\"step\": 1}\n{\"step\": 2}\n",
                      new[] = "{\"step\": 1}\n{\"step\": 2, \"eval_loss\": 0.5}\n";
    const char *place = scratch_path(&folder, "metrics.jsonl");
    struct runlock lock;
    struct err trouble;
    assert_ok(runlock_take(&lock, folder.folder, "here", &trouble), &trouble);
    for (unsigned kind = FAULT_OPEN; kind <= FAULT_NAME; kind *= 2) {
        long n = 0, counted;
        do {
            struct metrics m;
            struct str text = {0};
            struct err e;
            assert_ok(file_write_atomic(place, old, strlen(old), &e), &e);
            assert_ok(metrics_open(&m, &lock, 2, &e), &e);
            fault_arm(kind, ++n, 1, EIO);
            enum err_code code = metrics_add_evaluation(&m, 2, 0.5, NULL, &e);
            counted = fault_disarm();
            assert_true(!code || e.message[0]);
            assert_ok(file_read_all(&text, place, 100, &e), &e);
            if (strcmp(text.data, new) != 0)
                assert_true(code && strcmp(text.data, old) == 0);
            assert_ok(metrics_add_evaluation(&m, 2, 0.5, NULL, &e), &e);
            metrics_close(&m);
            assert_ok(file_read_all(&text, place, 100, &e), &e);
            assert_string_equal(text.data, new);
            str_release(&text);
        } while (counted >= n);
    }
    runlock_release(&lock);
}

/* Of three new folders each one's name is flushed. One that could not be flushed is not left to pass for one
 * that was. */
static void every_call_for_new_folders_fails(void **state)
{
    (void)state;
    enum { NEW = 3 };
    static const char *const names[NEW] = {"new", "new/in", "new/in/it"};
    char paths[NEW][PATH_MAX];
    struct err e;
    for (int i = 0; i < NEW; i++)
        snprintf(paths[i], sizeof paths[i], "%s/%s", folder.folder, names[i]);
    for (unsigned kind = FAULT_OPEN; kind <= FAULT_NAME; kind *= 2) {
        long n = 1, counted;
        do {
            int made = 0;
            fault_arm(kind, n, 1, n % 2 ? ENOSPC : EIO);
            enum err_code code = file_make_folders(paths[NEW - 1], &e);
            counted = fault_disarm();
            while (made < NEW && file_is_folder(paths[made]))
                made++;
            assert_true(!code || (counted == n && made < NEW && strstr(e.message, folder.folder)));
            if (kind == FAULT_OPEN || kind == FAULT_SYNC)
                assert_int_equal(made, code ? n - 1 : NEW);
            assert_true(code || made == NEW);
            fault_arm(FAULT_SYNC, 0, 0, 0);
            assert_ok(file_make_folders(paths[NEW - 1], &e), &e);
            assert_int_equal(fault_disarm(), NEW - made);
            for (int i = NEW - 1; i >= 0; i--)
                assert_int_equal(rmdir(paths[i]), 0);
        } while (counted >= n++);
        if (kind == FAULT_OPEN || kind == FAULT_SYNC)
            assert_int_equal(counted, NEW);
    }
}

static void every_call_of_a_load_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        walk_load(&subjects[i], FAULT_OPEN);
        walk_load(&subjects[i], FAULT_READ);
    }
}

static void every_allocation_fails(void **state)
{
    (void)state;
    if (!fault_has_memory())
        skip();
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        walk_save(&subjects[i], FAULT_MEMORY, false);
        walk_load(&subjects[i], FAULT_MEMORY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_of_a_save_fails), cmocka_unit_test(every_call_of_a_late_evaluation_fails),
        cmocka_unit_test(every_call_for_new_folders_fails), cmocka_unit_test(every_call_of_a_load_fails),
        cmocka_unit_test(every_allocation_fails)};
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
