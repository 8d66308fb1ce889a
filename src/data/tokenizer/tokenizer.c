#include "data/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "data/tokenizer/build.h"

#define MAX_TEXT (UINT32_MAX / 2 - 1)

/* Working memory of one caller, reached through its struct ids. */
struct tokenizer_work {
    struct normalize_work normalize;
    struct pretok_work pretok;
    struct bpe_work bpe;
};

/* ---- opening ---- */

enum err_code tokenizer_open(struct tokenizer **t, const struct store *store, struct err *e)
{
    struct spec spec = {.bos = -1, .eos = -1};
    struct json *doc = NULL;
    enum err_code code =
        store->kind == STORE_GGUF ? spec_read_gguf(&spec, store, e) : spec_read_json(&spec, &doc, store, e);
    if (code == ERR_OK)
        code = tokenizer_build(t, &spec, e);
    arena_release(&spec.scratch);
    json_close(doc);
    return code;
}

void tokenizer_close(struct tokenizer *t)
{
    if (t != NULL)
        tokenizer_release(t);
}

enum err_code tokenizer_limit(size_t *beyond, const char **first, struct tokenizer *t, size_t rows,
                              struct err *e)
{
    *beyond = 0;
    *first = NULL;
    for (size_t id = rows; id < (size_t)t->vocab_size; id++) {
        const struct tokenizer_entry *entry = &t->entries[id];
        if (entry->text == NULL)
            continue;
        if (!entry->added)
            return err_set(e, ERR_MISMATCH,
                           "the tokenizer has ids up to %d, but the model has embeddings for %zu tokens only: "
                           "they do not belong together",
                           (int)t->vocab_size - 1, rows);
        *first = *beyond > 0 ? *first : entry->text;
        ++*beyond;
    }
    if (t->eos >= 0 && (size_t)t->eos >= rows)
        return err_set(e, ERR_MISMATCH,
                       "the token for the end of text, '%s', is id %d, but the model has embeddings for %zu "
                       "tokens only",
                       t->entries[t->eos].text ? t->entries[t->eos].text : "", (int)t->eos, rows);
    t->limit = rows < (size_t)t->vocab_size ? (int32_t)rows : t->vocab_size;
    return ERR_OK;
}

void ids_release(struct ids *ids)
{
    free(ids->id);
    free(ids->start);
    free(ids->end);
    if (ids->work != NULL) {
        pretok_work_release(&ids->work->pretok);
        bpe_work_release(&ids->work->bpe);
        normalize_work_release(&ids->work->normalize);
        free(ids->work);
    }
    *ids = (struct ids){0};
}

/* ---- encoding ---- */

static enum err_code ids_reserve(struct ids *ids, size_t count, struct err *e)
{
    if (count <= ids->capacity)
        return ERR_OK;
    size_t capacity = count + count / 2 + 64;
    void *id = realloc(ids->id, capacity * sizeof *ids->id);
    ids->id = id ? id : ids->id;
    void *start = realloc(ids->start, capacity * sizeof *ids->start);
    ids->start = start ? start : ids->start;
    void *end = realloc(ids->end, capacity * sizeof *ids->end);
    ids->end = end ? end : ids->end;
    if (id == NULL || start == NULL || end == NULL)
        return err_set(e, ERR_MEMORY, "no memory for %zu token ids", capacity);
    ids->capacity = capacity;
    return ERR_OK;
}

/* Among the ids in `out`, one that the model has no row for. */
static enum err_code check_limit(const struct ids *out, const struct tokenizer *t, struct err *e)
{
    for (size_t i = 0; t->limit < t->vocab_size && i < out->count; i++) {
        if (out->id[i] >= t->limit)
            return err_set(e, ERR_DATA,
                           "the text has the token '%s' at byte %u, whose id %d is beyond the %d tokens that "
                           "the model has embeddings for",
                           t->entries[out->id[i]].text, (unsigned)out->start[i], (int)out->id[i],
                           (int)t->limit);
    }
    return ERR_OK;
}

/* Within the capacity. */
static void ids_put(struct ids *ids, int32_t id, size_t start, size_t end)
{
    ids->id[ids->count] = id;
    ids->start[ids->count] = (uint32_t)start;
    ids->end[ids->count++] = (uint32_t)end;
}

