#include "run/options.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "run/parameters.h"

/* What a resumed run may change. */
enum resume_rule { FREE, ONCE, FIXED, SHAPE, LENGTH, RATE, EVALUATED, DATA };

/* The commands' bits, under the names that the rows of options.def have for them. */
enum {
#define COMMAND(NAME, ...) NUMBER_##NAME,
#include "run/commands.def"
#undef COMMAND
};
enum {
    NONE = 0,
#define COMMAND(NAME, ...) NAME = 1 << NUMBER_##NAME,
#include "run/commands.def"
#undef COMMAND
};

#define HEADING(text)
#define WORD(value, text, ...) {text, value},
#define ANY(text)
#define OPTION(field, name, type, default, values, ...)                                                      \
    static const struct opt_word words_of_##field[] = {values{NULL, 0}};
#include "run/options.def"
#undef OPTION
#undef ANY
#undef WORD
#undef HEADING

_Static_assert(sizeof(enum option_reduce) == sizeof(int), "base/opt.c writes a choice as an int");
#define OPT_OF(type)           OPT_CHOICE
#define OPT_LIST_BUT(commands) OPT_LIST, .single = (commands)

static const struct opt_spec specs[] = {
#define HEADING(text) {.type = OPT_HEADING, .help = text},
#define WORD(value, text, ...)
#define ANY(text) text
#define OPTION(field_, name_, type_, default_, values_, range_, commands_, required_, resume_, help_)        \
    {.name = name_,                                                                                          \
     .type = OPT_##type_,                                                                                    \
     .initial = default_,                                                                                    \
     .words = words_of_##field_,                                                                             \
     .value_name = "" values_,                                                                               \
     .range = range_,                                                                                        \
     .commands = commands_,                                                                                  \
     .required = required_,                                                                                  \
     .help = help_,                                                                                          \
     .unrecorded = resume_ == ONCE,                                                                          \
     .offset = offsetof(struct options, field_)},
#include "run/options.def"
#undef OPTION
#undef ANY
#undef WORD
#undef HEADING
};

static const struct opt_command commands[] = {
#define OWN  true
#define FLAT false
#define COMMAND(NAME, name_, ranks_, signals_, config_, argument_, help_, example_)                          \
    {.bit = NAME,                                                                                            \
     .name = #name_,                                                                                         \
     .argument = argument_,                                                                                  \
     .own_config = config_,                                                                                  \
     .help = help_,                                                                                          \
     .example = example_},
#include "run/commands.def"
#undef COMMAND
#undef OWN
#undef FLAT
};

/* Beside each of the specs. */
static const enum resume_rule resume_rules[] = {
#define HEADING(text)                                                                                FREE,
#define OPTION(field_, name_, type_, default_, values_, range_, commands_, required_, resume_, help_) resume_,
#include "run/options.def"
#undef OPTION
#undef HEADING
};

