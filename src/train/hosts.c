#include "train/hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "io/h5/h5.h"
#include "math/gemm.h"

/* What a rank tells the others. */
struct rank_host {
    char host[DIST_HOST_SIZE], processor[128];
};

/* Is rank `rank` the first one of its host? */
static bool begins_host(const struct rank_host *ranks, size_t rank)
{
    for (size_t i = 0; i < rank; i++)
        if (strcmp(ranks[i].host, ranks[rank].host) == 0)
            return false;
    return true;
}

static enum err_code count_processors(struct machine *m, const struct rank_host *ranks, struct arena *a, struct err *e)
{
    struct machine_processor *kinds = arena_alloc(a, m->ranks, sizeof *kinds, "kinds of processors", e);
    if (!kinds)
        return e->code;
    for (size_t rank = 0; rank < m->ranks; rank++) {
        const char *name = ranks[rank].processor;
        size_t kind = 0;
        while (kind < m->count && strcmp(kinds[kind].name, name) != 0)
            kind++;
        if (kind == m->count) {
            kinds[kind].name = arena_strndup(a, name, strlen(name), e);
            if (!kinds[kind].name)
                return e->code;
            m->count++;
        }
        kinds[kind].ranks++;
        kinds[kind].hosts += begins_host(ranks, rank);
    }
    m->processors = kinds;
    return ERR_OK;
}

static enum err_code describe(struct machine *m, const struct session *s, const struct rank_host *ranks,
                              struct arena *a, struct err *e)
{
    char mpi[128];
    dist_version(mpi, sizeof mpi);
    *m = (struct machine){.ranks = (size_t)s->dist->world,
                          .threads = (size_t)s->threads,
                          .dtype = options_word(s->options, "dtype"),
                          .kernels = cpu_isa_name(cpu_isa_best()),
                          .products = gemm_backend(),
                          .mpi = arena_strndup(a, mpi, strlen(mpi), e),
                          .hdf5 = h5_version(),
                          .program = machine_program()};
    return m->mpi ? count_processors(m, ranks, a, e) : e->code;
}

enum err_code hosts_describe(struct machine *m, struct session *s, struct arena *a, struct err *e)
{
    struct rank_host mine = {0};
    void *all = NULL;
    size_t total;
    snprintf(mine.host, sizeof mine.host, "%s", s->dist->host);
    snprintf(mine.processor, sizeof mine.processor, "%s", cpu_model_name());
    enum err_code code = dist_gather_all(s->dist, &all, &total, NULL, &mine, sizeof mine, e);
    if (!code)
        code = dist_agree(s->dist, describe(m, s, all, a, e), e);
    free(all);
    return code;
}
