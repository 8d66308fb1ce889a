/* PEFT folders: what is written reads back, and what cannot be applied is refused by name. */
#include "small_lora.h"

#include <math.h>

#include "base/file.h"
#include "base/limits.h"
#include "io/json.h"
#include "io/store/store.h"
#include "scratch.h"
#include "run/export/peft.h"

SCRATCH_OF_GROUP(folder, open_folder, close_folder)

static void write_config(const char *text)
{
    struct err e;
    assert_ok(file_write_atomic(scratch_path(&folder, "adapter_config.json"), text, strlen(text), &e), &e);
}

/* One module's two tensors, and maybe one more. */
static void write_tensors(const char *a, const char *b, const char *more, float value)
{
    static float values[64];
    struct err e;
    for (size_t i = 0; i < 64; i++)
        values[i] = (float)i;
    values[5] = value;
    const struct store_output tensors[] = {{a, {2, 8}, values}, {b, {4, 2}, values}, {more, {1, 1}, values}};
    assert_ok(store_write_safetensors(scratch_path(&folder, "adapter_model.safetensors"), NULL, 0, tensors,
                                      more ? 3 : 2, &e),
              &e);
}

#define PREFIX "base_model.model.model.layers.1.self_attn.k_proj."

static const char plain[] = "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 6, \"target_modules\": "
                            "[\"model.layers.1.self_attn.k_proj\"]%s}";

static void write_plain(const char *extra)
{
    char text[512];
    snprintf(text, sizeof text, plain, extra);
    write_config(text);
    write_tensors(PREFIX "lora_A.weight", PREFIX "lora_B.weight", NULL, 5);
}

static void expect_refused(enum err_code code, const char *text)
{
    struct lora l;
    struct err e;
    assert_error(peft_read(&l, &small_arch, NULL, folder.folder, NULL, &e), &e, code, text);
}

static void round_trip(const char *targets, size_t listed)
{
    struct lora l, again;
    struct json *doc;
    struct err e;
    small_make(&l, targets, 3, 32);
    assert_ok(peft_write(folder.folder, &l, &small_arch, &small_base, 0.25, &e), &e);
    assert_true(peft_is_folder(folder.folder));
    assert_ok(json_open_file(&doc, scratch_path(&folder, "adapter_config.json"), 1 << 20, &e), &e);
    const struct json_value *v = json_root(doc);
    assert_string_equal(json_text(json_get(v, "base_model_name_or_path")), "some/\"base\"");
    assert_int_equal(json_int(json_get(v, "r"), 0), 3);
    assert_int_equal(json_int(json_get(v, "lora_alpha"), 0), 32); /* although 32 / 3 is no float */
    assert_true(json_number(json_get(v, "lora_dropout"), 0) == 0.25);
    assert_true(json_bool(json_get(v, "init_lora_weights"), false));
    assert_int_equal(json_count(json_get(v, "target_modules")), listed);
    assert_int_equal(json_count(json_get(v, "rank_pattern")), 0);
    const char *last = "";
    for (struct json_member m = json_first(v); m.key; m = json_next(m)) {
        assert_true(strcmp(last, m.key) < 0);
        last = m.key;
    }
    json_close(doc);
    struct export_notes of;
    assert_ok(peft_read(&again, &small_arch, NULL, folder.folder, &of, &e), &e);
    small_expect_notes(&of);
    assert_int_equal(again.layout.count, l.layout.count);
    assert_int_equal(again.layout.size, l.layout.size);
    small_equal(again.params, l.params, l.layout.size);
    for (size_t i = 0; i < l.layout.count; i++)
        assert_true(again.layout.modules[i].scaling == l.layout.modules[i].scaling);
    lora_release(&again);
    lora_release(&l);
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    round_trip(NULL, 7);
    round_trip("q_proj,lm_head", 2);
    round_trip(".*layers\\.(1|11)\\..*_proj", 14); /* not all layers: by path, and layer 1 is not layer 11 */
    round_trip("lm_head", 1);
}

