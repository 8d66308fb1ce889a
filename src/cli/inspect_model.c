#include <stdlib.h>

#include "base/log.h"
#include "cli/inspect.h"
#include "data/examples/dataset.h"
#include "data/tokenizer/tokenizer.h"
#include "io/store/store.h"
#include "model/family.h"

static size_t count_unrotated(const struct arch *a)
{
    size_t count = 0;
    for (size_t layer = 0; layer < a->layers; layer++)
        count += arch_kind(a, layer)->unrotated;
    return count;
}

static const char *rope_name(const struct arch *a)
{
    if (count_unrotated(a) == a->layers)
        return "none";
    switch (a->rotations[0].type) {
    case ROTATION_DEFAULT:
        break;
    case ROTATION_LINEAR:
        return "linear";
    case ROTATION_LLAMA3:
        return "llama3";
    case ROTATION_YARN:
        return "yarn";
    case ROTATION_LONGROPE:
        return "longrope";
    case ROTATION_PROPORTIONAL:
        return "proportional";
    }
    return "default";
}

static void add_arch(struct facts *f, const struct arch *a)
{
    facts_text(f, "architecture", a->family->name);
    facts_text(f, "known_as", a->family->known_as);
    facts_int(f, "parameters", arch_parameters(a));
    facts_int(f, "layers", a->layers);
    facts_int(f, "hidden_size", a->width);
    facts_int(f, "intermediate_size", a->ffn);
    facts_int(f, "attention_heads", a->heads);
    facts_int(f, "key_value_heads", a->kv_heads);
    facts_int(f, "head_dim", a->head_dim);
    facts_int(f, "vocab_size", a->vocab);
    facts_int(f, "max_positions", a->max_positions);
    facts_text(f, "rope_type", rope_name(a));
    facts_real(f, "rope_theta", a->rotations[0].theta);
    facts_flag(f, "tied_embeddings", a->tied);
    facts_flag(f, "attention_bias", a->bias[GROUP_ATTN_IN]);
    facts_flag(f, "mlp_bias", a->bias[GROUP_MLP_IN]);
}

static size_t count_windows(const struct arch *a, size_t *window)
{
    size_t count = 0;
    for (size_t layer = 0; layer < a->layers; layer++)
        if (arch_kind(a, layer)->window > 0) {
            *window = arch_kind(a, layer)->window;
            count++;
        }
    return count;
}

/* What the layers with or without a window have of their own. */
static void add_kind(struct facts *f, const struct arch *a, size_t kind)
{
    const struct layer_kind *k = &a->kinds[kind];
    const bool window = k->window > 0;
    if (k->head_dim && k->head_dim != a->head_dim)
        facts_int(f, window ? "window_head_dim" : "full_head_dim", k->head_dim);
    if (k->kv_heads && k->kv_heads != a->kv_heads)
        facts_int(f, window ? "window_key_value_heads" : "full_key_value_heads", k->kv_heads);
    if (k->values_are_keys)
        facts_flag(f, window ? "window_values_are_keys" : "full_values_are_keys", true);
}

