#include <inttypes.h>
#include <string.h>

#include "base/limits.h"
#include "data/tokenizer/tokload.h"

/* ---- small readers ---- */

static struct tokload_text text_of(const struct json_value *v)
{
    return (struct tokload_text){.data = json_text(v), .length = json_text_length(v)};
}

static struct json_fields fields_of(const struct tokload_spec *s, const struct json_value *object,
                                    const char *part)
{
    return (struct json_fields){.object = object, .file = s->where, .part = part};
}

static enum err_code read_id(int32_t *out, const struct tokload_spec *s, const struct json_value *v,
                             const char *what, const char *name, struct err *e)
{
    int64_t id = json_int(v, -1);
    if (json_kind(v) != JSON_KIND_INT || id < 0 || id >= LIMIT_IDS)
        return err_set(e, ERR_FORMAT, "%s: the id of %s '%s' must be an integer from 0 to %d", s->where, what,
                       name, LIMIT_IDS - 1);
    *out = (int32_t)id;
    return ERR_OK;
}

/* The "type" of a component; "nothing" for null. */
static const char *type_of(const struct json_value *v)
{
    const char *type = json_text(json_get(v, "type"));
    return json_is_absent(v) ? "nothing" : type ? type : "something without a type";
}

static enum err_code unsupported(const struct tokload_spec *s, const char *component,
                                 const struct json_value *v, const char *supported, struct err *e)
{
    const char *type = type_of(v);
    const char *hint =
        strcmp(type, "Metaspace") == 0 || strcmp(type, "Prepend") == 0 || strcmp(type, "Replace") == 0
            ? " (this looks like a SentencePiece-style model)"
            : "";
    return err_set(e, ERR_UNSUPPORTED, "%s: %s '%s' is not supported, only %s%s", s->where, component, type,
                   supported, hint);
}

/* ---- the pipeline ---- */

static enum err_code read_normalizer(struct tokload_spec *s, const struct json_value *v, int depth,
                                     struct err *e)
{
    if (json_is_absent(v))
        return ERR_OK;
    const char *type = type_of(v);
    const struct json_value *list = json_get(v, "normalizers");
    if (strcmp(type, "NFC") == 0) {
        s->nfc = true;
        return ERR_OK;
    }
    if (strcmp(type, "Sequence") != 0 || json_kind(list) != JSON_KIND_ARRAY || depth == LIMIT_NESTING)
        return unsupported(s, "normalizer", v, "NFC", e);
    for (size_t i = 0; i < json_count(list); i++) {
        if (read_normalizer(s, json_at(list, i), depth + 1, e))
            return e->code;
    }
    return ERR_OK;
}