/* A name stands for all layers that have such a matrix. */
static void names_stand_for_the_layers_that_have_them(void **state)
{
    (void)state;
    struct lora l, again;
    struct json *doc;
    struct err e;
    struct arch a = small_arch;
    const struct lora_spec spec = {.rank = 2, .alpha = 4, .init = LORA_NORMAL};
    a.kinds[1] = (struct layer_kind){.head_dim = 6, .values_are_keys = true};
    a.kind_of[3] = a.kind_of[7] = 1;
    assert_ok(lora_create(&l, &a, &spec, &e), &e);
    assert_ok(peft_write(folder.folder, &l, &a, &small_base, 0, &e), &e);
    assert_ok(json_open_file(&doc, scratch_path(&folder, "adapter_config.json"), 1 << 20, &e), &e);
    assert_int_equal(json_count(json_get(json_root(doc), "target_modules")), 7);
    json_close(doc);
    assert_ok(peft_read(&again, &a, NULL, folder.folder, NULL, &e), &e);
    assert_int_equal(again.layout.count, 12 * 7 - 2);
    small_equal(again.params, l.params, l.layout.size);
    lora_release(&again);
    lora_release(&l);
}

static void patterns_are_written(void **state)
{
    (void)state;
    struct lora l, again;
    struct err e;
    const struct lora_given given[] = {{"model.layers.1.mlp.up_proj", 2, 3},
                                       {"model.layers.11.mlp.up_proj", 4, 3},
                                       {"model.layers.2.mlp.up_proj", 2, 0.1}};
    assert_ok(lora_create_given(&l, &small_arch, given, 3, &e), &e);
    small_fill(l.params, l.layout.size, 1);
    assert_ok(peft_write(folder.folder, &l, &small_arch, &small_base, 0, &e), &e);
    assert_ok(peft_read(&again, &small_arch, NULL, folder.folder, NULL, &e), &e);
    assert_int_equal(again.layout.count, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct lora_module *m = lora_find(&again.layout, given[i].path);
        assert_non_null(m);
        assert_int_equal(m->rank, given[i].rank);
        assert_true(m->scaling == (float)given[i].scaling);
    }
    small_equal(again.params, l.params, l.layout.size);
    lora_release(&again);
    lora_release(&l);
}

static void expect_scaling(const char *extra, double scaling)
{
    struct lora l;
    struct err e;
    struct export_notes of;
    write_plain(extra);
    assert_ok(peft_read(&l, &small_arch, NULL, folder.folder, &of, &e), &e);
    assert_true(!of.name && !of.hash && of.prompts == PROMPTS_UNKNOWN);
    assert_true(!of.continued && of.objective.kind == OBJECTIVE_SFT);
    assert_int_equal(l.layout.count, 1);
    assert_true(l.layout.modules[0].scaling == (float)scaling);
    assert_true(l.params[l.layout.modules[0].a + 3] == 3 && l.params[l.layout.modules[0].b + 7] == 7);
    lora_release(&l);
}

static void scaling_is_peft_s(void **state)
{
    (void)state;
    expect_scaling("", 3);
    expect_scaling(", \"use_rslora\": true", 6 / sqrt(2));
    expect_scaling(", \"alpha_pattern\": {\"q_proj\": 1, \"k_proj\": 8, \".*k_proj\": 2}", 4);
    expect_scaling(", \"alpha_pattern\": {\"layers\\\\.[01]\\\\..*\": 2}", 1);
    expect_scaling(", \"alpha_pattern\": {\"proj\": 2, \"layers.1\": 2}", 3); /* no whole part of the path */
    expect_scaling(", \"exclude_modules\": [\"q_proj\"], \"layers_to_transform\": null", 3);
    expect_scaling(", \"lora_dropout\": 0.3, \"future_field\": null, \"init_lora_weights\": \"gaussian\"", 3);
}