static const struct opt_peer peers[] = {
#define PEER(name_, option_, note_) {.name = name_, .option = option_, .note = note_},
#include "run/peers.def"
#undef PEER
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

const struct opt_table options_table = {.program = "mpilora",
                                        .specs = specs,
                                        .spec_count = COUNT(specs),
                                        .peers = peers,
                                        .peer_count = COUNT(peers),
                                        .commands = commands,
                                        .command_count = COUNT(commands)};

enum err_code options_parse(struct options *o, const char *command, int argc, char *const *argv,
                            struct err *e)
{
    *o = (struct options){0};
    if (opt_init(&o->set, &options_table, o, command, e))
        return e->code;
    return opt_read_all(&o->set, argc, argv, e);
}

void options_release(struct options *o)
{
    opt_release(&o->set);
}

bool options_shapes_adapter(const struct opt_spec *spec)
{
    return resume_rules[spec - specs] == SHAPE;
}

enum err_code options_write_yaml(const struct options *o, struct str *out, struct err *e)
{
    return opt_append_config(&o->set, o->adapter.count ? options_shapes_adapter : NULL, out, e);
}

/* Lines of records that earlier versions wrote, and what says the same today. */
static const struct {
    const char *then, *now;
} earlier[] = {{"train-on-prompt: false\n", "train-on: answers\n"}, {"train-on-prompt: true\n", "train-on: all\n"}};

static enum err_code append_record(struct str *out, const char *text, size_t length, struct err *e)
{
    for (const char *at = text, *end = text + length; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t line = stop ? (size_t)(stop - at) + 1 : (size_t)(end - at);
        const char *now = NULL;
        for (size_t i = 0; i < COUNT(earlier) && !now; i++)
            if (line == strlen(earlier[i].then) && !memcmp(at, earlier[i].then, line))
                now = earlier[i].now;
        if (str_append(out, now ? now : at, now ? strlen(now) : line, e))
            return e->code;
        at += line;
    }
    return ERR_OK;
}

enum err_code options_read_yaml(struct options *o, const char *command, const char *name, const char *text,
                                size_t length, struct err *e)
{
    struct str record = {0};
    *o = (struct options){0};
    enum err_code code = opt_init(&o->set, &options_table, o, command, e);
    if (!code)
        code = append_record(&record, text, length, e);
    if (!code)
        code = opt_read_config(&o->set, name, record.length ? record.data : "", record.length, e);
    str_release(&record);
    return code;
}

enum opt_origin options_origin(const struct options *o, const char *name)
{
    const struct opt_spec *spec = opt_find(&options_table, name);
    return spec ? o->set.origins[spec - specs] : OPT_DEFAULT;
}

bool options_given(const struct options *o, const char *name)
{
    return options_origin(o, name) != OPT_DEFAULT;
}

const char *options_word(const struct options *o, const char *name)
{
    const struct opt_spec *spec = opt_find(&options_table, name);
    assert(spec && spec->type == OPT_CHOICE);
    return opt_word_text(spec, *(const int *)((const void *)((const char *)o + spec->offset)));
}

bool options_fixes_result(const struct opt_spec *spec)
{
    enum resume_rule rule = resume_rules[spec - specs];
    return rule == FIXED || rule == SHAPE || rule == LENGTH || rule == RATE;
}

static enum err_code append_difference(struct str *out, const struct opt_set *now, const struct opt_set *then,
                                       const struct opt_spec *spec, struct err *e)
{
    if (str_appendf(out, e, "%s--%s ", out->length ? ", " : "", spec->name) ||
        opt_append_value(now, spec, out, e) || str_appendf(out, e, " (checkpoint: ") ||
        opt_append_value(then, spec, out, e))
        return e->code;
    return str_append(out, ")", 1, e);
}

enum err_code options_append_values(const struct options *o, const char *const *names, size_t count, struct str *out,
                                    struct err *e)
{
    for (size_t i = 0; i < count; i++) {
        const struct opt_spec *spec = opt_find(&options_table, names[i]);
        assert(spec && opt_takes(o->set.command, spec));
        if (str_appendf(out, e, "--%s: ", spec->name) || opt_append_value(&o->set, spec, out, e) ||
            str_append(out, "\n", 1, e))
            return e->code;
    }
    return ERR_OK;
}

bool options_go_by_evaluations(const struct options *o)
{
    return o->keep_best || o->early_stop > 0;
}

/* An option that acts only together with others; `needs` names these, NULL: whoever gives it is told elsewhere. */
struct condition {
    const char *option, *needs;
    bool acts;
};

static size_t find_conditions(struct condition conditions[OPTIONS_IDLE_MOST], const struct options *o)
{
    const char *const evaluations = "--eval-data or --eval-split", *const locality = "--local-steps";
    const bool evaluates = o->eval_data.count > 0 || o->eval_split > 0, local = o->local_steps > 1;
    const bool draws = !o->adapter.count;
    const struct condition rows[] = {
        {"eval-every", evaluations, evaluates},
        {"max-eval-examples", evaluations, evaluates},
        {"outer-learning-rate", locality, local},
        {"outer-momentum", locality, local},
        {"overwrite", "--resume never", o->resume.word != RESUME_AUTO},
        {"min-learning-rate", "an --lr-schedule that goes down", o->lr_schedule != SCHEDULE_CONSTANT},
        {"init-std", NULL, draws},
        {"init-std-b", NULL, draws},
    };
    _Static_assert(COUNT(rows) + PARAMETERS <= OPTIONS_IDLE_MOST, "callers have room for so many");
    memcpy(conditions, rows, sizeof rows);
    for (size_t i = 0; i < PARAMETERS; i++)
        conditions[COUNT(rows) + i] = (struct condition){parameters[i].option, parameters[i].needs,
                                                         parameter_acts(&parameters[i], o->objective)};
    return COUNT(rows) + PARAMETERS;
}

struct objective options_objective(const struct options *o)
{
    struct objective objective = {.kind = o->objective};
    for (size_t i = 0; i < PARAMETERS; i++)
        memcpy(parameter_of(&objective, &parameters[i]), (const char *)o + parameters[i].given, sizeof(double));
    return objective;
}

static bool acts(const struct options *o, const struct opt_spec *spec)
{
    struct condition conditions[OPTIONS_IDLE_MOST];
    const size_t count = find_conditions(conditions, o);
    for (size_t i = 0; i < count; i++)
        if (strcmp(conditions[i].option, spec->name) == 0)
            return conditions[i].acts;
    return true;
}

/* Do they have two values of which one has an effect? */
static bool differ(const struct options *a, const struct options *b, const struct opt_spec *spec)
{
    return !opt_values_equal(&a->set, &b->set, spec) && (acts(a, spec) || acts(b, spec));
}

const char *options_find_difference(const struct options *a, const struct options *b, const char *const *names,
                                    size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (differ(a, b, opt_find(&options_table, names[i])))
            return names[i];
    return NULL;
}

enum err_code options_tell_idle(const struct options *o, options_idle *tell, void *context, struct err *e)
{
    struct condition conditions[OPTIONS_IDLE_MOST];
    const size_t count = find_conditions(conditions, o);
    struct options plain = {0};
    enum err_code code = opt_init(&plain.set, &options_table, &plain, o->set.command->name, e);
    for (size_t i = 0; !code && i < count; i++) {
        const struct condition *c = &conditions[i];
        const struct opt_spec *spec = opt_find(&options_table, c->option);
        if (c->needs && !c->acts && opt_takes(o->set.command, spec) && !opt_values_equal(&o->set, &plain.set, spec))
            tell(context, c->option, c->needs);
    }
    options_release(&plain);
    return code;
}

enum err_code options_tell_changed(const struct options *o, options_tell *tell, void *context, struct err *e)
{
    struct options plain = {0};
    struct str value = {0};
    enum err_code code = opt_init(&plain.set, &options_table, &plain, o->set.command->name, e);
    for (size_t i = 0; !code && i < COUNT(specs); i++) {
        const bool counts = options_fixes_result(&specs[i]) || resume_rules[i] == EVALUATED;
        if (!counts || !opt_takes(o->set.command, &specs[i]) || !acts(o, &specs[i]) ||
            opt_values_equal(&o->set, &plain.set, &specs[i]))
            continue;
        str_clear(&value);
        code = opt_append_value(&o->set, &specs[i], &value, e);
        if (!code)
            code = tell(context, specs[i].name, value.length ? value.data : "", e);
    }
    str_release(&value);
    options_release(&plain);
    return code;
}

/* Do more steps follow on a run whose rate has gone down to its end, at one of their own? A default, or the rate of its
 * start, was not chosen for them. */
static bool goes_further(const struct options *now, const struct options *then, bool finished)
{
    return finished && then->lr_schedule != SCHEDULE_CONSTANT && now->lr_schedule == SCHEDULE_CONSTANT &&
           options_given(now, "learning-rate") && now->learning_rate != then->learning_rate &&
           (now->max_steps != then->max_steps || now->epochs != then->epochs);
}

/* Must a resumed run have the checkpoint's value? `own_rate`: it goes further at a rate of its own. */
static bool must_stay(const struct options *o, const struct opt_spec *spec, bool own_rate)
{
    enum resume_rule rule = resume_rules[spec - specs];
    return rule == FIXED || (rule == SHAPE && !o->adapter.count) || (rule == RATE && !own_rate) ||
           (rule == EVALUATED && options_go_by_evaluations(o));
}

enum err_code options_compare_for_resume(const struct options *now, const char *recorded_yaml, bool finished,
                                         struct err *e)
{
    struct options then;
    struct str differences = {0};
    enum err_code code =
        options_read_yaml(&then, now->set.command->name, "options recorded in the checkpoint", recorded_yaml,
                          strlen(recorded_yaml), e);
    if (code == ERR_USAGE) /* not this user's mistake, but another program version's record */
        code = e->code = ERR_MISMATCH;
    const bool own_rate = !code && goes_further(now, &then, finished);
    bool shape = false;
    for (size_t i = 0; !code && i < COUNT(specs); i++) {
        if (must_stay(now, &specs[i], own_rate) && opt_takes(now->set.command, &specs[i]) &&
            differ(now, &then, &specs[i])) {
            code = append_difference(&differences, &now->set, &then.set, &specs[i], e);
            shape = shape || resume_rules[i] == SHAPE;
        }
    }
    const char *advice = shape                        ? "; give the checkpoint's values, or another --output for an "
                                                        "adapter of another kind"
                         : now->allow_changed_options ? ""
                                                      : "; give the checkpoint's values, or --allow-changed-options";
    if (!code && differences.length)
        code = err_set(e, ERR_MISMATCH, "options differ from those the checkpoint was trained with: %s%s",
                       differences.data, advice);
    str_release(&differences);
    options_release(&then);
    return code;
}

enum err_code options_help_overview(struct str *out, struct err *e)
{
    if (str_appendf(out, e, "usage: [mpirun -n N] %s COMMAND [options]\n       %s --version\n\ncommands:\n",
                    options_table.program, options_table.program))
        return e->code;
    for (size_t i = 0; i < COUNT(commands); i++)
        if (str_appendf(out, e, "  %-10s ", commands[i].name) || opt_append_wrapped(out, commands[i].help, 13, 13, e))
            return e->code;
    return str_appendf(out, e, "\n%s COMMAND --help shows a command's options.\n", options_table.program);
}

static enum err_code find_command(const struct opt_command **found, const char *name, struct err *e)
{
    *found = opt_find_command(&options_table, name);
    if (!*found)
        return err_set(e, ERR_USAGE, "unknown command '%s'; see %s --help", name, options_table.program);
    return ERR_OK;
}

enum err_code options_help(const char *command, struct str *out, struct err *e)
{
    const struct opt_command *found = NULL;
    if (find_command(&found, command, e))
        return e->code;
    return opt_append_help(&options_table, found, out, e);
}

enum err_code options_markdown(struct str *out, struct err *e)
{
    return opt_append_markdown(&options_table, out, e);
}

static const struct opt_word statuses[] = {
    {"done", 0},
    {"failed", 1},
    {"wrong usage", 2},
    {"stopped by a signal, a time limit or a lost rank: the same command goes on from the last checkpoint", 75},
    {"ended at once by a second Ctrl-C, without saving", 130},
    {NULL, 0}};

static const struct opt_page page = {.version = MPILORA_VERSION,
                                     .purpose = "fine-tune language models with LoRA on CPU clusters",
                                     .statuses = statuses};

enum err_code options_man(const char *command, struct str *out, struct err *e)
{
    const struct opt_command *found = NULL;
    if (*command && find_command(&found, command, e))
        return e->code;
    return opt_append_man(&options_table, found, &page, out, e);
}

enum err_code options_completion(const char *shell, struct str *out, struct err *e)
{
    return opt_append_completion(&options_table, shell, out, e);
}
