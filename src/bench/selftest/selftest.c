#include "selftest_parts.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "math/gemm.h"
#include "ranks/consensus.h"
#include "ranks/watchdog.h"

#define PATIENCE 12.0 /* seconds of a communication; ten times that before the first one (ranks/watchdog.h) */

static const struct {
    const char *name;
    selftest_function *run;
} checks[] = {
    {"ranks", selftest_ranks},       {"threads", selftest_threads},     {"memory", selftest_memory},
    {"products", selftest_products}, {"tokenizer", selftest_tokenizer}, {"training", selftest_training},
    {"bits", selftest_bits},         {"network", selftest_network},     {"clock", selftest_clock},
    {"files", selftest_files},
};

const char *selftest_word(enum selftest_verdict verdict)
{
    static const char *const words[] = {
        [SELFTEST_FINE] = "fine", [SELFTEST_SLOW] = "slow", [SELFTEST_WRONG] = "wrong"};
    return words[verdict];
}

void selftest_find(struct selftest_line *l, enum selftest_verdict verdict, const char *cure,
                   const char *format, ...)
{
    if (verdict < l->verdict || (verdict == l->verdict && verdict != SELFTEST_FINE))
        return;
    size_t used = verdict == l->verdict ? strlen(l->text) : 0;
    if (used > 0 && used < sizeof l->text)
        used += (size_t)snprintf(l->text + used, sizeof l->text - used, "; ");
    if (used < sizeof l->text) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(l->text + used, sizeof l->text - used, format, arguments);
        va_end(arguments);
    }
    snprintf(l->cure, sizeof l->cure, "%s", cure ? cure : "");
    l->verdict = verdict;
}

void selftest_find_error(struct selftest_line *l, const char *cure, const struct err *e)
{
    selftest_find(l, SELFTEST_WRONG, cure, "%s", e->message);
}

void selftest_number(struct selftest_line *l, const char *name, double value)
{
    assert(l->number_count < SELFTEST_NUMBERS);
    l->numbers[l->number_count++] = (struct selftest_number){name, value};
}

enum err_code selftest_find_odd(size_t *odd, bool *certain, struct dist *d, const char *text, struct err *e)
{
    const size_t world = (size_t)d->world;
    uint64_t hashes[world];
    memset(hashes, 0, sizeof hashes);
    hashes[d->rank] = rng_hash(text);
    if (dist_sum_u64(d, hashes, world, e))
        return e->code;
    *odd = consensus_find_odd(certain, hashes, world);
    return ERR_OK;
}

/* Collective. */
static enum err_code gather_threads(struct selftest *t, struct err *e)
{
    struct threads_rank mine;
    size_t bytes = 0;
    void *table = NULL;
    threads_describe(&mine, t->dist, (int)t->options->threads);
    if (dist_gather_all(t->dist, &table, &bytes, NULL, &mine, sizeof mine, e))
        return e->code;
    t->table = table;
    t->threads = threads_choose(t->table, (size_t)t->dist->world, (size_t)t->dist->rank);
    gemm_set_threads(t->threads);
    return ERR_OK;
}

/* This rank's own part. */
static enum err_code prepare(struct selftest *t, struct err *e)
{
    static const char advice[] =
        "the ranks do not reach each other: name a network that all hosts share "
        "(OMPI_MCA_btl_tcp_if_include in jobs/env.sh), and see that no firewall is between them";
    char who[DIST_HOST_SIZE + 32];
    snprintf(who, sizeof who, "rank %d on %s", t->dist->rank, t->dist->host);
    if ((t->dist->world > 1 && watchdog_start(PATIENCE, who, advice, e)) || gemm_choose(t->options->gemm, e))
        return e->code;
    return selftest_model_open(&t->tiny, e);
}

enum err_code selftest_open(struct selftest **out, const struct options *o, struct dist *d, struct err *e)
{
    struct selftest *t = calloc(1, sizeof *t);
    if (t)
        *t = (struct selftest){.options = o, .dist = d};
    enum err_code code =
        dist_agree(d, t ? prepare(t, e) : err_set(e, ERR_MEMORY, "no memory for the self-test"), e);
    if (!code && t)
        code = gather_threads(t, e);
    if (code) {
        selftest_close(t);
        return code;
    }
    *out = t;
    return ERR_OK;
}

void selftest_close(struct selftest *t)
{
    if (!t)
        return;
    watchdog_stop();
    selftest_model_close(&t->tiny);
    ids_release(&t->words);
    arena_release(&t->arena);
    free(t->table);
    free(t);
}

size_t selftest_count(void)
{
    return sizeof checks / sizeof *checks;
}

const char *selftest_name(size_t i)
{
    return checks[i].name;
}

/* Names the rank that a fault is of, and says how many others have one of the same kind. */
static void name_rank(struct selftest_line *line, const struct selftest_line *all, const struct selftest *t,
                      size_t worst)
{
    const size_t world = (size_t)t->dist->world;
    size_t others = 0;
    for (size_t i = 0; i < world; i++)
        others += i != worst && all[i].verdict == line->verdict;
    if (others + 1 == world && strcmp(all[0].text, all[world - 1].text) == 0)
        return;
    char more[64] = "";
    if (others > 0)
        snprintf(more, sizeof more, " (and %zu other%s)", others, others == 1 ? "" : "s");
    snprintf(line->text, sizeof line->text, "rank %zu on %s%s: %.300s", worst, t->table[worst].host, more,
             all[worst].text);
}

/* Collective. The worst of all ranks' lines, for all of them; the numbers are rank 0's. */
static enum err_code take_worst(struct selftest_line *line, const struct selftest *t, struct err *e)
{
    void *gathered = NULL;
    size_t bytes = 0, worst = 0;
    if (dist_gather_all(t->dist, &gathered, &bytes, NULL, line, sizeof *line, e))
        return e->code;
    const struct selftest_line *all = gathered;
    const char *const name = line->name;
    for (size_t i = 1; i < (size_t)t->dist->world; i++)
        if (all[i].verdict > all[worst].verdict)
            worst = i;
    struct selftest_line mine = *line; /* its names are valid in this process */
    *line = all[worst];
    line->name = name;
    for (size_t i = 0; i < mine.number_count; i++)
        line->numbers[i] = (struct selftest_number){mine.numbers[i].name, all[0].numbers[i].value};
    line->number_count = mine.number_count;
    if (line->verdict != SELFTEST_FINE)
        name_rank(line, all, t, worst);
    free(gathered);
    return ERR_OK;
}

enum err_code selftest_check(struct selftest_line *line, struct selftest *t, size_t i, struct err *e)
{
    *line = (struct selftest_line){.name = selftest_name(i)};
    enum err_code code = dist_agree(t->dist, checks[i].run(t, line, e), e);
    return code ? err_wrap(e, "the check of %s", selftest_name(i)) : take_worst(line, t, e);
}
