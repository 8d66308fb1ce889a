#include "data/tokenizer/normalize.h"

#include <stdlib.h>
#include <string.h>

#include "data/tokenizer/unicode.h"

struct step {
    enum normalize_kind kind;
    char *content;
    size_t content_length;
    struct pattern *pattern;
    bool left, right;
};

struct normalize {
    struct step steps[NORMALIZE_MAX_STEPS];
    size_t count;
};

/* What a step makes of a view. It may leave *changed false and `out` alone where nothing changes. */
typedef enum err_code step_run(bool *changed, struct mapped *out, struct normalize_work *w,
                               const struct step *s, const struct mapped_view *view, struct err *e);

static enum err_code run_prepend(bool *changed, struct mapped *out, struct normalize_work *w,
                                 const struct step *s, const struct mapped_view *view, struct err *e)
{
    (void)w;
    if (view->length == 0)
        return ERR_OK;
    *changed = true;
    if (mapped_append(out, s->content, s->content_length, mapped_start(view, 0),
                      mapped_end(view, unicode_end(view->text, 0) - 1), e))
        return e->code;
    return mapped_copy(out, view, 0, view->length, e);
}

/* What takes the place of an empty match stands for the character before it, or after it at the very front. */
static enum err_code append_content(struct mapped *out, const struct step *s, const struct mapped_view *view,
                                    size_t start, size_t end, struct err *e)
{
    if (view->length == 0)
        return ERR_OK;
    if (start == end && start > 0)
        start = unicode_previous(view->text, start);
    else if (start == end)
        end = unicode_end(view->text, start);
    return mapped_append(out, s->content, s->content_length, mapped_start(view, start),
                         mapped_end(view, end - 1), e);
}

static enum err_code run_replace(bool *changed, struct mapped *out, struct normalize_work *w,
                                 const struct step *s, const struct mapped_view *view, struct err *e)
{
    struct pattern_cursor cursor = {0};
    size_t same = 0;
    for (;;) {
        size_t start, end;
        bool found;
        if (pattern_next(&found, &start, &end, &cursor, s->pattern, w->regex, view->text, view->length, e))
            return e->code;
        if (!found)
            break;
        *changed = true;
        if (mapped_copy(out, view, same, start, e) || append_content(out, s, view, start, end, e))
            return e->code;
        same = end;
    }
    return *changed ? mapped_copy(out, view, same, view->length, e) : ERR_OK;
}

static enum err_code run_strip(bool *changed, struct mapped *out, struct normalize_work *w,
                               const struct step *s, const struct mapped_view *view, struct err *e)
{
    (void)w;
    size_t from = 0, to = view->length;
    for (size_t next = from; s->left && from < to && unicode_is_space(unicode_next(view->text, &next));)
        from = next;
    while (s->right && to > from) {
        size_t at = unicode_previous(view->text, to), next = at;
        if (!unicode_is_space(unicode_next(view->text, &next)))
            break;
        to = at;
    }
    *changed = to - from < view->length;
    return *changed ? mapped_copy(out, view, from, to, e) : ERR_OK;
}

/* Puts what `map` makes of a character (its number of bytes; -1: it stays) in the place of each. */
static enum err_code map_characters(bool *changed, struct mapped *out, const struct mapped_view *view,
                                    int (*map)(char bytes[8], int32_t c), struct err *e)
{
    size_t same = 0;
    for (size_t at = 0, end; at < view->length; at = end) {
        end = at;
        char bytes[8];
        int size = map(bytes, unicode_next(view->text, &end));
        if (size < 0)
            continue;
        *changed = true;
        if (mapped_copy(out, view, same, at, e) ||
            mapped_append(out, bytes, (size_t)size, mapped_start(view, at), mapped_end(view, end - 1), e))
            return e->code;
        same = end;
    }
    return *changed ? mapped_copy(out, view, same, view->length, e) : ERR_OK;
}

static int lower(char bytes[8], int32_t c)
{
    int32_t small = unicode_lower(c);
    if (c != 0x130)
        return small == c ? -1 : (int)unicode_encode(bytes, small);
    static const char dotted[3] = {'i', '\xCC', '\x87'}; /* the one letter whose small form is two characters */
    memcpy(bytes, dotted, sizeof dotted);
    return 3;
}

