#include "data/tokenizer/decode.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "data/tokenizer/bytelevel.h"
#include "data/tokenizer/mapped.h"
#include "data/tokenizer/unicode.h"

#define REPLACEMENT "\uFFFD"

struct step {
    enum decode_kind kind;
    struct pattern *pattern;
    char *content;
    size_t content_length;
    size_t start, stop;
    bool keep_first;
};

struct decode {
    struct step steps[DECODE_MAX_STEPS];
    size_t count;
    bool any_pattern;
};

/* ---- lists ---- */

void decode_list_release(struct decode_list *l)
{
    str_release(&l->bytes);
    free(l->ends);
    *l = (struct decode_list){0};
}

static enum err_code check_length(const struct decode_list *l, struct err *e)
{
    return l->most == 0 || l->bytes.length <= l->most
               ? ERR_OK
               : err_set(e, ERR_DATA, "the tokenizer's decoders make more than %zu bytes of these tokens", l->most);
}

/* Ends the text whose bytes were appended last. */
static enum err_code end_text(struct decode_list *l, struct err *e)
{
    if (check_length(l, e))
        return e->code;
    if (mapped_grow(&l->ends, &l->capacity, l->count + 1, sizeof *l->ends, e))
        return e->code;
    l->ends[l->count++] = l->bytes.length;
    return ERR_OK;
}

enum err_code decode_list_add(struct decode_list *l, const char *text, size_t length, struct err *e)
{
    return length > 0 && str_append(&l->bytes, text, length, e) ? e->code : end_text(l, e);
}

static const char *text_at(size_t *length, const struct decode_list *l, size_t i)
{
    size_t start = i > 0 ? l->ends[i - 1] : 0;
    *length = l->ends[i] - start;
    return l->bytes.data ? l->bytes.data + start : "";
}

/* ---- bytes that may not be UTF-8 ---- */

/* The number of bytes at s that one U+FFFD stands for: the longest beginning of a character that breaks off
 * there (Unicode's "maximal subpart"), at least one byte. */
static size_t broken_length(const unsigned char *s, size_t length)
{
    unsigned char low = 0x80, high = 0xBF;
    size_t wanted = s[0] >= 0xC2 && s[0] <= 0xDF   ? 2
                    : s[0] >= 0xE0 && s[0] <= 0xEF ? 3
                    : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4
                                                   : 1;
    if (s[0] == 0xE0)
        low = 0xA0;
    else if (s[0] == 0xED)
        high = 0x9F;
    else if (s[0] == 0xF0)
        low = 0x90;
    else if (s[0] == 0xF4)
        high = 0x8F;
    size_t n = 1;
    while (n < wanted && n < length && s[n] >= low && s[n] <= high) {
        n++;
        low = 0x80;
        high = 0xBF;
    }
    return n;
}

static enum err_code append_lossy(struct str *out, const char *bytes, size_t length, struct err *e)
{
    while (length > 0) {
        size_t valid = str_utf8_valid_prefix(bytes, length);
        if (str_append(out, bytes, valid, e))
            return e->code;
        bytes += valid;
        length -= valid;
        if (length == 0)
            break;
        size_t broken = broken_length((const unsigned char *)bytes, length);
        if (str_append(out, REPLACEMENT, strlen(REPLACEMENT), e))
            return e->code;
        bytes += broken;
        length -= broken;
    }
    return ERR_OK;
}

/* ---- steps ---- */

typedef enum err_code step_run(struct decode_list *out, const struct decode_list *in, const struct step *s,
                               struct regex_scratch *regex, struct err *e);

/* A token that is not all in the alphabet stands for its own bytes. */
static enum err_code run_byte_level(struct decode_list *out, const struct decode_list *in,
                                    const struct step *s, struct regex_scratch *regex, struct err *e)
{
    (void)s;
    (void)regex;
    struct str bytes = {0};
    enum err_code code = str_reserve(&bytes, in->bytes.length + 1, e);
    for (size_t i = 0; code == ERR_OK && i < in->count; i++) {
        size_t length, count;
        const char *text = text_at(&length, in, i);
        if (bytelevel_decode(bytes.data + bytes.length, &count, text, length))
            bytes.length += count;
        else
            code = str_append(&bytes, text, length, e);
    }
    if (code == ERR_OK && bytes.length > 0)
        code = append_lossy(&out->bytes, bytes.data, bytes.length, e);
    str_release(&bytes);
    return code ? code : end_text(out, e);
}