static enum err_code read_split(struct tokload_spec *s, struct pretok_step *step, const struct json_value *v,
                                struct err *e)
{
    static const char *const names[] = {[PRETOK_ISOLATED] = "Isolated",
                                        [PRETOK_REMOVED] = "Removed",
                                        [PRETOK_MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
                                        [PRETOK_MERGED_WITH_NEXT] = "MergedWithNext",
                                        [PRETOK_CONTIGUOUS] = "Contiguous"};
    const struct json_value *pattern = json_get(v, "pattern");
    const struct json_value *regex = json_get(pattern, "Regex"), *literal = json_get(pattern, "String");
    const char *behaviour = json_text(json_get(v, "behavior"));
    struct tokload_text text = text_of(regex ? regex : literal);
    if (text.data == NULL)
        return err_set(e, ERR_FORMAT, "%s: a Split has neither a Regex nor a String as its pattern",
                       s->where);
    *step = (struct pretok_step){
        .kind = PRETOK_SPLIT, .pattern = text.data, .pattern_length = text.length, .literal = regex == NULL};
    size_t count = sizeof names / sizeof *names, i = 0;
    while (behaviour != NULL && i < count && strcmp(behaviour, names[i]) != 0)
        i++;
    if (behaviour == NULL || i == count)
        return err_set(e, ERR_FORMAT, "%s: the behavior of a Split is '%s'", s->where,
                       behaviour ? behaviour : "missing");
    step->behaviour = (enum pretok_behaviour)i;
    const struct json_fields f = fields_of(s, v, "pre_tokenizer Split");
    return json_get_flag(&step->invert, &f, "invert", false, e);
}

static enum err_code read_pretokenizer(struct tokload_spec *s, const struct json_value *v, int depth,
                                       struct err *e)
{
    const char *type = type_of(v);
    const struct json_fields f = fields_of(s, v, "pre_tokenizer");
    if (strcmp(type, "Sequence") == 0 && depth < LIMIT_NESTING) {
        const struct json_value *list;
        if (json_need_value(&list, &f, "pretokenizers", JSON_KIND_ARRAY, e))
            return e->code;
        for (size_t i = 0; i < json_count(list); i++) {
            if (read_pretokenizer(s, json_at(list, i), depth + 1, e))
                return e->code;
        }
        return ERR_OK;
    }
    if (s->step_count == PRETOK_MAX_STEPS)
        return err_set(e, ERR_UNSUPPORTED, "%s: more than %d pre-tokenizers", s->where, PRETOK_MAX_STEPS);
    struct pretok_step *step = &s->steps[s->step_count++];
    if (strcmp(type, "Split") == 0)
        return read_split(s, step, v, e);
    if (strcmp(type, "Digits") == 0) {
        *step = (struct pretok_step){.kind = PRETOK_DIGITS};
        return json_get_flag(&step->individual_digits, &f, "individual_digits", false, e);
    }
    if (strcmp(type, "ByteLevel") != 0)
        return unsupported(s, "pre-tokenizer", v, "ByteLevel, Digits, Split and Sequence", e);
    *step = (struct pretok_step){.kind = PRETOK_BYTE_LEVEL};
    if (json_get_flag(&step->add_prefix_space, &f, "add_prefix_space", true, e))
        return e->code;
    return json_get_flag(&step->use_regex, &f, "use_regex", true, e);
}

/* The ids that a template's special token stands for, to the end of a list. */
static enum err_code add_template_ids(struct tokload_spec *s, int32_t *list, size_t *count,
                                      const struct json_value *tokens, const struct json_value *piece,
                                      struct err *e)
{
    const char *name = json_text(json_get(piece, "id"));
    const struct json_value *ids = name ? json_get(json_get(tokens, name), "ids") : NULL;
    if (json_kind(ids) != JSON_KIND_ARRAY)
        return err_set(e, ERR_FORMAT, "%s: post_processor uses '%s', which its special_tokens do not define",
                       s->where, name ? name : "?");
    for (size_t i = 0; i < json_count(ids); i++) {
        if (*count == LIMIT_AFFIXES)
            return err_set(e, ERR_UNSUPPORTED, "%s: post_processor adds more than %d tokens", s->where,
                           LIMIT_AFFIXES);
        if (read_id(&list[(*count)++], s, json_at(ids, i), "special token", name, e))
            return e->code;
    }
    return ERR_OK;
}

/* TemplateProcessing: what stands before and after the one sequence. Processors in a row nest. */
static enum err_code read_template(struct tokload_spec *s, const struct json_value *v, struct err *e)
{
    int32_t before[LIMIT_AFFIXES], after[LIMIT_AFFIXES];
    size_t before_count = 0, after_count = 0, sequences = 0;
    const struct json_value *single, *tokens;
    const struct json_fields f = fields_of(s, v, "post_processor");
    if (json_need_value(&single, &f, "single", JSON_KIND_ARRAY, e) ||
        json_get_value(&tokens, &f, "special_tokens", JSON_KIND_OBJECT, e))
        return e->code;
    for (size_t i = 0; i < json_count(single); i++) {
        const struct json_value *piece = json_get(json_at(single, i), "SpecialToken");
        if (piece == NULL) {
            const char *id = json_text(json_get(json_get(json_at(single, i), "Sequence"), "id"));
            if (id == NULL || strcmp(id, "A") != 0 || sequences++ > 0)
                return err_set(e, ERR_UNSUPPORTED, "%s: post_processor.single must hold the sequence A once",
                               s->where);
        } else if (sequences == 0 ? add_template_ids(s, before, &before_count, tokens, piece, e)
                                  : add_template_ids(s, after, &after_count, tokens, piece, e)) {
            return e->code;
        }
    }
    if (sequences != 1)
        return err_set(e, ERR_UNSUPPORTED, "%s: post_processor.single must hold the sequence A once",
                       s->where);
    if (s->prefix_count + s->suffix_count + before_count + after_count > LIMIT_AFFIXES)
        return err_set(e, ERR_UNSUPPORTED, "%s: post_processor adds more than %d tokens", s->where,
                       LIMIT_AFFIXES);
    int32_t *prefix =
        arena_alloc(&s->scratch, before_count + s->prefix_count, sizeof *prefix, "special tokens", e);
    int32_t *suffix =
        arena_alloc(&s->scratch, after_count + s->suffix_count, sizeof *suffix, "special tokens", e);
    if (prefix == NULL || suffix == NULL)
        return e->code;
    memcpy(prefix, before, before_count * sizeof *prefix);
    if (s->prefix_count > 0)
        memcpy(prefix + before_count, s->prefix, s->prefix_count * sizeof *prefix);
    if (s->suffix_count > 0)
        memcpy(suffix, s->suffix, s->suffix_count * sizeof *suffix);
    memcpy(suffix + s->suffix_count, after, after_count * sizeof *suffix);
    s->prefix = prefix;
    s->suffix = suffix;
    s->prefix_count += before_count;
    s->suffix_count += after_count;
    return ERR_OK;
}

static enum err_code read_postprocessor(struct tokload_spec *s, const struct json_value *v, int depth,
                                        struct err *e)
{
    const char *type = type_of(v);
    const struct json_value *list = json_get(v, "processors");
    if (json_is_absent(v) ||
        strcmp(type, "ByteLevel") == 0) /* ByteLevel trims offsets, which we keep whole */
        return ERR_OK;
    if (strcmp(type, "TemplateProcessing") == 0)
        return read_template(s, v, e);
    if (strcmp(type, "Sequence") != 0 || json_kind(list) != JSON_KIND_ARRAY || depth == LIMIT_NESTING)
        return unsupported(s, "post-processor", v, "ByteLevel, TemplateProcessing and Sequence", e);
    for (size_t i = 0; i < json_count(list); i++) {
        if (read_postprocessor(s, json_at(list, i), depth + 1, e))
            return e->code;
    }
    return ERR_OK;
}

/* ---- the model ---- */

static enum err_code read_vocab(struct tokload_spec *s, const struct json_fields *model, struct err *e)
{
    int32_t id = -1, largest = -1;
    const struct json_value *vocab;
    if (json_need_value(&vocab, model, "vocab", JSON_KIND_OBJECT, e))
        return e->code;
    if (json_count(vocab) == 0)
        return err_set(e, ERR_FORMAT, "%s: model: \"vocab\" has no tokens", s->where);
    for (struct json_member m = json_first(vocab); m.key; m = json_next(m)) {
        if (read_id(&id, s, m.value, "token", m.key, e))
            return e->code;
        largest = id > largest ? id : largest;
    }
    s->vocab_count = (size_t)largest + 1;
    if (s->vocab_count > 2 * json_count(vocab) + 65536)
        return err_set(e, ERR_FORMAT, "%s: ids run up to %d, but there are only %zu tokens", s->where,
                       (int)largest, json_count(vocab));
    s->vocab = arena_alloc(&s->scratch, s->vocab_count, sizeof *s->vocab, "vocabulary", e);
    if (s->vocab == NULL)
        return e->code;
    for (struct json_member m = json_first(vocab); m.key; m = json_next(m)) {
        size_t i = (size_t)json_int(m.value, 0);
        if (s->vocab[i].data != NULL)
            return err_set(e, ERR_FORMAT, "%s: tokens '%s' and '%s' both have the id %zu", s->where,
                           s->vocab[i].data, m.key, i);
        s->vocab[i] = (struct tokload_text){.data = m.key, .length = strlen(m.key)};
    }
    return ERR_OK;
}

static enum err_code read_merges(struct tokload_spec *s, const struct json_fields *model, struct err *e)
{
    const struct json_value *merges;
    if (json_need_value(&merges, model, "merges", JSON_KIND_ARRAY, e))
        return e->code;
    s->merge_count = json_count(merges);
    s->merges = arena_alloc(&s->scratch, s->merge_count, sizeof *s->merges, "merges", e);
    if (s->merges == NULL)
        return e->code;
    for (size_t i = 0; i < s->merge_count; i++) {
        const struct json_value *v = json_at(merges, i);
        if (json_kind(v) == JSON_KIND_STRING) {
            if (tokload_split_merge(&s->merges[i], json_text(v), json_text_length(v), i, s->where, e))
                return e->code;
            continue;
        }
        s->merges[i] =
            (struct tokload_merge){.left = text_of(json_at(v, 0)), .right = text_of(json_at(v, 1))};
        if (json_count(v) != 2 || s->merges[i].left.data == NULL || s->merges[i].right.data == NULL)
            return err_set(e, ERR_FORMAT, "%s: merge %zu is neither \"left right\" nor [\"left\", \"right\"]",
                           s->where, i);
    }
    return ERR_OK;
}

static enum err_code read_model(struct tokload_spec *s, const struct json_fields *root, struct err *e)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const char *type, *text;
    double dropout;
    bool byte_fallback = false;
    struct json_fields model = fields_of(s, NULL, "model");
    if (json_need_value(&model.object, root, "model", JSON_KIND_OBJECT, e) ||
        json_get_text(&type, &model, "type", NULL, e))
        return e->code;
    if (type != NULL ? strcmp(type, "BPE") != 0 : json_get(model.object, "merges") == NULL)
        return unsupported(s, "model", model.object, "byte-level BPE", e);
    if (json_get_flag(&byte_fallback, &model, "byte_fallback", false, e) ||
        json_get_flag(&s->fuse_unknown, &model, "fuse_unk", false, e) ||
        json_get_flag(&s->ignore_merges, &model, "ignore_merges", false, e) ||
        json_get_number(&dropout, &model, "dropout", 0, e))
        return e->code;
    if (byte_fallback)
        return err_set(
            e, ERR_UNSUPPORTED,
            "%s: a BPE model with byte_fallback (SentencePiece style) is not supported, only byte-level BPE",
            s->where);
    if (dropout != 0)
        return err_set(e, ERR_UNSUPPORTED, "%s: BPE dropout is not supported; set model.dropout to null",
                       s->where);
    for (size_t i = 0; i < 2; i++) {
        if (json_get_text(&text, &model, affixes[i], "", e))
            return e->code;
        if (*text)
            return err_set(e, ERR_UNSUPPORTED, "%s: model.%s '%s' is not supported", s->where, affixes[i], text);
    }
    if (json_get_text(&text, &model, "unk_token", "", e))
        return e->code;
    if (*text)
        s->unknown = (struct tokload_text){.data = text, .length = strlen(text)};
    if (read_vocab(s, &model, e))
        return e->code;
    return read_merges(s, &model, e);
}