static enum err_code run_lowercase(bool *changed, struct mapped *out, struct normalize_work *w,
                                   const struct step *s, const struct mapped_view *view, struct err *e)
{
    (void)w;
    (void)s;
    return map_characters(changed, out, view, lower, e);
}

static int drop_mark(char bytes[8], int32_t c)
{
    (void)bytes;
    return c >= 0x300 && unicode_is_mark(c) ? 0 : -1;
}

static enum err_code run_strip_accents(bool *changed, struct mapped *out, struct normalize_work *w,
                                       const struct step *s, const struct mapped_view *view, struct err *e)
{
    (void)w;
    (void)s;
    return map_characters(changed, out, view, drop_mark, e);
}

static enum err_code run_form(bool *changed, struct mapped *out, struct normalize_work *w,
                              const struct step *s, const struct mapped_view *view, struct err *e)
{
    (void)w;
    struct unicode_form form = {.compose = s->kind == NORMALIZE_NFC || s->kind == NORMALIZE_NFKC,
                                .compatibility = s->kind == NORMALIZE_NFKC || s->kind == NORMALIZE_NFKD};
    return unicode_normalize(changed, out, view, form, e);
}

static step_run *const runs[] = {
    [NORMALIZE_PREPEND] = run_prepend,
    [NORMALIZE_REPLACE] = run_replace,
    [NORMALIZE_STRIP] = run_strip,
    [NORMALIZE_LOWERCASE] = run_lowercase,
    [NORMALIZE_STRIP_ACCENTS] = run_strip_accents,
    [NORMALIZE_NFC] = run_form,
    [NORMALIZE_NFD] = run_form,
    [NORMALIZE_NFKC] = run_form,
    [NORMALIZE_NFKD] = run_form,
};

static enum err_code open_step(struct step *s, const struct normalize_step *from, struct err *e)
{
    s->kind = from->kind;
    s->left = from->left;
    s->right = from->right;
    s->content_length = from->content_length;
    s->content = malloc(from->content_length + 1);
    if (s->content == NULL)
        return err_set(e, ERR_MEMORY, "no memory for the normalizer");
    if (from->content_length > 0)
        memcpy(s->content, from->content, from->content_length);
    return from->kind == NORMALIZE_REPLACE ? pattern_open(&s->pattern, &from->pattern, e) : ERR_OK;
}

enum err_code normalize_open(struct normalize **out, const struct normalize_step *steps, size_t count,
                             struct err *e)
{
    if (count > NORMALIZE_MAX_STEPS)
        return err_set(e, ERR_UNSUPPORTED, "%zu normalizers in a row (at most %d)", count,
                       NORMALIZE_MAX_STEPS);
    struct normalize *n = calloc(1, sizeof *n);
    if (n == NULL)
        return err_set(e, ERR_MEMORY, "no memory for the normalizer");
    while (n->count < count) {
        size_t i = n->count++;
        if (open_step(&n->steps[i], &steps[i], e)) {
            normalize_close(n);
            return e->code;
        }
    }
    *out = n;
    return ERR_OK;
}

void normalize_close(struct normalize *n)
{
    if (n == NULL)
        return;
    for (size_t i = 0; i < n->count; i++) {
        free(n->steps[i].content);
        pattern_close(n->steps[i].pattern);
    }
    free(n);
}

void normalize_work_release(struct normalize_work *w)
{
    mapped_release(&w->made[0]);
    mapped_release(&w->made[1]);
    regex_scratch_close(w->regex);
    *w = (struct normalize_work){0};
}

enum err_code normalize_run(struct mapped_view *view, struct normalize_work *w, const struct normalize *n,
                            struct err *e)
{
    size_t into = 0, length = view->length;
    if (w->regex == NULL && regex_scratch_open(&w->regex, e))
        return e->code;
    for (size_t i = 0; i < n->count; i++) {
        struct mapped *out = &w->made[into];
        bool changed = false;
        mapped_begin(out, length);
        if (runs[n->steps[i].kind](&changed, out, w, &n->steps[i], view, e))
            return e->code;
        if (!changed)
            continue;
        *view = mapped_view_of(out);
        into = 1 - into;
    }
    return ERR_OK;
}
