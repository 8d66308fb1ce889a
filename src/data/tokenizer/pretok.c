#include "data/tokenizer/pretok.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "data/tokenizer/bytelevel.h"
#include "data/tokenizer/scan.h"
#include "data/tokenizer/unicode.h"

struct step {
    struct pretok_step setting;
    struct pattern *pattern;  /* NULL: none */
    const struct scan *known; /* does the same, if each match is a piece; NULL: none is known, or it is not */
    char replacement[8];
    size_t replacement_length;
    bool ascii[128];  /* of cut_by_class: which characters of one byte are of the class */
    bool on_alphabet; /* runs after ByteLevel, so on the printable alphabet instead of the text */
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
    struct pretok_piece *next; /* the pieces after the step at hand */
    size_t next_count, next_capacity, pieces_capacity;
    struct mapped made[2]; /* text that steps make: one of the step before, one of the step at hand */
    size_t into;
    char *alphabet; /* a piece in the printable alphabet */
    uint32_t *back; /* for each byte of `alphabet` and its end, the byte of the piece */
    size_t alphabet_capacity;
};

/* ---- working memory ---- */

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
        mapped_release(&b->made[0]);
        mapped_release(&b->made[1]);
        free(b->alphabet);
        free(b->back);
        free(b);
    }
    free(w->pieces);
    *w = (struct pretok_work){0};
}

/* ---- cutting ---- */

static enum err_code add_cut(struct pretok_buffers *b, size_t start, size_t end, bool match, struct err *e)
{
    if (mapped_grow(&b->cuts, &b->cut_capacity, b->cut_count + 1, sizeof *b->cuts, e))
        return e->code;
    b->cuts[b->cut_count++] = (struct cut){.start = (uint32_t)start, .end = (uint32_t)end, .match = match};
    return ERR_OK;
}

/* Cuts the subject into matches and what lies between them. */
static enum err_code cut_by_pattern(struct pretok_buffers *b, const struct step *s, const char *subject,
                                    size_t length, struct err *e)
{
    struct pattern_cursor cursor = {0};
    size_t prev = 0;
    for (;;) {
        size_t start, end;
        bool found;
        if (pattern_next(&found, &start, &end, &cursor, s->pattern, b->regex, subject, length, e))
            return e->code;
        if (!found)
            break;
        if ((start > prev && add_cut(b, prev, start, false, e)) || add_cut(b, start, end, true, e))
            return e->code;
        prev = end;
    }
    return prev < length ? add_cut(b, prev, length, false, e) : ERR_OK;
}

typedef bool character_class(int32_t c);

static character_class *class_of(const struct step *s)
{
    return s->setting.kind == PRETOK_DIGITS        ? unicode_is_number
           : s->setting.kind == PRETOK_PUNCTUATION ? unicode_is_punctuation
                                                   : unicode_is_space;
}

/* From `at` on, the first character that is of the class, or that `ascii` does not know; length: there is none. */
static size_t skip_others(const struct step *s, const char *subject, size_t length, size_t at)
{
    while (at < length && (unsigned char)subject[at] < 0x80 && !s->ascii[(unsigned char)subject[at]])
        at++;
    return at;
}

/* Each character of the class is a match. */
static enum err_code cut_by_class(struct pretok_buffers *b, const struct step *s, const char *subject,
                                  size_t length, struct err *e)
{
    character_class *in_class = class_of(s);
    size_t prev = 0;
    for (size_t at = skip_others(s, subject, length, 0); at < length; at = skip_others(s, subject, length, at)) {
        const size_t start = at;
        if (!in_class(unicode_next(subject, &at)))
            continue;
        if ((start > prev && add_cut(b, prev, start, false, e)) || add_cut(b, start, at, true, e))
            return e->code;
        prev = at;
    }
    return prev < length ? add_cut(b, prev, length, false, e) : ERR_OK;
}