static void targets_follow_peft_s_rules(void **state)
{
    (void)state;
    struct lora l;
    struct err e;
    write_tensors(PREFIX "lora_A.weight", PREFIX "lora_B.weight", NULL, 5);
    const char *const same[] = {
        "\"target_modules\": \".*\\\\.1\\\\..*k_proj\"",
        "\"target_modules\": [\"k_proj\"], \"layers_to_transform\": [1]",
        "\"target_modules\": [\"attn.k_proj\", \"k_proj\"], \"layers_to_transform\": 1",
        "\"target_modules\": [\"k_proj\"], \"layers_to_transform\": 1, \"layers_pattern\": \"layers\"",
        "\"target_modules\": [\"k_proj\"], \"layers_to_transform\": 1, \"layers_pattern\": [\"h\", \"layers\"]",
        "\"target_modules\": [\"model.layers.1.self_attn.k_proj\"], \"layers_to_transform\": [7]",
        "\"target_modules\": [\"k_proj\"], \"exclude_modules\": \".*layers\\\\.([02-9]|1.)\\\\..*\"",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        char text[512];
        snprintf(text, sizeof text, "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 6, %s}", same[i]);
        write_config(text);
        assert_ok(peft_read(&l, &small_arch, NULL, folder.folder, NULL, &e), &e);
        assert_int_equal(l.layout.count, 1);
        assert_string_equal(l.layout.modules[0].path, "model.layers.1.self_attn.k_proj");
        lora_release(&l);
    }
    write_config("{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 6, \"target_modules\": [\"_proj\"]}");
    expect_refused(ERR_MISMATCH, "matches no linear layer");
}

/* What PEFT loads: with its own defaults left out, and under the names of a model's state. */
static void defaults_and_state_names_are_peft_s(void **state)
{
    (void)state;
    struct lora l;
    struct err e;
    static float values[64];
    for (size_t i = 0; i < 64; i++)
        values[i] = (float)i;
#define WITHOUT "model.layers.1.self_attn.k_proj."
    static const char *const names[][2] = {{PREFIX "lora_A.weight", PREFIX "lora_B.weight"},
                                           {PREFIX "lora_A.default.weight", PREFIX "lora_B.default.weight"},
                                           {WITHOUT "lora_A.weight", WITHOUT "lora_B.weight"},
                                           {WITHOUT "lora_A.default.weight", WITHOUT "lora_B.default.weight"}};
    static const char *const configs[] = {
        "{\"peft_type\": \"LORA\"}", "{\"peft_type\": \"LORA\", \"target_modules\": null, \"r\": null}",
        "{\"peft_type\": \"LORA\", \"target_modules\": [\"model.layers.1.self_attn.k_proj\"]}"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++)
        for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
            const struct store_output tensors[] = {{names[n][0], {8, 8}, values},
                                                   {names[n][1], {4, 8}, values}};
            assert_ok(
                store_write_safetensors(scratch_path(&folder, "adapter_model.safetensors"), NULL, 0, tensors, 2, &e),
                &e);
            write_config(configs[i]);
            assert_ok(peft_read(&l, &small_arch, NULL, folder.folder, NULL, &e), &e);
            assert_int_equal(l.layout.count, 1);
            const struct lora_module *m = &l.layout.modules[0];
            assert_string_equal(m->path, "model.layers.1.self_attn.k_proj");
            assert_true(m->rank == 8 && m->scaling == 1);
            small_equal(l.params + m->a, values, 64);
            small_equal(l.params + m->b, values, 32);
            lora_release(&l);
        }
    /* Another adapter's name is another adapter. */
    write_plain("");
    write_tensors(PREFIX "lora_A.weight", PREFIX "lora_B.weight", PREFIX "lora_A.second.weight", 5);
    expect_refused(ERR_MISMATCH, "lora_A.second.weight");
}

