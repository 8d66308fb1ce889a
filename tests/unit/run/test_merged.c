/* Merged exports of all tiny models: each adapted matrix is W + scaling B A rounded once, all else is the base's. */
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rng.h"
#include "run/export/export.h"
#include "scratch.h"
#include "tiny_model.h"

SCRATCH_OF_GROUP(folder, open_folder, close_folder)

static const struct origin unknown; /* of an adapter of another program */

/* A base with an adapter that is not small, and where it is exported to. */
struct subject {
    struct store base;
    struct arch arch;
    struct lora lora;
    struct export_job job;
};

static void subject_open(struct subject *s, const char *name, const char *output, const char *targets)
{
    struct err e;
    struct lora_spec spec = {.targets = targets, .rank = 3, .alpha = 2, .init = LORA_NORMAL};
    assert_ok(store_open(&s->base, tiny_base(name), &e), &e);
    assert_ok(arch_read(&s->arch, &s->base, &e), &e);
    assert_ok(arch_hash(&s->base, &e), &e);
    if (!targets && arch_has_experts(&s->arch)) /* which are frozen */
        spec.targets = "q_proj,k_proj,v_proj,o_proj";
    assert_ok(lora_create(&s->lora, &s->arch, &spec, &e), &e);
    rng_fill_normal(s->lora.params, rng_key_make(3, RNG_SAMPLE, 0), 0, s->lora.layout.size);
    for (size_t i = 0; i < s->lora.layout.size; i++)
        s->lora.params[i] *= 0.1F;
    s->job = (struct export_job){.output = output,
                                 .lora = &s->lora,
                                 .arch = &s->arch,
                                 .store = &s->base,
                                 .base_name = "owner/name",
                                 .origin = &unknown,
                                 .save_dtype = SAVE_OWN};
}

static void subject_close(struct subject *s)
{
    lora_release(&s->lora);
    store_close(&s->base);
}

/* Nearest number of the type: by looking at both of its neighbours, without rounding twice. */
static float nearest(enum dtype type, double x)
{
    float best = (float)x;
    if (type == DTYPE_F32)
        return best;
    double distance = INFINITY;
    uint16_t near = type == DTYPE_F16 ? dtype_f32_to_f16(best) : dtype_f32_to_bf16(best);
    for (int step = -1; step <= 1; step++) {
        const uint16_t bits = (uint16_t)(near + step);
        const float candidate = type == DTYPE_F16 ? dtype_f16_to_f32(bits) : dtype_bf16_to_f32(bits);
        const double off = fabs((double)candidate - x);
        if (off < distance || (off == distance && bits % 2 == 0)) {
            distance = off;
            best = candidate;
        }
    }
    return best;
}

/* In the order of the model, whatever the order of the file. */
static void compare_module(const struct subject *s, const struct lora_module *m, const struct weights *before,
                           const struct weights *after, enum dtype type)
{
    float *W = malloc(m->in * sizeof *W), *merged = malloc(m->in * sizeof *merged);
    assert_true(W && merged);
    for (size_t row = 0; row < m->out; row++) {
        weights_read(W, before, &s->arch, m->layer, m->linear, row, 1);
        weights_read(merged, after, &s->arch, m->layer, m->linear, row, 1);
        for (size_t i = 0; i < m->in; i++) {
            double sum = 0;
            for (size_t k = 0; k < m->rank; k++)
                sum += (double)s->lora.params[m->b + row * m->rank + k] * (double)s->lora.params[m->a + k * m->in + i];
            const float wanted = nearest(type, (double)W[i] + (double)m->scaling * sum);
            if (merged[i] != wanted)
                fail_msg("%s [%zu, %zu]: %.9g, not %.9g", m->path, row, i, (double)merged[i], (double)wanted);
        }
    }
    free(W);
    free(merged);
}

