#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "io/store/store.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

bool store_is_repository(const char *text)
{
    size_t owner = strspn(text, LETTERS);
    if (!owner || text[0] == '.' || text[owner] != '/')
        return false;
    size_t name = strspn(text + owner + 1, LETTERS);
    return name && !text[owner + 1 + name];
}

static const char *keep(struct store *s, const char *text, size_t length)
{
    struct err ignored; /* then the model has no name */
    return arena_strndup(&s->arena, text, length, &ignored);
}

/* The hub's cache and scripts/fetch_model.sh: .../models--OWNER--NAME/snapshots/1f2e, .../OWNER--NAME. */
static const char *name_of_place(struct store *s)
{
    char path[PATH_MAX];
    const char *found = NULL;
    snprintf(path, sizeof path, "%s", s->path);
    for (char *rest = path, *part; (part = strsep(&rest, "/"));) {
        part += strncmp(part, "models--", 8) == 0 ? 8 : 0;
        char *dashes = strstr(part, "--");
        if (!dashes)
            continue;
        *dashes = '/';
        memmove(dashes + 1, dashes + 2, strlen(dashes + 2) + 1);
        char *revision = strstr(dashes, "--");
        if (revision)
            *revision = '\0';
        if (store_is_repository(part))
            found = keep(s, part, strlen(part));
    }
    return found;
}

/* A key of a GGUF; NULL if it has no such text. */
static const char *gguf_text(struct store *s, const char *key)
{
    struct gguf_string text;
    struct err ignored;
    if (gguf_get_string(&text, s->gguf, key, &ignored) || !text.length || memchr(text.data, '\0', text.length))
        return NULL;
    return keep(s, text.data, text.length);
}

/* The repository that a GGUF was made of, or is of; else what it is called. */
static const char *name_in_gguf(struct store *s)
{
    static const char *const addresses[] = {"general.source.repo_url", "general.source.url", "general.repo_url",
                                            "general.source.huggingface.repository"};
    static const char hub[] = "https://huggingface.co/";
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        const char *text = gguf_text(s, addresses[i]);
        if (text && strncmp(text, hub, strlen(hub)) == 0)
            text += strlen(hub);
        if (text && store_is_repository(text))
            return text;
    }
    return gguf_text(s, "general.name");
}

const char *store_name(struct store *s)
{
    const char *place = name_of_place(s), *text = NULL;
    if (s->kind == STORE_GGUF)
        text = name_in_gguf(s);
    else if (s->config)
        text = json_text(json_get(json_root(s->config), "_name_or_path"));
    if (s->kind == STORE_HF && (place || !text || !store_is_repository(text)))
        text = place;
    return text ? text : s->path;
}