/* What is not as in a plain Llama; nothing of it is said where it is. */
static void add_features(struct facts *f, const struct arch *a)
{
    size_t window = 0, windows = count_windows(a, &window);
    facts_object(f, "special");
    if (a->wrapper)
        facts_text(f, "inside_of", a->wrapper->name);
    if (windows) {
        facts_int(f, "window", window);
        facts_int(f, "window_layers", windows);
    }
    for (size_t kind = 0; kind < ARCH_KINDS; kind++)
        add_kind(f, a, kind);
    if (windows && arch_rotation_count(a) > 1)
        facts_real(f, "window_rope_theta", a->rotations[1].theta);
    if (arch_has_positions(a))
        facts_flag(f, "learned_positions", true);
    else if (count_unrotated(a))
        facts_int(f, "layers_without_rope", count_unrotated(a));
    if (a->rotations[0].type == ROTATION_PROPORTIONAL)
        facts_real(f, "rotated_share", a->rotations[0].share);
    else if (a->rotations[0].rotated != arch_kind_head_dim(a, 0))
        facts_int(f, "rotated_columns", a->rotations[0].rotated);
    if (a->attention_cap != 0)
        facts_real(f, "attention_cap", (double)a->attention_cap);
    if (a->logit_cap != 0)
        facts_real(f, "logit_cap", (double)a->logit_cap);
    if (a->embedding_scale != 0)
        facts_real(f, "embedding_scale", (double)a->embedding_scale);
    if (arch_has_norm(a, AT_Q))
        facts_flag(f, "norms_of_heads", true);
    if (arch_has_norm(a, AT_V))
        facts_flag(f, "norms_of_values", true);
    if (arch_has_norm(a, AT_ATTN_OUT))
        facts_flag(f, "norms_after_branches", true);
    if (a->centred_norms)
        facts_flag(f, "layer_norm", true);
    if (a->parallel)
        facts_flag(f, "parallel_branches", true);
    if (a->block_scales)
        facts_flag(f, "scaled_blocks", true);
    if (arch_has_experts(a)) {
        facts_int(f, "experts", a->experts);
        facts_int(f, "experts_of_a_token", a->experts_a_token);
    }
    if (!arch_is_gated(a))
        facts_flag(f, "mlp_without_gate", true);
    facts_end(f);
}

/* What training takes of a rank's memory at least: the base, which the ranks of a node have together. */
static void add_needs(struct facts *f, const struct arch *a)
{
    facts_object(f, "base_bytes");
    facts_int(f, "f32", 4 * arch_parameters(a));
    facts_int(f, "bf16", 2 * arch_parameters(a));
    facts_end(f);
}

static void add_tensors(struct facts *f, const struct store *s)
{
    size_t counts[DTYPE_COUNT] = {0};
    uint64_t bytes = 0;
    for (size_t i = 0; i < s->tensor_count; i++) {
        counts[s->tensors[i].type]++;
        bytes += s->tensors[i].bytes;
    }
    facts_int(f, "tensors", s->tensor_count);
    facts_int(f, "tensor_bytes", bytes);
    facts_object(f, "tensor_types");
    for (size_t t = 0; t < DTYPE_COUNT; t++)
        if (counts[t])
            facts_int(f, dtype_info((enum dtype)t)->name, counts[t]);
    facts_end(f);
    facts_list(f, "files");
    for (size_t i = 0; i < s->file_count; i++)
        facts_text(f, NULL, s->files[i].path);
    facts_end(f);
}

static void add_special(struct facts *f, const char *name, const struct tokenizer *t, int32_t id)
{
    facts_text(f, name, id < 0 ? NULL : tokenizer_token(t, id));
}

/* What turns look like, or why the template cannot be used. */
static void add_chat(struct facts *f, const struct tokenizer *t)
{
    const struct chat_options options = {.variables = "", .date = ""};
    const struct chat_template *template = NULL;
    struct chat *chat = NULL;
    struct err trouble;
    facts_text(f, "chat_template", tokenizer_chat_template(t) ? tokenizer_template_place(t) : NULL);
    if (!chat_open(&chat, t, &options, &trouble) && chat_exists(chat)) {
        if (chat_template_of(&template, chat, false, &trouble)) {
            facts_text(f, "chat_template_unusable", trouble.message);
        } else {
            facts_text(f, "turn_begins", chat_template_header(template));
            facts_text(f, "turn_ends", chat_template_ending(template));
        }
    }
    chat_close(chat);
}

/* A tokenizer that this program cannot use is a fact about the model, not a failure to inspect it. */
static void add_tokenizer(struct facts *f, const struct store *s)
{
    struct err trouble;
    struct tokenizer *t = NULL;
    facts_object(f, "tokenizer");
    if (tokenizer_open(&t, s, &trouble)) {
        facts_text(f, "unusable", trouble.message);
    } else {
        facts_int(f, "size", (uint64_t)tokenizer_vocab_size(t));
        add_special(f, "bos", t, tokenizer_bos(t));
        add_special(f, "eos", t, tokenizer_eos(t));
        add_chat(f, t);
        facts_text(f, "hash", tokenizer_hash(t));
        if (tokenizer_warning(t))
            log_warn("%s: %s", s->path, tokenizer_warning(t));
    }
    facts_end(f);
    tokenizer_close(t);
}

