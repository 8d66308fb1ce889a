#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "data/tokenizer/scan.h"
#include "data/tokenizer/spec.h"

/* tokenizer.ggml.token_type */
enum { TYPE_NORMAL = 1, TYPE_UNKNOWN = 2, TYPE_CONTROL = 3, TYPE_USER_DEFINED = 4, TYPE_UNUSED = 5 };

#define BYTE_LEVEL(regex)                                                                                    \
    {                                                                                                        \
        .kind = PRETOK_BYTE_LEVEL, .use_regex = (regex)                                                      \
    }
#define SINGLE_DIGITS                                                                                        \
    {                                                                                                        \
        .kind = PRETOK_DIGITS, .individual_digits = true                                                     \
    }
#define SPLIT(expression)                                                                                    \
    {                                                                                                        \
        .kind = PRETOK_SPLIT, .pattern = {.text = (expression), .length = sizeof(expression) - 1}            \
    }
#define TEKKEN                                                                                               \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|"             \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|"             \
    "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* tokenizer.ggml.pre: what a converter calls the pipeline of the tokenizer.json that it read. The pipelines
 * are those of the models' own tokenizer.json; "default" is llama.cpp's, for files whose converter did not
 * know. */
static const struct known_pre {
    const char *name;
    struct pretok_step steps[5];
    size_t step_count;
    bool nfc, ignore_merges, add_bos;
} known[] = {
    {"gpt-2", {BYTE_LEVEL(true)}, 1, false, false, false},
    {"phi-2", {BYTE_LEVEL(true)}, 1, false, false, false},
    {"smollm", {SINGLE_DIGITS, BYTE_LEVEL(true)}, 2, false, false, false},
    {"starcoder", {SINGLE_DIGITS, BYTE_LEVEL(true)}, 2, false, false, false},
    {"refact", {SINGLE_DIGITS, BYTE_LEVEL(true)}, 2, false, false, false},
    {"llama-bpe", {SPLIT(SCAN_LLAMA3), BYTE_LEVEL(false)}, 2, false, true, true},
    {"llama3", {SPLIT(SCAN_LLAMA3), BYTE_LEVEL(false)}, 2, false, true, true},
    {"llama-v3", {SPLIT(SCAN_LLAMA3), BYTE_LEVEL(false)}, 2, false, true, true},
    {"qwen2", {SPLIT(SCAN_QWEN2), BYTE_LEVEL(false)}, 2, true, false, false},
    {"tekken", {SPLIT(TEKKEN), BYTE_LEVEL(false)}, 2, false, true, true},
    {"default",
     {SPLIT("[\\p{P}\\$\\+<=>\\^~\\|]+"), SPLIT(SCAN_GPT2), SPLIT("\\p{N}+"),
      SPLIT("[0-9][0-9][0-9]"), BYTE_LEVEL(false)},
     5,
     false,
     false,
     false},
};

/* An array that a tokenizer cannot do without. */
static enum err_code get_array(const struct gguf_key **out, const struct spec *s,
                               const struct gguf *g, const char *key, enum gguf_elements elements,
                               struct err *e)
{
    if (gguf_get_array(out, g, key, elements, e))
        return e->code;
    return *out ? ERR_OK : err_set(e, ERR_FORMAT, "%s: key %s is missing", s->where, key);
}

static enum err_code set_known_pre(struct spec *s, const struct gguf *g, bool *add_bos, struct err *e)
{
    struct gguf_string pre = {0};
    if (gguf_get_string(&pre, g, "tokenizer.ggml.pre", e))
        return e->code;
    if (pre.data == NULL)
        return err_set(e, ERR_UNSUPPORTED, "%s: does not name its pre-tokenizer (key tokenizer.ggml.pre)",
                       s->where);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!gguf_string_is(&pre, known[i].name))
            continue;
        memcpy(s->pretokenizers, known[i].steps, sizeof known[i].steps);
        s->pretokenizer_count = known[i].step_count;
        s->decoders[s->decoder_count++] = (struct decode_step){.kind = DECODE_BYTE_LEVEL};
        if (known[i].nfc)
            s->normalizers[s->normalizer_count++] = (struct normalize_step){.kind = NORMALIZE_NFC};
        s->ignore_merges = known[i].ignore_merges;
        *add_bos = known[i].add_bos;
        return ERR_OK;
    }
    struct str names = {0};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (str_appendf(&names, e, "%s%s", i > 0 ? ", " : "", known[i].name)) {
            str_release(&names);
            return e->code;
        }
    }
    err_set(e, ERR_UNSUPPORTED, "%s: pre-tokenizer '%.*s' (key tokenizer.ggml.pre) is not known, only %s",
            s->where, (int)(pre.length < 64 ? pre.length : 64), pre.data, names.data);
    str_release(&names);
    return e->code;
}

