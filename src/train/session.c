#include "train/session.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/format.h"
#include "base/limits.h"
#include "base/log.h"
#include "model/family.h"
#include "math/gemm.h"
#include "run/rundir.h"
#include "ranks/consensus.h"
#include "ranks/node_hash.h"
#include "ranks/threads.h"
#include "data/examples/repeats.h"
#include "train/expand.h"

static enum err_code agree_program(struct dist *d, const struct options *o, struct err *e)
{
    struct str text = {0};
    enum err_code code = consensus_program(d, e);
    if (!code)
        code = dist_agree(d, options_write_yaml(o, &text, e), e);
    if (!code)
        code = consensus_text(d, "set of options", text.data, true, e);
    str_release(&text);
    return code;
}

/* Collective. What else the bits depend on. */
static enum err_code compare_means(const struct session *s, struct err *e)
{
    char text[256];
    snprintf(text, sizeof text, "%d thread%s, %s, kernels %s", s->threads, s->threads == 1 ? "" : "s",
             gemm_backend(), cpu_isa_name(cpu_isa_best()));
    return consensus_warn(s->dist, text, e);
}

static enum err_code check_tokenizer(const struct session *s, struct err *e)
{
    size_t rows = s->model.arch.vocab, beyond;
    char where[ARCH_WHERE_SIZE];
    const char *first;
    arch_where(where, &s->model.arch, &s->store, offsetof(struct arch, vocab));
    if (tokenizer_warning(s->tokenizer))
        log_warn("%s: %s", s->store.path, tokenizer_warning(s->tokenizer));
    if (tokenizer_limit(&beyond, &first, s->tokenizer, rows, e))
        return err_wrap(e, "%s", where);
    if (beyond > 0)
        log_note("%s: %zu of the tokenizer's tokens (the first: %s) have no row among the model's %zu embeddings; "
                 "a text with one is an error",
                 s->store.path, beyond, first, rows);
    return ERR_OK;
}

/* Before memory is taken: where the system ends the program for it, this is the last word. */
static void announce_base(const struct store *store, const struct arch *a, size_t converted)
{
    const double mib = 1024 * 1024, worth_a_word = 100 * mib;
    double files = 0;
    for (size_t i = 0; i < store->file_count; i++)
        files += (double)store->files[i].map.size;
    if (files + (double)converted >= worth_a_word)
        log_note("loading %s: %s, %.1f million parameters; %.0f MiB of files, and %.0f MiB of memory on each node for "
                 "converted weights",
                 store->path, a->family->name, (double)arch_parameters(a) / 1e6, files / mib, (double)converted / mib);
}

/* Collective. One copy of the weights a node, filled by one of its ranks. */
static enum err_code load_base(struct session *s, struct dist *node, struct err *e)
{
    struct dist *d = s->dist;
    struct arch arch;
    const struct weights_options options = {.type = s->options->dtype,
                                            .keep_file = s->options->base_storage == STORAGE_FILE};
    size_t size = 0;
    enum err_code code = arch_read(&arch, &s->store, e);
    if (!code)
        code = weights_size(&size, &arch, &s->store, &options, e);
    code = dist_agree(d, code, e);
    if (!code)
        announce_base(&s->store, &arch, size);
    if (!code)
        code = node_memory_open(&s->base_memory, d, node, size, e);
    if (code)
        return code;
    /* Nodes with one rank and with several go through the same agreements. */
    struct weights_place place = {.memory = s->base_memory.memory};
    bool shares = place.memory != NULL;
    if (!shares && s->files.shared.memory)
        model_files_keep(&s->files);
    if (!shares)
        code = model_load(&s->model, &s->store, &options, e);
    else if (s->base_memory.mine)
        code = model_load_at(&s->model, &s->store, &options, &place, e);
    code = dist_agree(d, code, e);
    node_memory_seal(&s->base_memory);
    place.filled = true;
    if (!code && shares && !s->base_memory.mine)
        code = model_load_at(&s->model, &s->store, &options, &place, e);
    return dist_agree(d, code, e);
}

