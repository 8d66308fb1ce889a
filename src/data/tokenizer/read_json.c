#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "data/tokenizer/spec.h"

static struct spec_text text_of(const struct json_value *v)
{
    return (struct spec_text){.data = json_text(v), .length = json_text_length(v)};
}

static enum err_code read_vocab(struct spec *s, const struct json_fields *model, struct err *e)
{
    int32_t id = -1, largest = -1;
    const struct json_value *vocab;
    if (json_need_value(&vocab, model, "vocab", JSON_KIND_OBJECT, e))
        return e->code;
    if (json_count(vocab) == 0)
        return err_set(e, ERR_FORMAT, "%s: model: \"vocab\" has no tokens", s->where);
    for (struct json_member m = json_first(vocab); m.key; m = json_next(m)) {
        if (spec_read_id(&id, s, m.value, "token", m.key, e))
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
        s->vocab[i] = (struct spec_text){.data = m.key, .length = strlen(m.key)};
    }
    return ERR_OK;
}

static enum err_code read_merges(struct spec *s, const struct json_fields *model, struct err *e)
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
            if (spec_split_merge(&s->merges[i], json_text(v), json_text_length(v), i, s->where, e))
                return e->code;
            continue;
        }
        s->merges[i] =
            (struct spec_merge){.left = text_of(json_at(v, 0)), .right = text_of(json_at(v, 1))};
        if (json_count(v) != 2 || s->merges[i].left.data == NULL || s->merges[i].right.data == NULL)
            return err_set(e, ERR_FORMAT, "%s: merge %zu is neither \"left right\" nor [\"left\", \"right\"]",
                           s->where, i);
    }
    return ERR_OK;
}

static enum err_code read_model(struct spec *s, const struct json_fields *root, struct err *e)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const char *type, *text;
    double dropout;
    struct json_fields model = {.file = s->where, .part = "model"};
    if (json_need_value(&model.object, root, "model", JSON_KIND_OBJECT, e) ||
        json_get_text(&type, &model, "type", NULL, e))
        return e->code;
    if (type != NULL ? strcmp(type, "BPE") != 0 : json_get(model.object, "merges") == NULL)
        return spec_unsupported(s, "model", model.object, "BPE (byte-pair encoding)", e);
    if (json_get_flag(&s->byte_fallback, &model, "byte_fallback", false, e) ||
        json_get_flag(&s->fuse_unknown, &model, "fuse_unk", false, e) ||
        json_get_flag(&s->ignore_merges, &model, "ignore_merges", false, e) ||
        json_get_number(&dropout, &model, "dropout", 0, e))
        return e->code;
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
        s->unknown = (struct spec_text){.data = text, .length = strlen(text)};
    if (read_vocab(s, &model, e))
        return e->code;
    return read_merges(s, &model, e);
}

static enum err_code read_added(struct spec *s, const struct json_fields *root, struct err *e)
{
    const struct json_value *list;
    if (json_get_value(&list, root, "added_tokens", JSON_KIND_ARRAY, e))
        return e->code;
    if (spec_reserve_added(s, json_count(list), e))
        return e->code;
    for (size_t i = 0; i < json_count(list); i++) {
        char part[64];
        snprintf(part, sizeof part, "added token %zu", i);
        const struct json_fields f = {.object = json_at(list, i), .file = s->where, .part = part};
        struct added_token *t = &s->added[s->added_count];
        if (spec_read_added_token(t, &f, e))
            return e->code;
        if (t->length == 0)
            continue;
        if (spec_read_id(&t->id, s, json_get(f.object, "id"), "added token", t->content, e))
            return e->code;
        s->added_count++;
    }
    return ERR_OK;
}

/* Files of Mistral Small 3.1, and of models made from it, have Llama 3's pattern beside tekken's vocabulary.
 * Tekken's own splits by the case of letters. */
static const char *warn_of_pattern(const struct spec *s)
{
    static const char case_class[] = "\\p{Lu}";
    if (spec_find(s, "[INST]", 6) < 0 || spec_find(s, "[AVAILABLE_TOOLS]", 17) < 0)
        return NULL;
    for (size_t i = 0; i < s->pretokenizer_count; i++) {
        const struct pattern_source *pattern = &s->pretokenizers[i].pattern;
        if (s->pretokenizers[i].kind == PRETOK_SPLIT && !pattern->literal &&
            memmem(pattern->text, pattern->length, case_class, sizeof case_class - 1) == NULL)
            return "tokenizer.json has another model's pattern beside Mistral's vocabulary, as Mistral Small 3.1 "
                   "was published: words are split otherwise than the model was trained. Load it once in Python "
                   "with AutoTokenizer.from_pretrained(FOLDER, fix_mistral_regex=True) and save_pretrained(FOLDER)";
    }
    return NULL;
}

/* Not what says how others batch texts, nor what is hashed out of the spec. */
static bool enters_hash(const struct json_member *m)
{
    static const char *const without[] = {"added_tokens", "merges", "padding", "truncation", "version", "vocab"};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        if (strcmp(without[i], m->key) == 0)
            return false;
    return !json_is_absent(m->value);
}

static void hash_text(struct file_hasher *hasher, const struct spec_text *text)
{
    const uint64_t length = text->length; /* keeps "a" "bc" and "ab" "c" apart */
    file_hasher_add(hasher, &length, sizeof length);
    file_hasher_add(hasher, text->data, text->length);
}

/* The same for every way to write the file: vocabulary and merges as they were read, the rest in one form. */
static enum err_code hash_source(struct spec *s, const struct json_value *root, struct err *e)
{
    struct str rest = {0};
    struct file_hasher *hasher = file_hasher_open(e);
    if (hasher == NULL)
        return e->code;
    for (size_t i = 0; i < s->vocab_count; i++) {
        const uint64_t id = i;
        if (s->vocab[i].data == NULL)
            continue;
        file_hasher_add(hasher, &id, sizeof id);
        hash_text(hasher, &s->vocab[i]);
    }
    for (size_t i = 0; i < s->merge_count; i++) {
        hash_text(hasher, &s->merges[i].left);
        hash_text(hasher, &s->merges[i].right);
    }
    enum err_code code = json_append_canonical(&rest, root, enters_hash, e);
    file_hasher_add(hasher, rest.data, rest.length);
    file_hasher_finish(hasher, s->source_hash);
    str_release(&rest);
    return code;
}

enum err_code spec_read_json(struct spec *s, struct json **doc, const struct store *store, struct err *e)
{
    const struct store_file *file = store_text(store, "tokenizer.json");
    if (!file)
        return err_set(
            e, ERR_UNSUPPORTED,
            "%s/tokenizer.json: no such file; a model with only tokenizer.model or vocab.json is not "
            "supported: write the file once with python -c \"from transformers import AutoTokenizer as A; "
            "A.from_pretrained('%s').save_pretrained('%s')\"",
            store->path, store->path, store->path);
    s->where = file->path;
    if (json_open_map(doc, &file->map, file->path, LIMIT_TOKENIZER_JSON, e))
        return e->code;
    const struct json_value *root = json_root(*doc);
    const struct json_fields f = {.object = root, .file = s->where};
    if (json_kind(root) != JSON_KIND_OBJECT)
        return err_set(e, ERR_FORMAT, "%s: must be a JSON object, not %s", s->where, json_kind_name(root));
    if (read_model(s, &f, e) || read_added(s, &f, e) || spec_read_stages(s, root, e) || hash_source(s, root, e))
        return e->code;
    s->warning = warn_of_pattern(s);
    return spec_read_beside(s, store, e);
}
