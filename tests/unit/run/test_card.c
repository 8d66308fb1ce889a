/* What is beside the weights of an export: its model card, and the history of its training. */
#include "small_lora.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/yaml.h"
#include "io/json.h"
#include "run/export/export.h"
#include "scratch.h"

SCRATCH_OF_GROUP(folder, open_folder, close_folder)

static const char config[] = "model: /secret/place/base\n"
                             "data: [/secret/train_1.jsonl, \"/secret/a|b`c.jsonl\"]\n"
                             "eval-data: [held.jsonl]\n"
                             "output: /secret/run\n"
                             "chat-template: /secret/chat.jinja\n"
                             "adapter: /secret/first/\n"
                             "target-modules: [q_proj, \"v*\"]\n"
                             "lora-rank: 4\n"
                             "learning-rate: 0.0002\n" /* the default, in other words */
                             "batch-size: 10\n"
                             "epochs: 2\n"
                             "eval-every: 4\n"
                             "threads: 7\n"
                             "time-limit: 30m\n";
static const struct ckpt_state state = {
    .step = 8, .cursor = 74, .finished = true, .best = {.seen = 8, .step = 4, .worse = 1, .loss = 1.5}};
static const struct ckpt_identity identity = {.base = "00112233445566778899aabbccddeeff",
                                              .tokenizer = "10112233445566778899aabbccddeeff",
                                              .data = "20112233445566778899aabbccddeeff",
                                              .adapter = "30112233445566778899aabbccddeeff"};

static const struct store base = {.path = "models/tiny", .hash = "00112233445566778899aabbccddeeff"};

/* The metrics of a run of 8 steps with batches of 10 of 37 examples; that of step 3 has no finite loss. */
static void write_metrics(void)
{
    struct str text = {0};
    struct err e;
    for (int step = 1; step <= 8; step++) {
        const int cursor = step / 4 * 37 + step % 4 * 10;
        assert_ok(str_appendf(&text, &e, "{\"step\": %d, \"epoch\": ", step), &e);
        assert_ok(json_append_real(&text, cursor / 37.0, &e), &e);
        assert_ok(str_appendf(&text, &e, ", \"loss\": %s", step == 3 ? "null" : step == 8 ? "1.25" : "2"), &e);
        assert_ok(str_appendf(&text, &e, ", \"learning_rate\": 0.0002, \"grad_norm\": 0.5, \"tokens\": 100"), &e);
        assert_ok(str_appendf(&text, &e, step % 4 ? "}\n" : ", \"eval_loss\": %d.5}\n", step / 4), &e);
    }
    assert_ok(file_write_atomic(scratch_path(&folder, "metrics.jsonl"), text.data, text.length, &e), &e);
    str_release(&text);
}

/* The end of a line, with rewards from `first` on. */
static void append_rewards(struct str *line, const char *prefix, double first)
{
    struct err e;
    for (size_t i = 0; i < METRICS_REWARDS; i++)
        assert_ok(str_appendf(line, &e, ", \"%s%s\": %g", prefix, metrics_rewards_fields[i].name, first + (double)i),
                  &e);
}

/* The last line of such a run once more, as preference training writes it. */
static void write_rewards(void)
{
    struct str text = {0};
    struct err e;
    assert_ok(file_read_all(&text, scratch_path(&folder, "metrics.jsonl"), 10000, &e), &e);
    text.length -= strlen("}\n");
    append_rewards(&text, "", 10);
    append_rewards(&text, "eval_", 20);
    assert_ok(str_appendf(&text, &e, "}\n"), &e);
    assert_ok(file_write_atomic(scratch_path(&folder, "metrics.jsonl"), text.data, text.length, &e), &e);
    str_release(&text);
}

static void open_origin(struct origin *o)
{
    write_metrics();
    origin_set(o, "config", config, &state, &identity);
    assert_true(o->has_options);
    assert_false(origin_has_history(o));
    origin_read_log(o, folder.folder);
    assert_true(origin_has_history(o));
    assert_int_equal(o->log.count, 8);
}

