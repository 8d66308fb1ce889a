/* tokenizer.json; after a cut tokenizer_config.json; after another a text to encode. */
#include "fuzz.h"

#include "base/str.h"
#include "data/tokenizer/tokenizer.h"
#include "tiny_tokenizer.h"

static const char text[] = "Two nodes, please: 12 caf\xC3\xA9s <e>  \xF0\x9F\x98\x80\n\nab aab 345";

static enum err_code encode(const struct tokenizer *t, struct fuzz_part part, struct err *e)
{
    struct ids ids = {0};
    struct str back = {0};
    if (!part.size)
        part = (struct fuzz_part){text, sizeof text - 1};
    enum err_code code = tokenizer_encode(&ids, t, part.bytes, part.size, true, e);
    for (size_t i = 0; !code && i < ids.count; i++)
        fuzz_check(ids.start[i] <= ids.end[i] && ids.end[i] <= part.size, "a token outside of its text");
    if (!code)
        fuzz_need(tokenizer_decode(&back, t, ids.id, ids.count, false, e), e);
    str_release(&back);
    ids_release(&ids);
    return code;
}

enum err_code fuzz_read(const char *bytes, size_t size, struct err *e)
{
    static bool made;
    struct store s = {0};
    struct tokenizer *t = NULL;
    struct fuzz_part rest = {bytes, size}, vocabulary = fuzz_next(&rest), config = fuzz_next(&rest);
    if (!made) {
        fuzz_put("config.json", "{}", 2);
        tiny_write_weights(fuzz_folder());
    }
    made = true;
    fuzz_put("tokenizer.json", vocabulary.bytes, vocabulary.size);
    fuzz_put("tokenizer_config.json", config.size ? config.bytes : "{}", config.size ? config.size : 2);
    if (store_open(&s, fuzz_folder(), e))
        return e->code;
    enum err_code code = tokenizer_open(&t, &s, e);
    if (!code && encode(t, rest, e))
        code = err_wrap(e, "%s", fuzz_path("text")); /* whose callers say where it stands */
    tokenizer_close(t);
    store_close(&s);
    return code;
}
