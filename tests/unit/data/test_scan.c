/* The expressions that are functions, against the same expressions in PCRE2. */
#include "data/tokenizer/pattern.h"
#include "data/tokenizer/scan.h"
#include "data/tokenizer/unicode.h"
#include "unit.h"

#include <stdlib.h>

enum { TEXTS = 20000, MOST = 24 };

static const char *const expressions[] = {SCAN_GPT2, SCAN_LLAMA3, SCAN_QWEN2};
static uint32_t seed = 7;

static uint32_t draw(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static struct pattern *open_pattern(const char *text)
{
    struct pattern *p = NULL;
    struct err e;
    assert_ok(pattern_open(&p, &(struct pattern_source){.text = text, .length = strlen(text)}, &e), &e);
    return p;
}

/* One of each expression: as tokenizers have it, and in a group, which no function knows. */
struct pair {
    struct pattern *by_hand, *by_regex;
    struct scan *scan;
    struct regex_scratch *scratch;
    size_t known, all; /* matches */
};

static void open_pair(struct pair *p, const char *expression)
{
    char grouped[512];
    struct err e;
    snprintf(grouped, sizeof grouped, "(?:%s)", expression);
    *p = (struct pair){.by_hand = open_pattern(expression), .by_regex = open_pattern(grouped)};
    assert_ok(scan_open(&p->scan, grouped, strlen(grouped), &e), &e);
    assert_null(p->scan);
    assert_ok(scan_open(&p->scan, expression, strlen(expression), &e), &e);
    assert_non_null(p->scan);
    assert_ok(regex_scratch_open(&p->scratch, &e), &e);
}

static void close_pair(struct pair *p)
{
    pattern_close(p->by_hand);
    pattern_close(p->by_regex);
    scan_close(p->scan);
    regex_scratch_close(p->scratch);
}

static void compare(struct pair *p, const char *text, size_t length)
{
    struct pattern_cursor a = {0}, b = {0};
    struct err e;
    size_t start[2], end[2], last = 0;
    bool found[2] = {true, true};
    while (found[0]) {
        assert_ok(pattern_next(&found[0], &start[0], &end[0], &a, p->by_hand, p->scratch, text, length, &e), &e);
        assert_ok(pattern_next(&found[1], &start[1], &end[1], &b, p->by_regex, p->scratch, text, length, &e), &e);
        if (found[0] != found[1] || (found[0] && (start[0] != start[1] || end[0] != end[1])))
            fail_msg("after byte %zu of '%.*s': %zu to %zu by hand, %zu to %zu by PCRE2", last, (int)length, text,
                     start[0], end[0], start[1], end[1]);
        if (!found[0])
            break;
        p->known += scan_match(p->scan, text, length, start[0]) == end[0];
        p->all++;
        last = end[0];
    }
}

static void random_texts(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "a",  "Z",  "s",        "T",      "re",     "vE",     "m",      "LL",     "d",          "'",          "'s",
        " ",  "  ", "\t",       "\n",     "\r",     "\r\n",   "0",      "12",     "-",          ".",          "<|",
        "\0", "_",  "\u00e9",   "\u017f", "\u212a", "\u0661", "\u00bd", "\u3042", "\u4e2d",     "\u0301",     "\u00a0",
        "_",  "\u2028", "\u3000", "\u180e", "\u200d", "\u20ac", "\uffff", "\U0001f600", "\U00010400", "\U0001d7d9"};
    for (size_t x = 0; x < sizeof expressions / sizeof *expressions; x++) {
        struct pair p;
        open_pair(&p, expressions[x]);
        for (size_t i = 0; i < TEXTS; i++) {
            char text[MOST * 8];
            size_t length = 0;
            for (size_t k = 0, count = draw(MOST); k < count; k++) {
                const char *piece = pieces[draw(i % 2 ? 22 : sizeof pieces / sizeof *pieces)];
                const size_t size = *piece ? strlen(piece) : 1;
                memcpy(text + length, piece, size);
                length += size;
            }
            compare(&p, text, length);
        }
        assert_true(p.known > p.all / 2);
        close_pair(&p);
    }
}

/* Each character of up to three bytes, and some beyond, before and after others. */
static void every_character(void **state)
{
    (void)state;
    for (size_t x = 0; x < sizeof expressions / sizeof *expressions; x++) {
        struct pair p;
        open_pair(&p, expressions[x]);
        for (int32_t c = 0; c < 0x10800; c++) {
            char text[64];
            size_t length = 0;
            static const char *const around[] = {"a", " ", "1", "-", "\n", "'", ""};
            if (c >= 0xD800 && c <= 0xDFFF)
                continue;
            for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
                length += unicode_encode(text + length, c);
                memcpy(text + length, around[i], strlen(around[i]));
                length += strlen(around[i]);
            }
            compare(&p, text, length);
        }
        close_pair(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_texts),
        cmocka_unit_test(every_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
