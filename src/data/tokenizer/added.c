#include "data/tokenizer/added.h"

#include <string.h>

#include "data/tokenizer/unicode.h"

/* A trie; the children of a node are a list of siblings. Node 0 is the root. */
struct node {
    uint32_t child, sibling; /* 0: none */
    unsigned char byte;
    const struct added_token *token; /* that ends here, or NULL */
};

struct added {
    struct node *nodes;
    size_t count;
    uint32_t first[256]; /* node of each first byte: the root's children, by index */
};

static uint32_t find_child(const struct added *set, uint32_t node, unsigned char byte)
{
    if (node == 0)
        return set->first[byte];
    uint32_t child = set->nodes[node].child;
    while (child != 0 && set->nodes[child].byte != byte)
        child = set->nodes[child].sibling;
    return child;
}

static uint32_t add_child(struct added *set, uint32_t node, unsigned char byte)
{
    uint32_t child = (uint32_t)set->count++;
    set->nodes[child].byte = byte;
    if (node == 0) {
        set->first[byte] = child;
    } else {
        set->nodes[child].sibling = set->nodes[node].child;
        set->nodes[node].child = child;
    }
    return child;
}

enum err_code added_init(struct added **out, const struct added_token *const *tokens, size_t count,
                         struct arena *a, struct err *e)
{
    size_t bytes = 1;
    for (size_t i = 0; i < count; i++)
        bytes += tokens[i]->length;
    if (bytes >= UINT32_MAX)
        return err_set(e, ERR_UNSUPPORTED, "the added tokens are %zu bytes long together", bytes);
    struct added *set = arena_alloc(a, 1, sizeof *set, "added tokens", e);
    if (set == NULL)
        return e->code;
    set->nodes = arena_alloc(a, bytes, sizeof *set->nodes, "added tokens", e);
    if (set->nodes == NULL)
        return e->code;
    set->count = 1;
    for (size_t i = 0; i < count; i++) {
        uint32_t node = 0;
        for (size_t k = 0; k < tokens[i]->length; k++) {
            unsigned char byte = (unsigned char)tokens[i]->content[k];
            uint32_t child = find_child(set, node, byte);
            node = child != 0 ? child : add_child(set, node, byte);
        }
        set->nodes[node].token = tokens[i];
    }
    *out = set;
    return ERR_OK;
}

static const struct added_token *longest_at(const struct added *set, const char *text, size_t length,
                                            size_t at)
{
    const struct added_token *token = NULL;
    uint32_t node = set->first[(unsigned char)text[at]];
    while (node != 0) {
        if (set->nodes[node].token != NULL)
            token = set->nodes[node].token;
        if (++at == length)
            break;
        node = find_child(set, node, (unsigned char)text[at]);
    }
    return token;
}

/* Where from `at` on a byte is that some token begins with; length: nowhere. */
static size_t next_first(const struct added *set, const char *text, size_t length, size_t at)
{
    while (at < length && set->first[(unsigned char)text[at]] == 0)
        at++;
    return at;
}

static bool inside_word(const char *text, size_t length, size_t start, size_t end)
{
    if (start > 0) {
        size_t at = unicode_previous(text, start);
        if (unicode_is_word(unicode_next(text, &at)))
            return true;
    }
    return end < length && unicode_is_word(unicode_next(text, &end));
}

bool added_find(struct added_match *match, struct added_cursor *cursor, const struct added *set,
                const char *text, size_t length)
{
    for (size_t start = cursor->from; (start = next_first(set, text, length, start)) < length; start = cursor->from) {
        const struct added_token *token = longest_at(set, text, length, start);
        if (token == NULL) {
            cursor->from = start + 1;
            continue;
        }
        size_t end = cursor->from = start + token->length;
        if (token->single_word && inside_word(text, length, start, end))
            continue;
        if (token->lstrip) {
            while (start > cursor->taken) {
                size_t at = unicode_previous(text, start), next = at;
                if (!unicode_is_space(unicode_next(text, &next)))
                    break;
                start = at;
            }
        }
        while (token->rstrip && end < length) {
            size_t next = end;
            if (!unicode_is_space(unicode_next(text, &next)))
                break;
            end = next;
        }
        cursor->taken = end;
        *match = (struct added_match){.start = start, .end = end, .id = token->id};
        return true;
    }
    cursor->from = length;
    return false;
}
