#include "data/tokenizer/pretok.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/limits.h"
#include "base/regex.h"
#include "base/str.h"
#include "data/tokenizer/bytelevel.h"
#include "data/tokenizer/pattern.h"

struct step {
    struct pretok_step setting;
    struct regex *regex; /* NULL: no pattern */
    bool on_alphabet;    /* runs behind ByteLevel, so on the printable alphabet instead of the text */
};

struct pretok {
    struct step steps[PRETOK_MAX_STEPS];
    size_t count;
};

struct cut {
    uint32_t start, end;
    bool match;
};

struct pretok_buffers {
    struct regex_scratch *regex;
    struct cut *cuts; /* of the piece at hand */
    size_t cut_count, cut_capacity;
    struct pretok_piece *next; /* the pieces behind the step at hand */
    size_t next_count, next_capacity, pieces_capacity;
    char *mapped;   /* a piece in the printable alphabet */
    uint32_t *back; /* for each byte of `mapped` and its end, the byte of the piece */
    size_t mapped_capacity;
};

/* ---- opening ---- */

static enum err_code compile(struct regex **regex, const char *pattern, size_t length, bool literal,
                             struct err *e)
{
    struct str translated = {0};
    if (length > LIMIT_SPLIT_PATTERN)
        return err_set(e, ERR_UNSUPPORTED, "a pattern of %zu bytes; at most %d are read", length,
                       LIMIT_SPLIT_PATTERN);
    enum err_code code = literal ? ERR_OK : pattern_translate(&translated, pattern, length, e);
    if (!code && regex_open(regex, literal ? pattern : translated.data, literal ? length : translated.length,
                            literal ? REGEX_LITERAL : REGEX_LINES, e))
        code = e->code == ERR_USAGE ? e->code = ERR_UNSUPPORTED : e->code;
    str_release(&translated);
    return code;
}

static enum err_code check_sequence(const struct pretok_step *steps, size_t count, struct err *e)
{
    size_t byte_levels = 0;
    if (count > PRETOK_MAX_STEPS)
        return err_set(e, ERR_UNSUPPORTED, "%zu pre-tokenizers in a row (at most %d)", count,
                       PRETOK_MAX_STEPS);
    for (size_t i = 0; i < count; i++)
        byte_levels += steps[i].kind == PRETOK_BYTE_LEVEL;
    if (byte_levels != 1)
        return err_set(
            e, ERR_UNSUPPORTED,
            "the pre-tokenizer has %zu ByteLevel steps; only byte-level models, with one, are supported",
            byte_levels);
    return ERR_OK;
}

enum err_code pretok_open(struct pretok **out, const struct pretok_step *steps, size_t count, struct err *e)
{
    if (check_sequence(steps, count, e))
        return e->code;
    struct pretok *p = calloc(1, sizeof *p);
    if (p == NULL)
        return err_set(e, ERR_MEMORY, "no memory for the pre-tokenizer");
    bool behind = false;
    for (size_t i = 0; i < count; i++) {
        struct step *s = &p->steps[p->count++];
        enum err_code code = ERR_OK;
        s->setting = steps[i];
        s->on_alphabet = behind;
        if (steps[i].kind == PRETOK_SPLIT)
            code = compile(&s->regex, steps[i].pattern, steps[i].pattern_length, steps[i].literal, e);
        else if (steps[i].kind == PRETOK_BYTE_LEVEL && steps[i].use_regex)
            code = compile(&s->regex, PRETOK_GPT2_PATTERN, strlen(PRETOK_GPT2_PATTERN), false, e);
        if (code) {
            pretok_close(p);
            return code;
        }
        s->setting.pattern = NULL; /* the caller's; compiled by now */
        behind |= steps[i].kind == PRETOK_BYTE_LEVEL;
    }
    *out = p;
    return ERR_OK;
}

void pretok_close(struct pretok *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->count; i++)
        regex_close(p->steps[i].regex);
    free(p);
}

/* ---- working memory ---- */

/* Room for `count` elements in *array; contents are kept. */
static enum err_code grow(void *array, size_t *capacity, size_t count, size_t size, struct err *e)
{
    if (count <= *capacity)
        return ERR_OK;
    size_t wanted = count + count / 2 + 64;
    void *old, *bigger;
    memcpy(&old, array, sizeof old);
    bigger = wanted <= SIZE_MAX / size ? realloc(old, wanted * size) : NULL;
    if (bigger == NULL)
        return err_set(e, ERR_MEMORY, "no memory to tokenise (%zu elements of %zu bytes)", wanted, size);
    memcpy(array, &bigger, sizeof bigger);
    *capacity = wanted;
    return ERR_OK;
}