static enum err_code read_added(struct tokload_spec *s, const struct json_fields *root, struct err *e)
{
    const struct json_value *list;
    if (json_get_value(&list, root, "added_tokens", JSON_KIND_ARRAY, e))
        return e->code;
    s->added = arena_alloc(&s->scratch, json_count(list), sizeof *s->added, "added tokens", e);
    if (s->added == NULL)
        return e->code;
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json_value *v = json_at(list, i);
        struct tokload_text content = text_of(json_get(v, "content"));
        if (content.data == NULL)
            return err_set(e, ERR_FORMAT, "%s: added token %zu has no content", s->where, i);
        if (content.length == 0)
            continue;
        const struct json_fields f = fields_of(s, v, content.data);
        struct added_token *t = &s->added[s->added_count++];
        t->content = content.data;
        t->length = content.length;
        if (read_id(&t->id, s, json_get(v, "id"), "added token", content.data, e) ||
            json_get_flag(&t->single_word, &f, "single_word", false, e) ||
            json_get_flag(&t->lstrip, &f, "lstrip", false, e) || json_get_flag(&t->rstrip, &f, "rstrip", false, e) ||
            json_get_flag(&t->special, &f, "special", false, e) ||
            json_get_flag(&t->normalized, &f, "normalized", !t->special, e))
            return e->code;
    }
    return ERR_OK;
}

