/* A PEFT folder: adapter_config.json, and after a cut adapter_model.safetensors; made into an adapter and
 * verified. */
#include "fuzz.h"

#include "small_lora.h"
#include "run/adapter.h"
#include "run/verify.h"

static void ignore(void *context, const char *path, const char *why)
{
    (void)context, (void)path, (void)why;
}

enum err_code fuzz_read(const char *bytes, size_t size, struct err *e)
{
    const struct adapter_check check = {.model = "", .base_hash = "", .allow_base_mismatch = true, .silent = true};
    struct fuzz_part rest = {bytes, size}, config = fuzz_next(&rest);
    struct lora l = {0};
    struct verify v = {.tell = ignore};
    fuzz_put("adapter_config.json", config.bytes, config.size);
    fuzz_put("adapter_model.safetensors", rest.bytes, rest.size);
    enum err_code code = adapter_load(&l, &small_arch, fuzz_folder(), &check, e);
    for (size_t i = 0; !code && i < l.layout.size; i++)
        fuzz_check(l.params[i] - l.params[i] == 0, "a value that is not finite");
    lora_release(&l);
    verify_adapter(&v, fuzz_folder());
    fuzz_check(v.files == 2, "files of an adapter that were not looked at");
    return code;
}
