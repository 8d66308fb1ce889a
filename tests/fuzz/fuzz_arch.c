/* config.json of a model folder, and after a cut generation_config.json, beside the weights of a small
 * model. */
#include "fuzz.h"

#include "io/store/store.h"
#include "model/model.h"

enum err_code fuzz_read(const char *bytes, size_t size, struct err *e)
{
    static bool made;
    struct store s = {0};
    struct model m = {0};
    struct fuzz_part rest = {bytes, size}, config = fuzz_next(&rest);
    if (!made)
        fuzz_copy("model.safetensors", "tiny_tied/model.safetensors");
    made = true;
    fuzz_put("config.json", config.bytes, config.size);
    fuzz_put("generation_config.json", rest.size ? rest.bytes : "{}", rest.size ? rest.size : 2);
    if (store_open(&s, fuzz_folder(), e))
        return e->code;
    enum err_code code = model_load(&m, &s, &(struct weights_options){.type = DTYPE_F32}, e);
    model_release(&m);
    store_close(&s);
    return code;
}
