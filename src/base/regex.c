#include "base/regex.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/limits.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct regex {
    pcre2_code *code;
};

struct regex_scratch {
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

enum err_code regex_open(struct regex **out, const char *pattern, size_t length, enum regex_syntax syntax,
                         struct err *e)
{
    static const uint32_t options[] = {[REGEX_TEXT] = PCRE2_UTF | PCRE2_UCP,
                                       [REGEX_LINES] = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE,
                                       [REGEX_LITERAL] = PCRE2_UTF | PCRE2_LITERAL};
    *out = NULL;
    int number;
    PCRE2_SIZE offset;
    struct regex *r = calloc(1, sizeof *r);
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!r || !context) {
        free(r);
        pcre2_compile_context_free(context);
        return err_set(e, ERR_MEMORY, "regular expression: no memory");
    }
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    r->code = pcre2_compile((PCRE2_SPTR)(length ? pattern : ""), length, options[syntax], &number, &offset,
                            context);
    pcre2_compile_context_free(context);
    if (!r->code) {
        PCRE2_UCHAR reason[256];
        pcre2_get_error_message(number, reason, sizeof reason);
        free(r);
        return err_set(e, ERR_USAGE, "regular expression '%.*s': at byte %zu: %s",
                       length > 500 ? 500 : (int)length, pattern, (size_t)offset, (const char *)reason);
    }
    pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* where it fails, matching interprets */
    *out = r;
    return ERR_OK;
}

void regex_close(struct regex *r)
{
    if (r)
        pcre2_code_free(r->code);
    free(r);
}

enum err_code regex_scratch_open(struct regex_scratch **out, struct err *e)
{
    struct regex_scratch *s = *out = calloc(1, sizeof *s);
    if (s) {
        s->match = pcre2_match_data_create(1, NULL);
        s->context = pcre2_match_context_create(NULL);
        s->stack = pcre2_jit_stack_create((size_t)32 << 10, (size_t)8 << 20, NULL);
    }
    if (!s || !s->match || !s->context || !s->stack) {
        regex_scratch_close(s);
        *out = NULL;
        return err_set(e, ERR_MEMORY, "regular expression: no memory for matching");
    }
    pcre2_jit_stack_assign(s->context, NULL, s->stack);
    pcre2_set_heap_limit(s->context, LIMIT_MATCH_MEMORY >> 10);
    return ERR_OK;
}

void regex_scratch_close(struct regex_scratch *s)
{
    if (!s)
        return;
    pcre2_match_data_free(s->match);
    pcre2_match_context_free(s->context);
    pcre2_jit_stack_free(s->stack);
    free(s);
}

static enum err_code match(bool *found, const struct regex *r, struct regex_scratch *s, const char *text,
                           size_t length, size_t from, uint32_t options, struct err *e)
{
    uint64_t steps = LIMIT_MATCH_STEPS + (uint64_t)LIMIT_MATCH_STEPS_A_BYTE * length;
    pcre2_set_match_limit(s->context, steps < UINT32_MAX ? (uint32_t)steps : UINT32_MAX);
    int count =
        pcre2_match(r->code, (PCRE2_SPTR)(length ? text : ""), length, from, options, s->match, s->context);
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
