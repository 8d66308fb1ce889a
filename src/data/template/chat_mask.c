#include "chat_mask.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* How models mark their thinking. A block with nothing inside is the template's own doing. */
static const struct {
    const char *open, *close;
} thinking[] = {
    {"<think>", "</think>"},           {"<thinking>", "</thinking>"},       {"[THINK]", "[/THINK]"},
    {"<seed:think>", "</seed:think>"}, {"<|channel>thought", "<channel|>"},
};

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

enum err_code chat_headers_set(struct chat_headers *h, const char *prompt, size_t length, struct err *e)
{
    str_clear(&h->text);
    if (str_append(&h->text, prompt, length, e))
        return e->code;
    size_t cut = length; /* in front of the thinking that the prompt begins or leaves out */
    for (size_t i = 0; i < sizeof thinking / sizeof *thinking; i++) {
        const char *open = strstr(h->text.data, thinking[i].open);
        if (open && (size_t)(open - h->text.data) < cut)
            cut = (size_t)(open - h->text.data);
    }
    h->lengths[0] = length;
    h->lengths[1] = cut;
    h->count = length == 0 ? 0 : cut > 0 && cut < length ? 2 : 1;
    return ERR_OK;
}

/* What the marks say of a message. */
struct region {
    size_t start, end;  /* printed for it */
    size_t first, last; /* its own bytes: SIZE_MAX, 0 if there are none */
    size_t free_end;    /* end of what follows and belongs to no message */
};

static size_t message_of(uint32_t origin)
{
    return origin / CHAT_ORIGINS;
}

/* The bytes that were printed in the message's pass of a loop. */
static struct region find_scope(const struct jinja_output *text, size_t number)
{
    struct region r = {SIZE_MAX, 0, SIZE_MAX, 0, 0};
    size_t start = 0;
    bool after = false;
    for (size_t i = 0; i < text->mark_count; i++) {
        const struct jinja_mark *m = &text->marks[i];
        bool inside = message_of(m->scope) == number;
        if (inside) {
            r.start = r.start == SIZE_MAX ? start : r.start;
            r.end = r.free_end = m->end;
            after = true;
            if (message_of(m->origin) == number && m->origin % CHAT_ORIGINS) {
                r.first = r.first == SIZE_MAX ? start : r.first;
                r.last = m->end;
            }
        } else if (after && !m->scope && !m->origin) {
            r.free_end = m->end;
        } else {
            after = false;
        }
        start = m->end;
    }
    return r;
}

/* A template that does not go over the messages: from the bytes of the one before to those of the one after. */
static struct region find_origin(const struct jinja_output *text, size_t number)
{
    struct region r = {SIZE_MAX, 0, SIZE_MAX, 0, 0};
    size_t start = 0, before = 0;
    for (size_t i = 0; i < text->mark_count; i++) {
        const struct jinja_mark *m = &text->marks[i];
        bool own = message_of(m->origin) == number;
        if (own) {
            r.first = r.first == SIZE_MAX ? start : r.first;
            r.start = r.start == SIZE_MAX ? before : r.start;
            r.last = r.end = m->end;
        } else if (m->origin) {
            if (r.start != SIZE_MAX)
                break;
            before = m->end;
        } else if (r.start != SIZE_MAX) {
            r.end = m->end;
        }
        start = m->end;
    }
    r.free_end = r.end;
    return r;
}

/* Where the header ends that begins first in from..to; SIZE_MAX if there is none. */
static size_t header_end(const struct jinja_output *text, const struct chat_headers *h, size_t from,
                         size_t to, size_t *begin)
{
    for (size_t i = 0; i < h->count; i++) {
        const char *found = memmem(text->bytes + from, to - from, h->text.data, h->lengths[i]);
        if (found) {
            *begin = (size_t)(found - text->bytes);
            return *begin + h->lengths[i];
        }
    }
    return SIZE_MAX;
}

/* The end of an empty thinking block in from..to, with the spaces after it; `from` if there is none. */
static size_t skip_empty_thinking(const struct jinja_output *text, size_t from, size_t to)
{
    for (size_t i = 0; i < sizeof thinking / sizeof *thinking; i++) {
        size_t length = strlen(thinking[i].close);
        const char *open = memmem(text->bytes + from, to - from, thinking[i].open, strlen(thinking[i].open));
        if (!open)
            continue;
        size_t at = (size_t)(open - text->bytes) + strlen(thinking[i].open);
        while (at < to && is_space(text->bytes[at]))
            at++;
        if (to - at < length || memcmp(text->bytes + at, thinking[i].close, length) != 0)
            continue;
        at += length;
        while (at < to && is_space(text->bytes[at]))
            at++;
        return at;
    }
    return from;
}

/* The first special token after the message's bytes; the last one of those printed for a message without any. */
static void find_end(struct chat_turn *turn, const struct jinja_output *text, const struct region *r,
                     bool is_empty, const struct chat_setup *setup)
{
    size_t at = turn->end, limit = is_empty ? r->end : r->free_end, start, end;
    while (setup->find_special && (is_empty || !turn->ends) &&
           setup->find_special(setup->context, text->bytes + at, limit - at, &start, &end)) {
        turn->ends = true;
        turn->end = at = at + end;
    }
}

static enum err_code add_turn(struct chat_turns *turns, struct chat_turn turn, struct err *e)
{
    if (turns->count == turns->capacity) {
        size_t capacity = turns->capacity ? 2 * turns->capacity : 16;
        struct chat_turn *grown = reallocarray(turns->items, capacity, sizeof *grown);
        if (!grown)
            return err_set(e, ERR_MEMORY, "no memory for %zu turns of a conversation", capacity);
        turns->items = grown;
        turns->capacity = capacity;
    }
    turns->items[turns->count++] = turn;
    return ERR_OK;
}

enum err_code chat_turn_of(struct chat_turns *turns, const struct jinja_output *text, size_t message,
                           const struct chat_headers *headers, const struct chat_setup *setup, struct err *e)
{
    struct region r = find_scope(text, message + 1);
    if (r.start == SIZE_MAX)
        r = find_origin(text, message + 1);
    if (r.start == SIZE_MAX)
        return ERR_OK;
    bool is_empty = r.first == SIZE_MAX;
    size_t limit = is_empty ? r.end : r.first, begin = r.start;
    size_t start = header_end(text, headers, r.start, limit, &begin);
    if (start == SIZE_MAX) {
        if (is_empty && headers->count) /* nothing of the message was printed */
            return ERR_OK;
        start = headers->count ? r.first : r.start;
    }
    size_t past = skip_empty_thinking(text, begin, limit);
    start = past > start ? past : start;
    struct chat_turn turn = {.start = start, .end = is_empty ? start : r.last, .message = message};
    find_end(&turn, text, &r, is_empty, setup);
    return turn.end > turn.start ? add_turn(turns, turn, e) : ERR_OK;
}

enum err_code chat_turns_of_blocks(struct chat_turns *turns, const struct jinja_output *text, struct err *e)
{
    size_t start = 0, first = turns->count;
    for (size_t i = 0; i < text->mark_count; i++) {
        const struct jinja_mark *m = &text->marks[i];
        size_t number = message_of(m->scope);
        struct chat_turn *last = turns->count > first ? &turns->items[turns->count - 1] : NULL;
        if (m->generation && last && last->end == start && last->message == number - 1)
            last->end = m->end;
        else if (m->generation && add_turn(turns, (struct chat_turn){start, m->end, number - 1, false}, e))
            return e->code;
        start = m->end;
    }
    return ERR_OK;
}
