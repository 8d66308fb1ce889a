#include "run/export/export.h"

#include "run/export/peft.h"

static enum err_code write_peft(const struct export_job *job, struct err *e)
{
    return peft_write(job->output, job->lora, job->arch, job->base_name, job->lora->dropout, e);
}

static const struct {
    const char *name;
    enum err_code (*write)(const struct export_job *job, struct err *e);
} formats[] = {
    [EXPORT_PEFT] = {"peft", write_peft}, [EXPORT_GGUF] = {"gguf", NULL}, [EXPORT_MERGED] = {"merged", NULL}};

enum err_code export_write(const struct export_job *job, enum option_format format, struct err *e)
{
    if (!formats[format].write)
        return err_set(e, ERR_UNSUPPORTED, "--format %s: this program does not write it yet", formats[format].name);
    return formats[format].write(job, e);
}
