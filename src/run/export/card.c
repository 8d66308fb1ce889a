#include <string.h>

#include "base/str.h"
#include "io/json.h"
#include "run/export/export.h"

enum err_code export_card(struct str *out, const struct export_job *job, struct err *e)
{
    const char *name = job->base_name;
    if (str_appendf(out, e, "---\nbase_model: ") || json_append_string(out, name, strlen(name), e) ||
        str_appendf(out, e,
                    "\nbase_model_relation: finetune\nlibrary_name: transformers\npipeline_tag: text-generation\n"
                    "tags:\n- lora\n- mpilora\n---\n\n# %s, fine-tuned\n\n"
                    "The base model with a LoRA adapter merged into its weights: %zu matrices became W + scaling B A, "
                    "added in float64 and rounded once. All other weights are the base's.\n\n"
                    "| | |\n|---|---|\n| base | %s |\n| content hash of the base | `%s` |\n",
                    name, job->lora->layout.count, name, job->store->hash))
        return e->code;
    if (*job->data_hash &&
        str_appendf(out, e, "| content hash of the training data | `%s` |\n", job->data_hash))
        return e->code;
    return str_appendf(out, e, "| merged with | mpilora %s |\n", MPILORA_VERSION);
}
