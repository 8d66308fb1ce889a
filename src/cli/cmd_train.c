#include "cli/commands.h"

#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "run/folder.h"
#include "run/runlock.h"
#include "train/session.h"
#include "train/trainer.h"

static enum err_code train_on(struct session *s, struct dataset *data, const char *hash, struct err *e)
{
    const struct options *o = s->options;
    struct dataset eval_data;
    if (session_new_adapter(s, e))
        return e->code;
    if (!o->eval_data.count)
        return trainer_run(s, data, hash, NULL, e);
    if (session_open_eval_data(s, &eval_data, data, e))
        return e->code;
    enum err_code code = trainer_run(s, data, hash, &eval_data, e);
    dataset_close(&eval_data);
    return code;
}

/* Rank 0. */
static enum err_code take_folder(struct runlock *lock, const char *folder, const char *host, struct err *e)
{
    return folder_check_output(folder, FOLDER_RUN, e) ? e->code : runlock_take(lock, folder, host, e);
}

/* A command that is offered. */
struct offer {
    struct str *text;
    const struct opt_command *command;
    bool of_chat; /* only how conversations are rendered */
};

/* An option of the run that has another value than its default. The date is today's by itself. */
static enum err_code offer_option(void *context, const char *option, const char *value, struct err *e)
{
    const struct offer *f = context;
    const struct opt_spec *spec = opt_find(&options_table, option);
    char today[CHAT_DATE_SIZE];
    chat_today(today);
    if (!opt_takes(f->command, spec) || (f->of_chat && strncmp(option, "chat-", 5) != 0) ||
        (!strcmp(option, "chat-date") && !strcmp(value, today)))
        return ERR_OK;
    if (spec->type == OPT_FLAG)
        return str_appendf(f->text, e, " --%s%s", strcmp(value, "true") ? "no-" : "", option);
    return str_appendf(f->text, e, " --%s ", option) ? e->code : str_append_word(f->text, value, e);
}

/* A command with the model, its chat template, and what else its result depends on. */
static enum err_code append_command(struct str *out, const char *name, bool of_chat, const struct options *o,
                                    struct err *e)
{
    struct offer f = {out, opt_find_command(&options_table, name), of_chat};
    if (str_appendf(out, e, "\n  mpilora %s --model ", name) || str_append_word(out, o->model, e))
        return e->code;
    if (*o->chat_template &&
        (str_appendf(out, e, " --chat-template ") || str_append_word(out, o->chat_template, e)))
        return e->code;
    return options_tell_changed(o, offer_option, &f, e);
}

static enum err_code append_eval(struct str *out, const struct options *o, const char *run, struct err *e)
{
    if (append_command(out, "eval", false, o, e) || str_appendf(out, e, " --adapter %s", run))
        return e->code;
    if (!o->eval_data.count && str_appendf(out, e, " --data FILE"))
        return e->code;
    for (size_t i = 0; i < o->eval_data.count; i++)
        if (str_appendf(out, e, " --data ") || str_append_word(out, o->eval_data.items[i], e))
            return e->code;
    if (!objective_needs_reference(o->objective) || !o->adapter.count)
        return ERR_OK;
    return str_appendf(out, e, "\n    (its reference is the base, not %s as in this run: loss and rewards are others)",
                       o->adapter.items[0]);
}

/* What may be done with a finished run, as commands. `chat`: it has learnt conversations. */
static enum err_code append_next(struct str *out, const struct options *o, bool chat, struct err *e)
{
    struct str run = {0};
    enum err_code code = str_append_word(&run, o->output, e);
    if (code || str_appendf(out, e, "next:") || append_command(out, "generate", true, o, e) ||
        str_appendf(out, e, " --adapter %s%s --prompt TEXT", run.data, chat ? " --chat" : "") ||
        append_eval(out, o, run.data, e) || str_appendf(out, e, "\n  mpilora report %s", run.data) ||
        str_appendf(out, e, "\n  mpilora export --format merged --checkpoint %s --output FOLDER --model ", run.data) ||
        str_append_word(out, o->model, e))
        code = e->code;
    str_release(&run);
    return code;
}

static enum err_code tell_next(const struct options *o, const struct dataset *data, struct err *e)
{
    struct str text = {0};
    enum err_code code = append_next(&text, o, prompts_of(data) != PROMPTS_PLAIN, e);
    for (char *line = code ? NULL : strtok(text.data, "\n"); line; line = strtok(NULL, "\n"))
        log_note("%s", line);
    str_release(&text);
    return code;
}

enum err_code cmd_train(const struct options *o, struct dist *d, struct err *e)
{
    struct session s;
    struct dataset data;
    char hash[FILE_HASH_SIZE];
    struct runlock lock = {0};
    /* A folder that cannot be used is better known before the model is loaded. */
    enum err_code code = trainer_check_options(o, e);
    if (!code)
        code = session_tell_idle(o, e);
    if (!code)
        code = dist_agree(d, d->rank == 0 ? take_folder(&lock, o->output, d->host, e) : ERR_OK, e);
    if (code)
        return code;
    code = session_open(&s, o, d, e);
    if (!code) {
        s.lock = &lock;
        code = session_open_data(&s, &data, &o->data, hash, e);
        if (!code) {
            code = train_on(&s, &data, hash, e);
            if (!code)
                code = tell_next(o, &data, e);
            dataset_close(&data);
        }
        session_close(&s);
    }
    runlock_release(&lock);
    return code;
}