/* Runs of word characters, of spaces (the matches), and of others. */
static enum err_code cut_by_words(struct pretok_buffers *b, const struct step *s, const char *subject,
                                  size_t length, struct err *e)
{
    (void)s;
    enum { NONE, WORD, SPACE, OTHER };
    int last = NONE;
    size_t start = 0;
    for (size_t at = 0, next = 0; at < length; at = next) {
        int32_t c = unicode_next(subject, &next);
        int class = unicode_is_word(c) ? WORD : unicode_is_space(c) ? SPACE : OTHER;
        if (class != last && at > 0 && add_cut(b, start, at, last == SPACE, e))
            return e->code;
        start = class != last ? at : start;
        last = class;
    }
    return length > 0 ? add_cut(b, start, length, last == SPACE, e) : ERR_OK;
}

/* How a step cuts; the behaviour that it has whatever its setting says. NULL: it does not cut. */
static const struct cutter {
    enum err_code (*cut)(struct pretok_buffers *b, const struct step *s, const char *subject, size_t length,
                         struct err *e);
    int behaviour; /* -1: the setting's */
} cutters[] = {
    [PRETOK_SPLIT] = {cut_by_pattern, -1},
    [PRETOK_DIGITS] = {cut_by_class, -1},
    [PRETOK_PUNCTUATION] = {cut_by_class, -1},
    [PRETOK_WHITESPACE] = {cut_by_words, PRETOK_REMOVED},
    [PRETOK_WHITESPACE_SPLIT] = {cut_by_class, PRETOK_REMOVED},
    [PRETOK_METASPACE] = {cut_by_pattern, PRETOK_MERGED_WITH_NEXT},
    [PRETOK_BYTE_LEVEL] = {cut_by_pattern, PRETOK_ISOLATED},
};

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
static enum err_code to_alphabet(struct pretok_buffers *b, size_t *alphabet_length, const char *piece,
                                 size_t length, struct err *e)
{
    size_t backs = b->alphabet_capacity;
    if (mapped_grow(&b->back, &backs, 2 * length + 1, sizeof *b->back, e) ||
        mapped_grow(&b->alphabet, &b->alphabet_capacity, 2 * length + 1, 1, e))
        return e->code;
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        size_t size = bytelevel_encode(b->alphabet + n, (unsigned char)piece[i]);
        for (size_t k = 0; k < size; k++)
            b->back[n++] = (uint32_t)i;
    }
    b->back[n] = (uint32_t)length;
    *alphabet_length = n;
    return ERR_OK;
}

/* Cuts off the front of the piece what the step's function matches: nothing lies between its matches. */
static enum err_code split_known(struct pretok_piece *piece, struct pretok_work *w, const struct step *s, struct err *e)
{
    struct pretok_buffers *b = w->buffers;
    const char *text = w->view.text;
    while (piece->start < piece->end) {
        const size_t length = piece->end - piece->start;
        const size_t end = scan_match(s->known, text + piece->start, length, 0);
        if (end == 0)
            break;
        if (b->next_count == b->next_capacity &&
            mapped_grow(&b->next, &b->next_capacity, b->next_count + 1, sizeof *b->next, e))
            return e->code;
        const uint32_t start = piece->start;
        piece->start += (uint32_t)end;
        b->next[b->next_count++] = (struct pretok_piece){.start = start, .end = piece->start};
    }
    return ERR_OK;
}