static const struct lora_module *module_of(const struct subject *s, const char *tensor)
{
    for (size_t i = 0; i < s->lora.layout.count; i++) {
        char name[ARCH_NAME_SIZE];
        const struct lora_module *m = &s->lora.layout.modules[i];
        arch_module_tensor(name, &s->arch, s->base.kind, m->layer, m->linear, "weight");
        if (!strcmp(name, tensor))
            return m;
    }
    return NULL;
}

static enum dtype wanted_type(enum dtype own, enum option_save_dtype as)
{
    static const enum dtype types[] = {[SAVE_F32] = DTYPE_F32, [SAVE_F16] = DTYPE_F16, [SAVE_BF16] = DTYPE_BF16};
    if (as != SAVE_OWN)
        return types[as];
    return dtype_info(own)->block_elements > 1 ? DTYPE_F16 : own;
}

static size_t compare(const struct subject *s)
{
    struct store merged;
    struct weights before, after;
    struct err e;
    const struct weights_options f32 = {.type = DTYPE_F32};
    size_t same = 0;
    assert_ok(store_open(&merged, s->job.output, &e), &e);
    assert_ok(weights_load(&before, &s->arch, &s->base, &f32, &e), &e);
    assert_ok(weights_load(&after, &s->arch, &merged, &f32, &e), &e);
    assert_int_equal(merged.file_count, s->base.file_count);
    assert_int_equal(merged.tensor_count, s->base.tensor_count);
    assert_int_equal(merged.unread_count, s->base.unread_count);
    for (size_t i = 0; i < merged.tensor_count; i++) {
        const struct store_tensor *was = &s->base.tensors[i], *is = &merged.tensors[i];
        const struct lora_module *m = module_of(s, was->name);
        assert_string_equal(is->name, was->name);
        if (m) {
            assert_int_equal(is->type, wanted_type(was->type, s->job.save_dtype));
            compare_module(s, m, &before, &after, is->type);
            continue;
        }
        same++;
        assert_int_equal(is->type, was->type);
        assert_int_equal(is->bytes, was->bytes);
        assert_memory_equal(is->data, was->data, was->bytes);
    }
    weights_release(&before);
    weights_release(&after);
    store_close(&merged);
    return same;
}

/* All of its keys and values, as bytes. */
static void compare_keys(const struct subject *s)
{
    struct store merged;
    struct err e;
    assert_ok(store_open(&merged, s->job.output, &e), &e);
    assert_int_equal(merged.gguf->tensors_at, s->base.gguf->tensors_at);
    assert_memory_equal(merged.files[0].map.data, s->base.files[0].map.data, merged.gguf->tensors_at);
    store_close(&merged);
}

static void every_matrix_is_merged(void **state)
{
    struct subject s;
    struct err e;
    double difference, most;
    const char *output = scratch_path(&folder, *state);
    subject_open(&s, *state, output, NULL);
    assert_ok(export_write(&s.job, EXPORT_MERGED, &e), &e);
    compare(&s);
    if (s.base.kind == STORE_GGUF)
        compare_keys(&s);
    assert_ok(export_check(&s.job, EXPORT_MERGED, 1, &difference, &most, &e), &e);
    assert_true(difference < most);
    /* The check notices that another adapter was merged. */
    for (size_t i = 0; i < s.lora.layout.count; i++)
        s.lora.layout.modules[i].scaling *= 30;
    assert_ok(export_check(&s.job, EXPORT_MERGED, 1, &difference, &most, &e), &e);
    if (!(difference > most))
        fail_msg("a wrong merge is %g off, which the check allows (%g)", difference, most);
    subject_close(&s);
}

static void types_are_those_asked_for(void **state)
{
    (void)state;
    static const char *const models[] = {"tiny_gguf", "tiny_qwen2", "tiny_gpt2", "tiny_sharded"};
    static const enum option_save_dtype types[] = {SAVE_F32, SAVE_F16, SAVE_BF16};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
            struct subject s;
            struct err e;
            char name[64];
            snprintf(name, sizeof name, "%s-as-%zu", models[i], k);
            subject_open(&s, models[i], scratch_path(&folder, name), k == 1 ? ".*layers\\.1\\..*|.*h\\.1\\..*" : NULL);
            s.job.save_dtype = types[k];
            assert_ok(export_write(&s.job, EXPORT_MERGED, &e), &e);
            assert_true(compare(&s) > 0);
            subject_close(&s);
        }
}

