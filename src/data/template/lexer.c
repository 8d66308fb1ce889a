#include "lexer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "unicode.h"

struct lexer {
    const struct jinja_source *source;
    struct arena *arena;
    struct err *e;
    size_t at;
    bool line_starting; /* the last match ended with a newline */
    struct jinja_token *tokens;
    size_t count, capacity;
    char open[LIMIT_TEMPLATE_NESTING]; /* the closing braces that are waited for */
    size_t open_count;
};

enum err_code jinja_source_fail(const struct jinja_source *source, size_t offset, struct err *e,
                                enum err_code code, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    size_t line = 1, start = 0;
    for (size_t i = 0; i < offset && i < source->length; i++)
        if (source->bytes[i] == '\n') {
            line++;
            start = i + 1;
        }
    return err_set(e, code, "%s: line %zu, column %zu: %s", source->name, line,
                   jinja_char_count(source->bytes + start, offset - start) + 1, message);
}

#define fail(l, offset, ...) jinja_source_fail((l)->source, offset, (l)->e, ERR_FORMAT, __VA_ARGS__)

static struct jinja_token *add(struct lexer *l, enum jinja_token_kind kind, size_t offset, const char *bytes,
                               size_t length)
{
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 256;
        struct jinja_token *grown = arena_alloc(l->arena, capacity, sizeof *grown, "template", l->e);
        if (!grown)
            return NULL;
        if (l->count)
            memcpy(grown, l->tokens, l->count * sizeof *grown);
        l->tokens = grown;
        l->capacity = capacity;
    }
    l->tokens[l->count] = (struct jinja_token){kind, (uint32_t)offset, bytes, length, {0}};
    return &l->tokens[l->count++];
}

static bool begins(const struct lexer *l, size_t at, const char *text)
{
    size_t length = strlen(text);
    return l->source->length - at >= length && !memcmp(l->source->bytes + at, text, length);
}

static size_t skip_spaces(const struct lexer *l, size_t at)
{
    while (at < l->source->length) {
        size_t next = at;
        if (!jinja_is_space(jinja_char_next(l->source->bytes, l->source->length, &next)))
            break;
        at = next;
    }
    return at;
}

/* Moves to `end`, over a match that ended there. */
static void move_to(struct lexer *l, size_t end)
{
    l->line_starting = end > l->at ? l->source->bytes[end - 1] == '\n' : false;
    l->at = end;
}

/* Where a tag's end leads that begins at `at`: "-%}" takes the spaces after it along, "%}" a newline if `trim`, and
 * "+%}" nothing. 0: there is none. */
static size_t tag_end(const struct lexer *l, size_t at, const char *mark, bool trim, bool plus)
{
    if (begins(l, at, "-") && begins(l, at + 1, mark))
        return skip_spaces(l, at + 1 + strlen(mark));
    if (plus && begins(l, at, "+") && begins(l, at + 1, mark))
        return at + 1 + strlen(mark);
    if (!begins(l, at, mark))
        return 0;
    size_t end = at + strlen(mark);
    return end + (trim && begins(l, end, "\n"));
}

/* The text in front of a tag with that sign after its brace. */
static enum err_code add_data(struct lexer *l, size_t start, size_t end, char sign, bool is_print)
{
    const char *bytes = l->source->bytes;
    if (sign == '-') {
        while (end > start) {
            size_t before = end;
            if (!jinja_is_space(jinja_char_before(bytes, &before)) || before < start)
                break;
            end = before;
        }
    } else if (sign != '+' && !is_print) {
        size_t line = end;
        while (line > start && bytes[line - 1] != '\n')
            line--;
        if ((line > start || l->line_starting) && end > line && skip_spaces(l, line) >= end)
            end = line;
    }
    return end > start && !add(l, JINJA_T_DATA, start, bytes + start, end - start) ? l->e->code : ERR_OK;
}

static char sign_at(const struct lexer *l, size_t at)
{
    if (begins(l, at, "-"))
        return '-';
    if (begins(l, at, "+"))
        return '+';
    return 0;
}

static enum err_code lex_comment(struct lexer *l, size_t begin)
{
    for (size_t i = l->at; i + 1 < l->source->length; i++) {
        size_t end = tag_end(l, i, "#}", true, true);
        if (end) {
            move_to(l, end);
            return ERR_OK;
        }
    }
    return fail(l, begin, "this comment is not closed");
}

