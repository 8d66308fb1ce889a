#include <string.h>

#include "base/limits.h"
#include "data/tokenizer/spec.h"
#include "data/tokenizer/unicode.h"

/* ---- what several stages have ---- */

/* {"Regex": ...} or {"String": ...} */
static enum err_code read_pattern(struct pattern_source *pattern, const struct json_fields *f, struct err *e)
{
    const struct json_value *object = json_get(f->object, "pattern");
    const struct json_value *regex = json_get(object, "Regex");
    const struct json_value *text = regex ? regex : json_get(object, "String");
    if (json_kind(text) != JSON_KIND_STRING)
        return err_set(e, ERR_FORMAT, "%s: %s: \"pattern\" has neither a Regex nor a String", f->file,
                       f->part);
    *pattern = (struct pattern_source){
        .text = json_text(text), .length = json_text_length(text), .literal = regex == NULL};
    return ERR_OK;
}

static enum err_code read_text(const char **text, size_t *length, const struct json_fields *f,
                               const char *key, struct err *e)
{
    if (json_need_text(text, f, key, e))
        return e->code;
    *length = strlen(*text);
    return ERR_OK;
}

/* A text of one character. */
static enum err_code read_character(const char **text, size_t *length, const struct json_fields *f,
                                    const char *key, struct err *e)
{
    if (read_text(text, length, f, key, e))
        return e->code;
    return *length > 0 && unicode_end(*text, 0) == *length
               ? ERR_OK
               : err_set(e, ERR_FORMAT, "%s: %s: \"%s\" must be one character, it is '%s'", f->file, f->part,
                         key, *text);
}

static enum err_code read_word(int *out, const struct json_fields *f, const char *key,
                               const char *const *words, size_t count, struct err *e)
{
    const char *word;
    if (json_need_text(&word, f, key, e))
        return e->code;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(word, words[i]) == 0) {
            *out = (int)i;
            return ERR_OK;
        }
    }
    return err_set(e, ERR_FORMAT, "%s: %s: \"%s\" '%s' is not known", f->file, f->part, key, word);
}

/* "first", "always" or "never"; older files say add_prefix_space. */
static enum err_code read_prepend(enum pretok_prepend *out, const struct json_fields *f, struct err *e)
{
    static const char *const words[] = {
        [PRETOK_ALWAYS] = "always", [PRETOK_FIRST] = "first", [PRETOK_NEVER] = "never"};
    int scheme = PRETOK_ALWAYS;
    bool prefix;
    if ((!json_is_absent(json_get(f->object, "prepend_scheme")) &&
         read_word(&scheme, f, "prepend_scheme", words, 3, e)) ||
        json_get_flag(&prefix, f, "add_prefix_space", true, e))
        return e->code;
    if (!prefix && scheme != PRETOK_NEVER)
        return err_set(e, ERR_FORMAT, "%s: %s: no add_prefix_space, but the prepend_scheme '%s'", f->file,
                       f->part, words[scheme]);
    *out = (enum pretok_prepend)scheme;
    return ERR_OK;
}

/* ---- normalizers ---- */

static enum err_code read_prepend_text(struct normalize_step *step, const struct json_fields *f,
                                    struct err *e)
{
    return read_text(&step->content, &step->content_length, f, "prepend", e);
}

static enum err_code read_replacement(struct normalize_step *step, const struct json_fields *f,
                                    struct err *e)
{
    if (read_pattern(&step->pattern, f, e))
        return e->code;
    return read_text(&step->content, &step->content_length, f, "content", e);
}

static enum err_code read_sides(struct normalize_step *step, const struct json_fields *f, struct err *e)
{
    if (json_get_flag(&step->left, f, "strip_left", false, e))
        return e->code;
    return json_get_flag(&step->right, f, "strip_right", false, e);
}

