/* A GGUF file: its table, its vocabulary on a text, and its model. */
#include "fuzz.h"

#include "data/tokenizer/tokenizer.h"
#include "model/model.h"

static const char text[] = "Two nodes, please: 12 caf\xC3\xA9s <e> \xF0\x9F\x98\x80";

static enum err_code read_vocabulary(const struct store *s, struct err *e)
{
    struct tokenizer *t = NULL;
    struct ids ids = {0};
    struct str back = {0};
    enum err_code code = tokenizer_open(&t, s, e);
    if (!code) {
        fuzz_need(tokenizer_encode(&ids, t, text, sizeof text - 1, true, e), e);
        fuzz_need(tokenizer_decode(&back, t, ids.id, ids.count, false, e), e);
    }
    str_release(&back);
    ids_release(&ids);
    tokenizer_close(t);
    return code;
}

enum err_code fuzz_read(const char *bytes, size_t size, struct err *e)
{
    struct store s = {0};
    struct model m = {0};
    struct err of_model = {0};
    fuzz_put("x.gguf", bytes, size);
    if (store_open(&s, fuzz_path("x.gguf"), e))
        return e->code;
    enum err_code code = read_vocabulary(&s, e);
    if (model_load(&m, &s, &(struct weights_options){.type = DTYPE_F32}, &of_model)) {
        code = of_model.code;
        *e = of_model;
    }
    model_release(&m);
    store_close(&s);
    return code;
}
