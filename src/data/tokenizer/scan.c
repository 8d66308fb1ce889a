#include "data/tokenizer/scan.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/tokenizer/pattern.h"
#include "data/tokenizer/unicode.h"

#define CLASSES   0x10000 /* characters whose class is known: those of up to three bytes */
#define FOUR_BYTE 0xF0    /* the first byte of a longer one */

enum class { OTHER, LETTER, NUMBER, SPACE, UNKNOWN };

typedef size_t match_at(const struct scan *s, const char *text, size_t length, size_t at);

struct scan {
    match_at *match;
    size_t digits;            /* numbers that a match takes at most */
    uint8_t classes[CLASSES]; /* enum class */
};

/* ---- characters ---- */

static enum class class_at(const struct scan *s, const char *text, size_t at, size_t *next)
{
    const unsigned char first = (unsigned char)text[at];
    *next = at + 1;
    if (first < 0x80)
        return s->classes[first];
    if (first >= FOUR_BYTE)
        return UNKNOWN;
    *next = at;
    return s->classes[unicode_next(text, next)];
}

static bool is_newline(char c)
{
    return c == '\r' || c == '\n';
}

/* The end of a run of a class that has come to `at`; 0: unknown. */
static size_t run_end(const struct scan *s, enum class class, const char *text, size_t length, size_t at)
{
    for (size_t next; at < length; at = next) {
        const enum class here = class_at(s, text, at, &next);
        if (here == UNKNOWN)
            return 0;
        if (here != class)
            break;
    }
    return at;
}

static size_t skip_newlines(const char *text, size_t length, size_t at)
{
    while (at < length && is_newline(text[at]))
        at++;
    return at;
}

/* 's, 't, 're, 've, 'm, 'll, 'd: the end of the one at text[at], an apostrophe; 0: there is none. `fold`: in letters of
 * either case. */
static size_t contraction(const char *text, size_t length, size_t at, bool fold)
{
    static const char *const endings[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    const int bit = fold ? 0x20 : 0;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const size_t count = strlen(endings[i]);
        if (at + count < length && (text[at + 1] | bit) == endings[i][0] &&
            (count == 1 || (text[at + 2] | bit) == endings[i][1]))
            return at + 1 + count;
    }
    return 0;
}

/* \s+(?!\S)|\s+ and, with newlines, \s*[\r\n]+ before them: a run of spaces, up to its last newline; else without its
 * last character, which goes with what follows. */
static size_t spaces_end(const struct scan *s, const char *text, size_t length, size_t at, bool newlines)
{
    size_t last = at, newline = 0, end = at;
    for (size_t next; end < length; end = next) {
        const enum class here = class_at(s, text, end, &next);
        if (here == UNKNOWN)
            return 0;
        if (here != SPACE)
            break;
        last = end;
        newline = is_newline(text[end]) ? next : newline;
    }
    if (newlines && newline)
        return newline;
    return end < length && last > at ? last : end;
}

/* ---- expressions ---- */

static size_t match_gpt2(const struct scan *s, const char *text, size_t length, size_t at)
{
    size_t next, after, end = text[at] == '\'' ? contraction(text, length, at, false) : 0;
    if (end)
        return end;
    const enum class first = class_at(s, text, at, &next);
    if (first == UNKNOWN)
        return 0;
    if (first != SPACE)
        return run_end(s, first, text, length, next);
    if (text[at] != ' ' || next == length)
        return spaces_end(s, text, length, at, false);
    const enum class second = class_at(s, text, next, &after);
    if (second == UNKNOWN)
        return 0;
    return second == SPACE ? spaces_end(s, text, length, at, false) : run_end(s, second, text, length, after);
}

/* \p{N}{1,digits} */
static size_t numbers_end(const struct scan *s, const char *text, size_t length, size_t at)
{
    size_t next, count = 0;
    for (; at < length && count < s->digits; at = next, count++) {
        const enum class here = class_at(s, text, at, &next);
        if (here == UNKNOWN)
            return 0;
        if (here != NUMBER)
            break;
    }
    return at;
}

/* A space or another character that is neither letter nor number; what follows it has the class `second`, up to
 * `after`. */
