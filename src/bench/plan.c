#include "bench/plan.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "ranks/reduce.h"

/* Payload of TCP in full Ethernet frames: 1,500 bytes less the headers of IP and TCP with its timestamps,
 * over the frame with preamble, header, checksum and the gap after it. */
#define TCP_SHARE ((1500.0 - 20 - 32) / (8 + 14 + 1500 + 4 + 12))

struct unit {
    const char *name;
    double factor;
};

static const struct plan_link presets[] = {
    [NETWORK_1GBIT] = {1e9 * TCP_SHARE, 50e-6}, [NETWORK_10GBIT] = {10e9 * TCP_SHARE, 20e-6}};

static const struct unit rates[] = {{"", 1},       {"bit", 1},    {"kbit", 1e3},
                                    {"mbit", 1e6}, {"gbit", 1e9}, {"tbit", 1e12}};
static const struct unit times[] = {{"", 1}, {"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}};

/* A number and a unit that end where `end` is; NAN if it is not that. */
static double read_quantity(const char *text, const char *end, const struct unit *units, size_t count)
{
    char *unit;
    if (!isdigit((unsigned char)*text) && *text != '.')
        return NAN;
    double value = strtod(text, &unit);
    for (size_t i = 0; i < count && unit <= end; i++)
        if ((size_t)(end - unit) == strlen(units[i].name) &&
            strncmp(unit, units[i].name, (size_t)(end - unit)) == 0)
            return value * units[i].factor;
    return NAN;
}

enum err_code plan_read_link(struct plan_link *link, const struct opt_text *network, struct err *e)
{
    if (network->word != OPT_NO_WORD) {
        *link = presets[network->word];
        return ERR_OK;
    }
    const char *text = network->text, *comma = strchr(text, ',');
    if (comma) {
        link->rate = read_quantity(text, comma, rates, sizeof rates / sizeof *rates);
        link->latency =
            read_quantity(comma + 1, comma + 1 + strlen(comma + 1), times, sizeof times / sizeof *times);
    }
    if (!comma || !(link->rate > 0) || !isfinite(link->rate) || !isfinite(link->latency))
        return err_set(
            e, ERR_USAGE,
            "--network '%s' is neither 1gbit nor 10gbit nor RATE,LATENCY, as 25gbit,5us is: the rate in "
            "bit, kbit, mbit, gbit or tbit a second, the latency in s, ms, us or ns",
            text);
    return ERR_OK;
}

/* Where ranks are. */
struct travel {
    const struct plan_facts *facts;
    double ranks, on_node, nodes;
    struct reduce_traffic traffic;
};

static double message_seconds(const struct plan_link *link, double messages, double bytes)
{
    return link->latency * messages + 8 * bytes / link->rate;
}

/* From the root of a binomial tree over the nodes to the last of them. */
static double tree_depth(const struct travel *t)
{
    return ceil(log2(t->nodes));
}

/* Stages of a bucket's way, each of which begins when the one before has ended. */
static size_t count_stages(const struct travel *t)
{
    if (t->nodes <= 1)
        return 0;
    return t->facts->fast ? 2 * (size_t)tree_depth(t) : 2;
}

/* What one of them takes of a node's link. */
static double stage_seconds(const struct travel *t, size_t stage, double floats)
{
    double others = t->ranks - t->on_node, bytes = floats * sizeof(float);
    if (t->facts->fast)
        return message_seconds(&t->facts->link, 1, bytes);
    double slices = t->on_node * (stage == 0 ? (double)t->traffic.subtrees : 1);
    return message_seconds(&t->facts->link, others, slices * bytes * others / t->ranks);
}

/* A bucket on its way. */
struct trip {
    double floats;
    size_t stage;
    double announced; /* clock when the ranks told each other what comes */
    double arrives;   /* INFINITY: it has not been sent yet */
};

struct road {
    const struct travel *travel;
    struct trip trips[REDUCE_SLOTS]; /* the oldest first */
    size_t count;
    size_t left;    /* floats that have not set out, those at the beginning of the array */
    double link[2]; /* clock when the link is free; of a tree, on the way up and on the way down */
    double seconds; /* that it was in use */
};

/* What has arrived goes on to its next stage, or is done. */
static void take_arrived(struct road *r, double now)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->count; i++) {
        struct trip trip = r->trips[i];
        if (trip.arrives <= now)
            trip = (struct trip){trip.floats, trip.stage + 1, now, INFINITY};
        if (trip.stage < count_stages(r->travel))
            r->trips[kept++] = trip;
    }
    r->count = kept;
}