void pretok_text_release(struct pretok_text *t)
{
    free(t->bytes);
    free(t->start);
    free(t->end);
    *t = (struct pretok_text){0};
}

static enum err_code text_reserve(struct pretok_text *t, size_t length, struct err *e)
{
    size_t starts = t->capacity, ends = t->capacity;
    if (length >= UINT32_MAX / 2)
        return err_set(e, ERR_DATA, "a text of %zu bytes is too long to tokenise", length);
    if (grow(&t->start, &starts, length, sizeof *t->start, e) ||
        grow(&t->end, &ends, length, sizeof *t->end, e))
        return e->code;
    return grow(&t->bytes, &t->capacity, length, 1, e);
}

static enum err_code text_append(struct pretok_text *t, const char *bytes, size_t count, uint32_t start,
                                 uint32_t end, struct err *e)
{
    if (text_reserve(t, t->length + count, e))
        return e->code;
    for (size_t i = 0; i < count; i++) {
        t->bytes[t->length] = bytes[i];
        t->start[t->length] = start;
        t->end[t->length++] = end;
    }
    return ERR_OK;
}

/* The same, each byte standing for itself. */
static enum err_code text_append_same(struct pretok_text *t, const char *text, uint32_t start, uint32_t end,
                                      struct err *e)
{
    if (text_reserve(t, t->length + end - start, e))
        return e->code;
    for (uint32_t i = start; i < end; i++) {
        t->bytes[t->length] = text[i];
        t->start[t->length] = i;
        t->end[t->length++] = i + 1;
    }
    return ERR_OK;
}

static enum err_code buffers_open(struct pretok_work *w, struct err *e)
{
    if (w->buffers != NULL)
        return ERR_OK;
    struct pretok_buffers *b = w->buffers = calloc(1, sizeof *b);
    if (b == NULL || regex_scratch_open(&b->regex, e)) {
        pretok_work_release(w);
        return err_set(e, ERR_MEMORY, "no memory to run the pre-tokenizer");
    }
    return ERR_OK;
}

void pretok_work_release(struct pretok_work *w)
{
    struct pretok_buffers *b = w->buffers;
    if (b != NULL) {
        regex_scratch_close(b->regex);
        free(b->cuts);
        free(b->next);
        free(b->mapped);
        free(b->back);
        free(b);
    }
    free(w->pieces);
    pretok_text_release(&w->made);
    *w = (struct pretok_work){0};
}

/* ---- splitting ---- */

static enum err_code add_cut(struct pretok_buffers *b, size_t start, size_t end, bool match, struct err *e)
{
    if (grow(&b->cuts, &b->cut_capacity, b->cut_count + 1, sizeof *b->cuts, e))
        return e->code;
    b->cuts[b->cut_count++] = (struct cut){.start = (uint32_t)start, .end = (uint32_t)end, .match = match};
    return ERR_OK;
}

/* Cuts the subject into matches and what lies between them. An empty match right behind the last one does not
 * count; one elsewhere cuts the text in two. */
static enum err_code cut_by_pattern(struct pretok_buffers *b, const struct step *s, const char *subject,
                                    size_t length, struct err *e)
{
    size_t from = 0, prev = 0;
    bool any = false;
    while (from <= length) {
        size_t start, end;
        bool found;
        if (regex_find(&found, &start, &end, s->regex, b->regex, subject, length, from, e)) {
            e->code = ERR_DATA;
            return err_wrap(e, "the tokenizer's pattern fails on this text");
        }
        if (!found)
            break;
        if (start == end && any && end == prev) {
            from++;
            while (from < length && ((unsigned char)subject[from] & 0xC0) == 0x80)
                from++;
            continue;
        }
        if ((start > prev && add_cut(b, prev, start, false, e)) || add_cut(b, start, end, true, e))
            return e->code;
        any = true;
        from = prev = end;
    }
    return prev < length ? add_cut(b, prev, length, false, e) : ERR_OK;
}

static bool is_numeric(int32_t c)
{
    if (c < 0x80)
        return c >= '0' && c <= '9';
    utf8proc_category_t category = utf8proc_category(c);
    return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
           category == UTF8PROC_CATEGORY_NO;
}

static enum err_code cut_by_digits(struct pretok_buffers *b, const char *subject, size_t length,
                                   struct err *e)
{
    size_t prev = 0;
    for (size_t at = 0; at < length;) {
        size_t start = at;
        if (!is_numeric(bytelevel_next(subject, &at)))
            continue;
        if ((start > prev && add_cut(b, prev, start, false, e)) || add_cut(b, start, at, true, e))
            return e->code;
        prev = at;
    }
    return prev < length ? add_cut(b, prev, length, false, e) : ERR_OK;
}

