#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/facts.h"
#include "io/store/store.h"
#include "math/gemm.h"
#include "bench/bench.h"
#include "ranks/threads.h"

static void add_phases(struct facts *f, const struct bench_result *r)
{
    facts_object(f, "phases");
    for (int i = 0; i < PROF_COUNT; i++)
        facts_real(f, prof_name((enum prof_phase)i), r->phases[i].seconds);
    facts_end(f);
    facts_object(f, "phase_work");
    for (int i = 0; i < PROF_COUNT; i++) {
        const struct bench_phase *p = &r->phases[i];
        if (p->bytes == 0)
            continue;
        facts_object(f, prof_name((enum prof_phase)i));
        facts_real(f, "gflop", p->flop / 1e9);
        facts_real(f, "gigabytes", p->bytes / 1e9);
        facts_real(f, "gflops", p->flop / p->seconds / 1e9);
        facts_real(f, "gigabytes_per_second", p->bytes / p->seconds / 1e9);
        facts_real(f, "limit_share", p->limit_share);
        facts_end(f);
    }
    facts_end(f);
}

static enum err_code print_json(const struct bench_result *r, const struct session *s, struct err *e)
{
    const struct options *o = s->options;
    struct facts f;
    facts_begin(&f, true);
    facts_real(&f, "tokens_per_second", r->tokens_per_second);
    facts_real(&f, "slowest_step_tokens_per_second", r->slowest_tokens);
    facts_real(&f, "fastest_step_tokens_per_second", r->fastest_tokens);
    facts_real(&f, "limit_share", r->limit_share);
    facts_real(&f, "attention_share", r->attention_share);
    facts_real(&f, "gemm_gflops", r->gemm_flops / 1e9);
    facts_real(&f, "memory_gigabytes_per_second", r->memory_rate / 1e9);
    facts_real(&f, "step_gflop", r->step_flop / 1e9);
    facts_int(&f, "peak_memory_bytes", r->peak_memory);
    facts_int(&f, "step_allocations", r->step_allocations);
    facts_real(&f, "step_seconds", r->step_seconds);
    facts_real(&f, "mean_step_seconds", r->mean_seconds);
    if (r->reference_seconds > 0)
        facts_real(&f, "reference_seconds", r->reference_seconds);
    add_phases(&f, r);
    facts_int(&f, "step_tokens", r->step_tokens);
    if (r->step_pairs)
        facts_int(&f, "step_pairs", r->step_pairs);
    facts_text(&f, "objective", options_word(o, "objective"));
    facts_int(&f, "length", (uint64_t)o->length);
    facts_int(&f, "steps", (uint64_t)o->steps);
    facts_int(&f, "lora_rank", (uint64_t)o->lora_rank);
    facts_text(&f, "dtype", options_word(o, "dtype"));
    facts_int(&f, "ranks", (uint64_t)s->dist->world);
    facts_int(&f, "threads", (uint64_t)s->threads);
    facts_text(&f, "gemm", gemm_backend());
    facts_text(&f, "kernels", cpu_isa_name(cpu_isa_best()));
    facts_text(&f, "processor", cpu_model_name());
    return facts_print(&f, e);
}

/* What was timed, in a line. */
static void describe(char *text, size_t size, const struct bench_result *r, const struct session *s)
{
    const struct options *o = s->options;
    const bool pairs = r->step_pairs > 0;
    const size_t count = pairs ? r->step_pairs : r->step_tokens / (size_t)o->length;
    snprintf(text, size, "%zu %s %" PRId64 " tokens a step, %s%s%s, rank %" PRId64 ", on %d rank%s of %d thread%s",
             count, pairs ? "pairs of 2 x" : "x", o->length, pairs ? options_word(o, "objective") : "",
             pairs ? ", " : "", options_word(o, "dtype"), o->lora_rank, s->dist->world,
             s->dist->world == 1 ? "" : "s", s->threads, s->threads == 1 ? "" : "s");
}

/* A phase in columns; those without counted work have dashes. */
static void print_phase(const struct bench_result *r, enum prof_phase phase)
{
    const struct bench_phase *p = &r->phases[phase];
    printf("  %-14s %8.4f %5.1f %%", prof_name(phase), p->seconds, 100 * p->seconds / r->mean_seconds);
    if (p->flop > 0)
        printf(" %9.1f", p->flop / p->seconds / 1e9);
    else
        printf(" %9s", "-");
    if (p->bytes > 0)
        printf(" %8.1f %8.2f\n", p->bytes / p->seconds / 1e9, p->limit_share);
    else
        printf(" %8s %8s\n", "-", "-");
}

static void print_table(const struct bench_result *r, const struct session *s)
{
    char what[160];
    describe(what, sizeof what, r, s);
    printf("%s\n%s, %s\n\n", what, gemm_backend(), cpu_model_name());
    printf("  tokens a second      %8.1f   median of %" PRId64 " steps, from %.1f to %.1f\n",
           r->tokens_per_second, s->options->steps, r->slowest_tokens, r->fastest_tokens);
    printf("  share of the limit   %8.2f   %.0f GFLOP a step at %.0f GFLOPS\n", r->limit_share,
           r->step_flop / 1e9, r->gemm_flops / 1e9);
    printf("  attention's share    %8.2f   its FLOP at that rate, over its seconds\n", r->attention_share);
    if (r->reference_seconds > 0)
        printf("  reference            %8.4f s for the pairs of a step, once, before the first step\n",
               r->reference_seconds);
    printf("  peak memory          %8.2f GB\n", (double)r->peak_memory / 1e9);
    printf("  allocations a step   %8" PRIu64 "\n\n", r->step_allocations);
    printf("  %-14s %8s %7s %9s %8s %8s\n", "phase", "seconds", "", "GFLOPS", "GB/s", "of limit");
    for (int i = PROF_OTHER + 1; i < PROF_COUNT; i++)
        print_phase(r, (enum prof_phase)i);
    print_phase(r, PROF_OTHER);
    printf("  %-14s %8.4f %7s %9.1f %8.1f\n", "limits", r->step_flop / r->gemm_flops, "",
           r->rank_gemm_flops / 1e9, r->rank_memory / 1e9);
}