/* Each step on all ranks, agreed on before the next one. */
static enum err_code open_files(struct session *s, struct dist *node, struct err *e)
{
    struct dist *d = s->dist;
    bool broadcast = s->options->load == LOAD_BROADCAST;
    enum err_code code = model_files_open(&s->files, &s->store, d, node, s->options->model, broadcast, e);
    if (!code)
        code = dist_agree(d, tokenizer_open(&s->tokenizer, &s->store, e), e);
    if (!code)
        code = model_files_hash(&s->files, &s->store, d, node, e);
    if (!code)
        code = consensus_text(d, "base model", s->store.hash, false, e);
    if (!code)
        code = load_base(s, node, e);
    model_files_seal(&s->files);
    return code;
}

enum err_code session_open_chat(struct chat **chat, struct tokenizer *t, const struct options *o, struct err *e)
{
    const struct chat_options options = {.variables = o->chat_template_kwargs, .date = o->chat_date};
    const struct chat_template *template;
    struct str source = {0};
    *chat = NULL;
    enum err_code code = ERR_OK;
    if (*o->chat_template && (file_read_all(&source, o->chat_template, LIMIT_CHAT_TEMPLATE, e) ||
                              format_expect(FORMAT_TEMPLATE, source.data, source.length, o->chat_template, e)))
        code = err_wrap(e, "--chat-template");
    if (!code && *o->chat_template)
        code = tokenizer_replace_chat_template(t, o->chat_template, source.length ? source.data : "", source.length,
                                               e);
    str_release(&source);
    if (!code)
        code = chat_open(chat, t, &options, e);
    /* One that was asked for must be one that can be used. */
    return code || !*o->chat_template ? code : chat_template_of(&template, *chat, false, e);
}

static enum err_code open_model(struct session *s, struct err *e)
{
    struct dist *d = s->dist, node;
    if (dist_split_node(&node, d, e))
        return e->code;
    enum err_code code = open_files(s, &node, e);
    dist_split_release(&node);
    if (!code)
        code = dist_agree(d, check_tokenizer(s, e), e);
    if (!code)
        code = dist_agree(d, session_open_chat(&s->chat, s->tokenizer, s->options, e), e);
    return code ? code : consensus_text(d, "tokenizer", tokenizer_hash(s->tokenizer), false, e);
}

/* Slower than f32 is refused too: nobody wants it. */
static enum err_code check_dtype(const struct options *o, struct err *e)
{
    if (o->dtype != DTYPE_BF16)
        return ERR_OK;
    if (o->gemm == GEMM_OPENBLAS)
        return err_set(e, ERR_USAGE,
                       "--dtype bf16 needs --gemm onednn or auto: OpenBLAS multiplies f32 only");
    if (!gemm_has_bf16())
        return err_set(
            e, ERR_UNSUPPORTED,
            "--dtype bf16: this mpilora was built without oneDNN; build it where that is found, or take "
            "--dtype f32");
    if (!gemm_bf16_is_fast())
        return err_set(
            e, ERR_UNSUPPORTED,
            "--dtype bf16: %s has no instructions for it (AVX512_BF16 or AMX), so that it would be "
            "slower than f32: take --dtype f32",
            cpu_model_name());
    return ERR_OK;
}

static void warn_of_threads(const struct dist *d)
{
    const char *library = d->rank == 0 ? gemm_with_own_threads() : NULL;
    if (library)
        log_warn("%s is OpenBLAS with threads of its own, which get into the way of this program's: put its "
                 "OpenMP "
                 "build in its place (Debian: libopenblas0-openmp), or first into LD_LIBRARY_PATH",
                 library);
}

enum err_code session_check_objective(const struct options *o, struct err *e)
{
    if (o->train_on == TRAIN_ON_ALL && o->objective != OBJECTIVE_SFT && o->objective != OBJECTIVE_ORPO)
        return err_set(e, ERR_USAGE,
                       "--objective %s compares answers: --train-on all is for orpo, whose likelihood then has the "
                       "chosen answer's prompt in it, and for sft",
                       options_word(o, "objective"));
    return ERR_OK;
}

static void warn_of_idle(void *unused, const char *option, const char *needs)
{
    (void)unused;
    log_warn("--%s changes nothing without %s", option, needs);
}

enum err_code session_tell_idle(const struct options *o, struct err *e)
{
    return options_tell_idle(o, warn_of_idle, NULL, e);
}

/* Mistakes in options that are better known before the model is loaded: files that are not there, or not what they
 * should be. */
