/* Records from the text of a config.json. */
#ifndef MPILORA_TESTS_READ_CONFIG_H
#define MPILORA_TESTS_READ_CONFIG_H

#include <string.h>

#include "model/arch.h"
#include "unit.h"

#define SIZES                                                                                                \
    "\"hidden_size\": 64, \"intermediate_size\": 96, \"num_hidden_layers\": 3, \"num_attention_heads\": 8, " \
    "\"vocab_size\": 100"

static inline enum err_code read_config(struct arch *a, const char *text, struct err *e)
{
    struct store s = {.kind = STORE_HF, .path = "model"};
    assert_ok(json_open_bytes(&s.config, text, strlen(text), "config.json", e), e);
    enum err_code code = arch_read(a, &s, e);
    json_close(s.config);
    return code;
}

static inline struct arch read_good(const char *text)
{
    struct arch a;
    struct err e;
    assert_ok(read_config(&a, text, &e), &e);
    return a;
}

/* The layers under a window, one character each. */
static inline void check_kinds(const struct arch *a, const char *expected, size_t window)
{
    assert_int_equal(a->layers, strlen(expected));
    for (size_t layer = 0; layer < a->layers; layer++)
        assert_int_equal(arch_kind(a, layer)->window, expected[layer] == 'w' ? window : 0);
}

#endif
