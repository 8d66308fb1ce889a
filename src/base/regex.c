#include "base/regex.h"

#include <stdint.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct regex {
    pcre2_code *code;
};

struct regex_scratch {
    pcre2_match_data *match;
};

enum err_code regex_open(struct regex **out, const char *pattern, size_t length, struct err *e)
{
    *out = NULL;
    int number;
    PCRE2_SIZE offset;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, length, PCRE2_UTF | PCRE2_UCP, &number, &offset, NULL);
    if (!code) {
        PCRE2_UCHAR reason[256];
        pcre2_get_error_message(number, reason, sizeof reason);
        return err_set(e, ERR_USAGE, "regular expression '%.*s': at byte %zu: %s",
                       length > 500 ? 500 : (int)length, pattern, (size_t)offset, (const char *)reason);
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* where it fails, matching interprets */
    struct regex *r = malloc(sizeof *r);
    if (!r) {
        pcre2_code_free(code);
        return err_set(e, ERR_MEMORY, "regular expression: no memory");
    }
    r->code = code;
    *out = r;
    return ERR_OK;
}

void regex_close(struct regex *r)
{
    if (r)
        pcre2_code_free(r->code);
    free(r);
}

enum err_code regex_scratch_open(struct regex_scratch **out, const struct regex *r, struct err *e)
{
    *out = NULL;
    struct regex_scratch *s = malloc(sizeof *s);
    pcre2_match_data *match = pcre2_match_data_create_from_pattern(r->code, NULL);
    if (!s || !match) {
        free(s);
        pcre2_match_data_free(match);
        return err_set(e, ERR_MEMORY, "regular expression: no memory for matching");
    }
    s->match = match;
    *out = s;
    return ERR_OK;
}

void regex_scratch_close(struct regex_scratch *s)
{
    if (s)
        pcre2_match_data_free(s->match);
    free(s);
}

static enum err_code match(bool *found, const struct regex *r, struct regex_scratch *s, const char *text,
                           size_t length, size_t from, uint32_t options, struct err *e)
{
    int count = pcre2_match(r->code, (PCRE2_SPTR)(length ? text : ""), length, from, options, s->match, NULL);
    *found = count >= 0;
    if (count >= 0 || count == PCRE2_ERROR_NOMATCH)
        return ERR_OK;
    PCRE2_UCHAR reason[256];
    pcre2_get_error_message(count, reason, sizeof reason);
    bool encoding = count <= PCRE2_ERROR_UTF8_ERR1 && count >= PCRE2_ERROR_UTF8_ERR21;
    return err_set(e, encoding ? ERR_DATA : ERR_USAGE, "regular expression: on a text of %zu bytes: %s",
                   length, (const char *)reason);
}

enum err_code regex_full_match(bool *matches, const struct regex *r, struct regex_scratch *s,
                               const char *text, size_t length, struct err *e)
{
    return match(matches, r, s, text, length, 0, PCRE2_ANCHORED | PCRE2_ENDANCHORED, e);
}

enum err_code regex_find(bool *found, size_t *start, size_t *end, const struct regex *r,
                         struct regex_scratch *s, const char *text, size_t length, size_t from, struct err *e)
{
    if (match(found, r, s, text, length, from, PCRE2_NO_UTF_CHECK, e))
        return e->code;
    if (*found) {
        const PCRE2_SIZE *range = pcre2_get_ovector_pointer(s->match);
        *start = range[0];
        *end = range[1];
    }
    return ERR_OK;
}