/* Where "raw" or "endraw" stands in a block that begins at `at`; its end, and the sign after the brace. */
static size_t raw_tag(const struct lexer *l, size_t at, const char *word, char *sign, bool trim)
{
    if (!begins(l, at, "{%"))
        return 0;
    *sign = sign_at(l, at + 2);
    at = skip_spaces(l, at + 2 + (*sign != 0));
    if (!begins(l, at, word))
        return 0;
    return tag_end(l, skip_spaces(l, at + strlen(word)), "%}", trim, trim);
}

static enum err_code lex_raw(struct lexer *l, size_t begin)
{
    char sign;
    for (size_t i = l->at; i < l->source->length; i++) {
        size_t end = l->source->bytes[i] == '{' ? raw_tag(l, i, "endraw", &sign, true) : 0;
        if (!end)
            continue;
        if (add_data(l, l->at, i, sign, false))
            return l->e->code;
        move_to(l, end);
        return ERR_OK;
    }
    return fail(l, begin, "this raw block is not closed");
}

static size_t digits(const struct lexer *l, size_t at, const char *allowed)
{
    size_t end = at;
    while (end < l->source->length) {
        size_t digit = end + (end > at && l->source->bytes[end] == '_');
        if (digit >= l->source->length || !l->source->bytes[digit] ||
            !strchr(allowed, l->source->bytes[digit]))
            break;
        end = digit + 1;
    }
    return end;
}

#define DECIMALS "0123456789"

/* The end of a float that begins at `at`, or 0. */
static size_t float_end(const struct lexer *l, size_t at)
{
    if (at > 0 && l->source->bytes[at - 1] == '.')
        return 0;
    size_t whole = digits(l, at, DECIMALS), end = whole;
    bool is_float = false;
    if (begins(l, end, ".") && digits(l, end + 1, DECIMALS) > end + 1) {
        end = digits(l, end + 1, DECIMALS);
        is_float = true;
    }
    if (begins(l, end, "e") || begins(l, end, "E")) {
        size_t exponent = end + 1 + (begins(l, end + 1, "+") || begins(l, end + 1, "-"));
        if (exponent < l->source->length && digits(l, exponent, DECIMALS) > exponent) {
            end = digits(l, exponent, DECIMALS);
            is_float = true;
        }
    }
    return is_float ? end : 0;
}

static enum err_code lex_number(struct lexer *l)
{
    char number[512];
    size_t start = l->at, end = float_end(l, start), used = 0, prefix = 0;
    bool is_float = end > 0;
    int base = 10;
    if (!is_float) {
        static const struct {
            const char *marks, *digits;
            int base;
        } bases[] = {{"bB", "01", 2}, {"oO", "01234567", 8}, {"xX", "0123456789abcdefABCDEF", 16}};
        end = l->source->bytes[start] == '0' ? digits(l, start, "0") : digits(l, start, DECIMALS);
        for (size_t i = 0; i < 3 && begins(l, start, "0") && start + 2 < l->source->length; i++) {
            size_t first = start + 2 + begins(l, start + 2, "_"), last = digits(l, first, bases[i].digits);
            if (!strchr(bases[i].marks, l->source->bytes[start + 1]) || last == first)
                continue;
            base = bases[i].base;
            prefix = 2;
            end = last;
        }
    }
    for (size_t i = start + prefix; i < end && used < sizeof number - 1; i++)
        if (l->source->bytes[i] != '_')
            number[used++] = l->source->bytes[i];
    number[used] = '\0';
    struct jinja_token *t = add(l, is_float ? JINJA_T_FLOAT : JINJA_T_INT, start, NULL, 0);
    if (!t)
        return l->e->code;
    errno = 0;
    if (is_float)
        t->real = strtod(number, NULL);
    else
        t->integer = strtoll(number, NULL, base);
    if (!is_float && errno == ERANGE)
        return fail(l, start, "this integer is beyond 64 bits");
    move_to(l, end);
    return ERR_OK;
}

/* The character that \x41, \u0041, \U00000041 or \101 stands for; *at is on the letter, and moves past it. */
static enum err_code escaped_number(struct lexer *l, size_t *at, size_t end, uint32_t *c)
{
    const char *bytes = l->source->bytes;
    char letter = bytes[*at];
    size_t start = *at;
    *c = 0;
    if (letter >= '0' && letter <= '7') {
        for (int i = 0; i < 3 && *at < end && bytes[*at] >= '0' && bytes[*at] <= '7'; i++)
            *c = *c * 8 + (uint32_t)(bytes[(*at)++] - '0');
        return ERR_OK;
    }
    size_t wanted = letter == 'x' ? 2 : letter == 'u' ? 4 : 8;
    for ((*at)++; *at < end && *at - start <= wanted; (*at)++) {
        const char *hex = "0123456789abcdef", *found = strchr(hex, bytes[*at] | 32);
        if (!found || (bytes[*at] < '0'))
            break;
        *c = *c * 16 + (uint32_t)(found - hex);
    }
    if (*at - start != wanted + 1)
        return fail(l, start - 1, "a truncated \\%c escape", letter);
    if (*c > 0x10FFFF || (*c >= 0xD800 && *c < 0xE000))
        return fail(l, start - 1, "\\%c%0*X is no character", letter, (int)wanted, *c);
    return ERR_OK;
}