/* The byte of <0xNN>; -1 for any other text. */
static int byte_of(const char *text, size_t length)
{
    int value = 0;
    if (length != strlen("<0x00>") || memcmp(text, "<0x", 3) != 0 || text[5] != '>')
        return -1;
    for (size_t i = 3; i < 5; i++) {
        char c = text[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static enum err_code end_bytes(struct decode_list *out, struct str *run, struct err *e)
{
    enum err_code code = ERR_OK;
    if (run->length > 0 && str_utf8_valid_prefix(run->data, run->length) == run->length)
        code = decode_list_add(out, run->data, run->length, e);
    else
        for (size_t i = 0; code == ERR_OK && i < run->length; i++)
            code = decode_list_add(out, REPLACEMENT, strlen(REPLACEMENT), e);
    str_clear(run);
    return code;
}

static enum err_code run_byte_fallback(struct decode_list *out, const struct decode_list *in,
                                       const struct step *s, struct regex_scratch *regex, struct err *e)
{
    (void)s;
    (void)regex;
    struct str run = {0};
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < in->count; i++) {
        size_t length;
        const char *text = text_at(&length, in, i);
        int byte = byte_of(text, length);
        if (byte >= 0)
            code = str_append(&run, &(char){(char)byte}, 1, e);
        else if (end_bytes(out, &run, e) || decode_list_add(out, text, length, e))
            code = e->code;
    }
    if (code == ERR_OK)
        code = end_bytes(out, &run, e);
    str_release(&run);
    return code;
}

static enum err_code run_fuse(struct decode_list *out, const struct decode_list *in, const struct step *s,
                              struct regex_scratch *regex, struct err *e)
{
    (void)s;
    (void)regex;
    return decode_list_add(out, in->bytes.data ? in->bytes.data : "", in->bytes.length, e);
}

static enum err_code run_strip(struct decode_list *out, const struct decode_list *in, const struct step *s,
                               struct regex_scratch *regex, struct err *e)
{
    (void)regex;
    for (size_t i = 0; i < in->count; i++) {
        size_t length, n = s->content_length;
        const char *text = text_at(&length, in, i);
        for (size_t k = 0; k < s->start && length >= n && memcmp(text, s->content, n) == 0; k++) {
            text += n;
            length -= n;
        }
        for (size_t k = 0; k < s->stop && length >= n && memcmp(text + length - n, s->content, n) == 0; k++)
            length -= n;
        if (decode_list_add(out, text, length, e))
            return e->code;
    }
    return ERR_OK;
}

static enum err_code run_replace(struct decode_list *out, const struct decode_list *in, const struct step *s,
                                 struct regex_scratch *regex, struct err *e)
{
    for (size_t i = 0; i < in->count; i++) {
        struct pattern_cursor cursor = {0};
        size_t length, same = 0, start, end;
        const char *text = text_at(&length, in, i);
        for (bool found;; same = end) {
            if (pattern_next(&found, &start, &end, &cursor, s->pattern, regex, text, length, e))
                return e->code;
            if (!found)
                break;
            if (str_append(&out->bytes, text + same, start - same, e) ||
                str_append(&out->bytes, s->content, s->content_length, e) || check_length(out, e))
                return e->code;
        }
        if (decode_list_add(out, text + same, length - same, e))
            return e->code;
    }
    return ERR_OK;
}

static enum err_code run_metaspace(struct decode_list *out, const struct decode_list *in,
                                   const struct step *s, struct regex_scratch *regex, struct err *e)
{
    (void)regex;
    for (size_t i = 0; i < in->count; i++) {
        size_t length;
        const char *text = text_at(&length, in, i);
        for (size_t at = 0, end; at < length; at = end) {
            end = unicode_end(text, at);
            bool is = end - at == s->content_length && memcmp(text + at, s->content, end - at) == 0;
            if (is && i == 0 && !s->keep_first)
                continue;
            if (str_append(&out->bytes, is ? " " : text + at, is ? 1 : end - at, e))
                return e->code;
        }
        if (end_text(out, e))
            return e->code;
    }
    return ERR_OK;
}

static step_run *const runs[] = {
    [DECODE_BYTE_LEVEL] = run_byte_level, [DECODE_BYTE_FALLBACK] = run_byte_fallback,
    [DECODE_FUSE] = run_fuse,             [DECODE_STRIP] = run_strip,
    [DECODE_REPLACE] = run_replace,       [DECODE_METASPACE] = run_metaspace,
};

enum err_code decode_run(struct str *out, struct decode_list *tokens, const struct decode *d, struct err *e)
{
    struct decode_list other = {0}, *in = tokens, *made = &other;
    tokens->most = other.most = LIMIT_TEXT_GROWTH * (tokens->bytes.length + 64);
    struct regex_scratch *regex = NULL;
    enum err_code code = d->any_pattern ? regex_scratch_open(&regex, e) : ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < d->count; i++) {
        struct decode_list *used = in;
        str_clear(&made->bytes);
        made->count = 0;
        code = runs[d->steps[i].kind](made, in, &d->steps[i], regex, e);
        in = made;
        made = used;
    }
    if (code == ERR_OK && in->bytes.length > 0)
        code = str_append(out, in->bytes.data, in->bytes.length, e);
    regex_scratch_close(regex);
    decode_list_release(&other);
    return code;
}

/* ---- opening ---- */

static enum err_code open_step(struct step *s, const struct decode_step *from, struct err *e)
{
    s->kind = from->kind;
    s->start = from->start;
    s->stop = from->stop;
    s->keep_first = from->keep_first;
    s->content_length = from->content_length;
    s->content = malloc(from->content_length + 1);
    if (s->content == NULL)
        return err_set(e, ERR_MEMORY, "no memory for the decoder");
    if (from->content_length > 0)
        memcpy(s->content, from->content, from->content_length);
    return from->kind == DECODE_REPLACE ? pattern_open(&s->pattern, &from->pattern, e) : ERR_OK;
}

enum err_code decode_open(struct decode **out, const struct decode_step *steps, size_t count, struct err *e)
{
    if (count > DECODE_MAX_STEPS)
        return err_set(e, ERR_UNSUPPORTED, "%zu decoders in a row (at most %d)", count, DECODE_MAX_STEPS);
    struct decode *d = calloc(1, sizeof *d);
    if (d == NULL)
        return err_set(e, ERR_MEMORY, "no memory for the decoder");
    while (d->count < count) {
        size_t i = d->count++;
        d->any_pattern |= steps[i].kind == DECODE_REPLACE;
        if (open_step(&d->steps[i], &steps[i], e)) {
            decode_close(d);
            return e->code;
        }
    }
    *out = d;
    return ERR_OK;
}

void decode_close(struct decode *d)
{
    if (d == NULL)
        return;
    for (size_t i = 0; i < d->count; i++) {
        free(d->steps[i].content);
        pattern_close(d->steps[i].pattern);
    }
    free(d);
}
