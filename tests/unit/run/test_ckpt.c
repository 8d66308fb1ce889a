/* Checkpoints: what goes in comes out, and nothing else does. */
#include "small_lora.h"

#include <fcntl.h>
#include <math.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "h5_mend.h"
#include "io/h5/h5.h"
#include "scratch.h"
#include "ckpt_write.h"
#include "run/rundir.h"

static const struct ckpt_identity identity = {.prompts = PROMPTS_CHAT,
                                              .base = "00112233445566778899aabbccddeeff",
                                              .tokenizer = "10112233445566778899aabbccddeeff",
                                              .data = "20112233445566778899aabbccddeeff"};
static const struct ckpt_state saved = {
    .step = 12,
    .cursor = 345,
    .finished = true,
    .best = {.seen = 10, .step = 8, .worse = 1, .loss = 0.1, .hash = "30112233445566778899aabbccddeeff"}};
static const char config[] = "lora-rank: 3\nmodel: \"a b\"\n";

SCRATCH_OF_GROUP(folder, open_folder, close_folder)

static const char *write_one(const char *name, const struct lora *l, const struct lora_moments *moments)
{
    struct err e;
    const char *path = scratch_path(&folder, name);
    assert_ok(ckpt_write(path, l, moments, &saved, &identity, config, "normal", NULL, &e), &e);
    return path;
}

static void all_comes_back(void **state)
{
    (void)state;
    struct lora l, again;
    struct ckpt c;
    struct err e;
    small_make(&l, "q_proj,down_proj,lm_head", 3, 5);
    const struct lora_moments moments = small_moments(&l);
    assert_ok(ckpt_open(&c, write_one("a.h5", &l, &moments), &e), &e);
    assert_int_equal(c.state.step, 12);
    assert_int_equal(c.state.cursor, 345);
    assert_true(c.state.finished);
    assert_memory_equal(&c.state.best, &saved.best, sizeof saved.best);
    assert_string_equal(c.config, config);
    assert_string_equal(c.lora_init, "normal");
    assert_memory_equal(&c.identity, &identity, sizeof identity);
    assert_int_equal(c.module_count, 25);
    small_make(&again, "q_proj,down_proj,lm_head", 3, 5);
    memset(again.params, 0, again.layout.size * sizeof(float));
    struct lora_moments own;
    assert_ok(lora_moments_init(&own, &again.layout, false, &again.arena, &e), &e);
    assert_ok(ckpt_read(&c, &again, &own, &e), &e);
    small_equal(again.params, l.params, l.layout.size);
    small_equal(own.m, moments.m, l.layout.size);
    small_equal(own.v, moments.v, l.layout.size);
    ckpt_close(&c);
    lora_release(&again);

    /* For use without training: the modules as the file has them, no moments. */
    assert_ok(ckpt_open(&c, scratch_path(&folder, "a.h5"), &e), &e);
    assert_ok(lora_create_given(&again, &small_arch, c.modules, c.module_count, &e), &e);
    assert_ok(ckpt_read(&c, &again, NULL, &e), &e);
    small_equal(again.params, l.params, l.layout.size);
    assert_true(again.layout.modules[7].scaling == l.layout.modules[7].scaling);
    ckpt_close(&c);
    lora_release(&again);
    lora_release(&l);
}

static void expect_same(const char *path, const struct arch *arch, const struct lora *l,
                        const struct lora_moments *moments)
{
    struct lora again;
    struct lora_moments own;
    struct ckpt c;
    struct err e;
    assert_ok(ckpt_open(&c, path, &e), &e);
    assert_int_equal(c.module_count, l->layout.count);
    assert_ok(lora_create_given(&again, arch, c.modules, c.module_count, &e), &e);
    assert_ok(lora_moments_init(&own, &again.layout, false, &again.arena, &e), &e);
    assert_ok(ckpt_read(&c, &again, &own, &e), &e);
    assert_int_equal(again.layout.size, l->layout.size);
    for (size_t i = 0; i < l->layout.count; i++) {
        const struct lora_module *is = &again.layout.modules[i], *was = &l->layout.modules[i];
        assert_string_equal(is->path, was->path);
        assert_true(is->rank == was->rank && is->scaling == was->scaling);
    }
    small_equal(again.params, l->params, l->layout.size);
    small_equal(own.m, moments->m, l->layout.size);
    small_equal(own.v, moments->v, l->layout.size);
    ckpt_close(&c);
    lora_release(&again);
}