/* As versions of PEFT have written configurations, each with all its fields. */
static void configurations_of_all_versions_are_read(void **state)
{
    (void)state;
#define OF_0_7 \
    "\"alpha_pattern\": {}, \"auto_mapping\": null, \"base_model_name_or_path\": \"m\", \"bias\": \"none\", " \
    "\"fan_in_fan_out\": false, \"inference_mode\": true, \"init_lora_weights\": true, \"layers_pattern\": null, " \
    "\"layers_to_transform\": null, \"loftq_config\": {}, \"lora_alpha\": 6, \"lora_dropout\": 0.0, " \
    "\"megatron_config\": null, \"megatron_core\": \"megatron.core\", \"modules_to_save\": null, " \
    "\"peft_type\": \"LORA\", \"r\": 2, \"rank_pattern\": {}, \"revision\": null, \"target_modules\": " \
    "[\"layers.1.self_attn.k_proj\"], \"task_type\": \"CAUSAL_LM\""
#define OF_0_10 OF_0_7 ", \"layer_replication\": null, \"use_dora\": false, \"use_rslora\": false"
#define OF_0_17 \
    OF_0_10 ", \"corda_config\": null, \"eva_config\": null, \"exclude_modules\": null, \"lora_bias\": false, " \
            "\"qalora_group_size\": 16, \"target_parameters\": null, \"trainable_token_indices\": null, " \
            "\"use_qalora\": false"
#define OF_0_21 \
    OF_0_17 ", \"alora_invocation_tokens\": null, \"arrow_config\": null, \"ensure_weight_tying\": false, " \
            "\"kasa_config\": null, \"lora_ga_config\": null, \"monteclora_config\": null, \"peft_version\": " \
            "\"0.21.0\", \"use_bdlora\": null, \"velora_config\": null"
    static const char *const configs[] = {"{" OF_0_7 "}", "{" OF_0_10 "}", "{" OF_0_17 "}", "{" OF_0_21 "}",
                                          "{" OF_0_7 ", \"enable_lora\": null, \"merge_weights\": false}"};
    write_tensors(PREFIX "lora_A.weight", PREFIX "lora_B.weight", NULL, 5);
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        struct lora l;
        struct err e;
        write_config(configs[i]);
        assert_ok(peft_read(&l, &small_arch, NULL, folder.folder, NULL, &e), &e);
        assert_int_equal(l.layout.count, 1);
        assert_true(l.layout.modules[0].rank == 2 && l.layout.modules[0].scaling == 3);
        lora_release(&l);
    }
}

/* One decoder has its modules under other paths in other classes; rules match the paths of the class that wrote. */
static void adapters_of_other_classes_are_read(void **state)
{
    (void)state;
    static const char *const fronts[] = {"model.", "model.language_model.", "language_model.model."};
    struct arch wrapper = small_arch;
    wrapper.wrapper = &wrappers[0];
    const struct arch *const archs[] = {&small_arch, &wrapper};
    for (size_t i = 0; i < sizeof fronts / sizeof *fronts; i++)
        for (size_t k = 0; k < 2; k++) {
            char a[128], b[128], config[512], path[ARCH_PATH_SIZE];
            struct lora l;
            struct err e;
            snprintf(a, sizeof a, "base_model.model.%slayers.1.self_attn.k_proj.lora_A.weight", fronts[i]);
            snprintf(b, sizeof b, "base_model.model.%slayers.1.self_attn.k_proj.lora_B.weight", fronts[i]);
            snprintf(config, sizeof config,
                     "{\"peft_type\": \"LORA\", \"r\": 8, \"lora_alpha\": 8, "
                     "\"target_modules\": \"%slayers\\\\.1\\\\..*k_proj\", "
                     "\"rank_pattern\": {\"^%slayers.1.self_attn.k_proj\": 2}}",
                     fronts[i], fronts[i]);
            write_config(config);
            write_tensors(a, b, NULL, 5);
            assert_ok(peft_read(&l, archs[k], NULL, folder.folder, NULL, &e), &e);
            assert_int_equal(l.layout.count, 1);
            arch_module_path(path, archs[k], 1, 1);
            assert_string_equal(l.layout.modules[0].path, path);
            assert_true(l.layout.modules[0].rank == 2 && l.layout.modules[0].scaling == 4);
            lora_release(&l);
        }
}

