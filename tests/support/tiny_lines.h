/*
 * Lines of data, parsed with a tokenizer of one token a byte (tiny_tokenizer.h) and compared with what a person expects
 * of them.
 */
#ifndef TESTS_TINY_LINES_H
#define TESTS_TINY_LINES_H

#include <string.h>

#include "data/examples/example.h"
#include "tiny_tokenizer.h"
#include "unit.h"

static struct tokenizer *plain, *with_bos, *with_both;
static struct example ex;
static struct example_scratch scratch;
static const struct example_options usual = {.max_length = 1000};

static inline int open_tokenizers(void **state)
{
    (void)state;
    plain = tiny_tokenizer_open(0);
    with_bos = tiny_tokenizer_open(TINY_ADDS_BOS);
    with_both = tiny_tokenizer_open(TINY_ADDS_BOS | TINY_ADDS_EOS);
    return 0;
}

static inline int close_tokenizers(void **state)
{
    (void)state;
    tokenizer_close(plain);
    tokenizer_close(with_bos);
    tokenizer_close(with_both);
    example_release(&ex);
    example_scratch_release(&scratch);
    return 0;
}

static inline enum err_code parse(const char *line, const struct tokenizer *t, const struct example_options *options,
                           struct err *e)
{
    struct example_options own = *options;
    struct chat *chat = tiny_chat_open(t);
    own.chat = chat;
    enum err_code code = example_parse(&ex, &scratch, t, line, strlen(line), &own, e);
    chat_close(chat);
    return code;
}

/* One character a token: its byte, or one of these. */
static inline char token_character(int32_t token)
{
    switch (token) {
    case TINY_LINE_H:
        return '~';
    case TINY_BOS:
        return '^';
    case TINY_IM_START:
        return '<';
    case TINY_IM_END:
        return '>';
    case TINY_EOS:
        return '$';
    case '\n':
        return '|';
    default:
        return (char)token;
    }
}

static inline void check(const char *line, const struct tokenizer *t, const struct example_options *options,
                  const char *tokens, const char *mask)
{
    struct err e;
    char got_tokens[1000] = "", got_mask[1000] = "";
    if (parse(line, t, options, &e))
        fail_msg("%s: %s", line, e.message);
    size_t supervised = 0;
    for (size_t i = 0; i < ex.count; i++) {
        got_tokens[i] = token_character(ex.tokens[i]);
        got_mask[i] = (char)('0' + ex.supervised[i]);
        supervised += ex.supervised[i] != 0;
    }
    assert_string_equal(got_tokens, tokens);
    assert_string_equal(got_mask, mask);
    assert_int_equal(ex.supervised_count, supervised);
}

static inline void check_bad(const char *line, const char *reason)
{
    struct err e;
    assert_int_equal(parse(line, plain, &usual, &e), ERR_DATA);
    if (!strstr(e.message, reason))
        fail_msg("\"%s\" says \"%s\", not \"%s\"", line, e.message, reason);
}

#endif
