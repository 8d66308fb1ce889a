#include "train/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/log.h"
#include "base/str.h"
#include "math/gemm.h"
#include "model/family.h"
#include "ranks/memory.h"

#define MIB (1024.0 * 1024.0)

enum {
    BAR_MOST = 20, /* characters of the bar */
    BAR_LEAST = 5,
    LOG_COLUMNS = 80,
    MAP_LINES = 8 /* hosts whose cores are told */
};

/* "node1 (2 ranks), node2 (2 ranks)"; ranks of one host are neighbours as launchers place them. */
static enum err_code list_hosts(struct str *text, struct dist *d, struct err *e)
{
    void *all;
    size_t total;
    if (dist_gather_all(d, &all, &total, NULL, d->host, sizeof d->host, e))
        return e->code;
    const char(*hosts)[sizeof d->host] = all;
    enum err_code code = ERR_OK;
    for (int first = 0, end; first < d->world && !code; first = end) {
        for (end = first + 1; end < d->world && strcmp(hosts[end], hosts[first]) == 0;)
            end++;
        code = str_appendf(text, e, "%s%s (%d rank%s)", first ? ", " : "", hosts[first], end - first,
                           end - first == 1 ? "" : "s");
    }
    free(all);
    return code;
}

static void report_map(const char *map)
{
    int hosts = 0;
    for (const char *line = map, *end; line && (end = strchr(line, '\n')); line = end + 1)
        if (hosts++ < MAP_LINES)
            log_note("  %-12s %.*s", hosts == 1 ? "cores" : "", (int)(end - line), line);
    if (hosts > MAP_LINES)
        log_note("  %-12s and those of %d more hosts", "", hosts - MAP_LINES);
}

static void report_data(const char *name, const struct dataset *d)
{
    log_note("  %-12s %zu example%s, %" PRIu64 " tokens, %" PRIu64 " of them supervised", name, d->count,
             d->count == 1 ? "" : "s", d->counts.tokens, d->counts.supervised);
    char cut[128];
    if (dataset_describe_cut(cut, sizeof cut, d)) {
        log_note("  %-12s %s:", "", cut);
        log_note("  %-12s --max-length %" PRIu64 " cuts none", "", d->longest);
    }
    if (d->counts.bad_lines)
        log_warn("%" PRIu64 " unusable line%s skipped; the first: %s", d->counts.bad_lines,
                 d->counts.bad_lines == 1 ? " was" : "s were", d->first_bad);
}

static void report_schedule(const struct schedule *s, uint64_t done, const struct options *o)
{
    char warmup[64] = "", down[32] = "";
    if (s->shape != SCHEDULE_CONSTANT)
        snprintf(down, sizeof down, " down to %g", s->end);
    if (schedule_warmup(s))
        snprintf(warmup, sizeof warmup, ", after %" PRIu64 " steps of warmup", schedule_warmup(s));
    log_note("  %-12s learning rate %g, %s%s%s", "schedule", s->peak, options_word(o, "lr-schedule"), down, warmup);
    if (done && s->shape != SCHEDULE_CONSTANT)
        log_note("  %-12s from %.3g at step %" PRIu64 " on", "", schedule_rate(s, done), done + 1);
}

enum err_code progress_report(struct session *s, const struct progress_facts *facts, struct err *e)
{
    struct dist *d = s->dist;
    const struct lora *l = &s->lora;
    struct str hosts = {0};
    if (list_hosts(&hosts, d, e)) {
        str_release(&hosts);
        return e->code;
    }
    double weights = (double)model_memory_weights(&s->model) / MIB;
    double acts = (double)model_memory_acts(&s->model) / MIB;
    double one = (double)(l->layout.size * sizeof(float)) / MIB;
    double adapter = one * (4 + (double)facts->adapter_buffers);
    double base = (double)arch_parameters(&s->model.arch);
    log_note("mpilora " MPILORA_VERSION " train");
    log_note("  %-12s %s: %s, %.1f million parameters, loaded in %.2f s", "model", s->store.path,
             s->model.arch.family->name, base / 1e6, s->load_seconds);
    log_note("  %-12s %d, %s", "ranks", d->world, hosts.data);
    log_note("  %-12s %d a rank; kernels %s", "threads", s->threads, cpu_isa_name(cpu_isa_best()));
    log_note("  %-12s %s", "products", gemm_backend());
    report_map(s->map.data);
    report_data("data", facts->data);
    if (facts->eval_data)
        report_data("eval data", facts->eval_data);
    log_note("  %-12s %zu linear layers, %zu trainable parameters (%.2f %% of the base)", "adapter",
             l->layout.count, l->layout.size, 100 * (double)l->layout.size / base);
    log_note("  %-12s %.0f MiB a rank: base %.0f, adapter and optimizer up to %.0f,", "memory",
             weights + acts + adapter, weights, adapter);
    log_note("  %-12s activations %.0f (packs of up to %zu tokens)", "", acts, facts->pack_tokens);
    if (s->model.weights.mapped)
        log_note("  %-12s and %.0f of the model's file, mapped: ranks of a node share them", "",
                 (double)s->model.weights.mapped / MIB);
    double shared = (double)s->model.weights.placed;
    if (memory_check(d, shared, (weights + acts + adapter) * MIB - shared, e)) {
        str_release(&hosts);
        return e->code;
    }
    log_note("  %-12s %" PRIu64 " of %" PRIu64 ", batches of %" PRId64 " examples, %s", "steps to do",
             facts->steps_total - facts->steps_done, facts->steps_total, s->options->batch_size,
             s->options->shuffle ? "shuffled as --seed says" : "in the order of the files");
    report_schedule(facts->schedule, facts->steps_done, s->options);
    str_release(&hosts);
    return ERR_OK;
}

