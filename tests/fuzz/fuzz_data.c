/* Data, as lines or an array, compressed or not: without a tokenizer, and through one, where bad lines are an error and
 * where they are counted. */
#include "fuzz.h"

#include "data/examples/dataset.h"
#include "tiny_tokenizer.h"

static struct chat *chat;

static void read_back(const struct dataset *d)
{
    struct example ex = {0};
    struct example_scratch scratch = {0};
    struct err e;
    for (size_t i = 0; i < d->count; i++) {
        fuzz_need(dataset_read(&ex, &scratch, d, i, &e), &e);
        const size_t last = ex.shared + ex.count - ex.split, longer = last > ex.split ? last : ex.split;
        fuzz_check(ex.split ? ex.shared < ex.split : !ex.shared, "more is shared than there is");
        fuzz_check(longer <= d->options.max_length && ex.supervised_count > 0, "an example beyond its bounds");
    }
    example_release(&ex);
    example_scratch_release(&scratch);
}

static enum err_code read_as(const struct tokenizer *t, size_t max_length, bool skip, struct err *e)
{
    struct dataset d = {0};
    const char *path = fuzz_path("data.jsonl");
    const struct example_options options = {
        .max_length = max_length, .chat = chat, .pairs = PAIRS_TAKEN, .shares = skip};
    if (dataset_open(&d, &path, 1, t, &options, skip, e))
        return e->code;
    if (t)
        read_back(&d);
    dataset_close(&d);
    return ERR_OK;
}

enum err_code fuzz_read(const char *bytes, size_t size, struct err *e)
{
    static struct tokenizer *t;
    struct err ignored = {0};
    if (!t) {
        t = tiny_tokenizer_open(0);
        chat = tiny_chat_open(t);
    }
    fuzz_put("data.jsonl", bytes, size);
    enum err_code first = read_as(NULL, 0, false, &ignored), second = read_as(t, 16, true, e);
    enum err_code third = read_as(t, 1024, false, &ignored);
    fuzz_check(!first || third, "a line that is good only with a tokenizer");
    return second ? second : third ? (*e = ignored).code : ERR_OK;
}