enum err_code inspect_open_model(struct facts *f, struct store *s, struct err *e)
{
    struct arch a;
    if (arch_read(&a, s, e) || arch_hash(s, e))
        return e->code;
    facts_text(f, "kind", "model");
    facts_text(f, "path", s->path);
    facts_text(f, "format", s->kind == STORE_GGUF ? "gguf" : "huggingface");
    add_arch(f, &a);
    add_features(f, &a);
    add_needs(f, &a);
    add_tensors(f, s);
    add_tokenizer(f, s);
    facts_text(f, "hash", s->hash);
    return ERR_OK;
}

enum err_code inspect_model(struct facts *f, const char *path, struct err *e)
{
    struct store s;
    if (store_open(&s, path, e))
        return e->code;
    enum err_code code = inspect_open_model(f, &s, e);
    store_close(&s);
    return code;
}

void inspect_add_data(struct facts *f, const struct dataset *d)
{
    struct file_stamp stamp;
    facts_text(f, "kind", "data");
    facts_text(f, "path", d->paths[0]);
    if (file_stamp_of(&stamp, d->paths[0]) && stamp.size != d->files[0].size)
        facts_int(f, "compressed_bytes", stamp.size);
    facts_int(f, "bytes", d->files[0].size);
    facts_int(f, "examples", d->count);
    facts_object(f, "forms");
    for (size_t i = 0; i < EXAMPLE_FORM_COUNT; i++)
        if (d->counts.forms[i])
            facts_int(f, example_form_name((enum example_form)i), d->counts.forms[i]);
    facts_end(f);
    facts_int(f, "bad_lines", d->counts.bad_lines);
    if (f->json && d->counts.bad_lines)
        facts_text(f, "first_bad_line", d->first_bad);
    if (!d->bad_count)
        return;
    facts_list(f, "first_bad_lines");
    for (size_t i = 0; i < d->bad_count; i++)
        facts_text(f, NULL, d->bad[i]);
    facts_end(f);
}

static void add_warning(void *context, const char *text)
{
    facts_text(context, NULL, text);
}

static void add_lines(struct facts *f, const struct dataset *d)
{
    uint32_t longest = 0;
    for (size_t i = 0; i < d->count; i++)
        longest = d->entries[i].bytes > longest ? d->entries[i].bytes : longest;
    inspect_add_data(f, d);
    facts_int(f, "longest_line_bytes", longest);
    facts_list(f, "warnings");
    dataset_tell_warnings(d, UINT_MAX, add_warning, f);
    facts_end(f);
}

enum err_code inspect_data(struct facts *f, const char *path, const struct options *o, struct err *e)
{
    /* Without a tokenizer, lines are checked for their form alone. */
    struct dataset d = {0};
    struct columns columns = {0};
    const struct example_options options = {.columns = &columns, .pairs = PAIRS_TAKEN};
    enum err_code code = columns_parse(&columns, o->columns, e);
    if (!code)
        code = dataset_init(&d, &path, 1, NULL, &options, true, e);
    if (!code)
        code = dataset_keep_bad(&d, INSPECT_BAD_LINES, e);
    if (!code)
        code = dataset_expand(&d, e);
    if (!code)
        code = dataset_scan(&d, 0, 1, e);
    if (!code && !d.count)
        code = err_set(e, ERR_FORMAT, "%s: neither a model, a checkpoint nor data: %s", path,
                       d.counts.bad_lines ? d.first_bad : "the file has no lines");
    if (!code)
        add_lines(f, &d);
    dataset_close(&d);
    columns_release(&columns);
    return code;
}
