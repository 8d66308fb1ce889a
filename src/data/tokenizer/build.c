#include "data/tokenizer/build.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/tokenizer/bytelevel.h"
#include "data/tokenizer/unicode.h"

/* ---- vocabulary ---- */

/* Notes a token under its id. `pool` has room for its text. */
static enum err_code set_entry(struct tokenizer *t, char **pool, int32_t id, const char *text, size_t length,
                               const struct spec *s, struct err *e)
{
    size_t bad = str_utf8_valid_prefix(text, length);
    if (bad < length)
        return err_set(e, ERR_FORMAT, "%s: token %d is not UTF-8 at byte %zu", s->where, (int)id, bad);
    char *copy = *pool;
    *pool += length + 1;
    memcpy(copy, text, length);
    t->entries[id] = (struct tokenizer_entry){.text = copy,
                                              .decoded = copy,
                                              .text_length = (uint32_t)length,
                                              .decoded_length = (uint32_t)length};
    int32_t same = strmap_add(&t->ids, copy, length, id);
    if (same != id)
        return err_set(e, ERR_FORMAT, "%s: ids %d and %d are both the token '%s'", s->where, (int)same,
                       (int)id, copy);
    return ERR_OK;
}

/* One block for all texts, each with its zero. */
static char *alloc_pool(struct tokenizer *t, const struct spec *s, struct err *e)
{
    size_t bytes = 0;
    for (size_t i = 0; i < s->vocab_count; i++)
        bytes += s->vocab[i].length + 1;
    for (size_t i = 0; i < s->added_count; i++)
        bytes += s->added[i].length + 1;
    return arena_alloc(&t->arena, bytes, 1, "vocabulary", e);
}

static enum err_code add_entries(struct tokenizer *t, const struct spec *s, struct err *e)
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
    t->limit = t->vocab_size;
    for (size_t i = 0; i < s->added_count; i++) {
        const struct added_token *a = &s->added[i];
        const struct tokenizer_entry *entry = &t->entries[a->id];
        bool same = entry->text != NULL && entry->text_length == a->length &&
                    memcmp(entry->text, a->content, a->length) == 0;
        if (entry->text != NULL && !same)
            return err_set(e, ERR_FORMAT, "%s: added token '%.*s' has the id %d of the token '%s'", s->where,
                           (int)a->length, a->content, (int)a->id, entry->text);
        if (!same && set_entry(t, &pool, a->id, a->content, a->length, s, e))
            return e->code;
        t->entries[a->id].special |= a->special;
        t->entries[a->id].added = true;
    }
    return ERR_OK;
}

/* ---- the model ---- */

static bool is_byte_level(const struct spec *s)
{
    bool is = false;
    for (size_t i = 0; i < s->pretokenizer_count; i++)
        is |= s->pretokenizers[i].kind == PRETOK_BYTE_LEVEL;
    return is;
}

static enum err_code find_token(int32_t *id, const struct tokenizer *t, const struct spec_text *text,
                                size_t merge, const struct spec *s, struct err *e)
{
    *id = strmap_get(&t->ids, text->data, text->length);
    if (*id >= 0 && (size_t)*id < s->vocab_count && s->vocab[*id].data != NULL)
        return ERR_OK;
    return err_set(e, ERR_FORMAT, "%s: merge %zu names '%.*s', which is not in the vocabulary", s->where,
                   merge, (int)(text->length < 64 ? text->length : 64), text->data);
}

static enum err_code merges_of_list(struct bpe_merge **out, size_t *count, const struct tokenizer *t,
                                    struct spec *s, struct err *e)
{
    struct str joined = {0};
    struct bpe_merge *merges = arena_alloc(&s->scratch, s->merge_count, sizeof *merges, "merges", e);
    enum err_code code = merges ? ERR_OK : e->code;
    for (size_t i = 0; merges && code == ERR_OK && i < s->merge_count; i++) {
        const struct spec_merge *m = &s->merges[i];
        str_clear(&joined);
        merges[i].rank = (uint32_t)i;
        if (str_append(&joined, m->left.data, m->left.length, e) ||
            str_append(&joined, m->right.data, m->right.length, e) ||
            find_token(&merges[i].left, t, &m->left, i, s, e) ||
            find_token(&merges[i].right, t, &m->right, i, s, e) ||
            find_token(&merges[i].merged, t, &(struct spec_text){joined.data, joined.length}, i, s, e))
            code = e->code;
    }
    str_release(&joined);
    *out = merges;
    *count = s->merge_count;
    return code;
}

struct scored_token {
    float score;
    int32_t id;
};

