#include "run/export/export.h"

#include <errno.h>
#include <unistd.h>

#include "base/file.h"
#include "formats.h"
#include "merge.h"
#include "run/export/gguf_adapter.h"
#include "run/export/peft.h"

/* A folder may have the record of another adapter's training: it is replaced, or deleted. */
static enum err_code write_state(const char *path, const struct origin *origin, struct err *e)
{
    struct str text = {0};
    if (!origin_has_history(origin))
        return unlink(path) && errno != ENOENT ? err_set_errno(e, errno, "cannot delete %s", path) : ERR_OK;
    enum err_code code = export_state(&text, origin, e);
    if (!code)
        code = file_write_atomic(path, text.data, text.length, e);
    str_release(&text);
    return code;
}

static enum err_code write_card(const char *path, const struct export_job *job, struct err *e)
{
    struct str text = {0};
    enum err_code code = export_card(&text, job, EXPORT_PEFT, e);
    if (!code)
        code = file_write_atomic(path, text.data, text.length, e);
    str_release(&text);
    return code;
}

static struct export_notes notes_of(const struct export_job *job)
{
    return (struct export_notes){.name = job->base_name,
                                 .hash = *job->store->hash ? job->store->hash : NULL,
                                 .prompts = job->origin->identity.prompts,
                                 .objective = origin_objective(job->origin),
                                 .continued = *job->origin->identity.adapter != '\0'};
}

/* First what describes the adapter: a folder with PEFT's configuration is complete. Where that fails, nothing describes
 * what is there. */
static enum err_code write_peft(const struct export_job *job, struct err *e)
{
    const struct export_notes notes = notes_of(job);
    char card[PATH_MAX], state[PATH_MAX];
    if (file_make_folders(job->output, e) || file_join(card, sizeof card, job->output, EXPORT_CARD, e) ||
        file_join(state, sizeof state, job->output, EXPORT_STATE, e))
        return e->code;
    if (write_card(card, job, e) || write_state(state, job->origin, e) ||
        peft_write(job->output, job->lora, job->arch, &notes, job->lora->dropout, e)) {
        unlink(card);
        unlink(state);
        return e->code;
    }
    return ERR_OK;
}

static enum err_code read_peft(struct lora *l, const struct export_job *job, const struct weights *base, struct err *e)
{
    return peft_read(l, job->arch, base, job->output, NULL, e);
}

static enum err_code write_gguf(const struct export_job *job, struct err *e)
{
    const struct export_notes notes = notes_of(job);
    return gguf_adapter_write(job->output, job->lora, job->arch, &notes, e);
}

static enum err_code read_gguf(struct lora *l, const struct export_job *job, const struct weights *base, struct err *e)
{
    (void)base;
    return gguf_adapter_read(l, job->arch, job->output, NULL, e);
}

static enum err_code write_merged(const struct export_job *job, struct err *e)
{
    struct merge m;
    enum err_code code = merge_open(&m, job, e);
    if (!code)
        code = job->store->kind == STORE_HF ? merge_write_hf(&m, e) : merge_write_gguf(&m, e);
    merge_close(&m);
    return code;
}

static const struct export_format formats[] = {[EXPORT_PEFT] = {write_peft, read_peft},
                                               [EXPORT_GGUF] = {write_gguf, read_gguf},
                                               [EXPORT_MERGED] = {write_merged, NULL}};

const struct export_format *export_format(enum option_format format)
{
    return &formats[format];
}

enum err_code export_write(const struct export_job *job, enum option_format format, struct err *e)
{
    return formats[format].write(job, e);
}