static const struct {
    const char *name;
    enum normalize_kind kind;
    /* NULL: it has no settings */
    enum err_code (*read)(struct normalize_step *step, const struct json_fields *f, struct err *e);
} normalizers[] = {
    {"Prepend", NORMALIZE_PREPEND, read_prepend_text},
    {"Replace", NORMALIZE_REPLACE, read_replacement},
    {"Strip", NORMALIZE_STRIP, read_sides},
    {"Lowercase", NORMALIZE_LOWERCASE, NULL},
    {"StripAccents", NORMALIZE_STRIP_ACCENTS, NULL},
    {"NFC", NORMALIZE_NFC, NULL},
    {"NFD", NORMALIZE_NFD, NULL},
    {"NFKC", NORMALIZE_NFKC, NULL},
    {"NFKD", NORMALIZE_NFKD, NULL},
};

static enum err_code add_normalizer(struct spec *s, size_t row, const struct json_fields *f, struct err *e)
{
    if (s->normalizer_count == NORMALIZE_MAX_STEPS)
        return err_set(e, ERR_UNSUPPORTED, "%s: more than %d normalizers", s->where, NORMALIZE_MAX_STEPS);
    struct normalize_step *step = &s->normalizers[s->normalizer_count++];
    *step = (struct normalize_step){.kind = normalizers[row].kind};
    return normalizers[row].read ? normalizers[row].read(step, f, e) : ERR_OK;
}

/* ---- pre-tokenizers ---- */

static enum err_code read_behaviour(struct pretok_step *step, const struct json_fields *f, struct err *e)
{
    static const char *const words[] = {[PRETOK_ISOLATED] = "Isolated",
                                        [PRETOK_REMOVED] = "Removed",
                                        [PRETOK_MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
                                        [PRETOK_MERGED_WITH_NEXT] = "MergedWithNext",
                                        [PRETOK_CONTIGUOUS] = "Contiguous"};
    int behaviour = PRETOK_ISOLATED;
    bool may_lack = step->kind == PRETOK_PUNCTUATION && json_is_absent(json_get(f->object, "behavior"));
    if (!may_lack && read_word(&behaviour, f, "behavior", words, sizeof words / sizeof *words, e))
        return e->code;
    step->behaviour = (enum pretok_behaviour)behaviour;
    return ERR_OK;
}

static enum err_code read_split(struct pretok_step *step, const struct json_fields *f, struct err *e)
{
    if (read_pattern(&step->pattern, f, e) || read_behaviour(step, f, e))
        return e->code;
    return json_get_flag(&step->invert, f, "invert", false, e);
}

static enum err_code read_digits(struct pretok_step *step, const struct json_fields *f, struct err *e)
{
    return json_get_flag(&step->individual_digits, f, "individual_digits", false, e);
}

static enum err_code read_metaspace(struct pretok_step *step, const struct json_fields *f, struct err *e)
{
    size_t length = 0;
    if (read_character(&step->replacement, &length, f, "replacement", e) ||
        read_prepend(&step->prepend, f, e))
        return e->code;
    return json_get_flag(&step->split, f, "split", true, e);
}

static enum err_code read_byte_level(struct pretok_step *step, const struct json_fields *f, struct err *e)
{
    if (json_get_flag(&step->add_prefix_space, f, "add_prefix_space", true, e))
        return e->code;
    return json_get_flag(&step->use_regex, f, "use_regex", true, e);
}

static const struct {
    const char *name;
    enum pretok_kind kind;
    enum err_code (*read)(struct pretok_step *step, const struct json_fields *f, struct err *e);
} pretokenizers[] = {
    {"Split", PRETOK_SPLIT, read_split},
    {"Digits", PRETOK_DIGITS, read_digits},
    {"Punctuation", PRETOK_PUNCTUATION, read_behaviour},
    {"Whitespace", PRETOK_WHITESPACE, NULL},
    {"WhitespaceSplit", PRETOK_WHITESPACE_SPLIT, NULL},
    {"Metaspace", PRETOK_METASPACE, read_metaspace},
    {"ByteLevel", PRETOK_BYTE_LEVEL, read_byte_level},
};

static enum err_code add_pretokenizer(struct spec *s, size_t row, const struct json_fields *f, struct err *e)
{
    if (s->pretokenizer_count == PRETOK_MAX_STEPS)
        return err_set(e, ERR_UNSUPPORTED, "%s: more than %d pre-tokenizers", s->where, PRETOK_MAX_STEPS);
    struct pretok_step *step = &s->pretokenizers[s->pretokenizer_count++];
    *step = (struct pretok_step){.kind = pretokenizers[row].kind};
    return pretokenizers[row].read ? pretokenizers[row].read(step, f, e) : ERR_OK;
}

/* ---- post-processors ---- */

/* The ids that a template's special token stands for, to the end of a list. */
static enum err_code add_template_ids(const struct spec *s, int32_t *list, size_t *count,
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
        if (spec_read_id(&list[(*count)++], s, json_at(ids, i), "special token", name, e))
            return e->code;
    }
    return ERR_OK;
}