static int higher_first(const void *a, const void *b)
{
    float x = ((const struct scored_token *)a)->score, y = ((const struct scored_token *)b)->score;
    return (x < y) - (x > y);
}

/* For each token its place by score; equal scores share one. */
static enum err_code rank_scores(uint32_t *ranks, struct spec *s, struct err *e)
{
    struct scored_token *order = arena_alloc(&s->scratch, s->vocab_count, sizeof *order, "scores", e);
    if (order == NULL)
        return e->code;
    for (size_t i = 0; i < s->vocab_count; i++) {
        if (!isfinite(s->scores[i]))
            return err_set(e, ERR_FORMAT, "%s: the score of token %zu is not a number", s->where, i);
        order[i] = (struct scored_token){.score = s->scores[i], .id = (int32_t)i};
    }
    qsort(order, s->vocab_count, sizeof *order, higher_first);
    uint32_t rank = 0;
    for (size_t i = 0; i < s->vocab_count; i++) {
        rank += i > 0 && order[i].score < order[i - 1].score;
        ranks[order[i].id] = rank;
    }
    return ERR_OK;
}

/* A token with a character that no token is could merge only over that character, which has no id here. */
static enum err_code check_characters(const struct tokenizer *t, const struct spec *s, int32_t id,
                                      struct err *e)
{
    const struct spec_text *text = &s->vocab[id];
    for (size_t at = 0, end; at < text->length; at = end) {
        end = unicode_end(text->data, at);
        int32_t single = strmap_get(&t->ids, text->data + at, end - at);
        if (single < 0 || !s->scored[single])
            return err_set(e, ERR_UNSUPPORTED,
                           "%s: token %d '%.*s' has a character that is no token by itself; such a vocabulary of "
                           "scores is not supported",
                           s->where, (int)id, (int)text->length, text->data);
    }
    return ERR_OK;
}

/* The ways to put token `id` together from two others, into merges[0..]; their number. merges NULL: count. */
static size_t merges_of_token(struct bpe_merge *merges, const struct tokenizer *t, const struct spec *s,
                              int32_t id, uint32_t rank)
{
    const struct spec_text *text = &s->vocab[id];
    size_t count = 0;
    for (size_t at = unicode_end(text->data, 0); at < text->length; at = unicode_end(text->data, at)) {
        int32_t left = strmap_get(&t->ids, text->data, at);
        int32_t right = strmap_get(&t->ids, text->data + at, text->length - at);
        if (left < 0 || right < 0 || !s->scored[left] || !s->scored[right])
            continue;
        if (merges != NULL)
            merges[count] =
                (struct bpe_merge){.left = left, .right = right, .merged = id, .rank = rank};
        count++;
    }
    return count;
}

static enum err_code merges_of_scores(struct bpe_merge **out, size_t *count, const struct tokenizer *t,
                                      struct spec *s, struct err *e)
{
    uint32_t *ranks = arena_alloc(&s->scratch, s->vocab_count, sizeof *ranks, "scores", e);
    if (ranks == NULL || rank_scores(ranks, s, e))
        return e->code;
    *out = NULL;
    for (int pass = 0; pass < 2; pass++) {
        struct bpe_merge *merges = *out;
        *count = 0;
        for (size_t i = 0; i < s->vocab_count; i++) {
            if (s->vocab[i].data == NULL || !s->scored[i])
                continue;
            if (pass == 0 && check_characters(t, s, (int32_t)i, e))
                return e->code;
            *count += merges_of_token(merges ? merges + *count : NULL, t, s, (int32_t)i, ranks[i]);
        }
        if (pass == 0 && (*out = arena_alloc(&s->scratch, *count, sizeof **out, "merges", e)) == NULL)
            return e->code;
    }
    return ERR_OK;
}

/* What text of a piece the tokens stand for: their own, or the bytes that it means in ByteLevel's alphabet. */
static enum err_code set_bytes(struct bpe_token *tokens, struct tokenizer *t, const struct spec *s,
                               bool byte_level, struct err *e)
{
    size_t room = 0;
    for (size_t i = 0; byte_level && i < s->vocab_count; i++)
        room += s->vocab[i].length;
    char *pool = arena_alloc(&t->arena, room, 1, "vocabulary", e);
    if (pool == NULL)
        return e->code;
    for (size_t i = 0; i < s->vocab_count; i++) {
        const struct tokenizer_entry *entry = &t->entries[i];
        if (s->vocab[i].data == NULL)
            continue;
        tokens[i] = (struct bpe_token){.bytes = entry->text, .length = entry->text_length};
        if (byte_level) {
            bool all = bytelevel_decode(pool, &tokens[i].length, entry->text, entry->text_length);
            tokens[i].bytes = all ? pool : NULL;
            pool += all ? tokens[i].length : 0;
        }
    }
    return ERR_OK;
}

