#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "io/json.h"
#include "model/objective.h"
#include "run/export/export.h"

#define MARKUP "\\`*_[]<>|~&#$"
#define DIGITS "0123456789abcdef"

/* What the card of a format says that those of others do not. */
static const struct kind {
    const char *relation, *library, *title, *made;
} kinds[] = {[EXPORT_PEFT] = {"adapter", "peft", "LoRA adapter", "exported with"},
             [EXPORT_MERGED] = {"finetune", "transformers", "fine-tuned", "merged with"}};

/* How its name is written, and where it was published. */
static const struct {
    const char *name, *paper;
} objectives[OBJECTIVE_COUNT] = {
    [OBJECTIVE_DPO] = {"DPO", "2305.18290"},
    [OBJECTIVE_IPO] = {"IPO", "2310.12036"},
    [OBJECTIVE_ORPO] = {"ORPO", "2403.07691"},
    [OBJECTIVE_SIMPO] = {"SimPO", "2405.14734"},
};

/* Foreign text, of which nothing is markup. */
static enum err_code append_text(struct str *out, const char *text, size_t length, struct err *e)
{
    struct str visible = {0};
    enum err_code code = str_append_visible(&visible, text, length, "", e);
    for (const char *at = visible.data; !code && at && *at; at++)
        if ((strchr(MARKUP, *at) && str_append(out, "\\", 1, e)) || str_append(out, at, 1, e))
            code = e->code;
    str_release(&visible);
    return code;
}

/* The name of a file without its folder. */
static enum err_code append_file(struct str *out, const char *path, struct err *e)
{
    size_t length;
    const char *last = file_last_part(&length, path);
    return append_text(out, last, length, e);
}

/* Is the base known by its name on the hub? A path, which store_name() gives otherwise, may look like one. */
static bool is_on_hub(const struct export_job *job)
{
    return job->base_name != job->store->path && store_is_repository(job->base_name);
}

static enum err_code append_base(struct str *out, const struct export_job *job, struct err *e)
{
    return is_on_hub(job) ? append_text(out, job->base_name, strlen(job->base_name), e)
                          : append_file(out, job->base_name, e);
}

/* The hub refuses a base that is no repository of its own. */
static enum err_code append_header(struct str *out, const struct export_job *job, const struct kind *kind,
                                   struct err *e)
{
    if (str_appendf(out, e, "---\n"))
        return e->code;
    if (is_on_hub(job) &&
        (str_appendf(out, e, "base_model: ") || json_append_string(out, job->base_name, strlen(job->base_name), e) ||
         str_appendf(out, e, "\nbase_model_relation: %s\n", kind->relation)))
        return e->code;
    const enum objective_kind objective = origin_objective(job->origin).kind;
    if (str_appendf(out, e, "library_name: %s\npipeline_tag: text-generation\ntags:\n- lora\n- mpilora\n",
                    kind->library) ||
        (objective != OBJECTIVE_SFT && str_appendf(out, e, "- %s\n", objective_name(objective))) ||
        str_appendf(out, e, "---\n\n# ") ||
        append_base(out, job, e))
        return e->code;
    return str_appendf(out, e, ", %s\n\n", kind->title);
}

static enum err_code append_ranks(struct str *out, const struct lora *l, struct err *e)
{
    const size_t wider = l->start ? 2 : 1; /* peft_write() */
    size_t least = l->layout.modules->rank, most = least;
    for (size_t i = 1; i < l->layout.count; i++) {
        const size_t rank = l->layout.modules[i].rank;
        least = rank < least ? rank : least;
        most = rank > most ? rank : most;
    }
    return least == most ? str_appendf(out, e, "rank %zu", wider * most)
                         : str_appendf(out, e, "ranks from %zu to %zu", wider * least, wider * most);
}