static size_t match_other(const struct scan *s, enum class first, enum class second, const char *text, size_t length,
                          size_t at, size_t after)
{
    if (second == LETTER && !is_newline(text[at]))
        return run_end(s, LETTER, text, length, after);
    if (first == SPACE && !(text[at] == ' ' && second == OTHER))
        return spaces_end(s, text, length, at, true);
    const size_t end = run_end(s, OTHER, text, length, first == SPACE ? after : at);
    return end ? skip_newlines(text, length, end) : 0;
}

static size_t match_llama3(const struct scan *s, const char *text, size_t length, size_t at)
{
    size_t next, after = 0;
    if (text[at] == '\'') {
        const size_t end = contraction(text, length, at, true);
        if (end)
            return end;
        if (at + 1 < length && (unsigned char)text[at + 1] >= 0x80) /* U+017F is an s, where case is folded */
            return 0;
    }
    const enum class first = class_at(s, text, at, &next);
    if (first == LETTER)
        return run_end(s, LETTER, text, length, next);
    if (first == NUMBER)
        return numbers_end(s, text, length, at);
    if (first == UNKNOWN)
        return 0;
    const enum class second = next < length ? class_at(s, text, next, &after) : SPACE;
    return second == UNKNOWN ? 0 : match_other(s, first, second, text, length, at, after);
}

size_t scan_match(const struct scan *s, const char *text, size_t length, size_t at)
{
    return s->match(s, text, length, at);
}

/* ---- opening ---- */

static const struct known {
    const char *pattern;
    match_at *match;
    size_t digits;
} known[] = {
    {SCAN_GPT2, match_gpt2, 0},
    {SCAN_LLAMA3, match_llama3, 3},
    {SCAN_QWEN2, match_llama3, 1},
};

/* All characters of up to three bytes, one after the other. */
static size_t write_characters(char *text)
{
    size_t length = 0;
    for (int32_t c = 0; c < CLASSES; c++)
        if (c < 0xD800 || c > 0xDFFF)
            length += unicode_encode(text + length, c);
    return length;
}

/* Marks the characters of the text that the expression matches. */
static enum err_code mark(struct scan *s, enum class class, const char *pattern, const char *text, size_t length,
                          struct err *e)
{
    const struct pattern_source source = {.text = pattern, .length = strlen(pattern)};
    struct pattern_cursor cursor = {0};
    struct regex_scratch *scratch = NULL;
    struct pattern *p = NULL;
    size_t start = 0, end = 0;
    bool found = true;
    enum err_code code = pattern_open(&p, &source, e);
    if (!code)
        code = regex_scratch_open(&scratch, e);
    while (!code && found) {
        code = pattern_next(&found, &start, &end, &cursor, p, scratch, text, length, e);
        while (!code && found && start < end)
            s->classes[unicode_next(text, &start)] = (uint8_t)class;
    }
    regex_scratch_close(scratch);
    pattern_close(p);
    return code;
}

static enum err_code fill_classes(struct scan *s, struct err *e)
{
    char *text = malloc((size_t)3 * CLASSES);
    if (text == NULL)
        return err_set(e, ERR_MEMORY, "no memory for a pattern of the tokenizer");
    const size_t length = write_characters(text);
    enum err_code code = mark(s, LETTER, "\\p{L}+", text, length, e);
    if (!code)
        code = mark(s, NUMBER, "\\p{N}+", text, length, e);
    if (!code)
        code = mark(s, SPACE, "\\s+", text, length, e);
    free(text);
    return code;
}

enum err_code scan_open(struct scan **out, const char *pattern, size_t length, struct err *e)
{
    const struct known *found = NULL;
    *out = NULL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (length == strlen(known[i].pattern) && memcmp(pattern, known[i].pattern, length) == 0)
            found = &known[i];
    if (found == NULL)
        return ERR_OK;
    struct scan *s = calloc(1, sizeof *s);
    if (s == NULL)
        return err_set(e, ERR_MEMORY, "no memory for a pattern of the tokenizer");
    s->match = found->match;
    s->digits = found->digits;
    if (fill_classes(s, e)) {
        scan_close(s);
        return e->code;
    }
    *out = s;
    return ERR_OK;
}

void scan_close(struct scan *s)
{
    free(s);
}