static enum err_code ids_add(struct ids *ids, int32_t id, size_t start, size_t end, struct err *e)
{
    if (ids_reserve(ids, ids->count + 1, e))
        return e->code;
    ids_put(ids, id, start, end);
    return ERR_OK;
}

/* Adds a token that stands for bytes start..end-1 of the view; start < end. */
static enum err_code add_token(struct ids *out, int32_t id, const struct mapped_view *view, size_t start,
                               size_t end, struct err *e)
{
    return ids_add(out, id, mapped_start(view, start), mapped_end(view, end - 1), e);
}

/* Text without an added token. */
static enum err_code encode_plain(struct ids *out, const struct tokenizer *t, const struct mapped_view *view,
                                  struct err *e)
{
    struct pretok_work *w = &out->work->pretok;
    struct bpe_work *b = &out->work->bpe;
    if (pretok_split(w, t->pretok, view, e))
        return e->code;
    for (size_t i = 0; i < w->count; i++) {
        size_t at = w->pieces[i].start;
        if (bpe_encode(b, t->bpe, w->view.text + at, w->pieces[i].end - at, e) ||
            ids_reserve(out, out->count + b->count, e))
            return e->code;
        for (size_t k = 0; k < b->count; k++) {
            size_t start = at + b->symbols[k].skipped, end = start + b->symbols[k].length;
            at = end;
            ids_put(out, b->symbols[k].id, mapped_start(&w->view, start), mapped_end(&w->view, end - 1));
        }
    }
    return ERR_OK;
}

/* Stage two: a stretch of the caller's text without raw added tokens. */
static enum err_code encode_region(struct ids *out, const struct tokenizer *t, const char *text, size_t from,
                                   size_t to, struct err *e)
{
    struct mapped_view view = {.text = text + from, .length = to - from, .offset = (uint32_t)from};
    if (normalize_run(&view, &out->work->normalize, t->normalize, e))
        return e->code;
    size_t done = 0;
    struct added_cursor cursor = {0};
    struct added_match match;
    while (t->added_normalized != NULL &&
           added_find(&match, &cursor, t->added_normalized, view.text, view.length)) {
        struct mapped_view plain = mapped_slice(&view, done, match.start > done ? match.start : done);
        if ((plain.length > 0 && encode_plain(out, t, &plain, e)) ||
            add_token(out, match.id, &view, match.start, match.end, e))
            return e->code;
        done = match.end;
    }
    struct mapped_view rest = mapped_slice(&view, done, view.length);
    return rest.length > 0 ? encode_plain(out, t, &rest, e) : ERR_OK;
}

static enum err_code encode_text(struct ids *out, const struct tokenizer *t, const char *text, size_t length,
                                 struct err *e)
{
    size_t done = 0;
    struct added_cursor cursor = {0};
    struct added_match match;
    while (t->added_raw != NULL && added_find(&match, &cursor, t->added_raw, text, length)) {
        if ((done < match.start && encode_region(out, t, text, done, match.start, e)) ||
            ids_add(out, match.id, match.start, match.end, e))
            return e->code;
        done = match.end;
    }
    return done < length ? encode_region(out, t, text, done, length, e) : ERR_OK;
}

static enum err_code encode(struct ids *out, const struct tokenizer *t, const char *text, size_t length,
                            bool front, bool back, struct err *e)
{
    size_t bad = str_utf8_valid_prefix(text, length);
    out->count = 0;
    if (bad < length)
        return err_set(e, ERR_DATA, "the text is not UTF-8 at byte %zu", bad);
    if (length > MAX_TEXT)
        return err_set(e, ERR_DATA, "a text of %zu bytes is too long to tokenise", length);
    if (out->work == NULL && (out->work = calloc(1, sizeof *out->work)) == NULL)
        return err_set(e, ERR_MEMORY, "no memory to tokenise");
    for (size_t i = 0; front && i < t->prefix_count; i++) {
        if (ids_add(out, t->prefix[i], 0, 0, e))
            return e->code;
    }
    if (encode_text(out, t, text, length, e))
        return e->code;
    for (size_t i = 0; back && i < t->suffix_count; i++) {
        if (ids_add(out, t->suffix[i], length, length, e))
            return e->code;
    }
    return check_limit(out, t, e);
}