static enum err_code append_what(struct str *out, const struct lora *l, enum option_format format, struct err *e)
{
    const size_t count = l->layout.count;
    if (format == EXPORT_MERGED)
        return str_appendf(out, e,
                           "The base model with a LoRA adapter merged into its weights: %zu matrices became W + "
                           "scaling B A, added in float64 and rounded once. All other weights are the base's.\n\n",
                           count);
    if (str_appendf(out, e, "A LoRA adapter for the base model: matrices A and B for %zu of its linear layers, of ",
                    count) ||
        append_ranks(out, l, e))
        return e->code;
    return str_appendf(out, e, ".\n\n");
}

static enum err_code append_objective(struct str *out, const struct origin *from, struct err *e)
{
    const enum objective_kind objective = origin_objective(from).kind;
    if (objective == OBJECTIVE_SFT)
        return ERR_OK;
    const char *paper = objectives[objective].paper;
    return str_appendf(out, e,
                       "Trained with %s ([arXiv:%s](https://arxiv.org/abs/%s)) on preference pairs: a chosen and a "
                       "rejected answer to the same prompt.\n\n",
                       objectives[objective].name, paper, paper);
}

static enum err_code append_usage(struct str *out, const struct export_job *job, enum option_format format,
                                  struct err *e)
{
    const char *class = job->arch->wrapper ? "AutoModelForImageTextToText" : "AutoModelForCausalLM";
    const bool merged = format == EXPORT_MERGED;
    const char *base = merged ? "path/to/this/model" : is_on_hub(job) ? job->base_name : "path/to/the/base";
    if (str_appendf(out, e, "## How to load it\n\n```python\n%sfrom transformers import %s, AutoTokenizer\n\n",
                    merged ? "" : "from peft import PeftModel\n", class) ||
        str_appendf(out, e,
                    "tokenizer = AutoTokenizer.from_pretrained(\"%s\")\nmodel = %s.from_pretrained(\"%s\")\n%s```\n\n",
                    base, class, base,
                    merged ? "" : "model = PeftModel.from_pretrained(model, \"path/to/this/adapter\")\n"))
        return e->code;
    return ERR_OK;
}

/* A row whose value is a hash; none if it is not known. */
static enum err_code append_hash(struct str *out, const char *what, const char *hash, struct err *e)
{
    if (strspn(hash, DIGITS) != FILE_HASH_SIZE - 1)
        return ERR_OK;
    return str_appendf(out, e, "| content hash of the %s | `%s` |\n", what, hash);
}

/* A row whose value is a file's name; none without one. */
static enum err_code append_path(struct str *out, const char *what, const char *path, struct err *e)
{
    if (!*path)
        return ERR_OK;
    if (str_appendf(out, e, "| %s | ", what) || append_file(out, path, e))
        return e->code;
    return str_appendf(out, e, " |\n");
}

static enum err_code append_paths(struct str *out, const char *what, const struct opt_list *paths, struct err *e)
{
    for (size_t i = 0; i < paths->count; i++)
        if ((i ? str_appendf(out, e, ", ") : str_appendf(out, e, "| %s | ", what)) ||
            append_file(out, paths->items[i], e))
            return e->code;
    return paths->count ? str_appendf(out, e, " |\n") : ERR_OK;
}

static enum err_code append_data(struct str *out, const struct origin *from, struct err *e)
{
    const struct options *o = &from->options;
    if (from->has_options && append_paths(out, "training data", &o->data, e))
        return e->code;
    if (append_hash(out, "training data", from->identity.data, e))
        return e->code;
    if (from->has_options &&
        (append_paths(out, "evaluation data", &o->eval_data, e) ||
         (o->eval_split > 0 && str_appendf(out, e, "| evaluation data | a part of the training data |\n")) ||
         append_path(out, "chat template", o->chat_template, e) || append_paths(out, "first adapter", &o->adapter, e)))
        return e->code;
    return append_hash(out, "first adapter", from->identity.adapter, e);
}

static enum err_code append_last_loss(struct str *out, double loss, const char *objective, struct err *e)
{
    return isfinite(loss) ? str_appendf(out, e, "| %sloss of the last step | %.4f |\n", objective, loss)
                          : str_appendf(out, e, "| %sloss of the last step | not finite |\n", objective);
}