/* ---- the files beside it ---- */

/* An id, or the first of a list of ids; -1 if there is none. */
static enum err_code read_declared(int32_t *out, const struct tokload_spec *s, const struct json *doc,
                                   const char *key, struct err *e)
{
    const struct json_value *v = doc ? json_get(json_root(doc), key) : NULL;
    if (json_kind(v) == JSON_KIND_ARRAY)
        v = json_at(v, 0);
    return json_is_absent(v) ? ERR_OK : read_id(out, s, v, "token", key, e);
}

/* eos_token of tokenizer_config.json: a text or an object that holds it. */
static enum err_code read_named(int32_t *out, const struct tokload_spec *s, const struct store *store,
                                const char *name_key, const char *id_key, struct err *e)
{
    const struct json_value *v =
        store->tokenizer_config ? json_get(json_root(store->tokenizer_config), name_key) : NULL;
    if (json_kind(v) == JSON_KIND_OBJECT)
        v = json_get(v, "content");
    *out = -1;
    if (json_kind(v) == JSON_KIND_STRING) {
        for (size_t i = 0; i < s->added_count; i++) {
            if (s->added[i].length == json_text_length(v) &&
                memcmp(s->added[i].content, json_text(v), s->added[i].length) == 0)
                *out = s->added[i].id;
        }
        for (size_t i = 0; *out < 0 && i < s->vocab_count; i++) {
            if (s->vocab[i].data != NULL && strcmp(s->vocab[i].data, json_text(v)) == 0)
                *out = (int32_t)i;
        }
        if (*out < 0)
            return err_set(e, ERR_FORMAT, "%s/tokenizer_config.json: %s '%s' is not in the vocabulary",
                           store->path, name_key, json_text(v));
        return ERR_OK;
    }
    if (read_declared(out, s, store->generation_config, id_key, e))
        return e->code;
    return *out < 0 ? read_declared(out, s, store->config, id_key, e) : ERR_OK;
}