/* Buckets set out that are complete when the flat gradient is, from `begin` on. */
static void start_ready(struct road *r, double now, size_t begin)
{
    while (r->left > 0 && r->count < REDUCE_SLOTS) {
        size_t bucket = r->travel->traffic.bucket, length = bucket < r->left ? bucket : r->left;
        if (r->left - length < begin)
            break;
        r->left -= length;
        r->trips[r->count++] = (struct trip){(double)length, 0, now, INFINITY};
    }
}

/* What was announced before `clock` is sent. */
static void send_announced(struct road *r, double now, double clock)
{
    for (size_t i = 0; i < r->count; i++) {
        struct trip *trip = &r->trips[i];
        if (isinf(trip->arrives) && trip->announced < clock) {
            double seconds = stage_seconds(r->travel, trip->stage, trip->floats);
            bool down = r->travel->facts->fast && trip->stage >= count_stages(r->travel) / 2;
            trip->arrives = r->link[down] = fmax(r->link[down], now) + seconds;
            r->seconds += seconds;
        }
    }
}

/* Gives what is left when the last pack ends, at 0 on the clock. */
static double exposed_travel(const struct travel *t, double *all)
{
    struct road r = {.travel = t, .link = {-INFINITY, -INFINITY}};
    double now = 0;
    if (count_stages(t) > 0)
        r.left = t->facts->adapter;
    for (const struct plan_part *part = t->facts->parts; r.left > 0; part++) {
        take_arrived(&r, -part->left);
        start_ready(&r, -part->left, part->begin);
        send_announced(&r, -part->left, -part->left);
        if (part->begin == 0)
            break;
    }
    for (;;) { /* the ranks do nothing else any more */
        take_arrived(&r, now);
        start_ready(&r, now, 0);
        if (r.count == 0)
            break;
        send_announced(&r, now, INFINITY);
        now = INFINITY;
        for (size_t i = 0; i < r.count; i++)
            now = fmin(now, r.trips[i].arrives);
    }
    *all = r.seconds;
    return now;
}

/* Of numbers that the ranks add up when their packs are done. */
static double agreement_seconds(const struct travel *t, double packs)
{
    return tree_depth(t) * message_seconds(&t->facts->link, 1, sizeof(double) * (t->ranks + packs));
}

static void predict_memory(struct plan_row *row, const struct travel *t)
{
    const struct reduce_traffic *r = &t->traffic;
    double flat = (double)t->facts->adapter * sizeof(float);
    row->adapter = flat * (4 + (double)(t->facts->copies + r->depth));
    if (!t->facts->fast)
        row->messages = 2.0 * REDUCE_SLOTS * (double)(r->bucket * r->subtrees) * sizeof(float);
    double own = t->facts->activations + row->adapter + row->messages;
    row->rank_memory = t->facts->base + own;
    row->node_memory = t->facts->base + t->on_node * own;
}