static void card_of(struct str *out, const struct origin *origin, const char *name, enum option_format format)
{
    struct lora l;
    struct err e;
    small_make(&l, "q_proj,v_proj", 4, 8);
    const struct export_job job = {
        .lora = &l, .arch = &small_arch, .store = &base, .base_name = name, .origin = origin};
    str_clear(out);
    assert_ok(export_card(out, &job, format, &e), &e);
    lora_release(&l);
}

static void of_a_run(void **unused)
{
    (void)unused;
    struct origin origin;
    struct str card = {0};
    open_origin(&origin);
    origin.step = 4;
    card_of(&card, &origin, "owner/base_1", EXPORT_PEFT);
    assert_string_equal(
        card.data,
        "---\nbase_model: \"owner/base_1\"\nbase_model_relation: adapter\nlibrary_name: peft\n"
        "pipeline_tag: text-generation\ntags:\n- lora\n- mpilora\n---\n\n"
        "# owner/base\\_1, LoRA adapter\n\n"
        "A LoRA adapter for the base model: matrices A and B for 24 of its linear layers, of rank 4.\n\n"
        "## How to load it\n\n```python\nfrom peft import PeftModel\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        "tokenizer = AutoTokenizer.from_pretrained(\"owner/base_1\")\n"
        "model = AutoModelForCausalLM.from_pretrained(\"owner/base_1\")\n"
        "model = PeftModel.from_pretrained(model, \"path/to/this/adapter\")\n```\n\n"
        "## What it was made from\n\n| | |\n|---|---|\n"
        "| base | owner/base\\_1 |\n"
        "| content hash of the base | `00112233445566778899aabbccddeeff` |\n"
        "| training data | train\\_1.jsonl, a\\|b\\`c.jsonl |\n"
        "| content hash of the training data | `20112233445566778899aabbccddeeff` |\n"
        "| evaluation data | held.jsonl |\n"
        "| chat template | chat.jinja |\n"
        "| first adapter | first |\n"
        "| content hash of the first adapter | `30112233445566778899aabbccddeeff` |\n"
        "| steps | 8 (2.00 epochs) |\n"
        "| adapter | that of step 4, after which the eval loss was lowest |\n"
        "| loss of the last step | 1.2500 |\n"
        "| lowest eval loss | 1.5000, after step 4 |\n"
        "| exported with | mpilora " MPILORA_VERSION " |\n\n"
        "## Options that differ from their defaults\n\n| option | value |\n|---|---|\n"
        "| target-modules | q\\_proj,v\\* |\n| lora-rank | 4 |\n| batch-size | 10 |\n| epochs | 2 |\n"
        "| eval-every | 4 |\n");
    str_release(&card);
    origin_release(&origin);
}

/* Preference training is told, by name, and whose losses these are. */
static void of_preferences(void **unused)
{
    (void)unused;
    static const struct {
        const char *yaml, *tag, *name;
    } rows[] = {{"dpo", "- dpo\n---\n", "Trained with DPO ([arXiv:2305.18290]"},
                {"ipo", "- ipo\n---\n", "Trained with IPO ([arXiv:2310.12036]"},
                {"orpo", "- orpo\n---\n", "Trained with ORPO ([arXiv:2403.07691]"},
                {"simpo", "- simpo\n---\n", "Trained with SimPO ([arXiv:2405.14734]"}};
    for (size_t i = 0; i < 4; i++) {
        struct origin origin;
        struct str card = {0};
        char text[1024];
        write_metrics();
        snprintf(text, sizeof text, "%sobjective: %s\n", config, rows[i].yaml);
        origin_set(&origin, "config", text, &state, &identity);
        origin_read_log(&origin, folder.folder);
        card_of(&card, &origin, "owner/base_1", i % 2 ? EXPORT_MERGED : EXPORT_PEFT);
        assert_non_null(strstr(card.data, rows[i].tag));
        assert_non_null(strstr(card.data, rows[i].name));
        assert_non_null(
            strstr(card.data, i == 3 ? "| SimPO loss of the last step | 1.2500 |\n" : "PO loss of the last step"));
        assert_non_null(strstr(card.data, i ? "| lowest eval " : "| lowest eval DPO loss | 1.5000, after step 4 |\n"));
        str_release(&card);
        origin_release(&origin);
    }
}

/* The date of a run is told where its chat template may have printed it. */
static void the_date_of_templates_that_have_it(void **unused)
{
    (void)unused;
    static const char with[] = "{{ strftime_now('%Y') }}", without[] = "{{ messages }}";
    static const struct {
        const char *template, *options;
        bool told;
    } cases[] = {{without, "", false}, {with, "", true}, {without, "chat-template: c.jinja\n", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct origin origin;
        struct str card = {0}, text = {0};
        struct lora l;
        struct err e;
        struct store s = base;
        s.texts[s.text_count++] = (struct store_file){.name = "chat_template.jinja",
                                                      .map = {.data = (const unsigned char *)cases[i].template,
                                                              .size = strlen(cases[i].template)}};
        assert_ok(str_appendf(&text, &e, "chat-date: 2024-02-29\n%s", cases[i].options), &e);
        origin_set(&origin, "config", text.data, &state, &identity);
        small_make(&l, "q_proj", 4, 8);
        const struct export_job job = {
            .lora = &l, .arch = &small_arch, .store = &s, .base_name = "b", .origin = &origin};
        assert_ok(export_card(&card, &job, EXPORT_PEFT, &e), &e);
        assert_int_equal(strstr(card.data, "| chat-date | 2024-02-29 |") != NULL, cases[i].told);
        lora_release(&l);
        str_release(&text);
        str_release(&card);
        origin_release(&origin);
    }
}

/* Wherever the base is, its folder is not told; and no name is markup, or a control character. */
static void names_are_only_names(void **unused)
{
    (void)unused;
    static const struct origin unknown;
    static const enum option_format formats[] = {EXPORT_PEFT, EXPORT_MERGED};
    struct str card = {0};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        card_of(&card, &unknown, "/secret/place/<b>\x1b[2J|x\n# y/", formats[i]);
        assert_null(strstr(card.data, "secret"));
        assert_null(strstr(card.data, "base_model"));
        assert_null(strchr(card.data, '\x1b'));
        assert_null(strstr(card.data, "\n# y"));
        assert_non_null(strstr(card.data, "| base | \\<b\\>\\\\u001b\\[2J\\|x\\\\n\\# y |\n"));
        assert_null(strstr(card.data, "training data"));
        assert_null(strstr(card.data, "## Options"));
    }
    card_of(&card, &unknown, base.path, EXPORT_PEFT); /* as a model of the hub is called, and yet a path */
    assert_null(strstr(card.data, "base_model"));
    assert_non_null(strstr(card.data, "# tiny, LoRA adapter\n"));
    assert_null(strstr(card.data, "models/tiny"));
    str_release(&card);
}

/* The header is YAML, without which the hub takes no card. */
static void the_header_is_yaml(void **unused)
{
    (void)unused;
    static const struct origin unknown;
    static const char *const keys[] = {"base_model", "base_model_relation", "library_name", "pipeline_tag", "tags"};
    struct str card = {0};
    struct arena arena = {0};
    struct yaml_map map;
    struct err e;
    card_of(&card, &unknown, "owner/name", EXPORT_MERGED);
    assert_true(str_starts_with(card.data, "---\n"));
    const char *end = strstr(card.data + 4, "---\n");
    assert_non_null(end);
    assert_ok(yaml_read(&map, &arena, "header", card.data + 4, (size_t)(end - card.data) - 4, &e), &e);
    assert_int_equal(map.count, sizeof keys / sizeof *keys);
    for (size_t i = 0; i < map.count; i++)
        assert_string_equal(map.entries[i].key, keys[i]);
    assert_string_equal(map.entries[0].values[0].text, "owner/name");
    assert_string_equal(map.entries[2].values[0].text, "transformers");
    arena_release(&arena);
    str_release(&card);
}

static void number_is(const struct json_value *object, const char *key, double wanted)
{
    const double is = json_number(json_get(object, key), NAN);
    if (!(is == wanted))
        fail_msg("%s is %g, not %g", key, is, wanted);
}

static void keys_are_sorted(const struct json_value *object)
{
    const char *last = "";
    for (struct json_member m = json_first(object); m.key; m = json_next(m)) {
        assert_true(strcmp(last, m.key) < 0);
        last = m.key;
    }
}

static void history_of_a_run(void **unused)
{
    (void)unused;
    struct origin origin;
    struct str text = {0};
    struct json *doc;
    struct err e;
    open_origin(&origin);
    assert_ok(export_state(&text, &origin, &e), &e);
    assert_ok(json_open_bytes(&doc, text.data, text.length, "state", &e), &e);
    const struct json_value *v = json_root(doc), *log = json_get(v, "log_history");
    number_is(v, "epoch", 2);
    number_is(v, "global_step", 8);
    number_is(v, "max_steps", 8);
    number_is(v, "num_train_epochs", 2);
    number_is(v, "logging_steps", 1);
    number_is(v, "eval_steps", 4);
    number_is(v, "save_steps", 100);
    number_is(v, "num_input_tokens_seen", 800);
    number_is(v, "train_batch_size", 10);
    number_is(v, "best_metric", 1.5);
    number_is(v, "best_global_step", 4);
    assert_int_equal(json_count(log), 10);
    number_is(json_at(log, 0), "step", 1);
    number_is(json_at(log, 0), "epoch", 10 / 37.0);
    number_is(json_at(log, 0), "loss", 2);
    number_is(json_at(log, 0), "learning_rate", 0.0002);
    number_is(json_at(log, 0), "grad_norm", 0.5);
    assert_null(json_get(json_at(log, 2), "loss"));
    number_is(json_at(log, 4), "step", 4); /* its evaluation */
    number_is(json_at(log, 4), "eval_loss", 1.5);
    assert_int_equal(json_count(json_at(log, 4)), 3);
    number_is(json_at(log, 9), "eval_loss", 2.5);
    keys_are_sorted(v);
    json_close(doc);
    str_release(&text);
    origin_release(&origin);
}

/* Rewards have the names that TRL's trainers give them. */
static void history_of_preferences(void **unused)
{
    (void)unused;
    struct origin origin;
    struct str text = {0};
    struct json *doc;
    struct err e;
    write_metrics();
    write_rewards();
    origin_set(&origin, "config", config, &state, &identity);
    origin_read_log(&origin, folder.folder);
    assert_ok(export_state(&text, &origin, &e), &e);
    assert_ok(json_open_bytes(&doc, text.data, text.length, "state", &e), &e);
    const struct json_value *log = json_get(json_root(doc), "log_history");
    const struct json_value *step = json_at(log, 8), *evaluation = json_at(log, 9);
    number_is(step, "loss", 1.25);
    number_is(step, "rewards/chosen", 10);
    number_is(step, "rewards/rejected", 11);
    number_is(step, "rewards/margins", 12);
    number_is(step, "rewards/accuracies", 13);
    number_is(evaluation, "eval_rewards/chosen", 20);
    number_is(evaluation, "eval_rewards/rejected", 21);
    number_is(evaluation, "eval_rewards/margins", 22);
    number_is(evaluation, "eval_rewards/accuracies", 23);
    assert_int_equal(json_count(step), 9);
    assert_int_equal(json_count(evaluation), 7);
    keys_are_sorted(step);
    keys_are_sorted(evaluation);
    json_close(doc);
    str_release(&text);
    origin_release(&origin);
}

/* The length that was planned, of a run that is on its way or ended early. */
static void the_plan_is_told(void **unused)
{
    (void)unused;
    struct ckpt_state early = state;
    struct origin origin;
    struct str text = {0};
    struct err e;
    write_metrics();
    early.step = 5;
    early.cursor = 47;
    origin_set(&origin, "config", config, &early, &identity);
    origin_read_log(&origin, folder.folder);
    assert_int_equal(origin.log.count, 5);
    assert_ok(export_state(&text, &origin, &e), &e);
    assert_non_null(strstr(text.data, "\"global_step\": 5,\n"));
    assert_non_null(strstr(text.data, "\"max_steps\": 8,\n"));
    str_release(&text);
    origin_release(&origin);
}

/* A loss that was not finite is said to be so. */
static void a_run_that_went_wrong(void **unused)
{
    (void)unused;
    struct ckpt_state wrong = state;
    struct origin origin;
    struct str text = {0};
    struct err e;
    write_metrics();
    wrong.step = 3;
    wrong.cursor = 30;
    wrong.best = (struct best){0};
    origin_set(&origin, "config", config, &wrong, &identity);
    origin_read_log(&origin, folder.folder);
    card_of(&text, &origin, "owner/name", EXPORT_PEFT);
    assert_non_null(strstr(text.data, "| loss of the last step | not finite |\n"));
    assert_null(strstr(text.data, "eval loss |"));
    str_clear(&text);
    assert_ok(export_state(&text, &origin, &e), &e);
    assert_non_null(strstr(text.data, "\"best_metric\": null,\n"));
    str_release(&text);
    origin_release(&origin);
}

/* Metrics that do not end with the checkpoint's step are of another run. */
static void metrics_of_another_run_are_left_out(void **unused)
{
    (void)unused;
    struct ckpt_state other = state;
    struct origin origin;
    struct str card = {0};
    write_metrics();
    other.step = 9;
    origin_set(&origin, "config", config, &other, &identity);
    origin_read_log(&origin, folder.folder);
    assert_false(origin_has_history(&origin));
    card_of(&card, &origin, "owner/name", EXPORT_PEFT);
    assert_non_null(strstr(card.data, "| steps | 9 |\n"));
    assert_null(strstr(card.data, "loss of the last step"));
    str_release(&card);
    origin_release(&origin);
    unlink(scratch_path(&folder, "metrics.jsonl"));
    origin_set(&origin, "config", config, &state, &identity);
    origin_read_log(&origin, folder.folder);
    assert_false(origin_has_history(&origin));
    assert_int_equal(mkdir(scratch_path(&folder, "metrics.jsonl"), 0777), 0); /* nor what cannot be read */
    origin_read_log(&origin, folder.folder);
    assert_false(origin_has_history(&origin));
    assert_int_equal(rmdir(scratch_path(&folder, "metrics.jsonl")), 0);
    origin_release(&origin);
}

/* An export over another one leaves no history of that one; links are replaced, not followed. */
static void nothing_of_another_adapter_stays(void **unused)
{
    (void)unused;
    static const struct origin unknown;
    struct origin origin;
    struct lora l;
    struct err e;
    char output[PATH_MAX], card[PATH_MAX], history[PATH_MAX];
    snprintf(output, sizeof output, "%s/adapter", folder.folder);
    assert_ok(file_join(card, sizeof card, output, EXPORT_CARD, &e), &e);
    assert_ok(file_join(history, sizeof history, output, EXPORT_STATE, &e), &e);
    open_origin(&origin);
    small_make(&l, "q_proj", 2, 4);
    struct export_job job = {.output = output,
                             .lora = &l,
                             .arch = &small_arch,
                             .store = &base,
                             .base_name = "owner/name",
                             .origin = &origin};
    assert_int_equal(mkdir(output, 0777), 0);
    assert_int_equal(symlink("elsewhere", card), 0);
    assert_int_equal(symlink("elsewhere", history), 0);
    assert_ok(export_write(&job, EXPORT_PEFT, &e), &e);
    assert_false(file_exists(scratch_path(&folder, "adapter/elsewhere")));
    assert_true(file_exists(card) && file_exists(history));
    job.origin = &unknown;
    assert_ok(export_write(&job, EXPORT_PEFT, &e), &e);
    assert_true(file_exists(card));
    assert_false(file_exists(history));
    lora_release(&l);
    origin_release(&origin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_run),
        cmocka_unit_test(of_preferences),
        cmocka_unit_test(the_date_of_templates_that_have_it),
        cmocka_unit_test(names_are_only_names),
        cmocka_unit_test(the_header_is_yaml),
        cmocka_unit_test(history_of_a_run),
        cmocka_unit_test(history_of_preferences),
        cmocka_unit_test(the_plan_is_told),
        cmocka_unit_test(a_run_that_went_wrong),
        cmocka_unit_test(metrics_of_another_run_are_left_out),
        cmocka_unit_test(nothing_of_another_adapter_stays),
    };
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