/* Spaces are written as U+2581, one is put in front of the text if the file wants it so (`prefix` if it does not
 * say); what has no token becomes its bytes. */
static enum err_code set_sentencepiece(struct spec *s, const struct gguf *g, bool prefix, struct err *e)
{
    static const struct pattern_source space = {.text = " ", .length = 1, .literal = true};
    static const struct pattern_source mark = {.text = "\u2581", .length = 3, .literal = true};
    if (gguf_get_bool(&prefix, g, "tokenizer.ggml.add_space_prefix", prefix, e))
        return e->code;
    if (prefix)
        s->normalizers[s->normalizer_count++] = (struct normalize_step){
            .kind = NORMALIZE_PREPEND, .content = mark.text, .content_length = mark.length};
    s->normalizers[s->normalizer_count++] = (struct normalize_step){.kind = NORMALIZE_REPLACE,
                                                                    .pattern = space,
                                                                    .content = mark.text,
                                                                    .content_length = mark.length};
    s->decoders[s->decoder_count++] = (struct decode_step){
        .kind = DECODE_REPLACE, .pattern = mark, .content = space.text, .content_length = space.length};
    s->decoders[s->decoder_count++] = (struct decode_step){.kind = DECODE_BYTE_FALLBACK};
    s->decoders[s->decoder_count++] = (struct decode_step){.kind = DECODE_FUSE};
    if (prefix)
        s->decoders[s->decoder_count++] = (struct decode_step){
            .kind = DECODE_STRIP, .content = space.text, .content_length = space.length, .start = 1};
    s->byte_fallback = s->fuse_unknown = true;
    return ERR_OK;
}

static enum err_code set_llama(struct spec *s, const struct gguf *g, bool *add_bos, struct err *e)
{
    *add_bos = true;
    return set_sentencepiece(s, g, true, e);
}

static enum err_code set_gemma4(struct spec *s, const struct gguf *g, bool *add_bos, struct err *e)
{
    *add_bos = true;
    return set_sentencepiece(s, g, false, e);
}

/* tokenizer.ggml.model. What `llama` does is llama.cpp's SPM, which is SentencePiece's own BPE by scores. */
static const struct known_model {
    const char *name;
    enum err_code (*set)(struct spec *s, const struct gguf *g, bool *add_bos, struct err *e);
    bool scores; /* instead of merges */
} models[] = {
    {"gpt2", set_known_pre, false},
    {"llama", set_llama, true},
    {"gemma4", set_gemma4, false},
};

static enum err_code find_model(const struct known_model **model, const struct spec *s, const struct gguf *g,
                                struct err *e)
{
    struct gguf_string name = {0};
    if (gguf_get_string(&name, g, "tokenizer.ggml.model", e))
        return e->code;
    if (name.data == NULL)
        return err_set(e, ERR_UNSUPPORTED, "%s: holds no tokenizer (key tokenizer.ggml.model)", s->where);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        if (gguf_string_is(&name, models[i].name)) {
            *model = &models[i];
            return ERR_OK;
        }
    }
    return err_set(e, ERR_UNSUPPORTED,
                   "%s: tokenizer.ggml.model '%.*s' is not supported, only 'gpt2' (byte-level BPE), 'llama' "
                   "(SentencePiece's BPE) and 'gemma4'",
                   s->where, (int)(name.length < 64 ? name.length : 64), name.data);
}