/* `before` in front of the present prefix, `after` at the end of the suffix: processors in a row nest. */
static enum err_code wrap(struct spec *s, const int32_t *before, size_t before_count, const int32_t *after,
                          size_t after_count, struct err *e)
{
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

/* What stands before and after the one sequence. */
static enum err_code read_template(struct spec *s, const struct json_fields *f, struct err *e)
{
    int32_t before[LIMIT_AFFIXES], after[LIMIT_AFFIXES];
    size_t before_count = 0, after_count = 0, sequences = 0;
    const struct json_value *single, *tokens;
    if (json_need_value(&single, f, "single", JSON_KIND_ARRAY, e) ||
        json_get_value(&tokens, f, "special_tokens", JSON_KIND_OBJECT, e))
        return e->code;
    for (size_t i = 0; i < json_count(single); i++) {
        const struct json_value *piece = json_get(json_at(single, i), "SpecialToken");
        if (piece == NULL) {
            const char *id = json_text(json_get(json_get(json_at(single, i), "Sequence"), "id"));
            sequences += id != NULL && strcmp(id, "A") == 0 ? 1 : 2;
        } else if (sequences == 0 ? add_template_ids(s, before, &before_count, tokens, piece, e)
                                  : add_template_ids(s, after, &after_count, tokens, piece, e)) {
            return e->code;
        }
    }
    if (sequences != 1)
        return err_set(e, ERR_UNSUPPORTED, "%s: post_processor.single must hold the sequence A once",
                       s->where);
    return wrap(s, before, before_count, after, after_count, e);
}

static const struct {
    const char *name;
    enum err_code (*read)(struct spec *s, const struct json_fields *f, struct err *e);
} postprocessors[] = {
    {"TemplateProcessing", read_template},
    {"ByteLevel", NULL}, /* trims offsets, which are kept whole here */
};

static enum err_code add_postprocessor(struct spec *s, size_t row, const struct json_fields *f, struct err *e)
{
    return postprocessors[row].read ? postprocessors[row].read(s, f, e) : ERR_OK;
}

/* ---- decoders ---- */

static enum err_code read_strip(struct decode_step *step, const struct json_fields *f, struct err *e)
{
    if (read_character(&step->content, &step->content_length, f, "content", e) ||
        json_need_size(&step->start, f, "start", e))
        return e->code;
    return json_need_size(&step->stop, f, "stop", e);
}

static enum err_code read_decoder_replacement(struct decode_step *step, const struct json_fields *f,
                                    struct err *e)
{
    if (read_pattern(&step->pattern, f, e))
        return e->code;
    return read_text(&step->content, &step->content_length, f, "content", e);
}

static enum err_code read_decoder_metaspace(struct decode_step *step, const struct json_fields *f,
                                    struct err *e)
{
    enum pretok_prepend prepend = PRETOK_NEVER;
    if (read_character(&step->content, &step->content_length, f, "replacement", e) ||
        read_prepend(&prepend, f, e))
        return e->code;
    step->keep_first = prepend == PRETOK_NEVER;
    return ERR_OK;
}

static const struct {
    const char *name;
    enum decode_kind kind;
    enum err_code (*read)(struct decode_step *step, const struct json_fields *f, struct err *e);
} decoders[] = {
    {"ByteLevel", DECODE_BYTE_LEVEL, NULL},
    {"ByteFallback", DECODE_BYTE_FALLBACK, NULL},
    {"Fuse", DECODE_FUSE, NULL},
    {"Strip", DECODE_STRIP, read_strip},
    {"Replace", DECODE_REPLACE, read_decoder_replacement},
    {"Metaspace", DECODE_METASPACE, read_decoder_metaspace},
};

static enum err_code add_decoder(struct spec *s, size_t row, const struct json_fields *f, struct err *e)
{
    if (s->decoder_count == DECODE_MAX_STEPS)
        return err_set(e, ERR_UNSUPPORTED, "%s: more than %d decoders", s->where, DECODE_MAX_STEPS);
    struct decode_step *step = &s->decoders[s->decoder_count++];
    *step = (struct decode_step){.kind = decoders[row].kind};
    return decoders[row].read ? decoders[row].read(step, f, e) : ERR_OK;
}

/* ---- all stages ---- */

#define ROWS(table) &table[0].name, sizeof *table, sizeof table / sizeof *table

static const struct stage {
    const char *key, *list_key; /* of the file; of a Sequence */
    const char *component;      /* for messages */
    enum err_code (*add)(struct spec *s, size_t row, const struct json_fields *f, struct err *e);
    const char *const *names; /* the first of its table's, whose rows have this size and number */
    size_t row_size, rows;
    bool may_lack;
} stages[] = {
    {"normalizer", "normalizers", "normalizer", add_normalizer, ROWS(normalizers), true},
    {"pre_tokenizer", "pretokenizers", "pre-tokenizer", add_pretokenizer, ROWS(pretokenizers), true},
    {"post_processor", "processors", "post-processor", add_postprocessor, ROWS(postprocessors), true},
    {"decoder", "decoders", "decoder", add_decoder, ROWS(decoders), false},
};

static const char *name_of(const struct stage *stage, size_t row)
{
    return *(const char *const *)(const void *)((const char *)stage->names + row * stage->row_size);
}

static enum err_code refuse(const struct spec *s, const struct stage *stage, const struct json_value *v,
                            struct err *e)
{
    struct str names = {0};
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < stage->rows; i++)
        code = str_appendf(&names, e, "%s, ", name_of(stage, i));
    if (code == ERR_OK)
        code = str_appendf(&names, e, "and Sequence of them");
    if (code == ERR_OK)
        code = spec_unsupported(s, stage->component, v, names.data, e);
    str_release(&names);
    return code;
}

static enum err_code read_stage(struct spec *s, const struct stage *stage, const struct json_value *v,
                                int depth, struct err *e)
{
    const char *type = spec_type_of(v);
    const struct json_fields f = {.object = v, .file = s->where, .part = type};
    if (json_is_absent(v) && stage->may_lack)
        return ERR_OK;
    if (strcmp(type, "Sequence") == 0 && depth < LIMIT_NESTING) {
        const struct json_value *list;
        if (json_need_value(&list, &f, stage->list_key, JSON_KIND_ARRAY, e))
            return e->code;
        for (size_t i = 0; i < json_count(list); i++) {
            if (read_stage(s, stage, json_at(list, i), depth + 1, e))
                return e->code;
        }
        return ERR_OK;
    }
    for (size_t row = 0; row < stage->rows; row++) {
        if (strcmp(type, name_of(stage, row)) == 0)
            return stage->add(s, row, &f, e);
    }
    return refuse(s, stage, v, e);
}

enum err_code spec_read_stages(struct spec *s, const struct json_value *root, struct err *e)
{
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        if (read_stage(s, &stages[i], json_get(root, stages[i].key), 0, e))
            return e->code;
    }
    return ERR_OK;
}