static void unsupported_fields_are_named(void **state)
{
    (void)state;
    static const char *const fields[] = {"\"use_dora\": true",
                                         "\"lora_bias\": true",
                                         "\"modules_to_save\": [\"lm_head\"]",
                                         "\"fan_in_fan_out\": true",
                                         "\"layer_replication\": [[0, 2]]",
                                         "\"trainable_token_indices\": [1]",
                                         "\"target_parameters\": [\"x\"]",
                                         "\"use_qalora\": true",
                                         "\"alora_invocation_tokens\": [3]",
                                         "\"field_of_tomorrow\": 1",
                                         "\"bias\": \"all\"",
                                         "\"layers_pattern\": \"h\", \"layers_to_transform\": 1",
                                         "\"init_lora_weights\": \"pissa\""};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        char extra[128], name[64];
        snprintf(extra, sizeof extra, ", %s", fields[i]);
        snprintf(name, sizeof name, "%.*s", (int)strcspn(fields[i] + 1, "\""), fields[i] + 1);
        write_plain(extra);
        expect_refused(ERR_UNSUPPORTED, name);
    }
    write_config("{\"peft_type\": \"IA3\"}");
    expect_refused(ERR_UNSUPPORTED, "peft_type");
}

static void bad_configurations_are_refused(void **state)
{
    (void)state;
    write_plain(", \"rank_pattern\": {\"k_proj\": 0}");
    expect_refused(ERR_FORMAT, "the rank 0 of model.layers.1.self_attn.k_proj");
    write_plain(", \"rank_pattern\": {\"k_proj\": 2.5}");
    expect_refused(ERR_FORMAT, "the rank 2.5");
    write_plain(", \"alpha_pattern\": {\"k_proj\": \"x\"}");
    expect_refused(ERR_FORMAT, "alpha_pattern: \"k_proj\" must be a number, not a string");
    write_plain(", \"rank_pattern\": {\"(\": 2}");
    expect_refused(ERR_USAGE, "rank_pattern");
    write_plain(", \"use_rslora\": \"yes\"");
    expect_refused(ERR_FORMAT, "\"use_rslora\" must be true or false, not a string");
    write_plain(", \"rank_pattern\": [\"k_proj\", 2]");
    expect_refused(ERR_FORMAT, "\"rank_pattern\" must be an object, not an array");
    write_plain(", \"layers_to_transform\": \"1\"");
    expect_refused(ERR_FORMAT,
                   "\"layers_to_transform\" must be the number of a layer or a list of them, not a string");
    write_plain(", \"layers_to_transform\": [0, 1.5]");
    expect_refused(ERR_FORMAT, "\"layers_to_transform\" must hold whole numbers, not a real number");
    write_config("[]");
    expect_refused(ERR_FORMAT, "not a JSON object");
    write_config("{\"peft_type\": ");
    expect_refused(ERR_FORMAT, "adapter_config.json");
}