static enum err_code show(const struct bench_result *r, const struct session *s, struct err *e)
{
    char what[160];
    describe(what, sizeof what, r, s);
    if (options_given(s->options, "roofline") && bench_write_roofline(s->options->roofline, r, what, e))
        return e->code;
    if (s->options->json)
        return print_json(r, s, e);
    print_table(r, s);
    if (r->limit_share > 1 || r->attention_share > 1)
        log_note("a share above 1: the machine was slower while its limits were measured than during the steps");
    return ERR_OK;
}

static enum err_code bench_steps(const struct options *o, struct dist *d, struct err *e)
{
    struct session s;
    struct bench_result result;
    enum err_code code = session_open(&s, o, d, e);
    if (code)
        return code;
    code = bench_run(&s, &result, e);
    if (!code && d->rank == 0)
        code = show(&result, &s, e);
    session_close(&s);
    return code;
}

static enum err_code show_tokens(const struct bench_tokens *r, const struct options *o, int threads,
                                 struct err *e)
{
    if (!o->json) {
        printf("%.2f MB, %zu lines, %zu tokens\n  one thread   %8.1f MB/s\n  %-4d threads %8.1f MB/s\n",
               (double)r->bytes / 1e6, r->texts, r->tokens, r->thread_rate / 1e6, threads, r->rate / 1e6);
        return ERR_OK;
    }
    struct facts f;
    facts_begin(&f, true);
    facts_real(&f, "thread_megabytes_per_second", r->thread_rate / 1e6);
    facts_real(&f, "megabytes_per_second", r->rate / 1e6);
    facts_int(&f, "threads", (uint64_t)threads);
    facts_int(&f, "bytes", r->bytes);
    facts_int(&f, "texts", r->texts);
    facts_int(&f, "tokens", r->tokens);
    return facts_print(&f, e);
}

/* On rank 0 alone. */
static enum err_code bench_text(const struct options *o, int threads, struct err *e)
{
    struct store store = {0};
    struct tokenizer *t = NULL;
    struct bench_tokens result;
    enum err_code code = store_open(&store, o->model, e);
    if (!code)
        code = tokenizer_open(&t, &store, e);
    store_close(&store);
    if (!code)
        code = bench_tokenize(t, o->tokenize, threads, (size_t)o->steps, &result, e);
    if (!code)
        code = show_tokens(&result, o, threads, e);
    tokenizer_close(t);
    return code;
}

static enum err_code show_examples(const struct bench_examples *r, const struct options *o, int threads, struct err *e)
{
    const double length = r->examples ? (double)r->tokens / (double)r->examples : 0;
    const double seconds = (double)r->examples / r->rate, least = 0.1;
    if (seconds < least)
        log_note("all %zu examples were read in %.3f s, which is too short to be timed well: take more of them",
                 r->examples, seconds);
    if (!o->json) {
        printf("%zu %s of %.0f tokens on average\n"
               "  one thread   %8.0f examples/s, %.0f %% of the time for JSON\n  %-4d threads %8.0f examples/s\n",
               r->examples, o->objective == OBJECTIVE_SFT ? "examples" : "pairs", length, r->thread_rate,
               100 * r->json_share, threads, r->rate);
        return ERR_OK;
    }
    struct facts f;
    facts_begin(&f, true);
    facts_real(&f, "thread_examples_per_second", r->thread_rate);
    facts_real(&f, "examples_per_second", r->rate);
    facts_real(&f, "json_share", r->json_share);
    facts_int(&f, "threads", (uint64_t)threads);
    facts_int(&f, "examples", r->examples);
    facts_int(&f, "tokens", r->tokens);
    return facts_print(&f, e);
}

/* On rank 0 alone. Examples are not cut. */
static enum err_code bench_data(const struct options *o, int threads, struct err *e)
{
    struct store store = {0};
    struct tokenizer *t = NULL;
    struct chat *chat = NULL;
    struct dataset data = {0};
    struct bench_examples result;
    enum err_code code = store_open(&store, o->model, e);
    if (!code)
        code = tokenizer_open(&t, &store, e);
    store_close(&store);
    if (!code)
        code = session_open_chat(&chat, t, o, e);
    const struct example_options options = {.max_length = SIZE_MAX, .chat = chat, .pairs = session_takes_pairs(o)};
    if (!code)
        code = dataset_open(&data, o->data.items, o->data.count, t, &options, false, e);
    if (!code)
        code = bench_examples(&data, threads, (size_t)o->steps, &result, e);
    if (!code)
        code = show_examples(&result, o, threads, e);
    dataset_close(&data);
    chat_close(chat);
    tokenizer_close(t);
    return code;
}

enum err_code cmd_bench(const struct options *o, struct dist *d, struct err *e)
{
    const bool text = options_given(o, "tokenize"), data = o->data.count > 0;
    int threads;
    if (text && data)
        return err_set(e, ERR_USAGE, "--tokenize and --data are two things to time: give one of them");
    if (!text && !data)
        return bench_steps(o, d, e);
    enum err_code code = threads_agree(&threads, NULL, d, (int)o->threads, e);
    if (!code && d->rank == 0)
        code = data ? bench_data(o, threads, e) : bench_text(o, threads, e);
    return dist_agree(d, code, e);
}
