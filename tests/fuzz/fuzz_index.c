/* The index of a model in shards, beside the shards that it should name. */
#include "fuzz.h"

#include <stdio.h>

#include "io/store/store.h"

#define GOLDEN "tiny_sharded/"

static void make_model(void)
{
    static const char *const files[] = {"config.json", "model-00001-of-00003.safetensors",
                                        "model-00002-of-00003.safetensors",
                                        "model-00003-of-00003.safetensors"};
    static bool made;
    for (size_t i = 0; !made && i < sizeof files / sizeof *files; i++) {
        char golden[64];
        snprintf(golden, sizeof golden, GOLDEN "%s", files[i]);
        fuzz_copy(files[i], golden);
    }
    made = true;
}

enum err_code fuzz_read(const char *bytes, size_t size, struct err *e)
{
    struct store s = {0};
    make_model();
    fuzz_put("model.safetensors.index.json", bytes, size);
    enum err_code code = store_open(&s, fuzz_folder(), e);
    store_close(&s);
    return code;
}