/* What would take memory or time without measure. */
static void claims_beyond_the_limits_are_refused(void **state)
{
    (void)state;
    struct str text = {0};
    struct err e;
    write_plain("");
    write_config(
        "{\"peft_type\": \"LORA\", \"r\": 65536, \"lora_alpha\": 1, \"target_modules\": \"all-linear\"}");
    expect_refused(ERR_FORMAT, "more parameters than the file can hold");
    write_plain(", \"rank_pattern\": {\"(([a-z_.0-9]+)+)+[:;]\": 2}");
    expect_refused(ERR_USAGE, "rank_pattern");
    assert_ok(str_appendf(&text, &e, "{\"peft_type\": \"LORA\", \"r\": 2, \"alpha_pattern\": {"), &e);
    for (int i = 0; i <= LIMIT_ADAPTER_PATTERNS; i++)
        assert_ok(str_appendf(&text, &e, "%s\"p%d\": 1", i ? ", " : "", i), &e);
    assert_ok(str_appendf(&text, &e, "}, \"target_modules\": [\"k_proj\"]}"), &e);
    write_config(text.data);
    expect_refused(ERR_FORMAT, "alpha_pattern has 10001 patterns; at most 10000 are read");
    str_release(&text);
}

static void tensors_are_checked(void **state)
{
    (void)state;
    write_plain("");
    write_tensors(PREFIX "lora_A.weight", "base_model.model.other.lora_B.weight", NULL, 5);
    expect_refused(ERR_FORMAT, PREFIX "lora_B.weight");
    write_tensors(PREFIX "lora_A.weight", PREFIX "lora_B.weight", "base_model.model.lm_head.weight", 5);
    expect_refused(ERR_MISMATCH, "base_model.model.lm_head.weight");
    write_tensors(PREFIX "lora_B.weight", PREFIX "lora_A.weight", NULL, 5);
    expect_refused(ERR_MISMATCH, "[2, 8]");
    write_tensors(PREFIX "lora_A.weight", PREFIX "lora_B.weight", NULL, NAN);
    expect_refused(ERR_NUMERIC, "not finite at [0, 5]");
    write_plain(", \"rank_pattern\": {\"k_proj\": 3}");
    expect_refused(ERR_MISMATCH, "[3, 8]");
}

/* Half-precision tensors, written byte by byte. */
static void halves_are_read(void **state)
{
    (void)state;
    static const char header[] =
        "{\"" PREFIX "lora_A.weight\":{\"dtype\":\"F16\",\"shape\":[2,8],\"data_offsets\":[0,32]},"
        "\"" PREFIX "lora_B.weight\":{\"dtype\":\"BF16\",\"shape\":[4,2],\"data_offsets\":[32,48]}}";
    struct lora l;
    struct err e;
    struct str file = {0};
    uint64_t length = sizeof header - 1;
    uint16_t half = 0x3e00, brain = 0xc040; /* 1.5 and -3 */
    assert_ok(str_append(&file, &length, 8, &e), &e);
    assert_ok(str_append(&file, header, length, &e), &e);
    for (int i = 0; i < 24; i++)
        assert_ok(str_append(&file, i < 16 ? &half : &brain, 2, &e), &e);
    write_plain("");
    assert_ok(
        file_write_atomic(scratch_path(&folder, "adapter_model.safetensors"), file.data, file.length, &e),
        &e);
    assert_ok(peft_read(&l, &small_arch, NULL, folder.folder, NULL, &e), &e);
    assert_true(l.params[l.layout.modules[0].a + 15] == 1.5F && l.params[l.layout.modules[0].b] == -3);
    lora_release(&l);
    for (size_t cut = 0; cut < file.length; cut += 7) {
        assert_ok(file_write_atomic(scratch_path(&folder, "adapter_model.safetensors"), file.data, cut, &e),
                  &e);
        expect_refused(ERR_FORMAT, "adapter_model.safetensors");
    }
    str_release(&file);
}