static enum err_code check_inputs(struct session *s, struct err *e)
{
    const struct options *o = s->options;
    const struct opt_list *const lists[] = {&o->data, &o->eval_data};
    struct file_map map;
    if (session_check_objective(o, e))
        return e->code;
    for (size_t i = 0; i < 2; i++) {
        struct dataset d = {0};
        if (lists[i]->count &&
            dataset_init(&d, lists[i]->items, lists[i]->count, NULL, &(struct example_options){0}, false, e))
            return i ? err_wrap(e, "--eval-data") : e->code;
        dataset_close(&d);
    }
    if (*o->chat_template) {
        if (file_map_open(&map, o->chat_template, e))
            return err_wrap(e, "--chat-template");
        file_map_close(&map);
    }
    for (size_t i = 0; i < o->adapter.count; i++)
        if (!file_exists(o->adapter.items[i]))
            return err_set(e, ERR_IO, "--adapter %s: no such file or folder", o->adapter.items[i]);
    return columns_parse(&s->columns, o->columns, e);
}

enum err_code session_open(struct session *s, const struct options *o, struct dist *d, struct err *e)
{
    *s = (struct session){.options = o, .dist = d};
    enum err_code code = agree_program(d, o, e);
    if (!code)
        code = threads_agree(&s->threads, &s->map, d, (int)o->threads, e);
    if (!code)
        code = dist_agree(d, check_inputs(s, e), e);
    if (!code)
        code = dist_agree(d, gemm_choose(o->gemm, e), e);
    if (!code)
        code = dist_agree(d, check_dtype(o, e), e);
    if (!code)
        code = compare_means(s, e);
    if (!code) {
        double begun = cpu_seconds();
        warn_of_threads(d);
        gemm_set_threads(s->threads);
        code = open_model(s, e);
        s->load_seconds = cpu_seconds() - begun;
    }
    if (code)
        session_close(s);
    return code;
}

/* Collective. The fingerprints of all ranks' examples. */
static enum err_code gather_prints(struct dist *d, struct dataset *data, uint64_t count, struct err *e)
{
    enum { MOST = 1000000 }; /* of so many examples, they are found in a moment, and in little memory */
    void *all = NULL;
    enum err_code code = ERR_OK;
    if (count <= MOST && data->keeps_prints)
        code = dist_gather_all(d, &all, &(size_t){0}, NULL, data->prints, data->count * sizeof *data->prints, e);
    dataset_drop_prints(data);
    data->prints = all;
    return code;
}

/* Collective. Every rank has scanned its part of the lines: afterwards each has the index of all. */
static enum err_code gather_index(struct dist *d, struct dataset *data, struct err *e)
{
    struct dataset_counts counts = data->counts;
    uint64_t sums[sizeof counts / sizeof(uint64_t)];
    memcpy(sums, &counts, sizeof sums);
    if (dist_sum_u64(d, sums, sizeof sums / sizeof *sums, e))
        return e->code;
    memcpy(&counts, sums, sizeof counts);
    if (dist_max_u64(d, data->first_notes, NOTE_COUNT, e) || dist_max_u64(d, &data->longest, 1, e))
        return e->code;
    void *entries, *bad;
    size_t bytes;
    if (dist_gather_all(d, &entries, &bytes, NULL, data->entries, data->count * sizeof *data->entries, e))
        return e->code;
    enum err_code code = gather_prints(d, data, bytes / sizeof *data->entries, e);
    if (!code)
        code = dist_gather_all(d, &bad, &(size_t){0}, NULL, data->first_bad, sizeof data->first_bad, e);
    if (!code) {
        const char(*lines)[sizeof data->first_bad] = bad;
        for (int r = d->world; r-- > 0;)
            if (lines[r][0])
                memcpy(data->first_bad, lines[r], sizeof data->first_bad);
        free(bad);
        code = dist_agree(d, dataset_set_index(data, entries, bytes / sizeof *data->entries, &counts, e), e);
    }
    free(entries);
    return code;
}

static enum err_code take_data_hash(char hash[FILE_HASH_SIZE], void *from, struct err *e)
{
    return dataset_hash(hash, from, e);
}