/* Joins the cuts as the behaviour wants and drops the removed ones; the number that is left. */
static size_t join_cuts(struct cut *cuts, size_t count, enum pretok_behaviour behaviour)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool previous = i > 0 && cuts[i - 1].match, match = cuts[i].match;
        bool join = kept > 0 && ((behaviour == PRETOK_CONTIGUOUS && match == previous) ||
                                 (behaviour == PRETOK_MERGED_WITH_PREVIOUS && match && !previous) ||
                                 (behaviour == PRETOK_MERGED_WITH_NEXT && previous && !match));
        if (join)
            cuts[kept - 1].end = cuts[i].end;
        else if (!(behaviour == PRETOK_REMOVED && match))
            cuts[kept++] = cuts[i];
    }
    return kept;
}

/* The piece in ByteLevel's alphabet, with the way back to its own bytes. */
static enum err_code map_piece(struct pretok_buffers *b, size_t *mapped_length, const char *piece,
                               size_t length, struct err *e)
{
    size_t backs = b->mapped_capacity;
    if (grow(&b->back, &backs, 2 * length + 1, sizeof *b->back, e) ||
        grow(&b->mapped, &b->mapped_capacity, 2 * length + 1, 1, e))
        return e->code;
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        size_t size = bytelevel_encode(b->mapped + n, (unsigned char)piece[i]);
        for (size_t k = 0; k < size; k++)
            b->back[n++] = (uint32_t)i;
    }
    b->back[n] = (uint32_t)length;
    *mapped_length = n;
    return ERR_OK;
}

static enum err_code split_piece(struct pretok_work *w, const struct step *s, struct pretok_piece piece,
                                 struct err *e)
{
    struct pretok_buffers *b = w->buffers;
    const char *subject = w->text + piece.start;
    size_t length = piece.end - piece.start;
    enum pretok_behaviour behaviour = s->setting.behaviour;
    if (s->on_alphabet) {
        if (map_piece(b, &length, subject, length, e))
            return e->code;
        subject = b->mapped;
    }
    b->cut_count = 0;
    if (s->setting.kind == PRETOK_DIGITS)
        behaviour = s->setting.individual_digits ? PRETOK_ISOLATED : PRETOK_CONTIGUOUS;
    else if (s->setting.kind == PRETOK_BYTE_LEVEL)
        behaviour = PRETOK_ISOLATED;
    enum err_code code = s->setting.kind == PRETOK_DIGITS ? cut_by_digits(b, subject, length, e)
                                                          : cut_by_pattern(b, s, subject, length, e);
    if (code)
        return code;
    if (s->setting.invert) {
        for (size_t i = 0; i < b->cut_count; i++)
            b->cuts[i].match = !b->cuts[i].match;
    }
    size_t count = join_cuts(b->cuts, b->cut_count, behaviour);
    if (grow(&b->next, &b->next_capacity, b->next_count + count, sizeof *b->next, e))
        return e->code;
    for (size_t i = 0; i < count; i++) {
        uint32_t start = b->cuts[i].start, end = b->cuts[i].end;
        if (s->on_alphabet) {
            start = b->back[start];
            end = b->back[end];
        }
        if (start < end)
            b->next[b->next_count++] =
                (struct pretok_piece){.start = piece.start + start, .end = piece.start + end};
    }
    return ERR_OK;
}

/* Puts a space in front of every piece that does not begin with one; it stands for the piece's first
 * character. */
static enum err_code add_prefix_spaces(struct pretok_work *w, struct err *e)
{
    struct pretok_text *made = &w->made;
    const char *text = w->text;
    made->length = 0;
    for (size_t i = 0; i < w->count; i++) {
        struct pretok_piece *piece = &w->pieces[i];
        uint32_t start = (uint32_t)made->length;
        size_t first_end = piece->start;
        bytelevel_next(text, &first_end);
        if ((text[piece->start] != ' ' && text_append(made, " ", 1, piece->start, (uint32_t)first_end, e)) ||
            text_append_same(made, text, piece->start, piece->end, e))
            return e->code;
        *piece = (struct pretok_piece){.start = start, .end = (uint32_t)made->length};
    }
    w->text = made->bytes;
    w->is_made = true;
    return ERR_OK;
}

