#include "run/export/export.h"

#include "formats.h"
#include "merge.h"
#include "run/export/gguf_adapter.h"
#include "run/export/peft.h"

static enum err_code write_peft(const struct export_job *job, struct err *e)
{
    return peft_write(job->output, job->lora, job->arch, job->base_name, job->lora->dropout, e);
}

static enum err_code read_peft(struct lora *l, const struct export_job *job, const struct weights *base, struct err *e)
{
    return peft_read(l, job->arch, base, job->output, e);
}

static enum err_code write_gguf(const struct export_job *job, struct err *e)
{
    return gguf_adapter_write(job->output, job->lora, job->arch, job->base_name, e);
}

static enum err_code read_gguf(struct lora *l, const struct export_job *job, const struct weights *base, struct err *e)
{
    (void)base;
    return gguf_adapter_read(l, job->arch, job->output, e);
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