/* Collective. A node reads the files once. */
static enum err_code hash_data(char hash[FILE_HASH_SIZE], struct dist *d, struct dataset *data, struct err *e)
{
    struct dist node;
    if (dist_split_node(&node, d, e))
        return e->code;
    struct file_hasher *files = file_hasher_open(e);
    for (size_t f = 0; files && f < data->path_count; f++)
        file_hasher_add(files, &data->files[f].stamp, sizeof data->files[f].stamp);
    enum err_code code = node_hash(hash, files, take_data_hash, data, d, &node, e);
    dist_split_release(&node);
    return code;
}

/* What a model computes beyond its positions is noise: no layer has seen such angles. */
static void warn_of_long_examples(const struct dataset *data)
{
    const size_t limit = data->options.positions;
    const uint64_t count = data->counts.notes[NOTE_BEYOND];
    if (count)
        log_warn("%" PRIu64 " of %zu examples (%s) are longer than the %zu positions that this model was made for: "
                 "--max-length %zu cuts them there",
                 count, data->count, data->paths[0], limit, limit);
}

static void warn_of_bos(const struct session *s, const struct dataset *data)
{
    if (data->counts.had_bos)
        log_warn("%" PRIu64
                 " of %zu examples (%s) begin with %s, which the tokenizer adds anyway: it is used only once",
                 data->counts.had_bos, data->count, data->paths[0],
                 tokenizer_token(s->tokenizer, tokenizer_bos(s->tokenizer)));
}

/* What the lines were taken for. */
static void tell_forms(const struct dataset *data)
{
    char text[256] = "";
    size_t length = 0, forms = 0;
    const char *only = "";
    for (size_t i = 0; i < EXAMPLE_FORM_COUNT && length < sizeof text; i++) {
        if (!data->counts.forms[i])
            continue;
        only = example_form_name((enum example_form)i);
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%" PRIu64 " %s", forms++ ? ", " : "",
                                   data->counts.forms[i], only);
    }
    if (forms == 1)
        log_note("%s%s: %zu example%s of the form \"%s\"", data->paths[0], data->path_count > 1 ? " and others" : "",
                 data->count, data->count == 1 ? "" : "s", only);
    else
        log_note("%s%s: examples by form: %s", data->paths[0], data->path_count > 1 ? " and others" : "", text);
}

static void warn_of(void *context, const char *text)
{
    const struct dataset *data = context;
    log_warn("%s: %s", data->paths[0], text);
}

/* Collective. */
static enum err_code open_data(struct session *s, struct dataset *data, const struct opt_list *paths,
                               const struct example_options *options, struct err *e)
{
    struct dist *d = s->dist;
    const struct options *o = s->options;
    enum err_code code = dist_agree(
        d, dataset_init(data, paths->items, paths->count, s->tokenizer, options, o->skip_bad_lines, e), e);
    if (code)
        goto fail;
    char content[FILE_HASH_SIZE];
    if (!options->asks)
        dataset_keep_prints(data);
    code = expand_data(data, rundir_has(o->output, RUNDIR_LOCK) ? o->output : NULL, d, e);
    if (!code)
        code = dist_agree(d, dataset_scan(data, (size_t)d->rank, (size_t)d->world, e), e);
    if (!code)
        code = gather_index(d, data, e);
    if (!code)
        code = hash_data(content, d, data, e);
    if (!code)
        code = consensus_text(d, "data set", content, false, e);
    if (!code) {
        memcpy(data->hash, content, sizeof content);
        return ERR_OK;
    }
fail:
    dataset_close(data);
    return code;
}

static enum err_code tell_repeats(const struct session *s, const struct dataset *data, struct err *e)
{
    char text[1280];
    struct repeats repeats;
    if (!data->prints || repeats_find(&repeats, data, e))
        return data->prints ? e->code : ERR_OK;
    if (repeats_describe(text, sizeof text, &repeats, data))
        log_note("%s: %s%s", data->paths[0], text,
                 s->options->eval_split > 0 ? ": --eval-split may train on the one and evaluate on the other" : "");
    return ERR_OK;
}

/* Collective. What is wrong with data beside bad lines, to be known before it is trained on. */
static enum err_code tell_of_data(const struct session *s, struct dataset *data, struct err *e)
{
    enum err_code code = ERR_OK;
    warn_of_long_examples(data);
    warn_of_bos(s, data);
    tell_forms(data);
    if (s->dist->rank == 0) { /* NOTE_CUT_ANSWER is left to the caller, which counts what was cut */
        dataset_tell_warnings(data, ~(1U << NOTE_CUT_ANSWER | 1U << NOTE_BEYOND), warn_of, data);
        code = tell_repeats(s, data, e);
    }
    return dist_agree(s->dist, code, e);
}

