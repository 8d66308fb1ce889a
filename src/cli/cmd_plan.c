#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/facts.h"
#include "bench/plan.h"

#define MIB (1024.0 * 1024.0)

enum { LARGEST = 1024 }; /* number of ranks in the table, unless --ranks is larger */

/* The number of ranks after `ranks`: powers of two, and --ranks. 0: that was the last one. */
static size_t next_ranks(size_t ranks, size_t wanted)
{
    size_t power = 1;
    while (power <= ranks)
        power *= 2;
    if (power > LARGEST)
        return wanted > ranks ? wanted : 0;
    return wanted > ranks && wanted < power ? wanted : power;
}

static void add_row(struct facts *f, const struct plan_row *r)
{
    facts_object(f, NULL);
    facts_int(f, "ranks", r->ranks);
    facts_int(f, "nodes", r->nodes);
    facts_int(f, "packs", r->packs);
    facts_real(f, "adapter_bytes", r->adapter);
    facts_real(f, "message_bytes", r->messages);
    facts_real(f, "rank_memory_bytes", r->rank_memory);
    facts_real(f, "node_memory_bytes", r->node_memory);
    facts_real(f, "sent_bytes", r->sent);
    facts_real(f, "step_seconds", r->step_seconds);
    facts_real(f, "travel_seconds", r->travel_seconds);
    facts_real(f, "exposed_seconds", r->exposed_seconds);
    if (r->reference_seconds > 0)
        facts_real(f, "reference_seconds", r->reference_seconds);
    facts_real(f, "tokens_per_second", r->tokens_per_second);
    facts_real(f, "efficiency", r->efficiency);
    facts_end(f);
}

static enum err_code print_json(const struct plan_facts *p, const struct session *s, struct err *e)
{
    const struct options *o = s->options;
    struct facts f;
    struct plan_row row;
    facts_begin(&f, true);
    facts_int(&f, "pack_tokens", p->pack_tokens);
    facts_real(&f, "pack_seconds", p->pack_seconds);
    facts_real(&f, "update_seconds", p->update_seconds);
    if (p->reference_seconds > 0)
        facts_real(&f, "reference_pack_seconds", p->reference_seconds);
    facts_flag(&f, "measured", o->step_seconds == 0);
    facts_int(&f, "adapter_parameters", p->adapter);
    facts_real(&f, "base_bytes", p->base);
    facts_real(&f, "activation_bytes", p->activations);
    facts_real(&f, "network_bits_per_second", p->link.rate);
    facts_real(&f, "network_latency_seconds", p->link.latency);
    facts_int(&f, "ranks_per_node", p->ranks_per_node);
    facts_text(&f, "objective", options_word(o, "objective"));
    facts_text(&f, "reduce", options_word(o, "reduce"));
    facts_text(&f, "dtype", options_word(o, "dtype"));
    facts_int(&f, "threads", (uint64_t)s->threads);
    facts_list(&f, "rows");
    for (size_t n = 1; n; n = next_ranks(n, (size_t)o->ranks)) {
        plan_predict(&row, p, n);
        add_row(&f, &row);
    }
    facts_end(&f);
    return facts_print(&f, e);
}

static void print_row(const struct plan_row *r)
{
    printf("%6zu %6zu %6zu %9.0f %9.0f %9.2f %9.3f %9.4f %5.1f %% %12.1f %10.3f", r->ranks, r->nodes, r->packs,
           r->rank_memory / MIB, r->node_memory / MIB, r->sent / MIB, r->step_seconds, r->exposed_seconds,
           100 * r->exposed_seconds / r->step_seconds, r->tokens_per_second, r->efficiency);
    if (r->reference_seconds > 0)
        printf(" %11.3f", r->reference_seconds);
    printf("\n");
}

static void print_table(const struct plan_facts *p, const struct session *s)
{
    const struct options *o = s->options;
    struct plan_row row;
    plan_predict(&row, p, 1);
    printf("packs of %zu tokens in %s%" PRId64 ", %zu %s; %s, %d thread%s a rank\n", p->pack_tokens,
           o->objective == OBJECTIVE_SFT ? "examples of " : "pairs of 2 x ", o->length,
           p->batch_packs ? p->batch_packs : p->rank_packs,
           p->batch_packs ? "in a batch" : "for each rank", options_word(o, "dtype"), s->threads,
           s->threads == 1 ? "" : "s");
    printf("a pack takes %.4g s, the update %.4g s (%s)\n", p->pack_seconds, p->update_seconds,
           o->step_seconds > 0 ? "as given" : "measured here");
    if (p->reference_seconds > 0)
        printf("the reference of %s takes %.4g s a pack, once, before the first step (reference s: of the pairs of a "
               "step)\n",
               options_word(o, "objective"), p->reference_seconds);
    printf("gradient of %.2f MiB, --reduce %s; %.4g Gbit/s and %.4g us to each node, %zu rank%s on it\n",
           (double)(p->adapter * sizeof(float)) / MIB, options_word(o, "reduce"), p->link.rate / 1e9,
           p->link.latency * 1e6, p->ranks_per_node, p->ranks_per_node == 1 ? "" : "s");
    printf("memory of a rank: base %.0f MiB (one for a node), activations %.0f, adapter and optimizer up to "
           "%.0f\n\n",
           p->base / MIB, p->activations / MIB, row.adapter / MIB);
    printf("%6s %6s %6s %9s %9s %9s %9s %9s %7s %12s %10s%s\n", "ranks", "nodes", "packs", "MiB/rank",
           "MiB/node", "MiB sent", "s/step", "exposed s", "share", "tokens/s", "efficiency",
           p->reference_seconds > 0 ? " reference s" : "");
    for (size_t n = 1; n; n = next_ranks(n, (size_t)o->ranks)) {
        plan_predict(&row, p, n);
        print_row(&row);
    }
}

/* Collective. */
static enum err_code plan(struct session *s, const struct plan_link *link, struct err *e)
{
    struct plan_facts facts = {.link = *link};
    struct plan_part *parts = calloc(s->model.arch.layers + 1, sizeof *parts);
    enum err_code code = ERR_OK;
    if (!parts)
        code = err_set(e, ERR_MEMORY, "no memory for %zu layers", s->model.arch.layers + 1);
    code = dist_agree(s->dist, code, e);
    if (!code)
        code = plan_measure(&facts, parts, s, e);
    if (!code && s->dist->rank == 0) {
        if (s->options->json)
            code = print_json(&facts, s, e);
        else
            print_table(&facts, s);
    }
    free(parts);
    return dist_agree(s->dist, code, e);
}

enum err_code cmd_plan(const struct options *o, struct dist *d, struct err *e)
{
    struct plan_link link;
    struct session s;
    if (plan_read_link(&link, &o->network, e) || session_open(&s, o, d, e))
        return e->code;
    enum err_code code = plan(&s, &link, e);
    session_close(&s);
    return code;
}
