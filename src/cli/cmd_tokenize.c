#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/facts.h"
#include "data/tokenizer/tokenizer.h"
#include "io/json.h"
#include "io/store/store.h"
#include "train/session.h"

/* One text's ids on a line of their own, "1 2 3" or "[1, 2, 3]"; with `chat`, as a user's message. */
static enum err_code print_ids(const struct tokenizer *t, const struct chat *chat, struct ids *ids,
                               const char *text, size_t length, bool json, struct err *e)
{
    if (chat ? chat_encode_question(ids, chat, t, text, length, e) : tokenizer_encode(ids, t, text, length, true, e))
        return e->code;
    if (json)
        putchar('[');
    for (size_t i = 0; i < ids->count; i++)
        printf(i ? json ? ", %" PRId32 : " %" PRId32 : "%" PRId32, ids->id[i]);
    puts(json ? "]" : "");
    return ERR_OK;
}

/* A line ends at LF; a CR before it, like any other byte, belongs to the text. */
static enum err_code print_file(const struct tokenizer *t, const struct chat *chat, struct ids *ids,
                                const char *path, bool json, struct err *e)
{
    struct file_map map;
    enum err_code code = file_map_open(&map, path, e);
    if (code)
        return code;
    const char *line = (const char *)map.data, *end = line + map.size;
    for (uint64_t number = 1; !code && line < end; number++) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop)
            stop = end;
        code = print_ids(t, chat, ids, line, (size_t)(stop - line), json, e);
        if (code)
            err_wrap(e, "%s:%" PRIu64, path, number);
        line = stop + 1;
    }
    file_map_close(&map);
    return code;
}

/* Ids separated by spaces or commas, brackets around them allowed: what this command prints can be given
 * back. */
static enum err_code parse_ids(int32_t **out, size_t *count, const char *text, struct err *e)
{
    *count = 0;
    *out =
        malloc((strlen(text) / 2 + 1) * sizeof **out); /* every id but the last is followed by a separator */
    if (!*out)
        return err_set(e, ERR_MEMORY, "no memory for the ids of --decode");
    for (const char *at = text + strspn(text, " ,[]\t\n"); *at; at += strspn(at, " ,[]\t\n")) {
        char *end;
        errno = 0;
        long id = strtol(at, &end, 10);
        if (end == at || errno || id < 0 || id > INT32_MAX || !memchr(" ,[]\t\n", *end, sizeof " ,[]\t\n"))
            return err_set(e, ERR_USAGE, "--decode: '%.*s' does not begin with a token id",
                           str_utf8_cut(at, 40), at);
        (*out)[(*count)++] = (int32_t)id;
        at = end;
    }
    return ERR_OK;
}

static enum err_code print_text(const struct tokenizer *t, const char *list, bool json, struct err *e)
{
    int32_t *ids = NULL;
    size_t count;
    struct str text = {0}, quoted = {0};
    enum err_code code = parse_ids(&ids, &count, list, e);
    if (!code)
        code = tokenizer_decode(&text, t, ids, count, false, e);
    if (!code && json)
        code = json_append_string(&quoted, text.length ? text.data : "", text.length, e);
    if (!code) {
        const struct str *result = json ? &quoted : &text;
        code = facts_print_text(result->data ? result->data : "", result->length, e);
        putchar('\n');
    }
    str_release(&quoted);
    str_release(&text);
    free(ids);
    return code;
}

static enum err_code print_asked(const struct options *o, const struct tokenizer *t, const struct chat *chat,
                                 struct err *e)
{
    if (options_given(o, "decode"))
        return print_text(t, o->decode, o->json, e);
    struct ids ids = {0};
    enum err_code code = options_given(o, "text") ? print_ids(t, chat, &ids, o->text, strlen(o->text), o->json, e)
                                                  : print_file(t, chat, &ids, o->file, o->json, e);
    ids_release(&ids);
    return code;
}

enum err_code cmd_tokenize(const struct options *o, struct dist *d, struct err *e)
{
    (void)d;
    int inputs = options_given(o, "text") + options_given(o, "file") + options_given(o, "decode");
    if (inputs != 1)
        return err_set(e, ERR_USAGE, "tokenize needs one of --text, --file and --decode, and only one");
    struct store store = {0};
    struct tokenizer *t = NULL;
    struct chat *chat = NULL;
    enum err_code code = store_open(&store, o->model, e);
    if (!code)
        code = tokenizer_open(&t, &store, e);
    store_close(&store);
    if (!code && tokenizer_warning(t))
        log_warn("%s: %s", o->model, tokenizer_warning(t));
    if (!code && o->chat)
        code = session_open_chat(&chat, t, o, e);
    if (!code)
        code = print_asked(o, t, chat, e);
    chat_close(chat);
    tokenizer_close(t);
    return code;
}
