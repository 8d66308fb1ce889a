#include "cli/commands.h"
#include "cli/facts.h"
#include "math/gemm.h"
#include "train/bench.h"

static enum err_code print_result(const struct bench_result *r, const struct session *s, struct err *e)
{
    const struct options *o = s->options;
    struct facts f;
    facts_begin(&f, o->json);
    facts_real(&f, "tokens_per_second", r->tokens_per_second);
    facts_real(&f, "slowest_step_tokens_per_second", r->slowest_tokens);
    facts_real(&f, "fastest_step_tokens_per_second", r->fastest_tokens);
    facts_real(&f, "limit_share", r->limit_share);
    facts_real(&f, "gemm_gflops", r->gemm_flops / 1e9);
    facts_real(&f, "step_gflop", r->step_flop / 1e9);
    facts_int(&f, "peak_memory_bytes", r->peak_memory);
    facts_int(&f, "step_allocations", r->step_allocations);
    facts_real(&f, "step_seconds", r->step_seconds);
    facts_real(&f, "mean_step_seconds", r->mean_seconds);
    facts_object(&f, "phases");
    for (int i = 0; i < PROF_COUNT; i++)
        facts_real(&f, prof_name((enum prof_phase)i), r->phases[i]);
    facts_end(&f);
    facts_int(&f, "step_tokens", r->step_tokens);
    facts_int(&f, "length", (uint64_t)o->length);
    facts_int(&f, "steps", (uint64_t)o->steps);
    facts_int(&f, "lora_rank", (uint64_t)o->lora_rank);
    facts_text(&f, "dtype", o->dtype);
    facts_int(&f, "ranks", (uint64_t)s->dist->world);
    facts_int(&f, "threads", (uint64_t)s->threads);
    facts_text(&f, "gemm", gemm_backend());
    facts_text(&f, "kernels", cpu_isa_name(cpu_isa_best()));
    facts_text(&f, "processor", cpu_model_name());
    return facts_print(&f, e);
}

enum err_code cmd_bench(const struct options *o, struct dist *d, struct err *e)
{
    struct session s;
    struct bench_result result;
    enum err_code code = session_open(&s, o, d, e);
    if (code)
        return code;
    code = bench_run(&s, &result, e);
    if (!code && d->rank == 0)
        code = print_result(&result, &s, e);
    session_close(&s);
    return code;
}
