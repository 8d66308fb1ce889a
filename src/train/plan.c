#include "train/plan.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/bench.h"
#include "train/reduce.h"

/* Payload of TCP in full Ethernet frames: 1,500 bytes less the headers of IP and TCP with its timestamps,
 * over the frame with preamble, header, checksum and the gap behind it. */
#define TCP_SHARE ((1500.0 - 20 - 32) / (8 + 14 + 1500 + 4 + 12))

struct unit {
    const char *name;
    double factor;
};

static const struct {
    const char *name;
    struct plan_link link;
} presets[] = {{"1gbit", {1e9 * TCP_SHARE, 50e-6}}, {"10gbit", {10e9 * TCP_SHARE, 20e-6}}};

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

enum err_code plan_read_link(struct plan_link *link, const char *text, struct err *e)
{
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (strcmp(text, presets[i].name) == 0) {
            *link = presets[i].link;
            return ERR_OK;
        }
    const char *comma = strchr(text, ',');
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

/* Where ranks are, and what one bucket costs a node's link. */
struct travel {
    const struct plan_facts *facts;
    double ranks, on_node, nodes;
    struct reduce_traffic traffic;
};

static double message_seconds(const struct plan_link *link, double messages, double bytes)
{
    return link->latency * messages + 8 * bytes / link->rate;
}

static double bucket_seconds(const struct travel *t, double floats)
{
    double others = t->ranks - t->on_node, bytes = floats * sizeof(float);
    if (others == 0)
        return 0;
    if (t->facts->fast)
        return message_seconds(&t->facts->link, 2 * (t->ranks - 1), 2 * bytes * (t->ranks - 1) / t->ranks);
    double sums = t->on_node * ((double)t->traffic.subtrees + 1);
    return message_seconds(&t->facts->link, 2 * others, sums * bytes * others / t->ranks);
}

/* Seconds before the end of the last pack at which the flat gradient from here on is complete. */
static double time_left(const struct plan_facts *f, size_t begin)
{
    const struct plan_part *part = f->parts;
    while (part->begin > begin)
        part++;
    return part->left;
}

/* One bucket after another; gives what is left when the last pack ends. */
static double exposed_travel(const struct travel *t, double *all)
{
    size_t end = t->facts->adapter;
    double clock = -INFINITY; /* 0 is the end of the pack */
    *all = 0;
    while (end > 0 && t->traffic.bucket > 0) {
        size_t length = t->traffic.bucket < end ? t->traffic.bucket : end;
        double seconds = bucket_seconds(t, (double)length);
        clock = fmax(clock, -time_left(t->facts, end - length)) + seconds;
        *all += seconds;
        end -= length;
    }
    return fmax(clock, 0);
}

/* Of numbers that the ranks add up when their packs are done. */
static double agreement_seconds(const struct travel *t, double packs)
{
    double rounds = ceil(log2(t->nodes));
    return rounds * message_seconds(&t->facts->link, 1, sizeof(double) * (t->ranks + packs));
}

static void predict_memory(struct plan_row *row, const struct travel *t)
{
    const struct reduce_traffic *r = &t->traffic;
    double flat = (double)t->facts->adapter * sizeof(float);
    row->adapter = flat * (4 + (double)r->depth);
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
    row->exposed_seconds = exposed_travel(&t, &row->travel_seconds) + agreement_seconds(&t, (double)batch);
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
    if (code) {
        free(pack.left);
        return code;
    }
    if (given)
        pack.seconds = o->step_seconds / (double)plan_single_packs(o);
    f->parts = parts;
    for (size_t layer = layers + 1; layer-- > 0;) {
        size_t begin, count;
        lora_layer_range(&begin, &count, &s->lora, layer);
        double left = given ? pack.seconds / 2 * (double)layer / (double)layers : pack.left[layer];
        if (count)
            *parts++ = (struct plan_part){.begin = begin, .count = count, .left = left};
    }
    free(pack.left);
    f->adapter = s->lora.size;
    f->pack_tokens = pack.tokens;
    f->pack_seconds = pack.seconds;
    f->update_seconds = pack.update_seconds;
    f->base = (double)(model_memory_weights(&s->model) + s->model.weights.mapped);
    f->activations = (double)model_memory_acts(&s->model);
    f->fast = strcmp(o->reduce, "fast") == 0;
    f->batch_packs = (size_t)o->batch_packs;
    f->rank_packs = f->batch_packs ? 0 : (size_t)o->packs_per_rank;
    f->ranks_per_node = (size_t)(o->ranks_per_node > 0 ? o->ranks_per_node : s->dist->node_ranks);
    return ERR_OK;
}