/* What a backslash and a character make: the backslash is at *at, which moves past both. */
static enum err_code unescape(struct lexer *l, char *out, size_t *length, size_t *at, size_t end)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char *bytes = l->source->bytes;
    char letter = bytes[++*at];
    const char *plain = strchr(from, letter);
    if (plain && letter) {
        out[(*length)++] = to[plain - from];
        ++*at;
    } else if (letter == '\n') {
        ++*at;
    } else if ((letter >= '0' && letter <= '7') || letter == 'x' || letter == 'u' || letter == 'U') {
        uint32_t c;
        if (escaped_number(l, at, end, &c))
            return l->e->code;
        *length += jinja_char_put(out + *length, c);
    } else if (letter == 'N') {
        return fail(l, *at - 1, "\\N escapes are not supported: write the character itself");
    } else if ((unsigned char)letter >=
               0x80) { /* Python's way over ASCII makes the escape's own text of it */
        uint32_t c = jinja_char_next(bytes, end, at);
        *length += (size_t)sprintf(out + *length,
                                   c < 0x100     ? "\\x%02x"
                                   : c < 0x10000 ? "\\u%04x"
                                                 : "\\U%08x",
                                   c);
    } else {
        out[(*length)++] = '\\';
    }
    return ERR_OK;
}

static enum err_code lex_string(struct lexer *l)
{
    const char *bytes = l->source->bytes;
    char quote = bytes[l->at];
    size_t start = l->at, end = start + 1, escapes = 0;
    while (end < l->source->length && bytes[end] != quote) {
        escapes += bytes[end] == '\\';
        end += bytes[end] == '\\' ? 2 : 1;
    }
    if (end >= l->source->length)
        return fail(l, start, "this string is not closed");
    const char *text = bytes + start + 1;
    size_t length = end - start - 1;
    if (escapes) { /* an escape gets longer by 8 bytes at most: a character outside of ASCII spelt out */
        char *made = arena_alloc(l->arena, length + 8 * escapes + 1, 1, "template", l->e);
        if (!made)
            return l->e->code;
        length = 0;
        for (size_t i = start + 1; i < end;) {
            if (bytes[i] != '\\')
                made[length++] = bytes[i++];
            else if (unescape(l, made, &length, &i, end))
                return l->e->code;
        }
        text = made;
    }
    if (!add(l, JINJA_T_STRING, start, text, length))
        return l->e->code;
    move_to(l, end + 1);
    return ERR_OK;
}

static const struct {
    const char *text;
    enum jinja_token_kind kind;
} operators[] = {/* longer ones first */
                 {"//", JINJA_T_FLOORDIV}, {"**", JINJA_T_POW},     {"==", JINJA_T_EQ},
                 {"!=", JINJA_T_NE},       {">=", JINJA_T_GE},      {"<=", JINJA_T_LE},
                 {"+", JINJA_T_ADD},       {"-", JINJA_T_SUB},      {"/", JINJA_T_DIV},
                 {"*", JINJA_T_MUL},       {"%", JINJA_T_MOD},      {"~", JINJA_T_TILDE},
                 {"[", JINJA_T_LBRACKET},  {"]", JINJA_T_RBRACKET}, {"(", JINJA_T_LPAREN},
                 {")", JINJA_T_RPAREN},    {"{", JINJA_T_LBRACE},   {"}", JINJA_T_RBRACE},
                 {">", JINJA_T_GT},        {"<", JINJA_T_LT},       {"=", JINJA_T_ASSIGN},
                 {".", JINJA_T_DOT},       {":", JINJA_T_COLON},    {"|", JINJA_T_PIPE},
                 {",", JINJA_T_COMMA},     {";", JINJA_T_SEMICOLON}};