static enum err_code read_tokens(struct spec *s, struct file_hasher *hasher, const struct gguf *g,
                                 struct err *e)
{
    const struct gguf_key *tokens, *types;
    if (get_array(&tokens, s, g, "tokenizer.ggml.tokens", GGUF_STRINGS, e) ||
        get_array(&types, s, g, "tokenizer.ggml.token_type", GGUF_INTEGERS, e))
        return e->code;
    if (tokens->count == 0 || tokens->count > LIMIT_IDS || types->count != tokens->count)
        return err_set(e, ERR_FORMAT, "%s: %" PRIu64 " tokens and %" PRIu64 " token types (as many, 1 to %d)",
                       s->where, tokens->count, types->count, LIMIT_IDS);
    s->vocab_count = (size_t)tokens->count;
    s->vocab = arena_alloc(&s->scratch, s->vocab_count, sizeof *s->vocab, "vocabulary", e);
    s->scored = arena_alloc(&s->scratch, s->vocab_count, sizeof *s->scored, "vocabulary", e);
    if (s->vocab == NULL || s->scored == NULL || spec_reserve_added(s, s->vocab_count, e))
        return e->code;
    for (size_t i = 0; i < s->vocab_count; i++) {
        struct gguf_string text = tokens->strings[i];
        int64_t type = gguf_array_int(types, i);
        file_hasher_add(hasher, &text.length, sizeof text.length);
        file_hasher_add(hasher, text.data, text.length);
        file_hasher_add(hasher, &type, sizeof type);
        if (text.length == 0)
            continue;
        s->vocab[i] = (struct spec_text){.data = text.data, .length = text.length};
        s->scored[i] = type == TYPE_NORMAL || type == TYPE_UNUSED;
        if (type == TYPE_CONTROL || type == TYPE_USER_DEFINED || type == TYPE_UNKNOWN)
            s->added[s->added_count++] = (struct added_token){.content = text.data,
                                                              .length = text.length,
                                                              .id = (int32_t)i,
                                                              .special = type != TYPE_USER_DEFINED};
    }
    return ERR_OK;
}

static enum err_code read_merges(struct spec *s, struct file_hasher *hasher, const struct gguf *g,
                                 struct err *e)
{
    const struct gguf_key *merges;
    if (get_array(&merges, s, g, "tokenizer.ggml.merges", GGUF_STRINGS, e))
        return e->code;
    s->merge_count = (size_t)merges->count;
    s->merges = arena_alloc(&s->scratch, s->merge_count, sizeof *s->merges, "merges", e);
    if (s->merges == NULL)
        return e->code;
    for (size_t i = 0; i < s->merge_count; i++) {
        struct gguf_string text = merges->strings[i];
        file_hasher_add(hasher, &text.length, sizeof text.length);
        file_hasher_add(hasher, text.data, text.length);
        if (spec_split_merge(&s->merges[i], text.data, text.length, i, s->where, e))
            return e->code;
    }
    return ERR_OK;
}

static enum err_code read_scores(struct spec *s, struct file_hasher *hasher, const struct gguf *g,
                                 struct err *e)
{
    const struct gguf_key *scores;
    if (get_array(&scores, s, g, "tokenizer.ggml.scores", GGUF_NUMBERS, e))
        return e->code;
    if (scores->count != s->vocab_count)
        return err_set(e, ERR_FORMAT, "%s: %" PRIu64 " scores for %zu tokens", s->where, scores->count,
                       s->vocab_count);
    s->scores = arena_alloc(&s->scratch, s->vocab_count, sizeof *s->scores, "scores", e);
    if (s->scores == NULL)
        return e->code;
    for (size_t i = 0; i < s->vocab_count; i++)
        s->scores[i] = (float)gguf_array_real(scores, i);
    file_hasher_add(hasher, s->scores, s->vocab_count * sizeof *s->scores);
    return ERR_OK;
}

/* Phi-3's special tokens take the spaces after them, which no key says: llama.cpp goes by the model's name, too. */
static enum err_code set_phi3(struct spec *s, const struct gguf *g, struct err *e)
{
    static const char *const others[] = {"<unk>", "<s>", "<|endoftext|>"};
    struct gguf_string name = {0};
    if (gguf_get_string(&name, g, "general.name", e))
        return e->code;
    bool is_phi3 = false;
    for (size_t i = 0; i + 4 <= name.length; i++)
        is_phi3 |= strncasecmp(name.data + i, "phi3", 4) == 0 ||
                   (i + 5 <= name.length && strncasecmp(name.data + i, "phi-3", 5) == 0);
    for (size_t i = 0; is_phi3 && i < s->added_count; i++) {
        s->added[i].rstrip = true;
        for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
            if (s->added[i].length == strlen(others[k]) &&
                memcmp(s->added[i].content, others[k], s->added[i].length) == 0)
                s->added[i].rstrip = false;
        }
    }
    return ERR_OK;
}

static enum err_code read_special(int32_t *id, const struct spec *s, const struct gguf *g,
                                  const char *key, struct err *e)
{
    uint64_t value;
    if (gguf_get_u64(&value, g, key, UINT64_MAX, e))
        return e->code;
    *id = -1;
    if (value == UINT64_MAX)
        return ERR_OK;
    if (value >= s->vocab_count)
        return err_set(e, ERR_FORMAT, "%s: %s is %" PRIu64 ", but there are %zu tokens", s->where, key, value,
                       s->vocab_count);
    *id = (int32_t)value;
    return ERR_OK;
}