/* Without the efficiency, which takes a second number of ranks. */
static void predict(struct plan_row *row, const struct plan_facts *f, size_t ranks)
{
    size_t batch = f->batch_packs ? f->batch_packs : f->rank_packs * ranks;
    size_t on_node = ranks < f->ranks_per_node ? ranks : f->ranks_per_node;
    *row = (struct plan_row){
        .ranks = ranks, .nodes = (ranks + on_node - 1) / on_node, .packs = (batch + ranks - 1) / ranks};
    struct travel t = {
        .facts = f, .ranks = (double)ranks, .on_node = (double)on_node, .nodes = (double)row->nodes};
    reduce_count_traffic(&t.traffic, f->adapter, batch, ranks, f->fast);
    predict_memory(row, &t);
    row->sent = (double)t.traffic.sent_bytes;
    const double agreement = agreement_seconds(&t, (double)batch);
    row->exposed_seconds = exposed_travel(&t, &row->travel_seconds) + agreement;
    if (f->reference_seconds > 0)
        row->reference_seconds = (double)row->packs * f->reference_seconds + agreement;
    row->step_seconds = (double)row->packs * f->pack_seconds + f->update_seconds + row->exposed_seconds;
    row->tokens_per_second = (double)(batch * f->pack_tokens) / row->step_seconds;
}

void plan_predict(struct plan_row *row, const struct plan_facts *f, size_t ranks)
{
    struct plan_row single;
    predict(&single, f, 1);
    predict(row, f, ranks);
    row->efficiency = row->tokens_per_second / ((double)ranks * single.tokens_per_second);
}

size_t plan_single_packs(const struct options *o)
{
    return (size_t)(o->batch_packs > 0 ? o->batch_packs : o->packs_per_rank);
}

/* Collective. The slowest rank's. */
static enum err_code agree_seconds(struct dist *d, double *seconds, struct err *e)
{
    uint64_t nanoseconds = (uint64_t)(*seconds * 1e9);
    enum err_code code = dist_max_u64(d, &nanoseconds, 1, e);
    *seconds = (double)nanoseconds / 1e9;
    return code;
}

enum err_code plan_measure(struct plan_facts *f, struct plan_part *parts, struct session *s, struct err *e)
{
    const struct options *o = s->options;
    size_t layers = s->model.arch.layers;
    bool given = o->step_seconds > 0;
    struct bench_pack pack = {.left = calloc(layers + 1, sizeof *pack.left)};
    enum err_code code = ERR_OK;
    if (!pack.left)
        code = err_set(e, ERR_MEMORY, "no memory for the times of %zu layers", layers + 1);
    code = dist_agree(s->dist, code, e);
    if (!code)
        code = bench_time_pack(s, given ? 0 : (size_t)o->steps, &pack, e);
    if (!code)
        code = agree_seconds(s->dist, &pack.seconds, e);
    if (!code)
        code = agree_seconds(s->dist, &pack.update_seconds, e);
    if (!code)
        code = agree_seconds(s->dist, &pack.reference_seconds, e);
    if (code) {
        free(pack.left);
        return code;
    }
    if (given)
        pack.seconds = o->step_seconds / (double)plan_single_packs(o);
    if (given && objective_needs_reference(o->objective))
        pack.reference_seconds = pack.seconds / 2;
    f->parts = parts;
    for (size_t layer = layers + 1; layer-- > 0;) {
        size_t begin, count;
        lora_layer_range(&begin, &count, &s->lora.layout, layer);
        double left = given ? pack.seconds / 2 * (double)layer / (double)layers : pack.left[layer];
        if (count)
            *parts++ = (struct plan_part){.begin = begin, .count = count, .left = left};
    }
    free(pack.left);
    f->adapter = s->lora.layout.size;
    f->copies = session_adapter_copies(s);
    f->pack_tokens = pack.tokens;
    f->pack_seconds = pack.seconds;
    f->update_seconds = pack.update_seconds;
    f->reference_seconds = pack.reference_seconds;
    f->base = (double)(model_memory_weights(&s->model) + s->model.weights.mapped);
    f->activations = (double)model_memory_acts(&s->model);
    f->fast = o->reduce == REDUCE_FAST;
    f->batch_packs = (size_t)o->batch_packs;
    f->rank_packs = f->batch_packs ? 0 : (size_t)o->packs_per_rank;
    f->ranks_per_node = (size_t)(o->ranks_per_node > 0 ? o->ranks_per_node : s->dist->node_ranks);
    return ERR_OK;
}
