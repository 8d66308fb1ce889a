#include "data/tokenizer/tokload.h"

#include <string.h>

#include "data/tokenizer/bytelevel.h"

enum err_code tokload_split_merge(struct tokload_merge *merge, const char *text, size_t length, size_t index,
                                  const char *where, struct err *e)
{
    const char *space = length > 0 ? memchr(text, ' ', length) : NULL;
    size_t left = space ? (size_t)(space - text) : 0;
    if (left == 0 || left + 1 == length || memchr(space + 1, ' ', length - left - 1) != NULL)
        return err_set(e, ERR_FORMAT, "%s: merge %zu '%.*s' is not two tokens with a space between", where,
                       index, (int)(length < 64 ? length : 64), text);
    merge->left = (struct tokload_text){.data = text, .length = left};
    merge->right = (struct tokload_text){.data = space + 1, .length = length - left - 1};
    return ERR_OK;
}

/* Notes a token under its id: with its text, and what decoding writes for it. `pool` has room for both. */
static enum err_code set_entry(struct tokenizer *t, char **pool, int32_t id, const char *text, size_t length,
                               const struct tokload_spec *s, struct err *e)
{
    struct tokload_entry *entry = &t->entries[id];
    size_t bad = str_utf8_valid_prefix(text, length), count;
    if (bad < length)
        return err_set(e, ERR_FORMAT, "%s: token %d is not UTF-8 at byte %zu", s->where, (int)id, bad);
    char *copy = *pool, *decoded = *pool + length + 1;
    *pool += 2 * length + 1;
    memcpy(copy, text, length);
    bool in_alphabet = bytelevel_decode(decoded, &count, copy, length);
    *entry = (struct tokload_entry){.text = copy,
                                    .decoded = in_alphabet ? decoded : copy,
                                    .text_length = (uint32_t)length,
                                    .decoded_length = (uint32_t)(in_alphabet ? count : length)};
    int32_t same = strmap_add(&t->ids, copy, length, id);
    if (same != id)
        return err_set(e, ERR_FORMAT, "%s: ids %d and %d are both the token '%s'", s->where, (int)same,
                       (int)id, copy);
    return ERR_OK;
}

/* One block for all texts: each, its zero, and its decoded form, which is never longer. */
static char *alloc_pool(struct tokenizer *t, const struct tokload_spec *s, struct err *e)
{
    size_t bytes = 0;
    for (size_t i = 0; i < s->vocab_count; i++)
        bytes += 2 * s->vocab[i].length + 1;
    for (size_t i = 0; i < s->added_count; i++)
        bytes += 2 * s->added[i].length + 1;
    return arena_alloc(&t->arena, bytes, 1, "vocabulary", e);
}

static enum err_code add_entries(struct tokenizer *t, const struct tokload_spec *s, struct err *e)
{
    t->vocab_size = (int32_t)s->vocab_count;
    for (size_t i = 0; i < s->added_count; i++)
        t->vocab_size = s->added[i].id >= t->vocab_size ? s->added[i].id + 1 : t->vocab_size;
    if ((size_t)t->vocab_size > s->vocab_count + 2 * s->added_count + 65536)
        return err_set(e, ERR_FORMAT, "%s: ids run up to %d, but there are only %zu tokens", s->where,
                       (int)t->vocab_size - 1, s->vocab_count + s->added_count);
    t->entries = arena_alloc(&t->arena, (size_t)t->vocab_size, sizeof *t->entries, "vocabulary", e);
    char *pool = alloc_pool(t, s, e);
    if (t->entries == NULL || pool == NULL ||
        strmap_init(&t->ids, s->vocab_count + s->added_count, &t->arena, e))
        return e->code;
    for (size_t i = 0; i < s->vocab_count; i++) {
        if (s->vocab[i].data != NULL &&
            set_entry(t, &pool, (int32_t)i, s->vocab[i].data, s->vocab[i].length, s, e))
            return e->code;
    }
    for (size_t i = 0; i < s->added_count; i++) {
        const struct added_token *a = &s->added[i];
        const struct tokload_entry *entry = &t->entries[a->id];
        bool same = entry->text != NULL && entry->text_length == a->length &&
                    memcmp(entry->text, a->content, a->length) == 0;
        if (entry->text != NULL && !same)
            return err_set(e, ERR_FORMAT, "%s: added token '%.*s' has the id %d of the token '%s'", s->where,
                           (int)a->length, a->content, (int)a->id, entry->text);
        if (!same && set_entry(t, &pool, a->id, a->content, a->length, s, e))
            return e->code;
        t->entries[a->id].special |= a->special;
    }
    return ERR_OK;
}