void progress_begin(struct progress *p, uint64_t done, uint64_t total, uint64_t every)
{
    *p = (struct progress){.first = done, .total = total, .every = every, .begun = cpu_seconds()};
}

/* How much of a step a line says. Beside rewards, rate and norm have less room. */
struct dress {
    const char *space, *accuracy;
    bool speed, norm, total, rate;
};

static int format_step(char line[PROGRESS_LINE], const struct progress *p, const struct metrics_row *row,
                       double left, const struct dress *d)
{
    char total[32] = "", rewards[64] = "", rate[32] = "", norm[32] = "", speed[48] = "", time[32];
    if (d->total)
        snprintf(total, sizeof total, "/%" PRIu64, p->total);
    if (row->prefers)
        snprintf(rewards, sizeof rewards, "%s%s %.2f%smargin %.3f", d->space, d->accuracy, row->rewards.accuracy,
                 d->space, row->rewards.margin);
    if (d->rate || !row->prefers)
        snprintf(rate, sizeof rate, "%slr %.2g", d->space, row->learning_rate);
    if (d->norm || !row->prefers)
        snprintf(norm, sizeof norm, "%snorm %.2g", d->space, row->grad_norm);
    if (d->speed)
        snprintf(speed, sizeof speed, "%s%.0f tokens/s", d->space, p->busy > 0 ? (double)p->tokens / p->busy : 0);
    str_format_time(time, sizeof time, left);
    return snprintf(line, PROGRESS_LINE, "step %" PRIu64 "%s%sloss %.4f%s%sepoch %.2f%s%s%s%s%s left", row->step,
                    total, d->space, row->loss, rewards, d->space, row->epoch, rate, norm, speed, d->space, time);
}

void progress_format_step(char line[PROGRESS_LINE], struct progress *p, const struct metrics_row *row,
                          double left, bool terminal, int columns)
{
    static const struct dress dresses[] = {
        {"  ", "accuracy", true, true, true, true}, {" ", "accuracy", true, true, true, true},
        {" ", "acc", false, true, true, true},      {" ", "acc", false, false, true, true},
        {" ", "acc", false, false, false, true},    {" ", "acc", false, false, false, false}};
    enum { DRESSES = sizeof dresses / sizeof *dresses, FRAME = 3 }; /* brackets and a space */
    const int room = terminal ? columns - 1 - FRAME - BAR_LEAST : LOG_COLUMNS;
    int length = format_step(line, p, row, left, &dresses[p->dress]);
    while (length > room && p->dress + 1 < DRESSES)
        length = format_step(line, p, row, left, &dresses[++p->dress]);
    int bar = columns - 1 - FRAME - length;
    if (!terminal || bar < BAR_LEAST)
        return;
    bar = bar < BAR_MOST ? bar : BAR_MOST;
    char text[PROGRESS_LINE], hashes[BAR_MOST + 1];
    for (int i = 0; i < bar; i++)
        hashes[i] = (double)i < (double)row->step / (double)p->total * bar ? '#' : '.';
    hashes[bar] = '\0';
    memcpy(text, line, PROGRESS_LINE);
    snprintf(line, PROGRESS_LINE, "[%s] %.*s", hashes, length, text);
}

void progress_format_evaluation(char line[PROGRESS_LINE], const struct metrics_row *row)
{
    const int length = snprintf(line, PROGRESS_LINE, "eval loss %.4f", row->eval_loss);
    if (row->prefers)
        snprintf(line + length, PROGRESS_LINE - (size_t)length, "  accuracy %.3f  margin %.3g",
                 row->eval_rewards.accuracy, row->eval_rewards.margin);
}

void progress_step(struct progress *p, const struct metrics_row *row)
{
    char line[PROGRESS_LINE];
    p->tokens += row->tokens;
    p->busy += row->seconds;
    uint64_t done = row->step - p->first;
    double left = (cpu_seconds() - p->begun) / (double)done * (double)(p->total - row->step);
    bool terminal = log_is_terminal();
    progress_format_step(line, p, row, left, terminal, log_columns());
    if (terminal && row->step < p->total)
        log_progress(line);
    else if (terminal || row->step % p->every == 0 || row->step == p->total || row->evaluated)
        log_note("%s", line);
    if (!row->evaluated)
        return;
    progress_format_evaluation(line, row);
    log_note("step %" PRIu64 "/%" PRIu64 "  %s", row->step, p->total, line);
}