static enum err_code balance(struct lexer *l, char brace)
{
    static const char opening[] = "([{", closing[] = ")]}";
    const char *open = strchr(opening, brace);
    if (open) {
        if (l->open_count == sizeof l->open)
            return fail(l, l->at, "more than %d braces inside of each other", LIMIT_TEMPLATE_NESTING);
        l->open[l->open_count++] = closing[open - opening];
    } else if (strchr(closing, brace)) {
        if (!l->open_count)
            return fail(l, l->at, "unexpected '%c'", brace);
        if (l->open[--l->open_count] != brace)
            return fail(l, l->at, "unexpected '%c', expected '%c'", brace, l->open[l->open_count]);
    }
    return ERR_OK;
}

static enum err_code lex_operator(struct lexer *l)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (!begins(l, l->at, operators[i].text))
            continue;
        if (balance(l, operators[i].text[0]) || !add(l, operators[i].kind, l->at, NULL, 0))
            return l->e->code;
        move_to(l, l->at + strlen(operators[i].text));
        return ERR_OK;
    }
    size_t next = l->at;
    jinja_char_next(l->source->bytes, l->source->length, &next);
    return fail(l, l->at, "unexpected character '%.*s'", (int)(next - l->at), l->source->bytes + l->at);
}

/* The inside of {{ }} or {% %}, and its end. */
static enum err_code lex_tag(struct lexer *l, size_t begin, const char *mark, enum jinja_token_kind end_kind)
{
    bool is_block = end_kind == JINJA_T_BLOCK_END;
    const char *bytes = l->source->bytes;
    while (l->at < l->source->length) {
        size_t end = l->open_count ? 0 : tag_end(l, l->at, mark, is_block, is_block);
        if (end) {
            if (!add(l, end_kind, l->at, NULL, 0))
                return l->e->code;
            move_to(l, end);
            return ERR_OK;
        }
        size_t start = l->at, next = skip_spaces(l, start);
        if (next > start) {
            move_to(l, next);
            continue;
        }
        uint32_t c = jinja_char_next(bytes, l->source->length, &next);
        if (c >= '0' && c <= '9') {
            if (lex_number(l))
                return l->e->code;
        } else if (jinja_is_name_start(c)) {
            for (size_t i = next; i < l->source->length; next = i)
                if (!jinja_is_name_part(jinja_char_next(bytes, l->source->length, &i)))
                    break;
            if (!add(l, JINJA_T_NAME, start, bytes + start, next - start))
                return l->e->code;
            move_to(l, next);
        } else if (c == '"' || c == '\'') {
            if (lex_string(l))
                return l->e->code;
        } else if (lex_operator(l)) {
            return l->e->code;
        }
    }
    return fail(l, begin, "this %s is not closed: no '%s' follows", is_block ? "block" : "print statement",
                mark);
}

/* A tag, and the text in front of it. */
static enum err_code lex_next(struct lexer *l, size_t begin)
{
    char sign;
    size_t raw = raw_tag(l, begin, "raw", &sign, false);
    char kind = l->source->bytes[begin + 1];
    if (!raw)
        sign = sign_at(l, begin + 2);
    if (add_data(l, l->at, begin, sign, kind == '{'))
        return l->e->code;
    move_to(l, raw ? raw : begin + 2 + (sign != 0));
    if (raw)
        return lex_raw(l, begin);
    if (kind == '#')
        return lex_comment(l, begin);
    if (!add(l, kind == '{' ? JINJA_T_PRINT_BEGIN : JINJA_T_BLOCK_BEGIN, begin, NULL, 0))
        return l->e->code;
    return kind == '{' ? lex_tag(l, begin, "}}", JINJA_T_PRINT_END)
                       : lex_tag(l, begin, "%}", JINJA_T_BLOCK_END);
}

enum err_code jinja_tokenize(struct jinja_token **tokens, size_t *count, const struct jinja_source *source,
                             struct arena *arena, struct err *e)
{
    struct lexer l = {.source = source, .arena = arena, .e = e, .line_starting = true};
    while (l.at < source->length) {
        size_t begin = l.at;
        while (begin < source->length && !begins(&l, begin, "{%") && !begins(&l, begin, "{{") &&
               !begins(&l, begin, "{#"))
            begin++;
        if (begin < source->length) {
            if (lex_next(&l, begin))
                return e->code;
            continue;
        }
        if (!add(&l, JINJA_T_DATA, l.at, source->bytes + l.at, source->length - l.at))
            return e->code;
        l.at = source->length;
    }
    if (!add(&l, JINJA_T_END, source->length, NULL, 0))
        return e->code;
    *tokens = l.tokens;
    *count = l.count;
    return ERR_OK;
}