enum example_pairs session_takes_pairs(const struct options *o)
{
    return o->objective == OBJECTIVE_SFT ? PAIRS_REFUSED : PAIRS_ALONE;
}

enum err_code session_open_data(struct session *s, struct dataset *data, const struct opt_list *paths,
                                char hash[FILE_HASH_SIZE], struct err *e)
{
    const struct options *o = s->options;
    const enum example_pairs pairs = session_takes_pairs(o);
    const struct example_options options = {.max_length = (size_t)o->max_length,
                                            .positions = s->model.arch.max_positions,
                                            .train_on = o->train_on,
                                            .chat = s->chat,
                                            .columns = &s->columns,
                                            .pairs = pairs,
                                            .shares = pairs == PAIRS_ALONE && !s->whole_pairs,
                                            .short_positions = arch_short_positions(&s->model.arch)};
    if (open_data(s, data, paths, &options, e))
        return e->code;
    if (tell_of_data(s, data, e)) {
        dataset_close(data);
        return e->code;
    }
    if (!o->eval_data.count)
        dataset_drop_prints(data);
    if (hash)
        memcpy(hash, data->hash, sizeof data->hash);
    return ERR_OK;
}

enum err_code session_open_prompts(struct session *s, struct dataset *data, const struct opt_list *paths, struct err *e)
{
    const struct example_options options = {
        .max_length = SIZE_MAX, .chat = s->chat, .columns = &s->columns, .asks = true};
    if (open_data(s, data, paths, &options, e))
        return e->code;
    warn_of_bos(s, data);
    tell_forms(data);
    s->asked = prompts_of(data);
    return ERR_OK;
}

/* Collective. */
static enum err_code tell_shared(const struct session *s, const struct dataset *trained, const struct dataset *data,
                                 struct err *e)
{
    size_t shared = 0;
    enum err_code code = ERR_OK;
    if (s->dist->rank == 0 && trained->prints && data->prints)
        code = repeats_count_shared(&shared, trained, data, e);
    if (!code && shared)
        log_warn("%zu of %zu examples of --eval-data are also in --data: evaluating on them measures memorisation",
                 shared, data->count);
    return dist_agree(s->dist, code, e);
}

enum err_code session_open_eval_data(struct session *s, struct dataset *data, struct dataset *trained, struct err *e)
{
    if (session_open_data(s, data, &s->options->eval_data, NULL, e))
        return err_wrap(e, "--eval-data");
    enum err_code code = tell_shared(s, trained, data, e);
    dataset_drop_prints(data);
    dataset_drop_prints(trained);
    if (code)
        dataset_close(data);
    else if (s->options->max_eval_examples > 0)
        dataset_limit(data, (size_t)s->options->max_eval_examples);
    return code;
}

enum err_code session_pack_tokens(const struct session *s, size_t *tokens, struct err *e)
{
    const struct options *o = s->options;
    const bool pairs = o->objective != OBJECTIVE_SFT;
    const size_t longest = (size_t)o->max_length * (pairs ? 2 : 1);
    *tokens = (size_t)o->micro_batch_tokens;
    if (!*tokens) { /* auto */
        *tokens = longest > 512 ? longest : 512;
        return ERR_OK;
    }
    if (*tokens < longest)
        return err_set(
            e, ERR_USAGE,
            "--micro-batch-tokens %zu is below %s %" PRId64 ": the longest %s would not fit into a pack: raise it, or "
            "lower --max-length",
            *tokens, pairs ? "twice --max-length" : "--max-length", o->max_length, pairs ? "pair" : "example");
    return ERR_OK;
}

struct model_plan session_plan(const struct session *s, bool train)
{
    return (struct model_plan){
        .threads = s->threads, .train = train, .recompute = train ? s->options->recompute : RECOMPUTE_NONE};
}

void session_close(struct session *s)
{
    session_drop_adapter(s);
    model_release(&s->model);
    node_memory_close(&s->base_memory);
    columns_release(&s->columns);
    chat_close(s->chat);
    tokenizer_close(s->tokenizer);
    store_close(&s->store);
    model_files_close(&s->files);
    str_release(&s->map);
    *s = (struct session){0};
}