/* All linear layers (NULL), the head alone, and modules whose ranks and scalings differ, in two layers of many. */
static void any_choice_of_modules_comes_back(void **state)
{
    static const struct lora_given given[] = {{"lm_head", 1, 0.5},
                                              {"model.layers.11.mlp.up_proj", 5, 2},
                                              {"model.layers.1.self_attn.k_proj", 2, 0.25},
                                              {"model.layers.11.mlp.down_proj", 3, 1}};
    static const char *const targets[] = {NULL, "lm_head", "o_proj,gate_proj", "as given"};
    (void)state;
    struct lora l;
    struct err e;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        if (targets[i] && strcmp(targets[i], "as given") == 0)
            assert_ok(lora_create_given(&l, &small_arch, given, sizeof given / sizeof *given, &e), &e);
        else
            small_make(&l, targets[i], 2, 4);
        small_fill(l.params, l.layout.size, 1);
        const struct lora_moments moments = small_moments(&l);
        expect_same(write_one("choice.h5", &l, &moments), &small_arch, &l, &moments);
        lora_release(&l);
    }
}

/* 12,012 arrays in 4,579 groups. The processor's time does not count what other programs take. */
static void two_thousand_modules_are_written_fast(void **state)
{
    (void)state;
    struct lora l;
    struct err e;
    const struct lora_spec spec = {.rank = 8, .alpha = 16, .init = LORA_NORMAL};
    struct arch deep = small_arch;
    deep.layers = 286;
    assert_ok(lora_create(&l, &deep, &spec, &e), &e);
    assert_int_equal(l.layout.count, 2002);
    const struct lora_moments moments = small_moments(&l);
    clock_t begin = clock();
    const char *path = write_one("deep.h5", &l, &moments);
    double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    print_message("%zu modules written and verified in %.2f s of the processor\n", l.layout.count, seconds);
    expect_same(path, &deep, &l, &moments);
    assert_true(seconds < 5);
    lora_release(&l);
}

static void refuse(const char *path, const char *targets, size_t rank, double alpha, const char *text)
{
    struct lora l;
    struct ckpt c;
    struct err e;
    small_make(&l, targets, rank, alpha);
    struct lora_moments moments = small_moments(&l);
    assert_ok(ckpt_open(&c, path, &e), &e);
    assert_error(ckpt_read(&c, &l, &moments, &e), &e, ERR_MISMATCH, text);
    ckpt_close(&c);
    lora_release(&l);
}

static void other_shapes_are_refused(void **state)
{
    (void)state;
    struct lora l;
    small_make(&l, "q_proj,down_proj", 3, 6);
    const struct lora_moments moments = small_moments(&l);
    const char *path = write_one("b.h5", &l, &moments);
    refuse(path, "q_proj,down_proj", 4, 8, "is 3, in this run it is 4");
    refuse(path, "q_proj,down_proj", 3, 9, "is 2, in this run it is 3");
    refuse(path, "q_proj", 3, 6, "adapts model.layers.0.mlp.down_proj, this run does not");
    refuse(path, "q_proj,down_proj,v_proj", 3, 6,
           "does not adapt model.layers.0.self_attn.v_proj, this run does");
    lora_release(&l);
}

static void nonfinite_values_are_refused(void **state)
{
    (void)state;
    struct lora l;
    struct ckpt c;
    struct err e;
    small_make(&l, "q_proj", 3, 6);
    struct lora_moments moments = small_moments(&l);
    moments.v[l.layout.modules[2].b] = INFINITY;
    assert_ok(ckpt_open(&c, write_one("c.h5", &l, &moments), &e), &e);
    assert_error(ckpt_read(&c, &l, &moments, &e), &e, ERR_NUMERIC,
                 "model.layers.2/self_attn.q_proj/lora_B_v");
    ckpt_close(&c);
    lora_release(&l);
}