static void set_fallback(int32_t fallback[256], const struct tokenizer *t, const struct spec *s)
{
    for (int i = 0; i < 256; i++) {
        char text[8];
        size_t length = (size_t)snprintf(text, sizeof text, "<0x%02X>", (unsigned)i);
        int32_t id = strmap_get(&t->ids, text, length);
        fallback[i] = id >= 0 && (size_t)id < s->vocab_count && s->vocab[id].data != NULL ? id : -1;
    }
}

/* ByteLevel's alphabet is never a text's own, so byte_fallback would be of no use where all of it has tokens;
 * what the library does where some have none is no one's intention. */
static enum err_code check_byte_level(const struct bpe_token *tokens, const struct spec *s, struct err *e)
{
    bool has[256] = {false};
    size_t count = 0;
    for (size_t i = 0; i < s->vocab_count; i++) {
        if (tokens[i].bytes == NULL || tokens[i].length != 1)
            continue;
        count += !has[(unsigned char)tokens[i].bytes[0]];
        has[(unsigned char)tokens[i].bytes[0]] = true;
    }
    return count == 256 ? ERR_OK
                        : err_set(e, ERR_UNSUPPORTED,
                                  "%s: byte_fallback in a byte-level model that has only %zu of the 256 "
                                  "bytes is not supported",
                                  s->where, count);
}

static enum err_code build_bpe(struct tokenizer *t, struct spec *s, struct err *e)
{
    int32_t fallback[256];
    struct bpe_options options = {.characters = !is_byte_level(s),
                                  .unknown = -1,
                                  .fuse_unknown = s->fuse_unknown,
                                  .ignore_merges = s->ignore_merges};
    struct bpe_token *tokens = arena_alloc(&s->scratch, s->vocab_count, sizeof *tokens, "vocabulary", e);
    struct bpe_merge *merges = NULL;
    size_t count = 0;
    if (tokens == NULL || set_bytes(tokens, t, s, !options.characters, e) ||
        (s->scores ? merges_of_scores(&merges, &count, t, s, e) : merges_of_list(&merges, &count, t, s, e)))
        return e->code;
    if (s->unknown.data != NULL) {
        options.unknown = strmap_get(&t->ids, s->unknown.data, s->unknown.length);
        if (options.unknown < 0)
            return err_set(e, ERR_FORMAT, "%s: the unknown token '%.*s' is not in the vocabulary", s->where,
                           (int)s->unknown.length, s->unknown.data);
    }
    if (s->byte_fallback && options.characters) {
        set_fallback(fallback, t, s);
        options.fallback = fallback;
    } else if (s->byte_fallback && check_byte_level(tokens, s, e)) {
        return e->code;
    }
    return bpe_init(&t->bpe, tokens, s->vocab_count, merges, count, &options, &t->arena, e);
}

/* ---- added tokens ---- */

/* Tokens that are sought in the normalised text are themselves normalised; decoders get them so, too. */
static enum err_code normalize_added(struct tokenizer *t, struct added_token *a, struct err *e)
{
    struct normalize_work work = {0};
    struct mapped_view view = {.text = a->content, .length = a->length};
    enum err_code code = normalize_run(&view, &work, t->normalize, e);
    if (code == ERR_OK && view.text != a->content) {
        struct tokenizer_entry *entry = &t->entries[a->id];
        char *copy = arena_strndup(&t->arena, view.length > 0 ? view.text : "", view.length, e);
        code = copy ? ERR_OK : e->code;
        a->content = entry->decoded = copy;
        a->length = view.length;
        entry->decoded_length = (uint32_t)view.length;
    }
    normalize_work_release(&work);
    return code;
}

static enum err_code build_added(struct tokenizer *t, const struct spec *s, struct err *e)
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
        if (copies[i].normalized && normalize_added(t, &copies[i], e))
            return e->code;
        if (copies[i].length == 0) /* nothing is left of it: no text can be it */
            continue;
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

/* ---- all of it ---- */

static enum err_code copy_ids(int32_t **out, const struct tokenizer *t, struct arena *a, const int32_t *ids,
                              size_t count, const struct spec *s, struct err *e)
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

static enum err_code build_stages(struct tokenizer *t, const struct spec *s, struct err *e)
{
    if (normalize_open(&t->normalize, s->normalizers, s->normalizer_count, e) ||
        pretok_open(&t->pretok, s->pretokenizers, s->pretokenizer_count, e) ||
        decode_open(&t->decode, s->decoders, s->decoder_count, e))
        return err_wrap(e, "%s", s->where);
    return ERR_OK;
}

