#include "watch_data.h"

#include <string.h>

enum { PIECE = 1 << 20 }; /* bytes read at once; a line without an end in it is too long to be one of ours */

/* Takes the whole lines of a piece; *used: their bytes. The beginning of a line is read again with its end. */
static enum err_code take_lines(struct watch_tail *t, size_t *used, const struct watch_taker *to, const char *piece,
                                size_t length, struct err *e)
{
    *used = 0;
    for (const char *newline; (newline = memchr(piece + *used, '\n', length - *used));) {
        const char *line = piece + *used;
        const size_t bytes = t->long_line ? 0 : (size_t)(newline - line);
        *used = (size_t)(newline + 1 - piece);
        t->long_line = false;
        if (to->take(to->context, line, bytes, e))
            return e->code;
    }
    if (!*used && length == PIECE) {
        t->long_line = true;
        *used = length;
    }
    return ERR_OK;
}

static enum err_code read_pieces(struct watch_tail *t, const struct file_in *f, size_t most, bool *more,
                                 const struct watch_taker *to, struct err *e)
{
    struct str piece = {0};
    struct err gone;
    size_t done = 0, used = 1;
    enum err_code code = str_reserve(&piece, PIECE, e);
    while (!code && used && done < most && t->offset < f->size) {
        const uint64_t left = f->size - t->offset;
        const size_t length = left < PIECE ? (size_t)left : PIECE;
        if (file_in_read(piece.data, f, t->offset, length, &gone))
            break; /* cut just now: the next look sees it */
        code = take_lines(t, &used, to, piece.data, length, e);
        t->offset += used;
        done += used;
    }
    *more = *more || (!code && used && done >= most && t->offset < f->size);
    str_release(&piece);
    return code;
}

enum err_code watch_tail_read(struct watch_tail *t, const char *path, size_t most, bool *more,
                              const struct watch_taker *to, struct err *e)
{
    struct file_in f;
    struct err trouble;
    *t->trouble = '\0';
    if (file_in_open(&f, path, &trouble)) {
        if (file_exists(path))
            str_make_visible(t->trouble, sizeof t->trouble, trouble.message, strlen(trouble.message), "");
        return ERR_OK;
    }
    if (f.stamp.device != t->stamp.device || f.stamp.inode != t->stamp.inode || f.size < t->offset) {
        t->offset = 0;
        t->long_line = false;
        to->restart(to->context);
    }
    t->stamp = f.stamp;
    enum err_code code = read_pieces(t, &f, most, more, to, e);
    file_in_close(&f);
    return code;
}
