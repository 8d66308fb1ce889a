#include "base/log.h"
#include "cli/commands.h"
#include "io/store/store.h"
#include "model/arch.h"
#include "run/adapter.h"
#include "run/export/export.h"

/* The base's shapes and hash are needed, its weights are not. */
enum err_code cmd_export(const struct options *o, struct dist *d, struct err *e)
{
    (void)d;
    struct store store = {0};
    struct arch arch;
    struct lora lora = {0};
    enum err_code code = store_open(&store, o->model, e);
    if (!code)
        code = arch_read(&arch, &store, e);
    if (!code)
        code = arch_hash(&store, e);
    if (!code) {
        const struct adapter_check check = {.base_hash = store.hash,
                                            .allow_base_mismatch = o->allow_base_mismatch};
        code = adapter_load(&lora, &arch, o->checkpoint, &check, e);
    }
    const char *name = code || *o->base_name ? o->base_name : store_name(&store);
    const struct export_job job = {
        .output = o->output, .lora = &lora, .arch = &arch, .store = &store, .base_name = name};
    if (!code)
        code = export_write(&job, o->format, e);
    if (!code)
        log_note("%zu adapted modules written to %s, for the base %s", lora.layout.count, o->output, name);
    lora_release(&lora);
    store_close(&store);
    return code;
}