/* add_bos_token and add_eos_token play the part of a post-processor. */
static enum err_code read_affixes(struct spec *s, bool add_bos, const struct gguf *g, struct err *e)
{
    bool add_eos;
    if (read_special(&s->bos, s, g, "tokenizer.ggml.bos_token_id", e) ||
        read_special(&s->eos, s, g, "tokenizer.ggml.eos_token_id", e) ||
        gguf_get_bool(&add_bos, g, "tokenizer.ggml.add_bos_token", add_bos, e) ||
        gguf_get_bool(&add_eos, g, "tokenizer.ggml.add_eos_token", false, e))
        return e->code;
    if ((add_bos && s->bos < 0) || (add_eos && s->eos < 0))
        return err_set(
            e, ERR_FORMAT, "%s: wants a %s token added but does not name it (key tokenizer.ggml.%s_token_id)",
            s->where, add_bos && s->bos < 0 ? "BOS" : "EOS", add_bos && s->bos < 0 ? "bos" : "eos");
    s->prefix = &s->bos;
    s->suffix = &s->eos;
    s->prefix_count = add_bos;
    s->suffix_count = add_eos;
    return ERR_OK;
}

/* As transformers names them when they read such a file. */
static enum err_code note_names(struct spec *s, const struct gguf *g, struct err *e)
{
    static const struct {
        const char *name, *key;
    } rows[] = {{"bos_token", "tokenizer.ggml.bos_token_id"},
                {"eos_token", "tokenizer.ggml.eos_token_id"},
                {"unk_token", "tokenizer.ggml.unknown_token_id"},
                {"pad_token", "tokenizer.ggml.padding_token_id"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t id;
        if (gguf_get_u64(&id, g, rows[i].key, UINT64_MAX, e))
            return e->code;
        if (id < s->vocab_count && s->vocab[id].data != NULL &&
            spec_note_name(s, rows[i].name, s->vocab[id].data, s->vocab[id].length, e))
            return e->code;
    }
    return ERR_OK;
}

static enum err_code read_unknown(struct spec *s, const struct gguf *g, struct err *e)
{
    int32_t id = -1;
    if (read_special(&id, s, g, "tokenizer.ggml.unknown_token_id", e))
        return e->code;
    if (id >= 0)
        s->unknown = s->vocab[id];
    return ERR_OK;
}

static enum err_code read_vocabulary(struct spec *s, const struct known_model *model,
                                     struct file_hasher *hasher, const struct gguf *g, bool add_bos,
                                     struct err *e)
{
    if (read_tokens(s, hasher, g, e) ||
        (model->scores ? read_scores(s, hasher, g, e) : read_merges(s, hasher, g, e)) ||
        (s->byte_fallback && (read_unknown(s, g, e) || set_phi3(s, g, e))))
        return e->code;
    return read_affixes(s, add_bos, g, e);
}

enum err_code spec_read_gguf(struct spec *s, const struct store *store, struct err *e)
{
    const struct gguf *g = store->gguf;
    const struct known_model *model = NULL;
    struct gguf_string template = {0}, tools = {0}, pre = {0};
    bool add_bos = false;
    s->where = store->path;
    if (find_model(&model, s, g, e))
        return e->code;
    assert(model);
    if (model->set(s, g, &add_bos, e) || gguf_get_string(&pre, g, "tokenizer.ggml.pre", e))
        return e->code;
    struct file_hasher *hasher = file_hasher_open(e);
    if (hasher == NULL)
        return e->code;
    if (model->set == set_known_pre)
        file_hasher_add(hasher, pre.data, pre.length);
    else
        file_hasher_add(hasher, model->name, strlen(model->name));
    enum err_code code = read_vocabulary(s, model, hasher, g, add_bos, e);
    uint64_t affixes[2] = {s->prefix_count, s->suffix_count};
    file_hasher_add(hasher, affixes, sizeof affixes);
    file_hasher_finish(hasher, s->source_hash);
    if (code || note_names(s, g, e) || gguf_get_string(&template, g, "tokenizer.chat_template", e) ||
        gguf_get_string(&tools, g, "tokenizer.chat_template.tool_use", e))
        return e->code;
    s->chat_template = (struct spec_text){.data = template.data, .length = template.length};
    s->tool_template = (struct spec_text){.data = tools.data, .length = tools.length};
    return spec_note_template_place(s, s->where, ": tokenizer.chat_template", e);
}