/* PEFT saves the base's head beside an adapter of lm_head. */
static void copy_of_head_must_be_the_head(void **state)
{
    (void)state;
    static float head[20 * 8], a[2 * 8], b[20 * 2];
    struct lora l;
    struct err e;
    small_fill(head, 20 * 8, 9);
    const struct weights base = {.type = DTYPE_F32, .head = head};
    const struct store_output tensors[] = {{"base_model.model.lm_head.lora_A.weight", {2, 8}, a},
                                           {"base_model.model.lm_head.lora_B.weight", {20, 2}, b},
                                           {"base_model.model.lm_head.base_layer.weight", {20, 8}, head}};
    write_config("{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 6, \"target_modules\": [\"lm_head\"]}");
    assert_ok(store_write_safetensors(scratch_path(&folder, "adapter_model.safetensors"), NULL, 0, tensors, 3, &e),
              &e);
    assert_ok(peft_read(&l, &small_arch, &base, folder.folder, NULL, &e), &e);
    assert_int_equal(l.layout.count, 1);
    lora_release(&l);
    expect_refused(ERR_UNSUPPORTED, "lm_head.base_layer.weight is not the head of this base");
    head[159] += 1;
    assert_error(peft_read(&l, &small_arch, &base, folder.folder, NULL, &e), &e, ERR_UNSUPPORTED,
                 "trained or resized");
}

/* PEFT had the base in bf16: its copy is rounded, the base here is not. */
static void copy_of_head_may_be_rounded(void **state)
{
    (void)state;
    static const char header[] = "{\"base_model.model.lm_head.lora_A.weight\":{\"dtype\":\"BF16\",\"shape\":["
                                 "2,8],\"data_offsets\":[0,32]},"
                                 "\"base_model.model.lm_head.lora_B.weight\":{\"dtype\":\"BF16\",\"shape\":["
                                 "20,2],\"data_offsets\":[32,112]},"
                                 "\"base_model.model.lm_head.base_layer.weight\":{\"dtype\":\"BF16\","
                                 "\"shape\":[20,8],\"data_offsets\":[112,432]}}";
    static float head[20 * 8];
    uint64_t length = sizeof header - 1;
    uint16_t values[16 + 40 + 160] = {0};
    struct lora l;
    struct err e;
    struct str file = {0};
    small_fill(head, 20 * 8, 9);
    const struct weights base = {.type = DTYPE_F32, .head = head};
    for (int i = 0; i < 160; i++)
        values[56 + i] = dtype_f32_to_bf16(head[i]);
    assert_ok(str_append(&file, &length, 8, &e), &e);
    assert_ok(str_append(&file, header, length, &e), &e);
    size_t begin = file.length;
    assert_ok(str_append(&file, values, sizeof values, &e), &e);
    write_config("{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 6, \"target_modules\": [\"lm_head\"]}");
    const char *path = scratch_path(&folder, "adapter_model.safetensors");
    assert_ok(file_write_atomic(path, file.data, file.length, &e), &e);
    assert_ok(peft_read(&l, &small_arch, &base, folder.folder, NULL, &e), &e);
    lora_release(&l);
    file.data[begin + 112 + 318] ^= 1; /* the last value's last bit */
    path = scratch_path(&folder, "adapter_model.safetensors");
    assert_ok(file_write_atomic(path, file.data, file.length, &e), &e);
    assert_error(peft_read(&l, &small_arch, &base, folder.folder, NULL, &e), &e, ERR_UNSUPPORTED,
                 "trained or resized");
    str_release(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(patterns_are_written),
        cmocka_unit_test(names_stand_for_the_layers_that_have_them),
        cmocka_unit_test(scaling_is_peft_s),
        cmocka_unit_test(targets_follow_peft_s_rules),
        cmocka_unit_test(defaults_and_state_names_are_peft_s),
        cmocka_unit_test(configurations_of_all_versions_are_read),
        cmocka_unit_test(adapters_of_other_classes_are_read),
        cmocka_unit_test(unsupported_fields_are_named),
        cmocka_unit_test(bad_configurations_are_refused),
        cmocka_unit_test(claims_beyond_the_limits_are_refused),
        cmocka_unit_test(tensors_are_checked),
        cmocka_unit_test(halves_are_read),
        cmocka_unit_test(copy_of_head_must_be_the_head),
        cmocka_unit_test(copy_of_head_may_be_rounded),
    };
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