static void numbers_beyond_the_type_are_refused(void **state)
{
    (void)state;
    struct subject s;
    struct err e;
    const char *output = scratch_path(&folder, "beyond");
    subject_open(&s, "tiny_qwen2", output, NULL);
    s.job.save_dtype = SAVE_F16;
    s.lora.params[s.lora.layout.modules[3].b] = 3e7F;
    assert_error(export_write(&s.job, EXPORT_MERGED, &e), &e, ERR_NUMERIC,
                 "is not finite in f16: give --save-dtype bf16");
    assert_non_null(strstr(e.message, s.lora.layout.modules[3].path));
    assert_false(file_exists(output));
    assert_false(file_exists(scratch_path(&folder, "beyond.part")));
    subject_close(&s);
}

/* What has the name of the output, or of the part, is never written into, followed or deleted. */
static void what_is_in_the_way_stays(void **state)
{
    (void)state;
    struct subject s;
    struct err e;
    static const char *const models[] = {"tiny_sharded", "tiny_gguf"};
    const char *elsewhere = scratch_path(&folder, "elsewhere");
    assert_int_equal(mkdir(elsewhere, 0777), 0);
    for (size_t i = 0; i < 2; i++) {
        char output[PATH_MAX], part[PATH_MAX + 8];
        snprintf(output, sizeof output, "%s/taken%zu", folder.folder, i);
        snprintf(part, sizeof part, "%s.part", output);
        subject_open(&s, models[i], output, NULL);
        assert_int_equal(symlink("nowhere", output), 0);
        assert_error(export_write(&s.job, EXPORT_MERGED, &e), &e, ERR_USAGE, "is already there: give another --output");
        assert_int_equal(unlink(output), 0);
        assert_int_equal(mkdir(output, 0777), 0);
        assert_error(export_write(&s.job, EXPORT_MERGED, &e), &e, ERR_USAGE, "is already there: give another --output");
        assert_int_equal(rmdir(output), 0);
        if (s.base.kind == STORE_HF) {
            assert_int_equal(symlink(elsewhere, part), 0);
            assert_error(export_write(&s.job, EXPORT_MERGED, &e), &e, ERR_IO, ".part, where");
            assert_int_equal(unlink(part), 0);
            char own[PATH_MAX + 16];
            snprintf(own, sizeof own, "%s/own", part);
            assert_int_equal(mkdir(part, 0777), 0);
            assert_int_equal(symlink("nowhere", own), 0);
            assert_error(export_write(&s.job, EXPORT_MERGED, &e), &e, ERR_USAGE, "not left from an export");
            assert_int_equal(unlink(own), 0);
        }
        assert_ok(export_write(&s.job, EXPORT_MERGED, &e), &e);
        assert_false(file_exists(part));
        subject_close(&s);
    }
    assert_int_equal(rmdir(elsewhere), 0); /* nothing was written there */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_those_asked_for),
        cmocka_unit_test(numbers_beyond_the_type_are_refused),
        cmocka_unit_test(what_is_in_the_way_stays),
    };
    char **names = tiny_names();
    struct CMUnitTest merges[256] = {{0}};
    size_t count = 0;
    for (; names[count] && count < 256; count++)
        merges[count] = (struct CMUnitTest){.name = names[count],
                                            .test_func = every_matrix_is_merged,
                                            .initial_state = names[count]};
    int failed = _cmocka_run_group_tests("every_matrix_is_merged", merges, count, open_folder, close_folder);
    return failed + cmocka_run_group_tests(tests, open_folder, close_folder);
}