/* A damaged file is refused, or (where the damage is between its parts) holds what it held. */
static void expect_refused_or_same(const char *path, const struct lora *l, const struct lora_moments *moments)
{
    struct lora again;
    struct ckpt c;
    struct err e;
    if (ckpt_open(&c, path, &e))
        return;
    small_make(&again, "q_proj", 1, 2);
    struct lora_moments own = small_moments(&again);
    assert_ok(ckpt_read(&c, &again, &own, &e), &e);
    small_equal(again.params, l->params, l->layout.size);
    small_equal(own.m, moments->m, l->layout.size);
    small_equal(own.v, moments->v, l->layout.size);
    assert_int_equal(c.state.step, saved.step);
    assert_string_equal(c.config, config);
    ckpt_close(&c);
    lora_release(&again);
}

static void damage_is_found(void **state)
{
    (void)state;
    struct lora l;
    struct ckpt c;
    struct err e;
    struct str bytes = {0};
    small_make(&l, "q_proj", 1, 2);
    const struct lora_moments moments = small_moments(&l);
    assert_ok(file_read_all(&bytes, write_one("d.h5", &l, &moments), 1 << 24, &e), &e);
    char path[PATH_MAX]; /* the scratch's own buffers are few */
    snprintf(path, sizeof path, "%s", scratch_path(&folder, "damaged.h5"));
    for (size_t i = 0; i < 100; i++) {
        size_t at = bytes.length * i / 100;
        assert_ok(file_write_atomic(path, bytes.data, at, &e), &e);
        assert_error(ckpt_open(&c, path, &e), &e, ERR_FORMAT, "damaged.h5");
        bytes.data[at] ^= 0x10;
        assert_ok(file_write_atomic(path, bytes.data, bytes.length, &e), &e);
        expect_refused_or_same(path, &l, &moments);
        bytes.data[at] ^= 0x10;
    }
    str_release(&bytes);
    lora_release(&l);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    struct ckpt c;
    struct err e;
    struct h5_writer *w;
    char golden[PATH_MAX];
    const char *path = scratch_path(&folder, "other.h5");
    assert_error(ckpt_open(&c, scratch_path(&folder, "none.h5"), &e), &e, ERR_IO, "none.h5");
    assert_ok(file_write_atomic(path, "hello", 5, &e), &e);
    assert_error(ckpt_open(&c, path, &e), &e, ERR_FORMAT, "other.h5");
    assert_ok(h5_create(&w, path, &e), &e);
    h5_attribute_int(w, "/", "step", 3);
    assert_ok(h5_commit(w, &e), &e);
    assert_error(ckpt_open(&c, path, &e), &e, ERR_FORMAT, "other.h5 is not a checkpoint");
    snprintf(golden, sizeof golden, "%s/h5/format_2.h5", getenv("GOLDEN"));
    assert_error(ckpt_open(&c, golden, &e), &e, ERR_UNSUPPORTED, "is not of format 3");
}

static void save_best_step(struct lora *l, uint64_t step, uint64_t keep, uint64_t best)
{
    const struct lora_moments moments = small_moments(l);
    char path[PATH_MAX];
    struct err e;
    struct ckpt_state now = {.step = step};
    assert_ok(rundir_checkpoint_path(path, folder.folder, step, &e), &e);
    assert_ok(ckpt_write(path, l, &moments, &now, &identity, config, "normal", NULL, &e), &e);
    assert_ok(rundir_settle(folder.folder, step, keep, best, &e), &e);
}

static void save_step(struct lora *l, uint64_t step, uint64_t keep)
{
    save_best_step(l, step, keep, 0);
}

