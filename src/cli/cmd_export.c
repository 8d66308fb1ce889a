#include "base/log.h"
#include "cli/commands.h"
#include "io/store/store.h"
#include "math/gemm.h"
#include "model/arch.h"
#include "ranks/threads.h"
#include "run/adapter.h"
#include "run/export/export.h"
#include "run/folder.h"

/* Reads what was written, and says how far it is from what was trained. */
static enum err_code check(const struct export_job *job, const struct options *o, int threads, struct err *e)
{
    double difference, most;
    if (export_check(job, o->format, threads, &difference, &most, e))
        return err_wrap(e, "%s was written, but cannot be checked", o->output);
    if (!(difference <= most))
        return err_set(e, ERR_NUMERIC,
                       "%s was written, but its logits differ by up to %.2g of the largest one from those of base and "
                       "adapter; rounding explains %.0e",
                       o->output, difference, most);
    log_note("read back: its logits differ by up to %.2g of the largest one from those of base and adapter",
             difference);
    return ERR_OK;
}

/* The base's shapes and hash are needed; its weights only where they are merged or checked. */
enum err_code cmd_export(const struct options *o, struct dist *d, struct err *e)
{
    struct store store = {0};
    struct arch arch;
    struct lora lora = {0};
    struct origin origin = {0};
    int threads = 1;
    if (o->save_dtype != SAVE_OWN && o->format != EXPORT_MERGED)
        return err_set(e, ERR_USAGE, "--save-dtype is for --format merged: the values of an adapter are f32");
    enum err_code code = folder_check_export(o->output, o->model, o->format, o->overwrite, e);
    if (!code)
        code = threads_agree(&threads, NULL, d, (int)o->threads, e);
    gemm_set_threads(threads);
    if (!code)
        code = store_open(&store, o->model, e);
    if (!code)
        code = arch_read(&arch, &store, e);
    if (!code)
        code = arch_hash(&store, e);
    if (!code) {
        const struct adapter_check known = {.model = store.path,
                                            .base_hash = store.hash,
                                            .allow_base_mismatch = o->allow_base_mismatch,
                                            .origin = &origin};
        code = adapter_load(&lora, &arch, o->checkpoint, &known, e);
    }
    const char *name = code || *o->base_name ? o->base_name : store_name(&store);
    const struct export_job job = {.output = o->output,
                                   .lora = &lora,
                                   .arch = &arch,
                                   .store = &store,
                                   .base_name = name,
                                   .origin = &origin,
                                   .save_dtype = o->save_dtype};
    if (!code)
        code = export_write(&job, o->format, e);
    if (!code)
        log_note("%zu adapted modules written to %s, for the base %s", lora.layout.count, o->output, name);
    if (!code && o->check)
        code = check(&job, o, threads, e);
    origin_release(&origin);
    lora_release(&lora);
    store_close(&store);
    return code;
}