static enum err_code find_token(int32_t *id, const struct tokenizer *t, const struct tokload_text *text,
                                size_t merge, const struct tokload_spec *s, struct err *e)
{
    *id = strmap_get(&t->ids, text->data, text->length);
    if (*id >= 0 && (size_t)*id < s->vocab_count && s->vocab[*id].data != NULL)
        return ERR_OK;
    return err_set(e, ERR_FORMAT, "%s: merge %zu names '%.*s', which is not in the vocabulary", s->where,
                   merge, (int)(text->length < 64 ? text->length : 64), text->data);
}

static enum err_code resolve_merges(struct bpe_merge *merges, const struct tokenizer *t,
                                    struct tokload_spec *s, struct err *e)
{
    struct str joined = {0};
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < s->merge_count; i++) {
        const struct tokload_merge *m = &s->merges[i];
        str_clear(&joined);
        if (str_append(&joined, m->left.data, m->left.length, e) ||
            str_append(&joined, m->right.data, m->right.length, e) ||
            find_token(&merges[i].left, t, &m->left, i, s, e) ||
            find_token(&merges[i].right, t, &m->right, i, s, e) ||
            find_token(&merges[i].merged, t, &(struct tokload_text){joined.data, joined.length}, i, s, e))
            code = e->code;
    }
    str_release(&joined);
    return code;
}

static enum err_code build_bpe(struct tokenizer *t, struct tokload_spec *s, struct err *e)
{
    struct bpe_options options = {
        .unknown = -1, .fuse_unknown = s->fuse_unknown, .ignore_merges = s->ignore_merges};
    struct bpe_merge *merges = arena_alloc(&s->scratch, s->merge_count, sizeof *merges, "merges", e);
    struct bpe_token *tokens = arena_alloc(&s->scratch, s->vocab_count, sizeof *tokens, "vocabulary", e);
    if (merges == NULL || tokens == NULL || resolve_merges(merges, t, s, e))
        return e->code;
    if (s->unknown.data != NULL) {
        options.unknown = strmap_get(&t->ids, s->unknown.data, s->unknown.length);
        if (options.unknown < 0)
            return err_set(e, ERR_FORMAT, "%s: the unknown token '%s' is not in the vocabulary", s->where,
                           s->unknown.data);
    }
    for (size_t i = 0; i < s->vocab_count; i++) {
        const struct tokload_entry *entry = &t->entries[i];
        if (s->vocab[i].data != NULL && entry->decoded != entry->text)
            tokens[i] = (struct bpe_token){.bytes = entry->decoded, .length = entry->decoded_length};
    }
    return bpe_init(&t->bpe, tokens, s->vocab_count, merges, s->merge_count, &options, &t->arena, e);
}

/* Tokens that are sought in the normalised text are themselves normalised; decoding writes them so, too. */
static enum err_code normalize_added(struct tokenizer *t, struct added_token *a, struct err *e)
{
    struct pretok_text text = {0};
    bool changed;
    enum err_code code = pretok_nfc(&changed, &text, a->content, a->length, e);
    if (code == ERR_OK && changed) {
        struct tokload_entry *entry = &t->entries[a->id];
        char *copy = arena_strndup(&t->arena, text.bytes, text.length, e);
        char *decoded = arena_alloc(&t->arena, text.length + 1, 1, "token", e);
        size_t count = text.length;
        code = copy != NULL && decoded != NULL ? ERR_OK : e->code;
        if (code == ERR_OK) {
            a->content = copy;
            a->length = text.length;
            entry->decoded = bytelevel_decode(decoded, &count, copy, text.length) ? decoded : copy;
            entry->decoded_length = (uint32_t)(entry->decoded == copy ? text.length : count);
        }
    }
    pretok_text_release(&text);
    return code;
}

