#include "data/examples/loader.h"

#include "base/cpu.h"
#include "data/examples/ahead.h"

enum err_code loader_open(struct loader *l, const struct dataset *d, const struct loader_options *options,
                          struct err *e)
{
    *l = (struct loader){0};
    if (batcher_open(&l->batch, d, options, e))
        return e->code;
    if (batcher_make_pack(&l->pack, &l->batch, &l->arena, e) ||
        (options->read_ahead && ahead_open(&l->ahead, d, options, e))) {
        loader_close(l);
        return e->code;
    }
    return ERR_OK;
}

void loader_close(struct loader *l)
{
    ahead_close(l->ahead);
    batcher_close(&l->batch);
    arena_release(&l->arena);
    *l = (struct loader){0};
}

enum err_code loader_next(struct loader *l, struct err *e)
{
    l->wait_seconds = 0;
    if (batcher_next(&l->batch, e))
        return e->code;
    if (l->ahead)
        ahead_follow(l->ahead, l->batch.first, l->batch.cursor);
    return ERR_OK;
}

enum err_code loader_pack(struct loader *l, size_t number, struct err *e)
{
    const double begun = cpu_seconds();
    const bool own = number >= l->batch.pack_begin && number < l->batch.pack_end;
    enum err_code code;
    if (!l->ahead || !own || !ahead_take(l->ahead, number, &l->pack, &code, e))
        code = batcher_read(&l->pack, &l->batch, number, e);
    l->wait_seconds += cpu_seconds() - begun;
    return code;
}