enum err_code tokenizer_encode(struct ids *out, const struct tokenizer *t, const char *text, size_t length,
                               bool special, struct err *e)
{
    return encode(out, t, text, length, special, special, e);
}

enum err_code tokenizer_encode_prompt(struct ids *out, const struct tokenizer *t, const char *text,
                                      size_t length, struct err *e)
{
    return encode(out, t, text, length, true, false, e);
}

/* ---- decoding ---- */

enum err_code tokenizer_decode(struct str *out, const struct tokenizer *t, const int32_t *ids, size_t count,
                               bool skip_special, struct err *e)
{
    struct decode_list tokens = {0};
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < count; i++) {
        if (ids[i] < 0 || ids[i] >= t->vocab_size) {
            code = err_set(e, ERR_DATA, "id %d at place %zu is not in the vocabulary of %d tokens",
                           (int)ids[i], i, (int)t->vocab_size);
            break;
        }
        const struct tokenizer_entry *entry = &t->entries[ids[i]];
        if (entry->text != NULL && !(skip_special && entry->special))
            code = decode_list_add(&tokens, entry->decoded, entry->decoded_length, e);
    }
    if (code == ERR_OK)
        code = decode_run(out, &tokens, t->decode, e);
    decode_list_release(&tokens);
    return code;
}

/* ---- facts ---- */

int32_t tokenizer_vocab_size(const struct tokenizer *t)
{
    return t->vocab_size;
}

int32_t tokenizer_eos(const struct tokenizer *t)
{
    return t->eos;
}

int32_t tokenizer_bos(const struct tokenizer *t)
{
    return t->bos;
}

int32_t tokenizer_id(const struct tokenizer *t, const char *token)
{
    return strmap_get(&t->ids, token, strlen(token));
}

const char *tokenizer_token(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->vocab_size ? t->entries[id].text : NULL;
}

bool tokenizer_find_special(const void *tokenizer, const char *text, size_t length, size_t *start, size_t *end)
{
    const struct tokenizer *t = tokenizer;
    const struct added *const sets[] = {t->added_raw, t->added_normalized};
    bool found = false;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        struct added_cursor cursor = {0};
        struct added_match match;
        while (sets[i] != NULL && added_find(&match, &cursor, sets[i], text, length)) {
            if (!t->entries[match.id].special && match.id != t->eos)
                continue;
            if (!found || match.start < *start) {
                *start = match.start;
                *end = match.end;
            }
            found = true;
            break;
        }
    }
    return found;
}

const char *tokenizer_warning(const struct tokenizer *t)
{
    return t->warning;
}

const char *tokenizer_chat_template(const struct tokenizer *t)
{
    return t->chat_template;
}

const char *tokenizer_tool_template(const struct tokenizer *t)
{
    return t->tool_template;
}

const char *tokenizer_template_place(const struct tokenizer *t)
{
    return t->template_place;
}

enum err_code tokenizer_replace_chat_template(struct tokenizer *t, const char *place, const char *source,
                                              size_t length, struct err *e)
{
    const char *old = t->chat_template;
    if (old != NULL && strlen(old) == length && memcmp(old, source, length) == 0 && t->tool_template == NULL)
        return ERR_OK;
    t->chat_template = arena_strndup(&t->arena, source, length, e);
    t->tool_template = NULL;
    t->template_place = arena_strndup(&t->arena, place, strlen(place), e);
    struct file_hasher *hasher = t->chat_template && t->template_place ? file_hasher_open(e) : NULL;
    if (hasher == NULL)
        return e->code;
    file_hasher_add(hasher, t->hash, sizeof t->hash);
    file_hasher_add(hasher, source, length);
    file_hasher_finish(hasher, t->hash);
    return ERR_OK;
}

const struct tokenizer_name *tokenizer_names(const struct tokenizer *t, size_t *count)
{
    *count = t->name_count;
    return t->names;
}

const char *tokenizer_hash(const struct tokenizer *t)
{
    return t->hash;
}