static enum err_code build_added(struct tokenizer *t, const struct tokload_spec *s, struct err *e)
{
    const struct added_token **raw = arena_alloc(&t->arena, s->added_count, sizeof *raw, "added tokens", e);
    const struct added_token **normalized =
        arena_alloc(&t->arena, s->added_count, sizeof *raw, "added tokens", e);
    struct added_token *copies = arena_alloc(&t->arena, s->added_count, sizeof *copies, "added tokens", e);
    size_t raw_count = 0, normalized_count = 0;
    if (raw == NULL || normalized == NULL || copies == NULL)
        return e->code;
    for (size_t i = 0; i < s->added_count; i++) {
        copies[i] = s->added[i];
        copies[i].content = t->entries[copies[i].id].text;
        if (copies[i].normalized && t->nfc && normalize_added(t, &copies[i], e))
            return e->code;
        if (copies[i].normalized)
            normalized[normalized_count++] = &copies[i];
        else
            raw[raw_count++] = &copies[i];
    }
    if ((raw_count > 0 && added_init(&t->added_raw, raw, raw_count, &t->arena, e)) ||
        (normalized_count > 0 &&
         added_init(&t->added_normalized, normalized, normalized_count, &t->arena, e)))
        return e->code;
    return ERR_OK;
}

static enum err_code copy_ids(int32_t **out, const struct tokenizer *t, struct arena *a, const int32_t *ids,
                              size_t count, const struct tokload_spec *s, struct err *e)
{
    *out = arena_alloc(a, count, sizeof **out, "special tokens", e);
    for (size_t i = 0; *out != NULL && i < count; i++) {
        if (ids[i] >= t->vocab_size || t->entries[ids[i]].text == NULL)
            return err_set(e, ERR_FORMAT, "%s: the post-processor adds id %d, which is no token", s->where,
                           (int)ids[i]);
        (*out)[i] = ids[i];
    }
    return *out ? ERR_OK : e->code;
}

static enum err_code set_hash(struct tokenizer *t, const struct tokload_spec *s, struct err *e)
{
    struct file_hasher *hasher = file_hasher_open(e);
    if (hasher == NULL)
        return e->code;
    file_hasher_add(hasher, s->source_hash, sizeof s->source_hash);
    file_hasher_add(hasher, &t->bos, sizeof t->bos);
    file_hasher_add(hasher, &t->eos, sizeof t->eos);
    if (t->chat_template != NULL)
        file_hasher_add(hasher, t->chat_template, strlen(t->chat_template));
    file_hasher_finish(hasher, t->hash);
    return ERR_OK;
}

static enum err_code fill(struct tokenizer *t, struct tokload_spec *s, struct err *e)
{
    t->nfc = s->nfc;
    t->bos = s->bos;
    t->eos = s->eos;
    t->prefix_count = s->prefix_count;
    t->suffix_count = s->suffix_count;
    if (add_entries(t, s, e))
        return e->code;
    if (t->eos >= t->vocab_size || t->bos >= t->vocab_size)
        return err_set(e, ERR_FORMAT, "%s: the EOS or BOS id (%d, %d) is beyond the vocabulary of %d tokens",
                       s->where, (int)t->eos, (int)t->bos, (int)t->vocab_size);
    if (build_bpe(t, s, e) || build_added(t, s, e) ||
        copy_ids(&t->prefix, t, &t->arena, s->prefix, s->prefix_count, s, e) ||
        copy_ids(&t->suffix, t, &t->arena, s->suffix, s->suffix_count, s, e))
        return e->code;
    if (pretok_open(&t->pretok, s->steps, s->step_count, e))
        return err_wrap(e, "%s", s->where);
    if (s->chat_template.data != NULL) {
        t->chat_template = arena_strndup(&t->arena, s->chat_template.data, s->chat_template.length, e);
        if (t->chat_template == NULL)
            return e->code;
    }
    return set_hash(t, s, e);
}

void tokload_release(struct tokenizer *t)
{
    pretok_close(t->pretok);
    struct arena arena = t->arena; /* which holds t itself */
    arena_release(&arena);
}

enum err_code tokload_build(struct tokenizer **out, struct tokload_spec *s, struct err *e)
{
    struct arena arena = {0};
    struct tokenizer *t = arena_alloc(&arena, 1, sizeof *t, "tokenizer", e);
    if (t == NULL)
        return e->code;
    t->arena = arena;
    if (fill(t, s, e)) {
        tokload_release(t);
        return e->code;
    }
    *out = t;
    return ERR_OK;
}