static enum err_code split_piece(struct pretok_work *w, const struct step *s, struct pretok_piece piece,
                                 struct err *e)
{
    const enum err_code code = s->known ? split_known(&piece, w, s, e) : ERR_OK;
    if (code || piece.start == piece.end)
        return code;
    const struct cutter *cutter = &cutters[s->setting.kind];
    struct pretok_buffers *b = w->buffers;
    const char *subject = w->view.text + piece.start;
    size_t length = piece.end - piece.start;
    if (s->on_alphabet) {
        if (to_alphabet(b, &length, subject, length, e))
            return e->code;
        subject = b->alphabet;
    }
    b->cut_count = 0;
    if (cutter->cut(b, s, subject, length, e))
        return e->code;
    if (s->setting.invert) {
        for (size_t i = 0; i < b->cut_count; i++)
            b->cuts[i].match = !b->cuts[i].match;
    }
    size_t count = join_cuts(b->cuts, b->cut_count,
                             cutter->behaviour < 0 ? s->setting.behaviour
                                                   : (enum pretok_behaviour)cutter->behaviour);
    if (mapped_grow(&b->next, &b->next_capacity, b->next_count + count, sizeof *b->next, e))
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

static enum err_code cut_pieces(struct pretok_work *w, const struct step *s, struct err *e)
{
    struct pretok_buffers *b = w->buffers;
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
    return w->pieces ? ERR_OK : mapped_grow(&w->pieces, &b->pieces_capacity, 1, sizeof *w->pieces, e);
}

/* ---- rewriting ---- */

/* Whether the step puts its prefix in front of the piece, where it stands for the piece's first character. */
static bool wants_prefix(const struct step *s, const struct mapped_view *view, struct pretok_piece piece)
{
    const char *with = s->setting.kind == PRETOK_METASPACE ? s->replacement : " ";
    const char *text = view->text + piece.start;
    size_t length = strlen(with);
    bool has = (piece.end - piece.start >= length && memcmp(text, with, length) == 0) ||
               (s->setting.kind == PRETOK_METASPACE && *text == ' ');
    if (has || s->setting.kind == PRETOK_BYTE_LEVEL)
        return !has;
    return s->setting.prepend == PRETOK_ALWAYS ||
           (s->setting.prepend == PRETOK_FIRST && mapped_start(view, piece.start) == 0);
}

static enum err_code copy_piece(struct mapped *made, const struct step *s, const struct mapped_view *view,
                                struct pretok_piece piece, struct err *e)
{
    size_t same = piece.start;
    for (size_t at = same; s->setting.kind == PRETOK_METASPACE && at < piece.end; at++) {
        if (view->text[at] != ' ')
            continue;
        if (mapped_copy(made, view, same, at, e) ||
            mapped_append(made, s->replacement, s->replacement_length, mapped_start(view, at),
                          mapped_end(view, at), e))
            return e->code;
        same = at + 1;
    }
    return mapped_copy(made, view, same, piece.end, e);
}

/* Writes the pieces afresh: for ByteLevel with a space in front, for Metaspace with its replacement in front
 * and in the place of spaces. */
static enum err_code rewrite_pieces(struct pretok_work *w, const struct step *s, struct err *e)
{
    const char *prefix = s->setting.kind == PRETOK_METASPACE ? s->replacement : " ";
    struct mapped *made = &w->buffers->made[w->buffers->into];
    mapped_begin(made, w->length);
    for (size_t i = 0; i < w->count; i++) {
        struct pretok_piece piece = w->pieces[i];
        uint32_t start = (uint32_t)made->length;
        size_t first_end = unicode_end(w->view.text, piece.start);
        if ((wants_prefix(s, &w->view, piece) &&
             mapped_append(made, prefix, strlen(prefix), mapped_start(&w->view, piece.start),
                           mapped_end(&w->view, first_end - 1), e)) ||
            copy_piece(made, s, &w->view, piece, e))
            return e->code;
        w->pieces[i] = (struct pretok_piece){.start = start, .end = (uint32_t)made->length};
    }
    w->view = mapped_view_of(made);
    w->buffers->into = 1 - w->buffers->into;
    return ERR_OK;
}

static enum err_code run_step(struct pretok_work *w, const struct step *s, struct err *e)
{
    bool rewrites = s->setting.kind == PRETOK_METASPACE ||
                    (s->setting.kind == PRETOK_BYTE_LEVEL && s->setting.add_prefix_space);
    if (rewrites && rewrite_pieces(w, s, e))
        return e->code;
    bool cuts = s->pattern != NULL || cutters[s->setting.kind].cut != cut_by_pattern;
    return cuts ? cut_pieces(w, s, e) : ERR_OK;
}

enum err_code pretok_split(struct pretok_work *w, const struct pretok *p, const struct mapped_view *view,
                           struct err *e)
{
    if (buffers_open(w, e))
        return e->code;
    struct pretok_buffers *b = w->buffers;
    if (mapped_grow(&w->pieces, &b->pieces_capacity, 1, sizeof *w->pieces, e))
        return e->code;
    w->view = *view;
    w->length = view->length;
    w->count = view->length > 0;
    w->pieces[0] = (struct pretok_piece){.start = 0, .end = (uint32_t)view->length};
    for (size_t i = 0; i < p->count; i++) {
        if (run_step(w, &p->steps[i], e))
            return e->code;
    }
    return ERR_OK;
}

/* ---- opening ---- */

static enum err_code check_sequence(const struct pretok_step *steps, size_t count, struct err *e)
{
    size_t byte_levels = 0;
    if (count > PRETOK_MAX_STEPS)
        return err_set(e, ERR_UNSUPPORTED, "%zu pre-tokenizers in a row (at most %d)", count,
                       PRETOK_MAX_STEPS);
    for (size_t i = 0; i < count; i++) {
        if (steps[i].kind == PRETOK_METASPACE && byte_levels > 0)
            return err_set(e, ERR_UNSUPPORTED, "a Metaspace pre-tokenizer after ByteLevel is not supported");
        byte_levels += steps[i].kind == PRETOK_BYTE_LEVEL;
    }
    if (byte_levels > 1)
        return err_set(e, ERR_UNSUPPORTED, "the pre-tokenizer has %zu ByteLevel steps; one is supported",
                       byte_levels);
    return ERR_OK;
}

static enum err_code open_step(struct step *s, const struct pretok_step *from, struct err *e)
{
    struct pattern_source pattern = from->pattern;
    s->setting = *from;
    s->setting.pattern = (struct pattern_source){0}; /* the caller's */
    s->setting.replacement = NULL;
    if (from->kind == PRETOK_DIGITS)
        s->setting.behaviour = from->individual_digits ? PRETOK_ISOLATED : PRETOK_CONTIGUOUS;
    for (int32_t c = 0; c < 128; c++)
        s->ascii[c] = class_of(s)(c);
    if (from->kind == PRETOK_METASPACE) {
        s->replacement_length = strlen(from->replacement);
        assert(s->replacement_length > 0 && s->replacement_length < sizeof s->replacement);
        memcpy(s->replacement, from->replacement, s->replacement_length);
        pattern = (struct pattern_source){
            .text = s->replacement, .length = s->replacement_length, .literal = true};
    }
    if (from->kind == PRETOK_BYTE_LEVEL)
        pattern = (struct pattern_source){.text = SCAN_GPT2, .length = strlen(SCAN_GPT2)};
    bool has_pattern = from->kind == PRETOK_SPLIT || (from->kind == PRETOK_METASPACE && from->split) ||
                       (from->kind == PRETOK_BYTE_LEVEL && from->use_regex);
    if (has_pattern && pattern_open(&s->pattern, &pattern, e))
        return e->code;
    const bool isolated = from->kind == PRETOK_BYTE_LEVEL || from->behaviour == PRETOK_ISOLATED;
    if (has_pattern && isolated && !from->invert && !s->on_alphabet)
        s->known = pattern_scan(s->pattern);
    return ERR_OK;
}

enum err_code pretok_open(struct pretok **out, const struct pretok_step *steps, size_t count, struct err *e)
{
    if (check_sequence(steps, count, e))
        return e->code;
    struct pretok *p = calloc(1, sizeof *p);
    if (p == NULL)
        return err_set(e, ERR_MEMORY, "no memory for the pre-tokenizer");
    bool after_byte_level = false;
    while (p->count < count) {
        size_t i = p->count++;
        p->steps[i].on_alphabet = after_byte_level;
        if (open_step(&p->steps[i], &steps[i], e)) {
            pretok_close(p);
            return e->code;
        }
        after_byte_level |= steps[i].kind == PRETOK_BYTE_LEVEL;
    }
    *out = p;
    return ERR_OK;
}

void pretok_close(struct pretok *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->count; i++)
        pattern_close(p->steps[i].pattern);
    free(p);
}
