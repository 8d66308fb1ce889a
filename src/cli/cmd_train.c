#include "cli/commands.h"

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

static void warn_of_idle(const char *option, const char *needs)
{
    log_warn("--%s changes nothing without %s", option, needs);
}

/* Rank 0. */
static enum err_code take_folder(struct runlock *lock, const char *folder, const char *host, struct err *e)
{
    return folder_check_output(folder, FOLDER_RUN, e) ? e->code : runlock_take(lock, folder, host, e);
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
        code = options_tell_idle(o, warn_of_idle, e);
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
            dataset_close(&data);
        }
        session_close(&s);
    }
    runlock_release(&lock);
    return code;
}
