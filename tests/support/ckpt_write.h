/* A checkpoint at once, for tests that need one; the program builds it and asks once more before it gets its name. */
#ifndef MPILORA_TESTS_CKPT_WRITE_H
#define MPILORA_TESTS_CKPT_WRITE_H

#include "io/h5/h5.h"
#include "run/ckpt.h"

static inline enum err_code ckpt_write(const char *path, const struct lora *l,
                                       const struct lora_moments *moments, const struct ckpt_state *state,
                                       const struct ckpt_identity *identity, const char *config,
                                       const char *lora_init, const struct trace_record *trace, struct err *e)
{
    struct h5_writer *w;
    if (ckpt_build(&w, path, l, moments, state, identity, config, lora_init, trace, e))
        return e->code;
    return h5_commit(w, e);
}

#endif