static enum err_code append_losses(struct str *out, const struct origin *from, struct err *e)
{
    const struct ckpt_state *state = &from->state;
    const struct metrics_point *last = from->log.count ? &from->log.points[from->log.count - 1] : NULL;
    char objective[16] = "";
    if (origin_objective(from).kind != OBJECTIVE_SFT)
        snprintf(objective, sizeof objective, "%s ", objectives[origin_objective(from).kind].name);
    if (str_appendf(out, e, "| steps | %" PRIu64, state->step) ||
        (last && str_appendf(out, e, " (%.2f epochs)", last->epoch)) || str_appendf(out, e, " |\n") ||
        (from->step != state->step &&
         str_appendf(out, e, "| adapter | that of step %" PRIu64 ", after which the eval loss was lowest |\n",
                     from->step)) ||
        (last && append_last_loss(out, last->loss, objective, e)) ||
        (state->best.step &&
         str_appendf(out, e, "| lowest eval %sloss | %.4f, after step %" PRIu64 " |\n", objective, state->best.loss,
                     state->best.step)))
        return e->code;
    return ERR_OK;
}

static enum err_code append_facts(struct str *out, const struct export_job *job, const struct kind *kind, struct err *e)
{
    const struct origin *from = job->origin;
    if (str_appendf(out, e, "## What it was made from\n\n| | |\n|---|---|\n| base | ") ||
        append_base(out, job, e) || str_appendf(out, e, " |\n") ||
        append_hash(out, "base", job->store->hash, e) ||
        (from->known && (append_data(out, from, e) || append_losses(out, from, e))))
        return e->code;
    return str_appendf(out, e, "| %s | mpilora %s |\n", kind->made, MPILORA_VERSION);
}

/* May the run's chat template have printed the date? It has one in any case, which says nothing of other runs. What
 * --chat-template named is not looked for: it may be another file by now. */
static bool has_date(const struct export_job *job)
{
    static const char function[] = "strftime_now", key[] = "tokenizer.chat_template";
    const struct store *s = job->store;
    bool found = job->origin->has_options && *job->origin->options.chat_template;
    for (size_t i = 0; i < s->text_count && !found; i++)
        found = strcmp(s->texts[i].name, "tokenizer.json") != 0 &&
                memmem(s->texts[i].map.data, s->texts[i].map.size, function, sizeof function - 1);
    for (size_t i = 0; s->gguf && i < s->gguf->key_count && !found; i++) {
        const struct gguf_key *k = &s->gguf->keys[i];
        found = str_starts_with(k->name, key) && k->type == GGUF_STRING &&
                memmem(k->strings->data, k->strings->length, function, sizeof function - 1);
    }
    return found;
}

struct rows {
    struct str text;
    bool dated;
};

static enum err_code append_option(void *context, const char *option, const char *value, struct err *e)
{
    struct rows *rows = context;
    if (!rows->dated && strcmp(option, "chat-date") == 0)
        return ERR_OK;
    if (str_appendf(&rows->text, e, "| %s | ", option) || append_text(&rows->text, value, strlen(value), e))
        return e->code;
    return str_appendf(&rows->text, e, " |\n");
}

static enum err_code append_options(struct str *out, const struct export_job *job, struct err *e)
{
    struct rows rows = {.dated = has_date(job)};
    if (!job->origin->has_options)
        return ERR_OK;
    enum err_code code = options_tell_changed(&job->origin->options, append_option, &rows, e);
    if (!code && rows.text.length)
        code = str_appendf(out, e, "\n## Options that differ from their defaults\n\n| option | value |\n|---|---|\n%s",
                           rows.text.data);
    str_release(&rows.text);
    return code;
}

enum err_code export_card(struct str *out, const struct export_job *job, enum option_format format, struct err *e)
{
    const struct kind *kind = &kinds[format];
    if (append_header(out, job, kind, e) || append_what(out, job->lora, format, e) ||
        append_objective(out, job->origin, e) || append_usage(out, job, format, e) || append_facts(out, job, kind, e))
        return e->code;
    return append_options(out, job, e);
}