enum err_code pretok_split(struct pretok_work *w, const struct pretok *p, const char *text, size_t length,
                           struct err *e)
{
    if (buffers_open(w, e))
        return e->code;
    struct pretok_buffers *b = w->buffers;
    if (grow(&w->pieces, &b->pieces_capacity, 1, sizeof *w->pieces, e))
        return e->code;
    w->text = text;
    w->is_made = false;
    w->count = length > 0;
    w->pieces[0] = (struct pretok_piece){.start = 0, .end = (uint32_t)length};
    for (size_t i = 0; i < p->count; i++) {
        const struct step *s = &p->steps[i];
        if (s->setting.kind == PRETOK_BYTE_LEVEL && s->setting.add_prefix_space && add_prefix_spaces(w, e))
            return e->code;
        if (s->regex == NULL && s->setting.kind != PRETOK_DIGITS)
            continue;
        b->next_count = 0;
        for (size_t k = 0; k < w->count; k++) {
            if (split_piece(w, s, w->pieces[k], e))
                return e->code;
        }
        struct pretok_piece *pieces = w->pieces;
        size_t capacity = b->pieces_capacity;
        w->pieces = b->next;
        w->count = b->next_count;
        b->pieces_capacity = b->next_capacity;
        b->next = pieces;
        b->next_capacity = capacity;
        if (w->pieces == NULL && grow(&w->pieces, &b->pieces_capacity, 1, sizeof *w->pieces, e))
            return e->code;
    }
    return ERR_OK;
}

/* ---- characters ---- */

bool pretok_is_space(int32_t c)
{
    return (c >= '\t' && c <= '\r') || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
           c == 0x3000;
}

/* Alphabetic, marks, decimal digits, connecting punctuation and the two joiners (UTS 18, annex C). */
bool pretok_is_word(int32_t c)
{
    if ((c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
        (c >= 0x1F170 && c <= 0x1F189)) /* the alphabetic symbols: letters in circles and squares */
        return true;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default:
        return c == 0x200C || c == 0x200D;
    }
}

/* Whether a character may combine with the one before it: marks, and the vowels and finals of Hangul. */
static bool combines_backward(int32_t c)
{
    utf8proc_category_t category = utf8proc_category(c);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
           category == UTF8PROC_CATEGORY_ME || (c >= 0x1160 && c <= 0x11FF);
}

static bool has_canonical_decomposition(int32_t c)
{
    const utf8proc_property_t *p = utf8proc_get_property(c);
    return p->decomp_seqindex != UINT16_MAX && p->decomp_type == 0;
}

/* The end of the cluster that begins at `at`: one character and all that may combine with it. *simple: it is
 * one character that NFC leaves alone. */
static size_t cluster_end(bool *simple, const char *text, size_t length, size_t at)
{
    int32_t first = bytelevel_next(text, &at);
    size_t characters = 1;
    while (at < length) {
        size_t next = at;
        int32_t c = bytelevel_next(text, &next);
        if (c < 0x300 || !combines_backward(c))
            break;
        characters++;
        at = next;
    }
    *simple = characters == 1 && (first < 0x300 || !has_canonical_decomposition(first));
    return at;
}

enum err_code pretok_nfc(bool *changed, struct pretok_text *out, const char *text, size_t length,
                         struct err *e)
{
    int32_t *buffer = NULL;
    size_t capacity = 0;
    enum err_code code = ERR_OK;
    *changed = false;
    out->length = 0;
    for (size_t at = 0, end; code == ERR_OK && at < length; at = end) {
        bool simple;
        end = cluster_end(&simple, text, length, at);
        if (!simple) {
            const utf8proc_uint8_t *cluster = (const utf8proc_uint8_t *)text + at;
            utf8proc_ssize_t size = (utf8proc_ssize_t)(end - at);
            utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
            utf8proc_ssize_t count = utf8proc_decompose(cluster, size, NULL, 0, options);
            if (count > 0 && grow(&buffer, &capacity, (size_t)count + 1, sizeof *buffer, e) == ERR_OK) {
                utf8proc_decompose(cluster, size, buffer, count, options);
                count = utf8proc_reencode(buffer, count, options);
            } else if (count >= 0) {
                code = e->code;
                break;
            }
            if (count < 0) {
                code = err_set(e, ERR_DATA, "NFC fails at byte %zu: %s", at, utf8proc_errmsg(count));
                break;
            }
            simple = (size_t)count == end - at && memcmp(buffer, text + at, end - at) == 0;
            if (!simple) {
                if (!*changed)
                    code = text_append_same(out, text, 0, (uint32_t)at, e);
                *changed = true;
                if (code == ERR_OK)
                    code =
                        text_append(out, (const char *)buffer, (size_t)count, (uint32_t)at, (uint32_t)end, e);
                continue;
            }
        }
        if (*changed)
            code = text_append_same(out, text, (uint32_t)at, (uint32_t)end, e);
    }
    free(buffer);
    return code;
}
