#include "data/tokenizer/pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "data/tokenizer/scan.h"
#include "data/tokenizer/unicode.h"

/* What \s means to Oniguruma: Unicode's White_Space. PCRE2's own \s also takes U+180E. */
#define SPACE_RANGES                                                                                         \
    "\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define NOT_SPACE_RANGES                                                                                     \
    "\\x{00}-\\x08\\x0e-\\x1f!-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{"     \
    "2027}"                                                                                                  \
    "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}"

#define MAX_DEPTH 64

struct scanner {
    const char *text;
    size_t length, at;
    struct str *out;
    bool folding[MAX_DEPTH + 1]; /* whether the group of each depth ignores case */
    int depth;
};

static enum err_code refuse(const struct scanner *s, size_t at, const char *why, struct err *e)
{
    char rest[16] = "";
    snprintf(rest, sizeof rest, "%.*s", (int)(s->length - at < 15 ? s->length - at : 15), s->text + at);
    return err_set(e, ERR_UNSUPPORTED, "pattern, byte %zu, at '%.*s': %s", at, str_utf8_cut(rest, 12), rest,
                   why);
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static char peek(const struct scanner *s, size_t ahead)
{
    if (s->at + ahead >= s->length)
        return '\0';
    return s->text[s->at + ahead];
}

static enum err_code copy(struct scanner *s, size_t count, struct err *e)
{
    enum err_code code = str_append(s->out, s->text + s->at, count, e);
    s->at += count;
    return code;
}

static enum err_code replace(struct scanner *s, size_t count, const char *with, struct err *e)
{
    s->at += count;
    return str_append(s->out, with, strlen(with), e);
}

/* \p{..}, \P{..} with a general category: the two libraries agree on no other property for sure. */
static enum err_code scan_property(struct scanner *s, struct err *e)
{
    static const char *const categories[] = {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc", "Me",
                                             "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Ps", "Pe", "Pi",
                                             "Pf", "Po", "S",  "Sm", "Sc", "Sk", "So", "Z",  "Zs", "Zl",
                                             "Zp", "C",  "Cc", "Cf", "Cs", "Co", "Cn"};
    for (size_t i = 0; i < sizeof categories / sizeof *categories; i++) {
        size_t n = strlen(categories[i]);
        if (peek(s, 2) != '{' || s->at + n + 4 > s->length ||
            memcmp(s->text + s->at + 3, categories[i], n) != 0 || s->text[s->at + 3 + n] != '}')
            continue;
        bool cased = strcmp(categories[i], "Lu") == 0 || strcmp(categories[i], "Ll") == 0 ||
                     strcmp(categories[i], "Lt") == 0;
        if (cased && s->folding[s->depth])
            return refuse(s, s->at, "a category of letter case where case is ignored", e);
        return copy(s, n + 4, e);
    }
    return refuse(s, s->at, "only general categories such as \\p{L} or \\p{Nd} are supported here", e);
}

/* \x{H..} and \uHHHH */
static enum err_code scan_code_point(struct scanner *s, struct err *e)
{
    if (peek(s, 1) == 'u') {
        for (size_t i = 2; i < 6; i++) {
            if (!is_hex(peek(s, i)))
                return refuse(s, s->at, "\\u needs four hexadecimal digits", e);
        }
        enum err_code code = str_appendf(s->out, e, "\\x{%.4s}", s->text + s->at + 2);
        s->at += 6;
        return code;
    }
    size_t n = 3;
    while (is_hex(peek(s, n)))
        n++;
    if (peek(s, 2) != '{' || n == 3 || peek(s, n) != '}')
        return refuse(s, s->at, "code points are supported in the form \\x{..} or \\uHHHH", e);
    return copy(s, n + 1, e);
}

static enum err_code scan_escape(struct scanner *s, bool in_class, struct err *e)
{
    switch (peek(s, 1)) {
    case 's':
        return replace(s, 2, in_class ? SPACE_RANGES : "[" SPACE_RANGES "]", e);
    case 'S':
        return replace(s, 2, in_class ? NOT_SPACE_RANGES : "[^" SPACE_RANGES "]", e);
    case 'p':
    case 'P':
        return scan_property(s, e);
    case 'x':
    case 'u':
        return scan_code_point(s, e);
    case 'v':
        return replace(s, 2, "\\x0b", e);
    case 'd':
    case 'D':
    case 'n':
    case 'r':
    case 't':
    case 'f':
        return copy(s, 2, e);
    default:
        if (peek(s, 1) == '\0' || is_alnum(peek(s, 1)) || (peek(s, 1) & 0x80))
            return refuse(s, s->at, "this escape is not supported", e);
        return copy(s, 2, e);
    }
}

/* A literal character. Where case is ignored, Oniguruma folds some sequences to one character (ss and U+00DF,
 * fi and U+FB01), which PCRE2 does not. */
static enum err_code scan_literal(struct scanner *s, bool in_class, struct err *e)
{
    if (s->folding[s->depth]) {
        static const char *const folded[] = {"ss", "ff", "fi", "fl", "st"};
        for (size_t i = 0; !in_class && i < sizeof folded / sizeof *folded; i++) {
            if ((peek(s, 0) | 0x20) == folded[i][0] && (peek(s, 1) | 0x20) == folded[i][1])
                return refuse(s, s->at, "this sequence is not supported where case is ignored", e);
        }
        if (peek(s, 0) & 0x80)
            return refuse(s, s->at, "only ASCII letters are supported where case is ignored", e);
    }
    return copy(s, 1, e);
}

static enum err_code scan_class(struct scanner *s, struct err *e)
{
    size_t start = s->at;
    enum err_code code = copy(s, peek(s, 1) == '^' ? 2 : 1, e);
    if (code == ERR_OK && peek(s, 0) == ']')
        return refuse(s, start, "an empty class", e);
    while (code == ERR_OK) {
        if (s->at >= s->length)
            return refuse(s, start, "the class has no end", e);
        char c = peek(s, 0);
        if (c == ']')
            return copy(s, 1, e);
        if (c == '[' || (c == '&' && peek(s, 1) == '&'))
            return refuse(s, s->at, "nested classes and && are not supported", e);
        if (c != '\\') {
            code = scan_literal(s, true, e);
            continue;
        }
        bool set = strchr("sSdDpP", peek(s, 1)) != NULL;
        code = scan_escape(s, true, e);
        if (code == ERR_OK && set && peek(s, 0) == '-' && peek(s, 1) != ']')
            return refuse(s, s->at, "a range that begins with a set", e);
    }
    return code;
}

static enum err_code scan_group(struct scanner *s, struct err *e)
{
    static const char *const openings[] = {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"};
    if (s->depth == MAX_DEPTH)
        return refuse(s, s->at, "groups are nested too deeply", e);
    size_t n = 1;
    for (size_t i = 0; i < sizeof openings / sizeof *openings; i++) {
        size_t size = strlen(openings[i]);
        if (s->at + size <= s->length && memcmp(s->text + s->at, openings[i], size) == 0)
            n = size;
    }
    if (n == 1 && (peek(s, 1) == '?' || peek(s, 1) == '*'))
        return refuse(s, s->at, "this kind of group is not supported", e);
    s->folding[s->depth + 1] = s->folding[s->depth] || (n == 4 && peek(s, 2) == 'i');
    s->depth++;
    return copy(s, n, e);
}

/* {n}, {n,} and {n,m}, the latter two perhaps followed by ?. */
static enum err_code scan_interval(struct scanner *s, struct err *e)
{
    size_t n = 1, digits = 0;
    bool range = false;
    while (peek(s, n) >= '0' && peek(s, n) <= '9')
        n++, digits++;
    if (digits > 0 && peek(s, n) == ',') {
        range = true;
        n++;
        while (peek(s, n) >= '0' && peek(s, n) <= '9')
            n++;
    }
    if (digits == 0 || peek(s, n) != '}')
        return refuse(s, s->at, "not an interval; write \\{ for the character", e);
    if (peek(s, n + 1) == '+' || (peek(s, n + 1) == '?' && !range))
        return refuse(s, s->at, "an interval followed by + (or {n} by ?) means different things", e);
    return copy(s, n + 1, e);
}

enum err_code pattern_translate(struct str *out, const char *pattern, size_t length, struct err *e)
{
    struct scanner s = {.text = pattern, .length = length, .out = out};
    enum err_code code = ERR_OK;
    while (code == ERR_OK && s.at < s.length) {
        switch (peek(&s, 0)) {
        case '\\':
            code = scan_escape(&s, false, e);
            break;
        case '[':
            code = scan_class(&s, e);
            break;
        case '(':
            code = scan_group(&s, e);
            break;
        case ')':
            if (s.depth == 0)
                return refuse(&s, s.at, "a ')' without its '('", e);
            s.depth--;
            code = copy(&s, 1, e);
            break;
        case '{':
            code = scan_interval(&s, e);
            break;
        default:
            code = scan_literal(&s, false, e);
        }
    }
    return code;
}

/* ---- matching ---- */

struct pattern {
    struct regex *regex; /* NULL: the literal */
    struct scan *scan;   /* does the same in less time; NULL: none is known */
    size_t length;
    char literal[];
};

static enum err_code compile(struct regex **regex, const struct pattern_source *source, struct err *e)
{
    struct str translated = {0};
    enum err_code code = pattern_translate(&translated, source->text, source->length, e);
    if (!code && regex_open(regex, translated.data ? translated.data : "", translated.length, REGEX_LINES, e))
        code = e->code == ERR_USAGE ? e->code = ERR_UNSUPPORTED : e->code;
    str_release(&translated);
    return code;
}

enum err_code pattern_open(struct pattern **out, const struct pattern_source *source, struct err *e)
{
    if (source->length > LIMIT_SPLIT_PATTERN)
        return err_set(e, ERR_UNSUPPORTED, "a pattern of %zu bytes; at most %d are read", source->length,
                       LIMIT_SPLIT_PATTERN);
    size_t copied = source->literal ? source->length : 0;
    struct pattern *p = calloc(1, sizeof *p + copied + 1);
    if (p == NULL)
        return err_set(e, ERR_MEMORY, "no memory for a pattern of the tokenizer");
    p->length = copied;
    memcpy(p->literal, source->text, copied);
    if (!source->literal &&
        (compile(&p->regex, source, e) || scan_open(&p->scan, source->text, source->length, e))) {
        pattern_close(p);
        return e->code;
    }
    *out = p;
    return ERR_OK;
}

void pattern_close(struct pattern *p)
{
    if (p != NULL) {
        regex_close(p->regex);
        scan_close(p->scan);
    }
    free(p);
}

const struct scan *pattern_scan(const struct pattern *p)
{
    return p->scan;
}

static enum err_code find(bool *found, size_t *start, size_t *end, const struct pattern *p,
                          struct regex_scratch *scratch, const char *text, size_t length, size_t from,
                          struct err *e)
{
    if (p->regex != NULL) {
        if (!regex_find(found, start, end, p->regex, scratch, text, length, from, e))
            return ERR_OK;
        e->code = ERR_DATA;
        return err_wrap(e, "the tokenizer's pattern fails on this text");
    }
    const char *at = from < length || p->length == 0
                         ? memmem(text + from, length - from, p->literal, p->length)
                         : NULL;
    *found = at != NULL;
    *start = at ? (size_t)(at - text) : 0;
    *end = *start + p->length;
    return ERR_OK;
}

enum err_code pattern_next(bool *found, size_t *start, size_t *end, struct pattern_cursor *c,
                           const struct pattern *p, struct regex_scratch *scratch, const char *text,
                           size_t length, struct err *e)
{
    const size_t known = p->scan && c->from < length ? scan_match(p->scan, text, length, c->from) : 0;
    *found = known > 0;
    if (known) {
        *start = c->from;
        *end = c->from = c->last = known;
        c->any = true;
        return ERR_OK;
    }
    while (c->from <= length) {
        if (find(found, start, end, p, scratch, text, length, c->from, e))
            return e->code;
        if (!*found)
            break;
        if (*start < *end || !c->any || *end != c->last) {
            c->any = true;
            c->from = c->last = *end;
            return ERR_OK;
        }
        c->from = c->from < length ? unicode_end(text, c->from) : length + 1;
    }
    *found = false;
    return ERR_OK;
}