static enum err_code copy_text(const char **out, struct tokenizer *t, const struct spec_text *text, struct err *e)
{
    *out = text->data ? arena_strndup(&t->arena, text->data, text->length, e) : NULL;
    return text->data && !*out ? e->code : ERR_OK;
}

static enum err_code copy_names(struct tokenizer *t, const struct spec *s, struct err *e)
{
    t->names = arena_alloc(&t->arena, s->name_count, sizeof *t->names, "names of special tokens", e);
    for (size_t i = 0; t->names != NULL && i < s->name_count; i++) {
        t->names[i].name = arena_strndup(&t->arena, s->names[i].name, strlen(s->names[i].name), e);
        if (t->names[i].name == NULL || copy_text(&t->names[i].token, t, &s->names[i].token, e))
            return e->code;
    }
    t->name_count = s->name_count;
    return t->names ? ERR_OK : e->code;
}

static int by_id(const void *a, const void *b)
{
    const struct added_token *const *x = a, *const *y = b;
    return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

static enum err_code set_hash(struct tokenizer *t, struct spec *s, struct err *e)
{
    const struct added_token **added = arena_alloc(&s->scratch, s->added_count, sizeof *added, "added tokens", e);
    struct file_hasher *hasher = added ? file_hasher_open(e) : NULL;
    if (hasher == NULL)
        return e->code;
    for (size_t i = 0; i < s->added_count; i++)
        added[i] = &s->added[i];
    file_hasher_add(hasher, s->source_hash, sizeof s->source_hash);
    file_hasher_add(hasher, &t->bos, sizeof t->bos);
    file_hasher_add(hasher, &t->eos, sizeof t->eos);
    if (t->chat_template != NULL)
        file_hasher_add(hasher, t->chat_template, strlen(t->chat_template));
    if (t->tool_template != NULL)
        file_hasher_add(hasher, t->tool_template, strlen(t->tool_template));
    qsort(added, s->added_count, sizeof *added, by_id); /* wherever they are written */
    for (size_t i = 0; i < s->added_count; i++) {
        const struct added_token *a = added[i];
        const unsigned char flags[] = {a->single_word, a->lstrip, a->rstrip, a->normalized, a->special};
        file_hasher_add(hasher, a->content, a->length);
        file_hasher_add(hasher, &a->id, sizeof a->id);
        file_hasher_add(hasher, flags, sizeof flags);
    }
    file_hasher_finish(hasher, t->hash);
    return ERR_OK;
}

static enum err_code fill(struct tokenizer *t, struct spec *s, struct err *e)
{
    t->warning = s->warning; /* a constant */
    t->bos = s->bos;
    t->eos = s->eos;
    t->prefix_count = s->prefix_count;
    t->suffix_count = s->suffix_count;
    if (add_entries(t, s, e))
        return e->code;
    if (t->eos >= t->vocab_size || t->bos >= t->vocab_size)
        return err_set(e, ERR_FORMAT, "%s: the EOS or BOS id (%d, %d) is beyond the vocabulary of %d tokens",
                       s->where, (int)t->eos, (int)t->bos, (int)t->vocab_size);
    if (build_stages(t, s, e) || build_bpe(t, s, e) || build_added(t, s, e) ||
        copy_ids(&t->prefix, t, &t->arena, s->prefix, s->prefix_count, s, e) ||
        copy_ids(&t->suffix, t, &t->arena, s->suffix, s->suffix_count, s, e))
        return e->code;
    const struct spec_text place = {s->template_place, s->template_place ? strlen(s->template_place) : 0};
    if (copy_text(&t->chat_template, t, &s->chat_template, e) || copy_text(&t->template_place, t, &place, e) ||
        copy_text(&t->tool_template, t, &s->tool_template, e) || copy_names(t, s, e))
        return e->code;
    return set_hash(t, s, e);
}

enum err_code tokenizer_build(struct tokenizer **out, struct spec *s, struct err *e)
{
    struct arena arena = {0};
    struct tokenizer *t = arena_alloc(&arena, 1, sizeof *t, "tokenizer", e);
    if (t == NULL)
        return e->code;
    t->arena = arena;
    if (fill(t, s, e)) {
        tokenizer_release(t);
        return e->code;
    }
    *out = t;
    return ERR_OK;
}

void tokenizer_release(struct tokenizer *t)
{
    normalize_close(t->normalize);
    pretok_close(t->pretok);
    decode_close(t->decode);
    struct arena arena = t->arena; /* which holds t itself */
    arena_release(&arena);
}
