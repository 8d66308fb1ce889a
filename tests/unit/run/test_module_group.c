/* Where a module's part of an HDF5 file lies, and finding all of them. */
#include "run/module_group.h"

#include <string.h>

#include "scratch.h"
#include "unit.h"

SCRATCH_OF_GROUP(folder, open_folder, close_folder)

static void paths_are_split_after_the_layer(void **state)
{
    static const char *const cases[][2] = {
        {"model.layers.0.self_attn.q_proj", "/adapter/model.layers.0/self_attn.q_proj/lora_A"},
        {"model.language_model.layers.31.mlp.up_proj",
         "/adapter/model.language_model.layers.31/mlp.up_proj/lora_A"},
        {"transformer.h.7.attn.c_attn", "/adapter/transformer.h.7/attn.c_attn/lora_A"},
        {"model.layers.2.mlp.experts.13.w1", "/adapter/model.layers.2/mlp.experts.13.w1/lora_A"},
        {"lm_head", "/adapter/lm_head/lora_A"},
        {"score.0", "/adapter/score.0/lora_A"},
        {"model.layers2.x", "/adapter/model.layers2.x/lora_A"},
        {"0.x", "/adapter/0/x/lora_A"},
    };
    (void)state;
    char path[MODULE_GROUP_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        module_group_path(path, "/adapter", cases[i][0], "lora_A");
        assert_string_equal(path, cases[i][1]);
    }
    module_group_path(path, "/trace", "model.layers.0.x", NULL);
    assert_string_equal(path, "/trace/model.layers.0/x");
}

static struct h5_reader *write_groups(const char *const *paths, size_t count)
{
    struct h5_writer *w;
    struct h5_reader *r;
    struct err e;
    const char *file = scratch_path(&folder, "groups.h5");
    const int32_t one = 1;
    assert_ok(h5_create(&w, file, &e), &e);
    for (size_t i = 0; i < count; i++)
        h5_write(w, paths[i], H5_I32, 1, (const uint64_t[]){1}, &one);
    assert_ok(h5_commit(w, &e), &e);
    assert_ok(h5_open(&r, file, true, &e), &e);
    return r;
}

static void modules_are_found(void **state)
{
    static const char *const paths[] = {"/trace/step",
                                        "/trace/model.layers.10/mlp.up_proj/values",
                                        "/trace/model.layers.2/mlp.up_proj/values",
                                        "/trace/model.layers.2/mlp.up_proj/singular_values",
                                        "/trace/model.layers.2/mlp.down_proj/other",
                                        "/trace/lm_head/values",
                                        "/trace_of_another/lm_head/values"};
    static const char *const wanted[] = {"lm_head", "model.layers.10.mlp.up_proj",
                                         "model.layers.2.mlp.up_proj"};
    (void)state;
    struct arena a = {0};
    struct err e;
    const char **modules;
    size_t count;
    struct h5_reader *r = write_groups(paths, sizeof paths / sizeof *paths);
    assert_ok(module_group_list(&modules, &count, r, "/trace", "values", &a, &e), &e);
    assert_int_equal(count, sizeof wanted / sizeof *wanted);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(modules[i], wanted[i]);
    assert_ok(module_group_list(&modules, &count, r, "/adapter", "values", &a, &e), &e);
    assert_int_equal(count, 0);
    h5_close(r);
    arena_release(&a);
}

static void modules_in_other_places_are_refused(void **state)
{
    static const char *const paths[] = {
        "/adapter/model.layers.0.q_proj/lora_A", "/adapter/model/layers.0.q_proj/lora_A",
        "/adapter/model.layers.0/mlp/up_proj/lora_A",
        "/adapter/model.layers.0/a_name_that_is_longer_than_the_path_of_any_module_that_a_model_has/lora_A"};
    (void)state;
    struct arena a = {0};
    struct err e;
    const char **modules;
    size_t count;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct h5_reader *r = write_groups(&paths[i], 1);
        assert_error(module_group_list(&modules, &count, r, "/adapter", "lora_A", &a, &e), &e, ERR_FORMAT,
                     "is not the place of a module");
        h5_close(r);
    }
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_split_after_the_layer),
        cmocka_unit_test(modules_are_found),
        cmocka_unit_test(modules_in_other_places_are_refused),
    };
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
