#include "unit.h"

#include "run/options.h"

/* Parses an argument list that ends with NULL; the caller releases. */
static enum err_code parse(struct options *o, const char *command, const char *const *words, struct err *e)
{
    char *argv[64];
    int argc = 0;
    for (; words[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    return options_parse(o, command, argc, argv, e);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define TRAIN      "--model", "m", "--data", "d", "--output", "o"

static void table_is_sound(void **state)
{
    (void)state;
    struct err e;
    assert_ok(opt_check_table(&options_table, &e), &e);
}

static void defaults_are_those_of_the_manual(void **state)
{
    (void)state;
    struct options o;
    struct err e;
    assert_ok(parse(&o, "train", WORDS(TRAIN), &e), &e);
    assert_string_equal(o.model, "m");
    assert_int_equal(o.data.count, 1);
    assert_int_equal(o.dtype, DTYPE_F32);
    assert_int_equal(o.target_modules.word, TARGETS_ALL_LINEAR);
    assert_int_equal(o.lora_rank, 16);
    assert_true(o.lora_alpha == 32 && o.lora_dropout == 0);
    assert_int_equal(o.batch_size, 16);
    assert_int_equal(o.micro_batch_tokens, 0);
    assert_int_equal(o.max_length, 1024);
    assert_true(o.learning_rate == 2e-4);
    assert_int_equal(o.lr_schedule, SCHEDULE_COSINE);
    assert_string_equal(options_word(&o, "lr-schedule"), "cosine");
    assert_int_equal(o.lora_init, LORA_NORMAL);
    assert_int_equal(o.time_limit.word, TIME_LIMIT_OF_JOB);
    assert_int_equal(o.keep_checkpoints, 3);
    assert_int_equal(o.resume.word, RESUME_AUTO);
    assert_true(o.shuffle);
    assert_false(options_given(&o, "lora-rank"));
    assert_true(options_given(&o, "model"));
    options_release(&o);
}

/* Words as a shell has them: blanks end one, but not between quotes; a backslash takes the line end away. */
static void examples_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < options_table.command_count; i++) {
        const struct opt_command *c = &options_table.commands[i];
        struct options o;
        struct err e;
        char text[256], *words[32], *to = text;
        int count = 0;
        bool quoted = false, inside = false;
        const char *at = strstr(c->example, "mpilora ");
        assert_non_null(at);
        for (at += strlen("mpilora "); *at; at++) {
            quoted = quoted != (*at == '"');
            const bool blank = !quoted && strchr(" \\\n)", *at);
            if (!blank && !inside)
                words[count++] = to;
            if (blank ? inside : *at != '"')
                *to++ = (char)(blank ? '\0' : *at);
            inside = !blank;
        }
        *to = '\0';
        assert_in_range(count, 1, 31);
        assert_string_equal(words[0], c->name);
        assert_ok(options_parse(&o, c->name, count - 1, words + 1, &e), &e);
        options_release(&o);
    }
}

static void every_command_parses(void **state)
{
    (void)state;
    struct options o;
    struct err e;
    assert_ok(parse(&o, "eval", WORDS("--model", "m", "--data", "a", "--data", "b", "--json"), &e), &e);
    assert_int_equal(o.data.count, 2);
    assert_true(o.json);
    options_release(&o);
    assert_ok(parse(&o, "compare", WORDS("--model", "m", "--prompt", "x", "--adapter", "a", "--adapter", "b"), &e), &e);
    assert_int_equal(o.adapter.count, 2);
    options_release(&o);
    assert_ok(parse(&o, "train", WORDS(TRAIN, "--adapter", "a", "--adapter", "b"), &e), &e);
    assert_int_equal(o.adapter.count, 1);
    assert_string_equal(o.adapter.items[0], "b");
    options_release(&o);
    assert_ok(parse(&o, "generate", WORDS("--model", "m", "--prompt", "- hello\nthere", "--seed", "7"), &e),
              &e);
    assert_string_equal(o.prompt, "- hello\nthere");
    assert_int_equal(o.seed, 7);
    options_release(&o);
    assert_ok(parse(&o, "export", WORDS("--model", "m", "--checkpoint", "c", "--output", "o"), &e), &e);
    options_release(&o);
    assert_ok(parse(&o, "inspect", WORDS("some/path", "--json"), &e), &e);
    assert_string_equal(o.set.argument, "some/path");
    options_release(&o);
    assert_ok(parse(&o, "tokenize", WORDS("--model", "m", "--text", ""), &e), &e);
    assert_true(options_given(&o, "text")); /* the empty text is a text */
    options_release(&o);
    assert_ok(parse(&o, "probe", WORDS(TRAIN, "--lora-rank", "4"), &e), &e);
    options_release(&o);
    assert_ok(parse(&o, "train", WORDS("--help"), &e), &e);
    assert_true(o.set.help_wanted);
    options_release(&o);
}

static void mistakes_are_usage_errors(void **state)
{
    (void)state;
    struct options o;
    struct err e;
    static const struct {
        const char *command, *words[4], *message;
    } cases[] = {
        {"train", {"--lora-rnak", "8"}, "did you mean --lora-rank?"},
        {"train", {"--batch-size", "0"}, "--batch-size: 0 is out of range"},
        {"train", {"--lora-dropout", "1"}, "less than 1"},
        {"train", {"--learning-rate", "-1e-4"}, "--learning-rate"},
        {"train", {"--lr-schedule", "cosin"}, "constant|linear|cosine"},
        {"train", {"--dtype", "bf17"}, "not one of f32"},
        {"train", {"--micro-batch-tokens", "many"}, "not one of auto|N"},
        {"train", {"--prompt", "x"}, "--prompt is not an option of train; it belongs to generate"},
        {"eval", {"--lora-rank", "8"}, "it belongs to train, bench, plan and probe"},
        {"train", {"--lora_r", "8"}, "unknown option --lora-r; did you mean --lora-rank?"},
        {"train",
         {"--warmup-ratio", "0.1"},
         "did you mean --warmup-steps? A value below 1 is the ratio."},
        {"train", {"--bf16"}, "did you mean --dtype? It takes the type: --dtype bf16."},
        {"train", {"--optim", "adamw_torch"}, "unknown option --optim. The optimizer is AdamW."},
        {"train", {"--max-tokens", "9"}, "did you mean --max-new-tokens?"},
        {"generate", {"--max-tokens", "9"}, "did you mean --max-new-tokens?"},
        {"train", {"--adapter-path", "x"}, "did you mean --adapter? The folder that train writes is --output."},
        {"study", {"--adapter-path", "x"}, "did you mean --output?"},
        {"train", {"--resume-adapter-file", "x"}, "did you mean --adapter?"},
        {"train", {"--steps", "9"}, "did you mean --max-steps?"},
        {"train",
         {"--data", "x y", "--data", "it's"},
         "train needs --model PATH and --output PATH: mpilora train --model PATH --data 'x y' --data 'it'\\''s' "
         "--output PATH; see mpilora train --help"},
        {"train", {NULL}, "train needs --model PATH, --data FILE and --output PATH: mpilora train --model PATH --data"},
        {"generate", {"--prompt", "x"}, "generate needs --model PATH"},
        {"inspect", {"--json"}, "inspect needs a PATH"},
        {"compare", {"--model", "x"}, "compare needs --adapter PATH"},
        {"trian", {"--model", "x"}, "unknown command 'trian'; did you mean train?"},
        {"generate", {"--top-p", "1.5"}, "--top-p: 1.5 is out of range"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_error(parse(&o, cases[i].command, cases[i].words, &e), &e, ERR_USAGE, cases[i].message);
        options_release(&o);
    }
}

static void resolved_options_feed_back(void **state)
{
    (void)state;
    struct options o;
    struct err e;
    struct str first = {0}, second = {0};
    assert_ok(parse(&o, "train",
                    WORDS(TRAIN, "--data", "it's: odd.jsonl", "--target-modules", ".*\\.(q|v)_proj",
                          "--no-shuffle", "--learning-rate", "1e-5", "--resume", "never"),
                    &e),
              &e);
    assert_ok(options_write_yaml(&o, &first, &e), &e);
    options_release(&o);
    assert_non_null(strstr(first.data, "target-modules: \".*\\\\.(q|v)_proj\"\n"));
    assert_non_null(strstr(first.data, "data:\n  - d\n  - \"it's: odd.jsonl\"\n"));

    struct options again = {0};
    assert_ok(opt_init(&again.set, &options_table, &again, "train", &e), &e);
    assert_ok(opt_read_config(&again.set, "config.yaml", first.data, first.length, &e), &e);
    assert_ok(options_write_yaml(&again, &second, &e), &e);
    assert_string_equal(first.data, second.data);
    assert_int_equal(again.target_modules.word, OPT_NO_WORD);
    assert_string_equal(again.target_modules.text, ".*\\.(q|v)_proj");
    options_release(&again);
    str_release(&first);
    str_release(&second);
}

static void resume_compares_what_is_fixed(void **state)
{
    (void)state;
    struct options then, now;
    struct err e;
    struct str record = {0};
    assert_ok(parse(&then, "train", WORDS(TRAIN, "--lora-rank", "8", "--learning-rate", "0.0001"), &e), &e);
    assert_ok(options_write_yaml(&then, &record, &e), &e);
    options_release(&then);

    assert_ok(
        parse(&now, "train",
              WORDS("--model", "elsewhere", "--data", "moved", "--output", "p", "--lora-rank", "8",
                    "--learning-rate", "1e-4", "--max-steps", "9", "--threads", "2", "--save-every", "5"),
              &e),
        &e);
    assert_ok(options_compare_for_resume(&now, record.data, false, &e), &e);
    assert_ok(options_compare_for_resume(&now, "lora-rank: 8\nlearning-rate: 1e-4\n", false, &e), &e); /* older */
    assert_ok(options_compare_for_resume(&now, "lora-rank: 8\nlearning-rate: 1e-4\n", true, &e), &e);
    static const char old[] = "lora-rank: 8\nlearning-rate: 1e-4\ntrain-on-prompt: false\n",
                      other[] = "lora-rank: 8\ntrain-on-prompt: true\nlearning-rate: 1e-4\n";
    assert_ok(options_compare_for_resume(&now, old, false, &e), &e);
    assert_error(options_compare_for_resume(&now, other, false, &e), &e, ERR_MISMATCH,
                 "--train-on answers (checkpoint: all)");
    assert_error(options_compare_for_resume(&now, "lora-rank: 8\nfrom-the-future: 1\n", false, &e), &e, ERR_MISMATCH,
                 "from-the-future");
    assert_error(options_compare_for_resume(&now, "lora-rank: [", false, &e), &e, ERR_MISMATCH, "checkpoint:2");
    options_release(&now);

    assert_ok(parse(&now, "train", WORDS(TRAIN, "--seed", "5", "--train-on", "all"), &e), &e);
    assert_error(options_compare_for_resume(&now, record.data, false, &e), &e, ERR_MISMATCH,
                 "--lora-rank 16 (checkpoint: 8), --train-on all (checkpoint: answers), "
                 "--learning-rate 0.0002 (checkpoint: 0.0001), --seed 5 (checkpoint: 0); give the "
                 "checkpoint's values, or another --output");
    options_release(&now);
    static const char names[] = "target-modules: [q_proj, v_proj]\n"; /* in any order, a set of them */
    assert_ok(parse(&now, "train", WORDS(TRAIN, "--target-modules", "v_proj, q_proj,v_proj"), &e), &e);
    assert_ok(options_compare_for_resume(&now, names, false, &e), &e);
    options_release(&now);
    for (size_t i = 0; i < 2; i++) {
        const char *others = i ? "q_proj" : "q_proj,v_proj,k_proj";
        assert_ok(parse(&now, "train", WORDS(TRAIN, "--target-modules", others), &e), &e);
        assert_error(options_compare_for_resume(&now, names, false, &e), &e, ERR_MISMATCH, "another kind");
        options_release(&now);
    }
    assert_ok(parse(&now, "train", WORDS(TRAIN, "--lora-rank", "8"), &e), &e); /* advice that helps */
    assert_error(options_compare_for_resume(&now, record.data, false, &e), &e, ERR_MISMATCH,
                 "checkpoint's values, or --allow-changed-options");
    options_release(&now);
    assert_ok(parse(&now, "train", WORDS(TRAIN, "--lora-rank", "8", "--allow-changed-options"), &e), &e);
    assert_error(options_compare_for_resume(&now, record.data, false, &e), &e, ERR_MISMATCH, "(checkpoint: 0.0001)");
    assert_null(strstr(e.message, "give the"));
    options_release(&now);
    str_release(&record);
}

static enum err_code resume(const char *const *words, const char *recorded, struct err *e)
{
    struct options now;
    assert_ok(parse(&now, "train", words, e), e);
    const enum err_code code = options_compare_for_resume(&now, recorded, false, e);
    options_release(&now);
    return code;
}

/* An option of another objective, say; but not where one of the two runs takes it. */
static void what_changes_nothing_may_change(void **state)
{
    (void)state;
    const struct {
        const char *const *now, *recorded;
    } same[] = {
        {WORDS(TRAIN, "--beta", "0.5", "--sft-weight", "1"), "label-smoothing: 0.1\nsimpo-margin: 1\n"},
        {WORDS(TRAIN, "--objective", "ipo", "--label-smoothing", "0.2"), "objective: ipo\nsimpo-margin: 1\n"},
        {WORDS(TRAIN, "--outer-momentum", "0.5"), "outer-learning-rate: 1\n"},
        {WORDS(TRAIN, "--lr-schedule", "constant"), "lr-schedule: constant\nmin-learning-rate: 1e-5\n"},
        {WORDS(TRAIN, "--keep-best", "--eval-every", "5"), "keep-best: true\nmax-eval-examples: 3\n"},
        {WORDS(TRAIN, "--adapter", "a", "--init-std-b", "0.1"), "adapter: a\ninit-std: 0.1\n"},
    }, other[] = {
        {WORDS(TRAIN, "--objective", "dpo", "--label-smoothing", "0.2"), "objective: dpo\n"},
        {WORDS(TRAIN, "--objective", "dpo"), "objective: simpo\nlabel-smoothing: 0.2\n"},
        {WORDS(TRAIN, "--objective", "ipo", "--beta", "0.2"), "objective: ipo\n"},
        {WORDS(TRAIN, "--local-steps", "2"), "local-steps: 2\nouter-momentum: 0.5\n"},
        {WORDS(TRAIN), "min-learning-rate: 1e-5\n"},
        {WORDS(TRAIN, "--keep-best", "--eval-every", "5", "--eval-split", "2"), "keep-best: true\neval-split: 2\n"},
        {WORDS(TRAIN, "--init-std", "0.2"), "init-std: 0.1\n"},
    };
    struct err e;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_ok(resume(same[i].now, same[i].recorded, &e), &e);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        assert_error(resume(other[i].now, other[i].recorded, &e), &e, ERR_MISMATCH, "(checkpoint: ");
    assert_null(strstr(e.message, "beta"));
    static const char *const measures[] = {"beta", "max-length"};
    struct options now, then;
    assert_ok(parse(&now, "train", WORDS(TRAIN, "--beta", "0.5"), &e), &e);
    assert_ok(parse(&then, "train", WORDS(TRAIN), &e), &e);
    assert_null(options_find_difference(&now, &then, measures, 2));
    options_release(&then);
    assert_ok(parse(&then, "train", WORDS(TRAIN, "--objective", "dpo"), &e), &e);
    assert_string_equal(options_find_difference(&now, &then, measures, 2), "beta");
    options_release(&then);
    options_release(&now);
}

/* Only a run that is over, and gets more steps, at a constant rate. */
static void further_steps_may_have_a_rate_of_their_own(void **state)
{
    (void)state;
    struct options now;
    struct err e;
    static const char recorded[] = "max-steps: 4\nlearning-rate: 1e-2\n";
    assert_ok(parse(&now, "train",
                    WORDS(TRAIN, "--max-steps", "8", "--learning-rate", "1e-4", "--lr-schedule", "constant"), &e),
              &e);
    assert_ok(options_compare_for_resume(&now, recorded, true, &e), &e);
    assert_ok(options_compare_for_resume(&now, "max-steps: 4\nmin-learning-rate: 1e-5\n", true, &e), &e);
    assert_error(options_compare_for_resume(&now, recorded, false, &e), &e, ERR_MISMATCH,
                 "--learning-rate 0.0001 (checkpoint: 0.01), --lr-schedule constant (checkpoint: cosine)");
    assert_error(options_compare_for_resume(&now, "max-steps: 8\n", true, &e), &e, ERR_MISMATCH, "--learning-rate");
    options_release(&now);
    assert_ok(parse(&now, "train", WORDS(TRAIN, "--max-steps", "8", "--learning-rate", "1e-4"), &e), &e);
    assert_error(options_compare_for_resume(&now, recorded, true, &e), &e, ERR_MISMATCH, "--learning-rate");
    options_release(&now);
    assert_ok(parse(&now, "train", WORDS(TRAIN, "--max-steps", "8", "--lr-schedule", "constant"), &e), &e);
    assert_error(options_compare_for_resume(&now, recorded, true, &e), &e, ERR_MISMATCH, "--learning-rate 0.0002");
    assert_error(options_compare_for_resume(&now, "max-steps: 4\n", true, &e), &e, ERR_MISMATCH,
                 "--lr-schedule constant");
    options_release(&now);
}

static void help_fits_the_page(void **state)
{
    (void)state;
    struct err e;
    struct str text = {0};
    for (size_t i = 0; i < options_table.command_count; i++) {
        str_clear(&text);
        assert_ok(options_help(options_table.commands[i].name, &text, &e), &e);
        for (const char *line = text.data; *line; line += strcspn(line, "\n") + 1)
            if (strcspn(line, "\n") > OPT_WIDTH)
                fail_msg("%s: %.*s", options_table.commands[i].name, (int)strcspn(line, "\n"), line);
    }
    str_clear(&text);
    assert_ok(options_help_overview(&text, &e), &e);
    for (size_t i = 0; i < options_table.command_count; i++)
        assert_non_null(strstr(text.data, options_table.commands[i].name));
    for (const char *line = text.data; *line; line += strcspn(line, "\n") + 1)
        assert_in_range(strcspn(line, "\n"), 0, OPT_WIDTH);
    assert_error(options_help("nothing", &text, &e), &e, ERR_USAGE, "unknown command");
    str_clear(&text);
    assert_ok(options_markdown(&text, &e), &e);
    for (size_t i = 0; i < options_table.spec_count; i++)
        if (options_table.specs[i].name && options_table.specs[i].help[0] != '@')
            assert_non_null(memmem(text.data, text.length, options_table.specs[i].help,
                                   strcspn(options_table.specs[i].help, "\n")));
    str_release(&text);
}

/* The order of the words is that of the enum's constants, also where the enum is not made from them. */
static void every_word_has_its_value(void **state)
{
    (void)state;
    struct options o;
    struct err e;
    for (int i = 0; i < LORA_SCHEME_COUNT; i++) {
        const char *name = lora_scheme((enum lora_init)i)->name;
        assert_ok(parse(&o, "train", WORDS(TRAIN, "--lora-init", name), &e), &e);
        assert_int_equal(o.lora_init, i);
        assert_string_equal(options_word(&o, "lora-init"), name);
        options_release(&o);
    }
    assert_ok(parse(&o, "train",
                    WORDS(TRAIN, "--dtype", "bf16", "--recompute", "layer", "--gemm", "openblas", "--reduce",
                          "fast", "--micro-batch-tokens", "64", "--time-limit", "90m", "--resume", "x"),
                    &e),
              &e);
    assert_int_equal(o.dtype, DTYPE_BF16);
    assert_int_equal(o.recompute, RECOMPUTE_LAYER);
    assert_int_equal(o.gemm, GEMM_OPENBLAS);
    assert_int_equal(o.reduce, REDUCE_FAST);
    assert_int_equal(o.micro_batch_tokens, 64);
    assert_true(o.time_limit.seconds == 5400);
    assert_string_equal(o.resume.text, "x");
    options_release(&o);
}

static void what_fixes_the_result_is_known(void **state)
{
    (void)state;
    static const char *const fixes[] = {"weight-decay", "lora-dropout", "max-steps",
                                        "epochs",       "seed",         "shuffle"};
    static const char *const leaves[] = {"threads", "save-every", "output",
                                         "resume",  "log-every",  "time-limit"};
    for (size_t i = 0; i < sizeof fixes / sizeof *fixes; i++)
        assert_true(options_fixes_result(opt_find(&options_table, fixes[i])));
    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++)
        assert_false(options_fixes_result(opt_find(&options_table, leaves[i])));
}

static char told[256];

static void note_idle(void *unused, const char *option, const char *needs)
{
    (void)unused;
    size_t length = strlen(told);
    snprintf(told + length, sizeof told - length, "%s needs %s\n", option, needs);
}

static const char *idle_of(const char *command, const char *const *words)
{
    struct options o;
    struct err e;
    told[0] = '\0';
    assert_ok(parse(&o, command, words, &e), &e);
    assert_ok(options_tell_idle(&o, note_idle, NULL, &e), &e);
    options_release(&o);
    return told;
}

static const char *idle(const char *const *words)
{
    return idle_of("train", words);
}

static void what_changes_nothing_is_told(void **state)
{
    (void)state;
    assert_string_equal(idle(WORDS(TRAIN)), "");
    assert_string_equal(idle(WORDS(TRAIN, "--eval-every", "5", "--outer-momentum", "0.3")),
                        "eval-every needs --eval-data or --eval-split\n");
    assert_string_equal(idle(WORDS(TRAIN, "--eval-every", "5", "--max-eval-examples", "9", "--eval-split", "0.1")), "");
    assert_string_equal(idle(WORDS(TRAIN, "--max-eval-examples", "9", "--outer-learning-rate", "1")),
                        "max-eval-examples needs --eval-data or --eval-split\n"
                        "outer-learning-rate needs --local-steps\n");
    assert_string_equal(idle(WORDS(TRAIN, "--outer-momentum", "0.5")), "outer-momentum needs --local-steps\n");
    assert_string_equal(idle(WORDS(TRAIN, "--outer-momentum", "0.5", "--local-steps", "2")), "");
    assert_string_equal(idle(WORDS(TRAIN, "--beta", "0.2", "--simpo-margin", "1", "--objective", "dpo")),
                        "simpo-margin needs --objective simpo\n");
    assert_string_equal(idle(WORDS(TRAIN, "--label-smoothing", "0.1", "--objective", "dpo")), "");
    assert_string_equal(idle(WORDS(TRAIN, "--label-smoothing", "0.1", "--sft-weight", "1")),
                        "label-smoothing needs --objective dpo or simpo\n"
                        "sft-weight needs an --objective for preferences\n");
    assert_string_equal(idle_of("eval", WORDS("--model", "m", "--data", "d", "--beta", "0.3")),
                        "beta needs an --objective for preferences\n");
    assert_string_equal(idle_of("eval", WORDS("--model", "m", "--data", "d", "--objective", "orpo", "--label-smoothing",
                                              "0.2")),
                        "label-smoothing needs --objective dpo or simpo\n");
    assert_string_equal(idle(WORDS(TRAIN, "--overwrite")), "overwrite needs --resume never\n");
    assert_string_equal(idle(WORDS(TRAIN, "--overwrite", "--resume", "never")), "");
    assert_string_equal(idle(WORDS(TRAIN, "--overwrite", "--resume", "x.h5")), "");
    assert_string_equal(idle(WORDS(TRAIN, "--min-learning-rate", "1e-5")), "");
    assert_string_equal(idle(WORDS(TRAIN, "--min-learning-rate", "1e-5", "--lr-schedule", "constant")),
                        "min-learning-rate needs an --lr-schedule that goes down\n");
}

static enum err_code note_changed(void *out, const char *option, const char *value, struct err *e)
{
    return str_appendf(out, e, "%s=%s\n", option, value);
}

static enum err_code refuse_changed(void *out, const char *option, const char *value, struct err *e)
{
    (void)out, (void)value;
    return err_set(e, ERR_MEMORY, "no %s", option);
}

/* What the result depends on: no places, no threads, nothing of the machine. */
static void what_was_changed_is_told(void **state)
{
    (void)state;
    struct options o;
    struct err e;
    struct str told_of = {0};
    assert_ok(parse(&o, "train",
                    WORDS(TRAIN, "--learning-rate", "0.0002", "--lora-rank", "8", "--threads", "3", "--eval-split",
                          "0.1", "--adapter", "a", "--max-steps", "5", "--no-shuffle", "--eval-every", "2",
                          "--log-every", "4", "--chat-template", "t", "--resume", "never", "--target-modules",
                          "q_proj,v_proj"),
                    &e),
              &e);
    assert_ok(options_tell_changed(&o, note_changed, &told_of, &e), &e);
    assert_string_equal(told_of.data, "eval-split=0.1\ntarget-modules=q_proj,v_proj\nlora-rank=8\nshuffle=false\n"
                                      "max-steps=5\neval-every=2\n");
    assert_error(options_tell_changed(&o, refuse_changed, NULL, &e), &e, ERR_MEMORY, "no eval-split");
    str_release(&told_of);
    options_release(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_sound),
        cmocka_unit_test(defaults_are_those_of_the_manual),
        cmocka_unit_test(examples_parse),
        cmocka_unit_test(every_command_parses),
        cmocka_unit_test(mistakes_are_usage_errors),
        cmocka_unit_test(resolved_options_feed_back),
        cmocka_unit_test(resume_compares_what_is_fixed),
        cmocka_unit_test(what_changes_nothing_may_change), cmocka_unit_test(further_steps_may_have_a_rate_of_their_own),
        cmocka_unit_test(help_fits_the_page),
        cmocka_unit_test(every_word_has_its_value),
        cmocka_unit_test(what_fixes_the_result_is_known),
        cmocka_unit_test(what_changes_nothing_is_told),
        cmocka_unit_test(what_was_changed_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
