/* One safetensors file: all tensors of its table are read from end to end. */
#include "fuzz.h"

#include "io/store/store.h"
#include "math/kern.h"

enum err_code fuzz_read(const char *bytes, size_t size, struct err *e)
{
    struct store s = {0};
    fuzz_put("x.safetensors", bytes, size);
    if (store_open_safetensors(&s, fuzz_path("x.safetensors"), e))
        return e->code;
    for (size_t i = 0; i < s.tensor_count; i++) {
        const struct store_tensor *t = &s.tensors[i];
        fuzz_check(store_find(&s, t->name) == t, "a tensor that is not found by its name");
        char hash[FILE_HASH_SIZE];
        file_hash_bytes(hash, t->data, t->bytes);
        if (t->type == DTYPE_F32)
            fuzz_check(kern_first_nonfinite(t->data, t->elements) <= t->elements, "elements after the end");
    }
    store_close(&s);
    return ERR_OK;
}