static void expect_steps(const uint64_t *expected, size_t count)
{
    struct arena a = {0};
    struct err e;
    uint64_t *steps;
    size_t found;
    assert_ok(rundir_list(&steps, &found, folder.folder, &a, &e), &e);
    assert_int_equal(found, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(steps[i], expected[i]);
    arena_release(&a);
}

static void expect_newest(uint64_t step)
{
    struct ckpt c;
    struct err e;
    bool found;
    assert_ok(rundir_open_newest(&c, &found, folder.folder, &e), &e);
    assert_true(found);
    assert_int_equal(c.state.step, step);
    ckpt_close(&c);
}

static void folder_keeps_the_newest(void **state)
{
    (void)state;
    struct lora l;
    struct ckpt c;
    struct err e;
    bool found = true;
    small_make(&l, "q_proj", 1, 2);
    expect_steps(NULL, 0);
    assert_ok(rundir_open_newest(&c, &found, folder.folder, &e), &e);
    assert_false(found);
    assert_ok(file_make_folders(scratch_path(&folder, "checkpoints"), &e), &e);
    for (uint64_t step = 5; step <= 20; step += 5)
        save_step(&l, step, 3);
    expect_steps((uint64_t[]){10, 15, 20}, 3);
    save_step(&l, 123456789012, 0);
    expect_steps((uint64_t[]){10, 15, 20, 123456789012}, 4);
    expect_newest(123456789012);

    /* Names that are not ours are left alone. */
    assert_ok(file_write_atomic(scratch_path(&folder, "checkpoints/step-1.h5"), "x", 1, &e), &e);
    assert_ok(file_write_atomic(scratch_path(&folder, "checkpoints/step-00000001.h5.tmp"), "x", 1, &e), &e);
    expect_steps((uint64_t[]){10, 15, 20, 123456789012}, 4);

    /* Going back to 20: later ones are passed over when they are damaged, and not deleted. */
    assert_ok(file_write_atomic(scratch_path(&folder, "checkpoints/step-123456789012.h5"), "x", 1, &e), &e);
    expect_newest(20);
    save_step(&l, 21, 2);
    expect_steps((uint64_t[]){20, 21, 123456789012}, 3);
    struct ckpt latest;
    assert_ok(ckpt_open(&latest, scratch_path(&folder, "checkpoints/latest"), &e), &e);
    assert_int_equal(latest.state.step, 21);
    ckpt_close(&latest);

    /* The best one stays past its time, and `best` leads to it; it goes with what it leads to. */
    save_best_step(&l, 22, 2, 21);
    save_best_step(&l, 23, 1, 21);
    expect_steps((uint64_t[]){21, 23, 123456789012}, 3);
    assert_ok(ckpt_open(&latest, scratch_path(&folder, "checkpoints/best"), &e), &e);
    assert_int_equal(latest.state.step, 21);
    ckpt_close(&latest);
    assert_ok(rundir_delete_from(folder.folder, 22, &e), &e);
    expect_steps((uint64_t[]){21}, 1);
    assert_ok(ckpt_open(&latest, scratch_path(&folder, "checkpoints/best"), &e), &e);
    ckpt_close(&latest);
    save_step(&l, 20, 0);
    assert_ok(rundir_delete_from(folder.folder, 21, &e), &e);
    expect_steps((uint64_t[]){20}, 1);
    struct stat link;
    assert_true(lstat(scratch_path(&folder, "checkpoints/best"), &link) != 0);

    /* Into another folder; never over this one's own. */
    struct scratch other;
    assert_true(scratch_open(&other));
    assert_ok(rundir_take_over(other.folder, 20, scratch_path(&folder, "checkpoints/latest"), &e), &e);
    assert_ok(ckpt_open(&latest, scratch_path(&other, "checkpoints/step-00000020.h5"), &e), &e);
    ckpt_close(&latest);
    assert_error(rundir_take_over(other.folder, 19, scratch_path(&folder, "checkpoints/latest"), &e), &e, ERR_IO,
                 "step-00000019.h5");
    assert_ok(rundir_take_over(folder.folder, 20, scratch_path(&folder, "checkpoints/latest"), &e), &e);
    assert_error(rundir_take_over(folder.folder, 19, scratch_path(&folder, "checkpoints/latest"), &e), &e, ERR_IO,
                 "there is no file");
    scratch_close(&other);
    assert_ok(file_write_atomic(scratch_path(&folder, "checkpoints/step-00000020.h5"), "x", 1, &e), &e);
    assert_error(rundir_open_newest(&c, &found, folder.folder, &e), &e, ERR_FORMAT,
                 "none of the 1 checkpoints");
    lora_release(&l);
}

/* Marks a file as open to write, as the HDF5 library does, and makes a byte in its middle another. */
static void mark_as_open(const char *path, bool whole)
{
    enum { FLAGS = 11, SUPERBLOCK = 44 };
    struct err e;
    struct str bytes = {0};
    assert_ok(file_read_all(&bytes, path, 1 << 24, &e), &e);
    bytes.data[FLAGS] = 1;
    assert_false(h5_mend_block(&(struct h5_block){0, SUPERBLOCK}, (uint8_t *)bytes.data)); /* it was another */
    bytes.data[bytes.length / 2] ^= (char)!whole;
    assert_ok(file_write_atomic(path, bytes.data, bytes.length, &e), &e);
    str_release(&bytes);
}

/* A newest checkpoint that cannot be had for now is no reason to go on from an older one. */
static void what_is_out_of_reach_is_not_damaged(void **state)
{
    (void)state;
    struct lora l;
    struct ckpt c;
    struct err e;
    bool found;
    char run[PATH_MAX], newest[PATH_MAX];
    small_make(&l, "q_proj", 1, 2);
    const struct lora_moments moments = small_moments(&l);
    snprintf(run, sizeof run, "%s", scratch_path(&folder, "held"));
    assert_ok(file_make_folders(scratch_path(&folder, "held/checkpoints"), &e), &e);
    write_one("held/checkpoints/step-00000011.h5", &l, &moments);
    snprintf(newest, sizeof newest, "%s", write_one("held/checkpoints/step-00000012.h5", &l, &moments));

    /* Another program has it open to write: it is whole, and taken. */
    mark_as_open(newest, true);
    assert_ok(rundir_open_newest(&c, &found, run, &e), &e);
    assert_string_equal(c.path, newest);
    ckpt_close(&c);

    /* It is in the middle of writing. */
    mark_as_open(write_one("held/checkpoints/step-00000012.h5", &l, &moments), false);
    int held = open(newest, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(held, LOCK_EX | LOCK_NB), 0);
    assert_error(rundir_open_newest(&c, &found, run, &e), &e, ERR_BUSY, "wait until it has closed it");
    close(held);

    /* It was killed. */
    assert_ok(rundir_open_newest(&c, &found, run, &e), &e);
    assert_non_null(strstr(c.path, "step-00000011.h5"));
    ckpt_close(&c);
    assert_error(ckpt_open(&c, newest, &e), &e, ERR_FORMAT, "by a program that was killed");

    /* It may not be read: not as root, for whom nothing is forbidden. */
    const uid_t user = geteuid();
    write_one("held/checkpoints/step-00000012.h5", &l, &moments);
    assert_int_equal(chmod(folder.folder, 0755), 0);
    assert_int_equal(chmod(newest, 0), 0);
    if (user == 0 && seteuid(65534))
        skip();
    assert_error(rundir_open_newest(&c, &found, run, &e), &e, ERR_IO, "step-00000012.h5: Permission denied");
    assert_int_equal(seteuid(user), 0);
    lora_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_comes_back),
        cmocka_unit_test(any_choice_of_modules_comes_back),
        cmocka_unit_test(two_thousand_modules_are_written_fast),
        cmocka_unit_test(other_shapes_are_refused),
        cmocka_unit_test(nonfinite_values_are_refused),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(folder_keeps_the_newest),
        cmocka_unit_test(what_is_out_of_reach_is_not_damaged),
    };
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
