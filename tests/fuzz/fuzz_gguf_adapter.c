/* An adapter of llama.cpp: made into one for a small base. */
#include "fuzz.h"

#include "run/adapter.h"
#include "small_lora.h"

enum err_code fuzz_read(const char *bytes, size_t size, struct err *e)
{
    const struct adapter_check check = {.model = "", .base_hash = "", .allow_base_mismatch = true, .silent = true};
    struct lora l = {0};
    fuzz_put("adapter.gguf", bytes, size);
    const enum err_code code = adapter_load(&l, &small_arch, fuzz_path("adapter.gguf"), &check, e);
    for (size_t i = 0; !code && i < l.layout.size; i++)
        fuzz_check(l.params[i] - l.params[i] == 0, "a value that is not finite");
    lora_release(&l);
    return code;
}