/* chat_template.jinja, else tokenizer_config.json's chat_template: a text, or a list of named ones
 * ("default"). */
static enum err_code read_chat_template(struct tokload_spec *s, const struct store *store, struct err *e)
{
    const struct store_file *file = store_text(store, "chat_template.jinja");
    if (file && file->map.size > LIMIT_CHAT_TEMPLATE)
        return err_set(e, ERR_FORMAT, "%s has %zu bytes, more than the %d that such a file may have",
                       file->path, file->map.size, LIMIT_CHAT_TEMPLATE);
    if (file) {
        s->chat_template = (struct tokload_text){.data = file->map.data ? (const char *)file->map.data : "",
                                                 .length = file->map.size};
        return ERR_OK;
    }
    const struct json_value *v =
        store->tokenizer_config ? json_get(json_root(store->tokenizer_config), "chat_template") : NULL;
    if (json_kind(v) == JSON_KIND_STRING)
        s->chat_template = text_of(v);
    for (size_t i = 0; json_kind(v) == JSON_KIND_ARRAY && i < json_count(v); i++) {
        const char *name = json_text(json_get(json_at(v, i), "name"));
        if (name != NULL && strcmp(name, "default") == 0)
            s->chat_template = text_of(json_get(json_at(v, i), "template"));
    }
    return ERR_OK;
}

enum err_code tokload_read_json(struct tokload_spec *s, struct json **doc, const struct store *store,
                                struct err *e)
{
    const struct store_file *file = store_text(store, "tokenizer.json");
    if (!file)
        return err_set(
            e, ERR_UNSUPPORTED,
            "%s/tokenizer.json: no such file; a model without tokenizer.json (only tokenizer.model or "
            "vocab.json) "
            "is not supported: save it once with transformers' AutoTokenizer, which writes the file",
            store->path);
    s->where = file->path;
    file_hash_bytes(s->source_hash, file->map.data, file->map.size);
    if (json_open_map(doc, &file->map, file->path, LIMIT_TOKENIZER_JSON, e))
        return e->code;
    const struct json_value *root = json_root(*doc);
    const struct json_fields f = fields_of(s, root, NULL);
    if (json_kind(root) != JSON_KIND_OBJECT)
        return err_set(e, ERR_FORMAT, "%s: must be a JSON object, not %s", s->where, json_kind_name(root));
    if (read_model(s, &f, e) || read_added(s, &f, e) ||
        read_normalizer(s, json_get(root, "normalizer"), 0, e) ||
        read_pretokenizer(s, json_get(root, "pre_tokenizer"), 0, e) ||
        read_postprocessor(s, json_get(root, "post_processor"), 0, e))
        return e->code;
    if (strcmp(type_of(json_get(root, "decoder")), "ByteLevel") != 0)
        return unsupported(s, "decoder", json_get(root, "decoder"), "ByteLevel", e);
    if (read_named(&s->eos, s, store, "eos_token", "eos_token_id", e) ||
        read_named(&s->bos, s, store, "bos_token", "bos_token_id", e))
        return e->code;
    return read_chat_template(s, store, e);
}
